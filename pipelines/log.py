"""The log of a build: what was said, when; traces of defects; what trainers said. Nobody reads it but people.

There is at most one in a process. What cannot be written into it (a full disk) is left out: it keeps no build from its
end.
"""

from __future__ import annotations

import fcntl
import logging
import os
import platform
import re
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import IO

from transforms.datasets import places, shown

LOG = "build.log"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # colours, cursor moves
_WAIT_S = 2.0  # for what is on its way from a trainer that has ended

_open: list[tuple[str, IO[str]]] = []


def begin(folder: str) -> None:
    """Goes on with the log in a local folder, which is made, from now until this process ends. A remote one has none:
    nothing can be appended there."""
    if not places.is_local(folder):
        return
    with suppress(OSError):
        os.makedirs(places.local_path(folder), exist_ok=True)
        place = places.join(folder, LOG)
        _open[:] = [(place, open(places.local_path(place), "a", encoding="utf-8", errors="replace"))]  # noqa: SIM115
    try:
        ours = version("agora-forum")
    except PackageNotFoundError:
        ours = "of a checkout"
    if not any(isinstance(handler, _Records) for handler in logging.getLogger().handlers):
        logging.getLogger().addHandler(_Records())
    write(f"begins: Agora {ours}, Python {platform.python_version()}, process {os.getpid()} on {platform.node()}")
    write(f"command: {' '.join(map(shown.name, sys.argv))} (in {shown.name(os.getcwd())})")


class _Records(logging.Handler):
    """Of libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write(self.format(record))
        except Exception:  # as of any handler: a record that cannot be told ends nothing
            self.handleError(record)


def place() -> str | None:
    """Where the log is, if there is one."""
    return _open[0][0] if _open else None


def write(text: str) -> None:
    """Lines, each with the time."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    for _, file in _open:
        with suppress(OSError, ValueError):
            file.writelines(f"{now} {line}\n" for line in shown.message(text).splitlines())
            file.flush()


@contextmanager
def hearing() -> Iterator[None]:
    """What processes that are started in the block write to standard error goes to the log as well, without what they
    have written over. Where it was a terminal, it is one for them."""
    if not _open or not _is_descriptor():
        yield
        return
    terminal = os.isatty(2)
    ours = os.dup(2)
    heard, told = os.openpty() if terminal else os.pipe()
    if terminal:
        tty.setraw(told)
        with suppress(OSError):
            fcntl.ioctl(told, termios.TIOCSWINSZ, fcntl.ioctl(ours, termios.TIOCGWINSZ, b"\0" * 8))
    sys.stderr.flush()
    os.dup2(told, 2)
    os.close(told)
    listener = threading.Thread(target=_listen, args=(heard, ours), daemon=True)
    listener.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(ours, 2)  # the last of our ends: it closes
        listener.join(_WAIT_S)


def _is_descriptor() -> bool:
    try:
        os.fstat(2)
    except OSError:
        return False
    return True


def _listen(heard: int, shows: int) -> None:
    """Copies to the terminal, and whole lines to the log."""
    line = b""
    with suppress(OSError):  # of a terminal whose other end was closed
        while data := os.read(heard, 1 << 16):
            with suppress(OSError):
                os.write(shows, data)
            *whole, line = (line + data).split(b"\n")
            for each in whole:
                _hear(each)
            line = line[line.rfind(b"\r", 0, -1) + 1 :]  # the rest is written over
    _hear(line)
    os.close(heard)
    os.close(shows)


def _hear(line: bytes) -> None:
    last = line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
    if text := _ESCAPES.sub("", last).strip():
        write(f"  {text}")
