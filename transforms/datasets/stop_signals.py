"""Which signals ask a process of ours to stop, be it a pipeline, a trainer, or what starts its ranks."""

from __future__ import annotations

import signal


def heeded() -> list[signal.Signals]:
    """Ctrl-C, SIGTERM, SIGUSR1 (which schedulers send ahead of a preemption), and SIGHUP, a terminal that was closed,
    unless it is ignored, as under nohup."""
    always = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]
    return always if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [*always, signal.SIGHUP]
