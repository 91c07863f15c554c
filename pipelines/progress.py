"""Progress of a step on the terminal: what it is, how many files are finished, bytes written, time.

It watches the output's folder, not the graph, so it works for any step and any runner. Where the output is not a
terminal it prints one line when a step begins and one when it ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from pipelines import log
from transforms.datasets import places
from transforms.datasets.fates import Tally
from transforms.datasets.manifest import Manifest
from transforms.datasets.names import DATA, NEXT, REJECTS, RUN
from transforms.layers.kinds import LAYERS

_EVERY_S = 0.5


def human_bytes(number: float) -> str:
    """1,536 as 1.5 kB: three digits at most, decimal units. `memory.parse_size` reads it."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 99.95 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _written(outputs: Sequence[str]) -> str:
    """Files and bytes written so far; an account of the moment, so a file that moves meanwhile counts for nothing."""
    num_files = num_bytes = 0
    for output in outputs:
        for name in places.list_files(output):
            try:
                num_bytes += places.size(places.join(output, name))
            except FileNotFoundError:
                continue
            num_files += name.removeprefix(f"{NEXT}/").startswith((f"{DATA}/", f"{REJECTS}/"))
    return f"{num_files} files, {human_bytes(num_bytes)}"


class Runs:
    """Which of some datasets a step made anew: each keeps the account of the run that made it."""

    def __init__(self, outputs: Sequence[str]) -> None:
        self._before = {output: _account(output) for output in outputs}

    def unchanged(self, output: str) -> bool:
        """Whether a dataset stands as it did."""
        return _account(output) == self._before[output]

    def told(self, output: str, manifest: Manifest) -> str:
        """The summary of a dataset, and whether it was there already."""
        return ("unchanged · " if self.unchanged(output) else "") + summary(manifest)


def _account(output: str) -> bytes | None:
    account = places.join(output, RUN)
    return places.read_bytes(account) if places.exists(account) else None


def _watch(console: Console, label: str, outputs: Sequence[str], done: threading.Event) -> None:
    started = time.monotonic()
    with console.status(f"{label} …") as status:
        while not done.wait(_EVERY_S):
            status.update(f"{label} … {_written(outputs)}, {time.monotonic() - started:.0f} s")


@contextmanager
def progress(console: Console, label: str, *outputs: str) -> Iterator[Runs]:
    """Shows the step while the block runs. The block's exceptions pass through. Yields what then tells which of the
    outputs it has made."""
    runs = Runs(outputs)
    if not console.is_terminal:
        console.print(f"{label} …")
        yield runs
        return
    log.write(f"{label} …")
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(console, label, outputs, done), daemon=True)
    watcher.start()
    try:
        yield runs
    finally:
        done.set()
        watcher.join()


def summary(manifest: Manifest) -> str:
    """One line on a dataset: its rows, bytes, drops by reason, what was wrong with whole input files, and notes; and
    with which versions it was made where it was kept in spite of them."""
    parts = [f"{manifest.rows:,} rows"] if manifest.rows else []
    parts += [f"{len(manifest.files)} files", human_bytes(sum(file.bytes for file in manifest.files))]
    notes = Tally({"note": manifest.counts.get("note", {})})
    for entry in manifest.inputs:
        notes.merge({"note": entry.get("noted", {})})
    candidates = {name: number for name, number in manifest.counts.get("candidates", {}).items() if name != "kept"}
    for what, counts in (
        ("marked" if manifest.kind in LAYERS else "dropped", manifest.counts.get("drop", {})),
        ("not paired", candidates),
        ("input files", manifest.counts.get("file", {})),
        ("noted", notes.group("note")),
    ):
        if counts:
            parts.append(f"{what} " + ", ".join(f"{number:,} {reason}" for reason, number in sorted(counts.items())))
    if manifest.outdated:
        parts.append("kept, made with " + ", ".join(f"{name} {number}" for name, number in manifest.outdated.items()))
    return " · ".join(parts)
