"""How a command ends that runs a trainer: signals go on to it, and its end is the command's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.test_worker import running

SECONDS = 60
DRIVER = """
import sys
from pipelines import train
from pipelines.command import Told
train._LONGER_S = 0
try:
    stopped_by = train.launch("stand_in", [], stop_timeout=0.5)
    sys.exit(f"ended in spite of {stopped_by}" if stopped_by else 0)
except Told as told:
    sys.exit(told.status)
except ValueError as error:
    sys.exit(str(error))
"""
TRAINER = """
import os, signal, sys, time
def ends_with(status):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(status))
    signal.signal(signal.SIGUSR1, lambda *_: sys.exit(status + 1))
{does}
print(os.getpid(), flush=True)
time.sleep({seconds})
"""
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
STOPPED = "stopped by {}; run the same command again to go on\n".format


@pytest.mark.parametrize(
    ("does", "signals", "status", "said"),
    [
        ("ends_with(75)", [signal.SIGTERM], 75, ""),
        ("ends_with(74)", [signal.SIGUSR1], 75, ""),
        ("ends_with(75)", [signal.SIGINT], 75, ""),
        ("ends_with(75)", [signal.SIGHUP], 75, ""),
        ("ends_with(0)", [signal.SIGTERM], 1, "ended in spite of 15\n"),  # done: a build begins nothing more
        ("pass", [signal.SIGTERM], 143, STOPPED("SIGTERM")),  # it says nothing itself
        ("pass", [signal.SIGINT], 130, STOPPED("SIGINT")),
        ("sys.exit(3)", [], 3, ""),
        ("os.kill(os.getpid(), 9)", [], 1, "the step stand_in was ended by SIGKILL: run the same command again\n"),
        (STUBBORN, [signal.SIGINT, signal.SIGINT], 130, STOPPED("SIGINT")),
        (
            STUBBORN,
            [signal.SIGTERM],
            1,
            "the trainer was killed: it had not ended 0.5 s after SIGTERM (--stop-timeout)\n",
        ),
    ],
)
def test_a_trainers_end_is_the_commands(tmp_path: Path, does: str, signals: list[int], status: int, said: str) -> None:
    (tmp_path / "trainers").mkdir()
    (tmp_path / "trainers" / "__init__.py").touch()
    (tmp_path / "trainers" / "stand_in.py").write_text(TRAINER.format(does=does, seconds=60))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # behind the folder that it runs in
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER], cwd=tmp_path, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert driver.stdout
    trainer = driver.stdout.readline()
    for number in signals:
        driver.send_signal(number)
        time.sleep(0.2)  # Ctrl-C is pressed twice
    _, told = driver.communicate(timeout=SECONDS)
    assert (driver.returncode, told) == (status, said)
    assert not trainer or not running(int(trainer))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("processes", [1, 2])
def test_told_before_there_is_anything_to_save_it_ends_at_once(tmp_path: Path, processes: int) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "train", "pretrain", "debug_cpu", "--processes", str(processes)]
    settings = ["data=none", "tokenizer=none", f"output={tmp_path / 'run'}"]
    driver = subprocess.Popen([*command, *settings], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children")
    deadline = time.monotonic() + SECONDS
    while not children.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    child = int(children.read_text())
    driver.terminate()
    _, told = driver.communicate(timeout=SECONDS)
    assert (driver.returncode, told) == (143, STOPPED("SIGTERM"))
    assert not running(child)
    assert not (tmp_path / "run").exists()
