"""Axes: from values to places between two ends, with ticks at round values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.report.html import compact

_MOST_DECADES = 7  # with a tick each; of more every second, third … has one

Format = Callable[[float], str]


@dataclass(frozen=True)
class Scale:
    """From values to places on an axis, with ticks that ascend. low < high; on a logarithmic one 0 < low."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False
    label: Format = compact

    def at(self, value: float) -> float:
        """Where value stands between low (0) and high (1); what lies outside stands at the nearer end."""
        value = min(self.high, max(self.low, value))
        low, high, value = (math.log10(x) if self.log else x for x in (self.low, self.high, value))
        return min(1.0, max(0.0, (value - low) / (high - low)))


def linear(low: float, high: float, wanted: int = 5, label: Format = compact, tight: bool = False) -> Scale:
    """Round ticks, 1, 2 or 5 times a power of ten apart. The axis ends at ticks; when tight, at low and high."""
    if high - low <= 1e-9 * max(1.0, abs(low), abs(high)):  # a line: ticks nearer than that cannot be told apart
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = tuple(round(index * step, 12) for index in range(first, last + 1))
    if tight:
        return Scale(low, high, tuple(tick for tick in ticks if low <= tick <= high), False, label)
    return Scale(ticks[0], ticks[-1], ticks, False, label)


def logarithmic(low: float, high: float, label: Format = compact, tight: bool = False) -> Scale:
    """Ticks at powers of ten, and at 2 and 5 times them where there are few. The axis ends at 1, 2 or 5 times a power
    of ten; when tight, at low and high. Raises ValueError unless 0 < low <= high."""
    if not 0 < low <= high:
        raise ValueError(f"a logarithmic axis goes from more than 0 upwards; got {low} to {high}")
    if high <= low * (1 + 1e-9):
        low, high = low / 2, high * 2
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    fine = [float(f"{factor}e{power}") for power in range(first, last + 1) for factor in (1, 2, 5)]
    if not tight:
        low = max(value for value in fine if value <= low * (1 + 1e-9))
        high = min(value for value in fine if value >= high * (1 - 1e-9))
    every = math.ceil((last - first) / _MOST_DECADES) or 1
    decades = [value for power in range(first, last + 1, every) if low <= (value := float(f"1e{power}")) <= high]
    ticks = decades if len(decades) > 2 else [value for value in fine if low <= value <= high]
    return Scale(low, high, tuple(ticks) if len(ticks) > 1 else linear(low, high, tight=True).ticks, True, label)
