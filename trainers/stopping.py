"""Being told to stop, by one of `stop_signals`.

Outside of training they end the process at once: there is nothing to save. In training they are heeded before the next
micro-batch but one, by all ranks before the same one, whoever was told: a rank that stopped alone would leave the
others waiting in a collective.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

from trainers.parallel import AnyRank, Ranks
from transforms.datasets import stop_signals

PREEMPTED = 75  # exit status: told to stop, run the same command again (EX_TEMPFAIL)


class ToldToStop(Exception):  # noqa: N818
    """Raised on every rank, before the same micro-batch, when one of them was told to stop."""


class Stopping:
    """Listens to signals while it is entered. Every rank enters it, and checks equally often."""

    def __init__(self, ranks: Ranks) -> None:
        self._any_rank = AnyRank(ranks)
        self._told = self._interrupted = False

    def __enter__(self) -> Stopping:
        self._before = {number: signal.signal(number, self._handle) for number in stop_signals.heeded()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:  # else the others may never come
            self._any_rank.close()

    def check(self) -> None:
        """Called before each micro-batch. Raises ToldToStop."""
        if self._any_rank.says(self._told):
            raise ToldToStop

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._interrupted:  # pressed again: now
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
        self._interrupted |= number == signal.SIGINT
        self._told = True
