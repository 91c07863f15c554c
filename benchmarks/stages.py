"""Where the CPU time of a pipeline goes, function by function: what a function spends in others that are clocked is
theirs. For runs in one process: Beam's one local worker, which runs a pipeline in threads of this one.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

_clocks: dict[tuple[str, str], _Clock] = {}
_running = threading.local()  # .inner: of each clock that runs in a thread, the seconds of those within


class _Clock:
    """A function in the place of one. Beam sends it to its worker by name, which finds it here."""

    def __init__(self, module: str, name: str) -> None:
        self.key, self.seconds = (module, name), 0.0
        self.clocked: Callable[..., Any] = getattr(importlib.import_module(module), name)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[tuple[str, str]]]:
        return _running_clock, (self.key,)

    def __call__(self, *given: object) -> object:
        inner = _running.__dict__.setdefault("inner", [])
        inner.append(0.0)
        begin = time.thread_time()
        try:
            return self.clocked(*given)
        finally:
            spent = time.thread_time() - begin
            self.seconds += spent - inner.pop()
            if inner:
                inner[-1] += spent


def _running_clock(key: tuple[str, str]) -> _Clock:
    return _clocks[key]


@contextmanager
def clocked(functions: Iterable[tuple[str, str]]) -> Iterator[Counter[str]]:
    """Clocks functions while the block runs, by their module, whose name for them is replaced, and that name. Yields
    the CPU seconds of each name, which are there behind the block."""
    seconds: Counter[str] = Counter()
    for module, name in functions:
        _clocks[module, name] = _Clock(module, name)
        setattr(importlib.import_module(module), name, _clocks[module, name])
    try:
        yield seconds
    finally:
        for module, name in functions:
            clock = _clocks.pop((module, name))
            setattr(importlib.import_module(module), name, clock.clocked)
            seconds[name] += clock.seconds
