"""Examples of good and bad texts: each text once, in one class, as many of both; some are held out to judge with.

Which examples are taken, in which order, and which are held out are keyed hashes of the texts: neither the order of the
inputs nor how they are cut into files matters. Memory: two times `most` lines of at most 4,000 characters and spaces.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from transforms.datasets.ids import keyed_hash, unit_interval
from transforms.quality.classifier import NEGATIVE, POSITIVE, readable

_HELD_OUT = 0.1  # share of the examples
_LEAST = 100  # examples of a class
_MOST_SHARED = 0.1  # share of the smaller class that may stand in the other one
_NO_LETTERS = re.compile(r"[\W_]+")


@dataclass
class _Class:
    """The examples of a class that have the lowest hashes; near-identical texts are one. lines: by key."""

    name: str
    seed: int
    most: int
    lines: dict[int, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"read": 0, "empty": 0, "repeated": 0, "shared": 0})

    def __post_init__(self) -> None:
        self._highest: list[tuple[int, int]] = []  # a heap of (-order, key)

    def add(self, text: str, others: Collection[int]) -> int | None:
        """Takes an example in, unless it is one of the other class's: then its key is given back."""
        self.counts["read"] += 1
        line = readable(text)
        letters = _NO_LETTERS.sub("", line)
        if not letters:
            self.counts["empty"] += 1
            return None
        key = keyed_hash("quality-text", letters)
        if key in others:
            self.counts["shared"] += 1
            return key
        if key in self.lines:
            self.counts["repeated"] += 1
            self.lines[key] = min(self.lines[key], line)
            return None
        self.lines[key] = line
        heapq.heappush(self._highest, (-_order(self.seed, key), key))
        if len(self.lines) > self.most:
            del self.lines[heapq.heappop(self._highest)[1]]
        return None


def _order(seed: int, key: int) -> int:
    return keyed_hash("quality-order", str(seed), str(key))


@dataclass(frozen=True)
class Examples:
    """training: (class, line) in the order to be trained in. held_out: lines by class. counts: of each class, how many
    were read and what became of them."""

    training: list[tuple[str, str]]
    held_out: Mapping[str, list[str]]
    counts: Mapping[str, Mapping[str, int]]


def choose(positive: Iterable[str], negative: Iterable[str], seed: int, most: int) -> Examples:
    """Examples of texts, at most `most` of each class.

    Raises ValueError when a class has too few, or too many of them are in both.
    """
    good, bad = _Class(POSITIVE, seed, most), _Class(NEGATIVE, seed, most)
    for text in positive:
        good.add(text, ())
    known = frozenset(good.lines)
    shared = {key for text in negative if (key := bad.add(text, known)) is not None}
    smaller = min(len(good.lines), len(bad.lines) + len(shared))
    if len(shared) > _MOST_SHARED * smaller:
        raise ValueError(
            f"{len(shared):,} texts are positive and negative examples, of {smaller:,} in the smaller class; got "
            f"{len(shared) / smaller:.0%}, wanted at most {_MOST_SHARED:.0%}: take them out of one class"
        )
    for key in shared:
        del good.lines[key]
    good.counts["shared"] = len(shared)
    for each in (good, bad):
        if len(each.lines) < _LEAST:
            raise ValueError(
                f"too few {each.name} examples: got {len(each.lines):,} that differ, of {each.counts['read']:,} texts, "
                f"wanted at least {_LEAST}; add more with --{each.name}"
            )
    return _divided(good, bad, seed)


def _divided(good: _Class, bad: _Class, seed: int) -> Examples:
    size = min(len(good.lines), len(bad.lines))
    training: list[tuple[int, str, str]] = []
    held_out: dict[str, list[str]] = {POSITIVE: [], NEGATIVE: []}
    counts: dict[str, dict[str, int]] = {}
    for each in (good, bad):
        ordered = sorted((_order(seed, key), key) for key in each.lines)[:size]
        for order, key in ordered:
            if unit_interval("quality-held-out", str(key)) < _HELD_OUT:
                held_out[each.name].append(each.lines[key])
            else:
                training.append((order, each.name, each.lines[key]))
        parts = {"training": size - len(held_out[each.name]), "held out": len(held_out[each.name])}
        gone = sum(each.counts[name] for name in ("empty", "repeated", "shared"))
        counts[each.name] = {**each.counts, "left out": each.counts["read"] - gone - size, **parts}
    return Examples([(name, line) for _, name, line in sorted(training)], held_out, counts)
