"""A local worker is gone when its parent is gone: it must not write into a folder that a new run has taken over."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

SECONDS = 30  # far more than either wait takes


def children(parent: int) -> list[int]:
    """The worker processes that a process started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            started_by = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        if started_by == parent and b"pipelines.worker" in command:
            found.append(int(folder.name))
    return found


def running(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "ingest", "examples/forum", "--site", "agora.example"]
    command += ["--output", str(tmp_path / "out"), "--workers", "2"]
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + SECONDS
    workers: list[int] = []
    while len(workers) < 2 and time.monotonic() < deadline and parent.poll() is None:
        workers = children(parent.pid)
        time.sleep(0.01)
    assert len(workers) == 2
    parent.kill()  # most likely while the workers still import
    parent.wait()
    deadline = time.monotonic() + SECONDS
    while any(map(running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [worker for worker in workers if running(worker)]
    for worker in left:
        os.kill(worker, 9)
    assert not left


def test_a_busy_worker_ends_with_its_parent() -> None:
    """An idle worker notices by itself that nobody talks to it; one in the middle of a bundle would go on."""
    busy = (
        "import os, threading, time; from pipelines.worker import leave_with; "
        "threading.Thread(target=leave_with, args=(os.getppid(),), daemon=True).start(); "
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
