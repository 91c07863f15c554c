"""What the command line does when a local worker dies: Beam waits for workers that are gone.

It is the command line's alone: used as a library, a pipeline never ends the process it runs in. Beam-free, so that
commands without a pipeline start at once.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from pipelines.local import limits, nursery, stops, temporary

# How Beam tells that a worker is gone.
DIED = re.compile("Channel closed prematurely|Worker subprocess exited")
_GRACE_S = 5  # in which Beam mostly finds out by itself

_at_work: list[object] = []


@contextmanager
def at_work(pipeline: object) -> Iterator[None]:
    """The pipeline is being built or run while the block runs."""
    _at_work.append(pipeline)
    try:
        yield
    finally:
        _at_work.pop()


def install(end: Callable[[BaseException], int]) -> None:
    """Watches from now on. end: says why the run ends, and gives the exit status; called when a pipeline that has lost
    a worker goes on waiting for it, and when a thread that it needs has found no memory."""

    def in_thread(arguments: threading.ExceptHookArgs) -> None:
        """Of connections to a worker that died nothing is said; of its death only if Beam does not raise it, but
        hangs."""
        error = arguments.exc_value or arguments.exc_type()
        if stops.asked() is not None:  # of what breaks on the way out nothing is said
            return
        if limits.is_too_little(error):  # no thread would start to wait
            leave(end(error))
        if DIED.search(str(error)):
            threading.Thread(target=_end_if_stuck, args=[_current(), end, error], daemon=True).start()
        elif arguments.exc_type.__module__.partition(".")[0] != "grpc":
            threading.__excepthook__(arguments)

    threading.excepthook = in_thread


def _current() -> object | None:
    return _at_work[-1] if _at_work else None


def _end_if_stuck(pipeline: object | None, end: Callable[[BaseException], int], error: BaseException) -> None:
    time.sleep(_GRACE_S)
    if pipeline is not None and _current() is pipeline:
        leave(end(error))


def leave(status: int) -> NoReturn:
    """Ends the process and its workers at once: Python would first wait for threads that wait for one another."""
    nursery.stop()
    temporary.remove_all()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
