"""What a training run tells: metrics.jsonl for machines, one progress line for people. Only the first rank writes.

metrics.jsonl holds one JSON object a line: kind ("train", "validation", "skipped", "resumed"), step (how many are done)
and numbers. A resumed run drops the lines after its checkpoint first, so a step is never there twice.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from transforms.datasets import disk, places, shown

LAST_WORDS = "AGORA_LAST_WORDS"  # names the descriptor of a file: why a rank fails, for whoever started all of them
_METRICS = "metrics.jsonl"
_QUIET_LINE_S = 10.0  # when the output is no terminal: a progress line at most this often


class RunLog:
    """Metrics and progress of a run of `steps` steps; silent on all ranks but the first."""

    def __init__(self, output: Path, name: str, steps: int, speak: bool) -> None:
        self._path = output / _METRICS
        self._name, self._steps, self._speak = name, steps, speak
        self._terminal = sys.stderr.isatty()
        self._last_line = 0.0
        self._started = time.monotonic()
        self._first_step = 0

    def open(self, step: int, validated: int) -> None:
        """Keeps the metrics of the first `step` steps of an earlier run, and of its validations those of the first
        `validated`, and starts the clock."""
        self._first_step = step
        if not self._speak:
            return
        kept = []
        if step and self._path.is_file():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                record = _record(line)
                last = validated if record is not None and record["kind"] == "validation" else step
                if record is not None and int(str(record["step"])) <= last:
                    kept.append(line)
        places.write_atomically(str(self._path), "".join(line + "\n" for line in kept).encode())
        self._started = time.monotonic()

    def write(self, kind: str, step: int, values: Mapping[str, object]) -> None:
        """Appends a line of JSON to metrics.jsonl, on the rank that speaks."""
        if self._speak:
            line = json.dumps({"kind": kind, "step": step, **values}, ensure_ascii=False) + "\n"
            with disk.naming(str(self._path)), self._path.open("a", encoding="utf-8") as file:
                file.write(line)

    def progress(self, step: int, text: str) -> None:
        """One line: rewritten in place on a terminal, else printed now and then."""
        if not self._speak:
            return
        now = time.monotonic()
        last = step == self._steps
        if not self._terminal and not last and now - self._last_line < _QUIET_LINE_S:
            return
        self._last_line = now
        done = step - self._first_step
        left = (now - self._started) / done * (self._steps - step) if done else 0.0
        line = f"{self._name} step {step}/{self._steps}  {text}  {left:.0f} s left"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{line}" + ("\n" if last else ""))
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._speak:
            sys.stderr.write(("\r\x1b[K" if self._terminal else "") + f"{self._name}: {shown.message(text)}\n")
            sys.stderr.flush()


def tell_failure(text: str) -> None:
    """Why this process fails: said by whoever started all ranks, of one rank only, or here when nobody did."""
    if LAST_WORDS in os.environ:
        os.write(int(os.environ[LAST_WORDS]), text.encode(errors="replace"))
    else:
        print(text, file=sys.stderr)


def _record(line: str) -> dict[str, object] | None:
    """A metrics line, or None for one that a kill cut short."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
