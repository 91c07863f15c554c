"""Counts of what is read in passing: numbers between edges, and shares of pairs with their interval.

Their memory depends on the number of edges, and not on how much is counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.report.html import counted

Numbers = npt.NDArray[Any]

FEW = 30  # fewer independent observations show little: they are drawn grey
_Z = 1.959964  # of a 95% interval

# Edges stand between whole numbers: a bin holds those between its edges. SMALL: two bins each time that
# numbers double; LENGTHS, of texts: eight a power of ten.
SMALL: Sequence[float] = [n - 0.5 for n in sorted({round(2 ** (step / 2)) for step in range(41)})]
LENGTHS: Sequence[float] = [n - 0.5 for n in sorted({round(10 ** (step / 8)) for step in range(57)})]
YEARS: Sequence[float] = [year - 0.5 for year in range(1990, 2101)]

# Said under a histogram of SMALL.
PER_VALUE = (
    "The axis is logarithmic: a bar covers the whole numbers between its edges, and its height is their share divided "
    "by how many they are."
)


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval."""

    value: float
    low: float
    high: float


def wilson(value: float, number: int) -> Estimate:
    """A share of `number` independent observations with Wilson's interval, which holds for few of them as well."""
    if not number:
        return Estimate(value, 0.0, 1.0)
    square = _Z * _Z / number
    centre = (value + square / 2) / (1 + square)
    half = math.sqrt(value * (1 - value) * square + square * square / 4) / (1 + square)
    return Estimate(value, max(0.0, centre - half), min(1.0, centre + half))


class Counted:
    """How many numbers lie between edges, a number at an edge above it; below and above all edges; and are missing."""

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges = tuple(edges)
        self._counts = np.zeros(len(edges) + 1, np.int64)
        self.missing = 0

    def add(self, values: Numbers, missing: int = 0) -> None:
        """Counts these; missing: how many more there are without a number."""
        places = np.searchsorted(self.edges, values, side="right")
        self._counts += np.bincount(places, minlength=len(self._counts))
        self.missing += missing

    @property
    def counts(self) -> list[int]:
        """Of each bin."""
        return [int(count) for count in self._counts[1:-1]]

    @property
    def below(self) -> int:
        """Less than the first edge."""
        return int(self._counts[0])

    @property
    def above(self) -> int:
        """At the last edge or beyond."""
        return int(self._counts[-1])

    @property
    def total(self) -> int:
        """Of the numbers, wherever they lie."""
        return int(self._counts.sum())

    def left_out(self, noun: str, below: str, missing: str = "") -> str:
        """What a histogram of it does not show, in a sentence; nothing when it shows all."""
        parts = [
            (self.below, below),
            (self.above, f"above {self.edges[-1]:,.0f}"),
            (self.missing, missing),
        ]
        said = [f"{counted(number, noun)} {why}" for number, why in parts if number]
        return f" Not shown: {', '.join(said)}." if said else ""


class Share:
    """A share of pairs, in which pairs of one prompt are not independent; it is added up prompt by prompt."""

    def __init__(self) -> None:
        self.pairs, self.prompts, self._hits, self._last = 0, 0, 0.0, -1

    def add(self, prompts: Numbers, hits: Numbers) -> None:
        """hits: of each pair, from 0 to 1. prompts: of each pair, a number that never falls, over calls too."""
        if len(prompts):
            self.prompts += 1 + int(np.count_nonzero(np.diff(prompts))) - int(prompts[0] == self._last)
            self._last = int(prompts[-1])
            self.pairs += len(hits)
            self._hits += float(hits.sum())

    @property
    def estimate(self) -> Estimate | None:
        """With Wilson's interval for as many observations as there are prompts; None where there is no pair."""
        return wilson(self._hits / self.pairs, self.prompts) if self.pairs else None
