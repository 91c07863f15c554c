"""A process that we start ends with us, however we end; one that was typed in a shell does not end with the shell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

SECONDS = 20
CHILD = (
    "from transforms.datasets import parent; parent.begin(); import os, time; print(os.getpid(), flush=True); {then}"
)
STARTER = """
import os, subprocess, sys, threading, time
from transforms.datasets import parent

def start():
    with parent.started({command!r}, os.environ):
        time.sleep(60)

{run}
"""
BARE = "import subprocess; subprocess.run({command!r})"


def child(then: str = "time.sleep(60)", platform: str = sys.platform) -> list[str]:
    """platform: where Linux tells of a parent's end, the pid and the pipe need not; elsewhere they alone do."""
    return [sys.executable, "-c", CHILD.format(then=then, platform=platform)]


def ends_after(starter: str, **environment: str) -> bool:
    """Whether the process that a starter runs, and whose pid it prints, ends when the starter is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", starter], cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    assert process.stdout
    started = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + (SECONDS if "parent.started" in starter or environment else 1)
    while time.monotonic() < deadline:
        if not is_running(started):
            return True
        time.sleep(0.02)
    os.kill(started, signal.SIGKILL)
    return False


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
        stat = Path(f"/proc/{process}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize("platform", [sys.platform, "darwin"])
@pytest.mark.parametrize("run", ["start()", "threading.Thread(target=start).start()"])
def test_it_ends_with_whoever_started_it(run: str, platform: str) -> None:
    assert ends_after(STARTER.format(command=child(platform=platform), run=run))


def test_it_ends_where_another_command_is_between() -> None:
    command = ["sh", "-c", '"$@"; exit', "sh", *child()]
    assert ends_after(STARTER.format(command=command, run="start()"))


def test_it_ends_when_the_starter_is_gone_before_it_looks() -> None:
    command = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(2)\n" + child()[2]]
    assert ends_after(STARTER.format(command=command, run="start()"))


@pytest.mark.parametrize("platform", [sys.platform, "darwin"])
def test_a_rank_ends_with_torchrun(platform: str) -> None:
    assert ends_after(BARE.format(command=child(platform=platform)), TORCHELASTIC_RUN_ID="x")


def test_what_a_shell_started_outlives_the_shell() -> None:
    assert not ends_after(BARE.format(command=child()))


def test_a_mark_of_another_process_is_no_mark_and_none_is_handed_on() -> None:
    then = f"print(os.environ.get('AGORA_PARENT')); import subprocess; subprocess.run({child('pass')!r}, check=True)"
    pipe = os.pipe()
    try:
        for mark in ("1 2", f"{os.getpid()} {pipe[0]} 1 2", f"{os.getpid()} 99 1 2"):
            environment = {**os.environ, "AGORA_PARENT": mark}
            run = subprocess.run(
                child(then), cwd=ROOT, env=environment, pass_fds=pipe, capture_output=True, text=True, check=True
            )
            assert run.stdout.split()[1] == "None"
    finally:
        os.close(pipe[0])
        os.close(pipe[1])


def test_leaving_the_block_ends_it_and_what_it_started() -> None:
    starter = STARTER.replace("time.sleep(60)", "sys.stdin.readline()").format(
        command=["sh", "-c", "sleep 60 & echo $! ; wait"], run="start()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", starter], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    asleep = int(process.stdout.readline())
    assert is_running(asleep)
    process.communicate("go on\n", timeout=SECONDS)
    assert not is_running(asleep)
