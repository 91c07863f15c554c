"""Requests to stop: Ctrl-C, SIGTERM, a terminal that was closed, SIGUSR1. One way for all, of the command line alone.

The first request ends the workers and then unwinds the main thread by `_Stopped`, so that leases are let go and files
that are being written are given up. What does not unwind in time (Beam waits for workers that are gone; Python cannot
raise an exception everywhere) is ended as it is: the next run clears what it left.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from transforms.datasets import stop_signals

_GRACE_S = 10


class _Stopped(BaseException):
    """Raised in the main thread when the process was asked to stop."""


@dataclass
class _State:
    asked: int | None = None  # by which signal
    depth: int = 0  # of blocks that hold stops back
    raised: bool = False
    over: bool = False  # nothing is left to unwind
    first: list[Callable[[], None]] = field(default_factory=list)


_state = _State()


def install(first: Callable[[], None], end: Callable[[int], object]) -> None:
    """Listens from now on. first: what is done before anything unwinds. end: ends the process that was asked to stop by
    a signal and does not unwind."""

    def handle(number: int, frame: FrameType | None) -> None:
        if _state.asked is not None:  # it is on its way
            return
        _state.asked = number
        if _state.over:
            _state.raised = True  # nothing unwinds any more
            end(number)
        threading.Thread(target=_end_if_stuck, args=[end, number], daemon=True).start()
        if not _state.depth:
            _raise()

    _state.first[:] = [first]
    _state.over = False
    if threading.current_thread() is threading.main_thread():
        for number in stop_signals.heeded():
            signal.signal(number, handle)


def asked() -> int | None:
    """The signal by which this process was asked to stop, if it was."""
    return _state.asked


def over() -> None:
    """From now on a request to stop ends the process where it is: it says its last words, or exits."""
    _state.over = True


def told(number: int) -> str:
    """What is said of it."""
    return f"stopped by {signal.Signals(number).name}; run the same command again to go on"


@contextmanager
def held_back() -> Iterator[None]:
    """A request to stop waits for the end of the block, which must be short."""
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1
        if _state.asked is not None and not _state.depth and threading.current_thread() is threading.main_thread():
            _raise()


def _raise() -> None:
    if not _state.raised:
        _state.raised = True
        for do in _state.first:
            do()
        raise _Stopped


def _end_if_stuck(end: Callable[[int], object], number: int) -> None:
    time.sleep(_GRACE_S)
    end(number)
