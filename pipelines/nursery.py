"""The driver's side of local workers: starts the process that they are forked from (see `worker`), once."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

_ASK = Path(__file__).parent / "ask_worker.py"
_PACKAGES = ("transforms", "tokenizer")  # what steps are made of
_READ_AT_START = ("ARROW_", "MALLOC_")  # variables that a process heeds only when it begins


class _Nursery(NamedTuple):
    process: subprocess.Popen[bytes]
    place: str  # of its socket
    heeds: dict[str, str]


_running: list[_Nursery] = []  # one at most


def ready() -> str:
    """The command with which Beam starts a worker. Begins to import what workers need, unless that has been done."""
    heeds = {name: value for name, value in os.environ.items() if name.startswith(_READ_AT_START)}
    if _running and (_running[0].process.poll() is not None or _running[0].heeds != heeds):
        stop()
    if not _running:
        _running.append(_start(heeds))
    return f"exec {shlex.join([sys.executable, '-I', '-S', str(_ASK), _running[0].place])}"


def stop() -> None:
    """Ends the nursery. Its workers end with it."""
    for nursery in _running:
        nursery.process.communicate()
    _running.clear()


def _start(heeds: dict[str, str]) -> _Nursery:
    # For this user alone. A socket's path is at most 104 bytes long.
    folder = tempfile.mkdtemp(prefix=f"agora-workers-{os.getpid()}-", dir=min(tempfile.gettempdir(), "/tmp", key=len))
    place = str(Path(folder) / "socket")
    modules = sorted(name for name in sys.modules if name.partition(".")[0] in _PACKAGES)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen(128)  # whoever asks waits until the nursery has imported everything
        descriptor = listener.fileno()
        command = [sys.executable, "-m", "pipelines.worker", str(descriptor), *modules]
        # It ends when its standard input does, which is ours to hold open.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[descriptor])
    return _Nursery(process, place, heeds)
