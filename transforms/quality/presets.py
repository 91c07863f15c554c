"""Presets: rules that say by its signals whether a text is kept, and why not.

A preset is a YAML file, shipped by name or one's own: rules in order, of which the first that a text breaks is the
reason. A rule bounds one signal. Its bound may give way to what is usual in the text's language: with `tail: 0.001` a
bound is never stricter than what one reference text in a thousand goes beyond.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transforms.datasets import strict_yaml
from transforms.datasets.fates import Reason
from transforms.datasets.settings import SettingError
from transforms.quality.signals import MEASURED, SCORE, SIGNALS, Signals
from transforms.quality.thresholds import TAILS, Thresholds

_FOLDER = Path(__file__).with_name("presets")
_REASONS = tuple(reason for reason in Reason if reason.startswith("quality-"))


@dataclass(frozen=True)
class Rule:
    """A signal is not below `least` nor above `most`, in texts with `from_characters` of prose or more.

    tail: the share of reference texts beyond a bound from which on it gives way to theirs.
    """

    signal: str
    reason: Reason
    least: float | None = None
    most: float | None = None
    tail: float | None = None
    from_characters: int = 0

    def __post_init__(self) -> None:
        if self.signal not in (*SIGNALS, SCORE):
            raise SettingError("signal", f"is no signal: {self.signal!r}; one of {', '.join((*SIGNALS, SCORE))}")
        if self.reason not in _REASONS:
            raise SettingError("reason", f"must be one of {', '.join(_REASONS)}; got {self.reason}")
        if self.least is None and self.most is None:
            raise SettingError("least", "or `most` must be given: a rule bounds its signal")
        for side in ("least", "most"):
            if not math.isfinite(getattr(self, side) or 0):
                raise SettingError(side, f"must be a number that bounds; got {getattr(self, side)}")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise SettingError("least", f"is above `most`: no text would be kept; got {self.least} and {self.most}")
        if self.from_characters < 0:
            raise SettingError("from_characters", f"must not be negative; got {self.from_characters}")
        if self.tail is not None and (self.tail not in TAILS or self.tail > 0.5):
            raise SettingError("tail", f"must be one of {', '.join(str(t) for t in TAILS if t < 0.5)}; got {self.tail}")
        if self.tail is not None and self.signal not in MEASURED:
            raise SettingError("tail", f"has no reference for {self.signal}, but for {', '.join(MEASURED)}")

    def broken(self, found: Signals, languages: Sequence[str | None], thresholds: Thresholds) -> npt.NDArray[np.bool_]:
        """(N,) which texts break it. A signal that a text does not have breaks nothing."""
        values = found[self.signal]
        wrong = np.zeros(len(values), dtype=np.bool_)
        if self.least is not None:
            wrong |= values < self._bounds(self.least, False, languages, thresholds)
        if self.most is not None:
            wrong |= values > self._bounds(self.most, True, languages, thresholds)
        return wrong & (found["prose"] >= self.from_characters)

    def _bounds(
        self, bound: float, above: bool, languages: Sequence[str | None], thresholds: Thresholds
    ) -> npt.NDArray[np.float64]:
        """(N,) the bound for each text: this one, or a more lenient one that is usual in its language."""
        if self.tail is None:
            return np.full(len(languages), bound)
        place = TAILS.index(round(1 - self.tail, 6) if above else self.tail)
        lenient = max if above else min
        by_language: dict[str | None, float] = {None: bound}
        for code in set(languages) - {None}:
            usual = thresholds.get(str(code))
            values = usual.values.get(self.signal) if usual else None
            by_language[code] = lenient(bound, values[place]) if values else bound
        return np.array([by_language[code] for code in languages])


@dataclass(frozen=True)
class Preset:
    """Rules in order."""

    rules: Sequence[Rule]

    @staticmethod
    def load(name_or_place: str) -> Preset:
        """One that is shipped by its name, or a .yaml file. Raises ValueError for what is no preset."""
        return strict_yaml.load_named(Preset, name_or_place, _FOLDER)

    def plain(self) -> list[dict[str, object]]:
        """The rules as a file has them."""
        rules = [asdict(rule) | {"reason": rule.reason.value} for rule in self.rules]
        return [{key: value for key, value in rule.items() if value is not None} for rule in rules]

    def judge(self, found: Signals, languages: Sequence[str | None], thresholds: Thresholds) -> list[Reason | None]:
        """Why each text is not kept: the reason of the first rule it breaks; None where it breaks none."""
        reasons: list[Reason | None] = [None] * len(languages)
        for rule in reversed(self.rules):
            for number in np.flatnonzero(rule.broken(found, languages, thresholds)):
                reasons[number] = rule.reason
        return reasons
