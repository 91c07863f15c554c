"""Where a step spends its time: a thread looks at all others every few milliseconds and counts where they are.

Beam runs a pipeline in threads of its own, which cProfile does not follow. A sample counts for the innermost frame of
our packages, or of a library when none of ours is on the stack; threads that wait are left out. Samples are taken when
the interpreter lock is free, so a long call into compiled code counts when it returns: right on average, rough in
detail.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_ROOT = Path(__file__).parent.parent
_OURS = tuple(str(_ROOT / name) + "/" for name in ("pipelines", "transforms", "tokenizer", "trainers"))
_INTERVAL_S = 0.004
_WAITING = frozenset({"wait", "select", "poll", "acquire", "get", "channel_spin"})


class Samples:
    """Counts of samples by place, such as "transforms/text/markup.py to_markdown"."""

    def __init__(self) -> None:
        self.places: Counter[str] = Counter()
        self._stop = threading.Event()

    def _run(self) -> None:
        own = threading.get_ident()
        while not self._stop.wait(_INTERVAL_S):
            for ident, frame in sys._current_frames().items():
                if ident != own and not _waits(frame):
                    self.places[_place(frame)] += 1

    def top(self, number: int) -> list[tuple[str, float]]:
        """The most frequent places with their share of all samples."""
        total = sum(self.places.values())
        return [(place, count / total) for place, count in self.places.most_common(number)] if total else []


def _waits(frame: FrameType) -> bool:
    name, file = frame.f_code.co_name, frame.f_code.co_filename
    return name in _WAITING or file.endswith(("threading.py", "queue.py", "selectors.py")) or "/grpc/" in file


def _place(frame: FrameType) -> str:
    inner = frame
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_OURS):
            return f"{Path(file).relative_to(_ROOT)} {frame.f_code.co_qualname}"
        frame = frame.f_back  # type: ignore[assignment]
    library = Path(inner.f_code.co_filename)
    parts = library.parts
    return parts[parts.index("site-packages") + 1] if "site-packages" in parts else f"python: {library.name}"


@contextmanager
def sampled() -> Iterator[Samples]:
    """Samples this process's threads while the block runs."""
    samples = Samples()
    thread = threading.Thread(target=samples._run, daemon=True)
    thread.start()
    yield samples
    samples._stop.set()
    thread.join()
