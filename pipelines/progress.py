"""Progress of a step on the terminal: what it is, how many files are finished, bytes written, time.

It watches the output's folder, not the graph, so it works for any step and any runner. Where the output is not a
terminal it prints one line when a step begins and one when it ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from transforms import places
from transforms.shards import PARTS, Manifest

_EVERY_S = 0.5


def human_bytes(number: float) -> str:
    """1,536 as 1.5 kB: three digits at most, decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _written(output: str) -> str:
    names = places.list_files(output)
    files = [name for name in names if ".tmp-" not in name and not name.startswith((f"{PARTS}/", "scratch/"))]
    finished = sum(name.startswith(f"{PARTS}/") for name in names)
    try:
        total = sum(places.size(places.join(output, name)) for name in names)
    except FileNotFoundError:  # a temporary file got its name between the two looks
        total = 0
    return f"{max(finished, len(files))} files, {human_bytes(total)}"


def _watch(console: Console, label: str, output: str, done: threading.Event) -> None:
    started = time.monotonic()
    with console.status(f"{label} …") as status:
        while not done.wait(_EVERY_S):
            status.update(f"{label} … {_written(output)}, {time.monotonic() - started:.0f} s")


@contextmanager
def progress(console: Console, label: str, output: str) -> Iterator[None]:
    """Shows the step while the block runs. The block's exceptions pass through."""
    if not console.is_terminal:
        console.print(f"{label} …")
        yield
        return
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(console, label, output, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def summary(manifest: Manifest) -> str:
    """One line on a dataset: its rows, bytes and drops."""
    size = sum(file.bytes for file in manifest.files)
    parts = [f"{manifest.rows:,} rows"] if manifest.rows else []
    parts += [f"{len(manifest.files)} files", human_bytes(size)]
    drops = manifest.counts.get("drop", {})
    if drops:
        parts.append("dropped " + ", ".join(f"{number:,} {reason}" for reason, number in sorted(drops.items())))
    return " · ".join(parts)
