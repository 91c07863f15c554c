"""A local worker is gone when its parent is gone: it must not write into a folder that a new run has taken over."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pipelines.local import nursery, temporary
from tests.conftest import ROOT

WITH_ROOT = {**os.environ, "PYTHONPATH": str(ROOT)}
SECONDS = 30  # far more than either wait takes


def children(parent: int) -> list[int]:
    """The processes that a process started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            started_by = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        if started_by == parent:
            found.append(int(folder.name))
    return found


def command_of(process: int) -> bytes:
    try:
        return (Path("/proc") / str(process) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def workers_of(driver: int) -> tuple[list[int], list[int]]:
    """(workers, those that wait for them and the process that workers are forked from)."""
    beside = [child for child in children(driver) if b"worker" in command_of(child)]
    return [worker for child in beside for worker in children(child)], beside


def running(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "ingest", "examples/forum", "--site", "agora.example"]
    command += ["--output", str(tmp_path / "out"), "--workers", "2"]
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + SECONDS
    workers, beside = workers_of(parent.pid)
    while len(workers) < 2 and time.monotonic() < deadline and parent.poll() is None:
        workers, beside = workers_of(parent.pid)
        time.sleep(0.01)
    assert len(workers) == 2
    assert len(beside) == 3
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + SECONDS
    while any(map(running, [*workers, *beside])) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [process for process in [*workers, *beside] if running(process)]
    held = temporary.make("agora-run-", str(tmp_path / "tmp"))  # as the next run does
    assert os.listdir(tmp_path / "tmp") == [Path(held).name], "what the killed one left is gone"
    for worker in left:
        os.kill(worker, 9)
    assert not left


def test_a_busy_worker_ends_with_its_parent() -> None:
    """An idle worker notices by itself that nobody talks to it; one in the middle of a bundle would go on."""
    busy = (
        "import os, time; from transforms.datasets import parent; parent.leave_with(os.getppid()); "
        "print(os.getpid(), flush=True); time.sleep(60)"
    )
    starter = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    parent = subprocess.Popen([sys.executable, "-c", starter], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = running(worker)
    if left:
        os.kill(worker, 9)
    assert not left


@pytest.mark.parametrize("end", [0, 3])
def test_who_asks_for_a_worker_learns_how_it_ended(end: int, tmp_path: Path) -> None:
    place = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        listener.settimeout(SECONDS)
        command = [sys.executable, "-I", "-S", str(ROOT / "pipelines/local/ask_worker.py"), str(place)]
        asker = subprocess.Popen(command, cwd=tmp_path, env={b"A": b"\xe9\xff", b"LC_CTYPE": b"C.UTF-8"})
        connection, _ = listener.accept()
        asked = json.loads(connection.makefile("rb").readline())
        assert asked == {"environment": {"A": "\xe9\xff", "LC_CTYPE": "C.UTF-8"}, "folder": str(tmp_path)}
        if not end:
            connection.sendall(b"\n")
        connection.close()
    assert (asker.wait(SECONDS) == 0) is (end == 0)


def test_a_nursery_is_started_once_and_anew_when_it_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 20)))  # where no socket can be
    nursery.stop()
    first = nursery.ready()
    assert nursery.ready() == first
    monkeypatch.setenv("MALLOC_ARENA_MAX", "3")  # heeded only by a process that begins
    second = nursery.ready()
    assert second != first
    nursery.stop()
    assert nursery.ready() not in (first, second)


RUN = """
import time
import apache_beam as beam, typer
from pipelines.command import run_app
from pipelines.local.options import beam_pipeline

app = typer.Typer(pretty_exceptions_enable=False)

def slow(number):
    time.sleep(0.2)
    return number

@app.command()
def command(number: int):
    print("begins", flush=True)
    with beam_pipeline(2) as p:
        p | beam.Create(range(number)) | beam.Map(slow)
    print("ended", flush=True)

run_app(app, "run")  # whoever runs the main module again in a worker would begin anew
"""


NO_NAME = """
import socket
socket.getfqdn = lambda *_: "nowhere.invalid"
"""


def test_workers_need_neither_standard_input_nor_the_main_module(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(NO_NAME + RUN)  # on a machine whose name leads nowhere, as laptops' do
    command = f"exec {sys.executable} {tmp_path / 'run.py'} 4 <&-"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, env=WITH_ROOT)
    assert done.stdout.split() == ["begins", "ended"], done.stderr
