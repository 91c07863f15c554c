"""The driver's side of local workers: starts the process that they are forked from (see `worker`), once."""

from __future__ import annotations

import atexit
import fcntl
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from pipelines.local import limits, temporary
from pipelines.local.stops import held_back

_ASK = Path(__file__).parent / "ask_worker.py"
_PACKAGES = ("transforms", "tokenizer")  # what steps are made of
_READ_AT_START = ("ARROW_", "MALLOC_")  # variables that a process heeds only when it begins
_LONGEST_PLACE = 60  # of temporary files: a socket's path has 104 bytes at most
_END_S = 5


class _Nursery(NamedTuple):
    process: subprocess.Popen[bytes]
    folder: str
    heeds: dict[str, str]


_running: list[_Nursery] = []  # one at most


def ready() -> str:
    """The command with which Beam starts a worker. Begins to import what workers need, unless that has been done.

    Raises ValueError where processes may have too little address space.
    """
    limits.check_address_space(workers=2)
    heeds = {name: value for name, value in os.environ.items() if name.startswith(_READ_AT_START)}
    if _running and (_running[0].process.poll() is not None or _running[0].heeds != heeds):
        stop()
    with held_back():
        if not _running:
            _running.append(_start(heeds))
    # Stops are for the driver, which ends the workers and with them whoever waits for one.
    return (
        f"trap '' INT TERM HUP; exec {shlex.join([sys.executable, '-I', '-S', str(_ASK), _socket(_running[0].folder)])}"
    )


@atexit.register
def stop() -> None:
    """Ends the nursery, and workers that have not ended."""
    with held_back():
        for nursery in _running:
            try:
                nursery.process.communicate(timeout=_END_S)  # its standard input ends
            except subprocess.TimeoutExpired:
                nursery.process.kill()
                nursery.process.wait()
            temporary.remove(nursery.folder)
        _running.clear()


def _socket(folder: str) -> str:
    return str(Path(folder) / "socket")


def _start(heeds: dict[str, str]) -> _Nursery:
    place = tempfile.gettempdir()
    place = place if len(os.fsencode(place)) <= _LONGEST_PLACE else "/tmp"
    folder = temporary.make("agora-workers-", place)
    modules = sorted(name for name in sys.modules if name.partition(".")[0] in _PACKAGES)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(_socket(folder))
        listener.listen(128)  # whoever asks waits until the nursery has imported everything
        descriptor = fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, 3)  # where we have no standard input, it would be 0
    command = [sys.executable, "-m", "pipelines.local.worker", str(descriptor), *modules]
    # It ends when its standard input does, which is ours to hold open. Stops are for us, not for a session of its own.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[descriptor], start_new_session=True)
    os.close(descriptor)
    return _Nursery(process, folder, heeds)
