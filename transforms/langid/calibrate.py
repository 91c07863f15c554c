"""What a model's probabilities are worth: measured on sentences that it was not trained on.

Each sentence is asked for whole, its first 40 and first 20 characters, and a piece. Every language counts alike; all
that are not listed are `_OTHERS` of everything. Of a language, a text counts its source's weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tokenizer.languages import LANGUAGES
from transforms.langid.bundle import Bundle
from transforms.langid.corpus import Corpus, random_of
from transforms.langid.draw import Draw
from transforms.langid.own import (
    CODES,
    LENGTHS,
    Calibration,
    Probabilities,
    Torn,
    length_classes,
    mix,
    sharpen,
    with_fewer,
)

_FLOOR = 0.3  # the least threshold: FineWeb-2's
_CEILING = 0.9
_RIGHT = 0.95  # of the texts kept in a language, to be reached by its threshold
_KEPT = 0.95  # of a language's own texts of many characters that are told right, to be kept all the same
_MANY = 40
_OTHERS = 0.1
_LEAST = 1e-3  # probability that a loss takes a text's language to have
_LINES = 40  # of a source and label, at most
_RATIOS = (0.25, 0.5, 0.75, 1.0)  # of fastText's power to the group's
_POWERS = (0.25, 0.5, 0.75, 1.0)  # of the group's
_FEWER = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
_SHARPNESSES = tuple(np.round(np.arange(0.3, 1.55, 0.05), 2).tolist())


def floor() -> Mapping[str, float]:
    """The thresholds before anything is measured."""
    return dict.fromkeys(LANGUAGES, _FLOOR)


def measure(bundle: Bundle, held_out: Corpus, seed: int) -> tuple[Calibration, Mapping[str, float]]:
    """The calibration, and each language's threshold: the least confidence, from the floor on, from which 95% of what
    is told is right, unless fewer than 95% of the language's longer texts would be kept."""
    lines, right, weights = _texts(held_out, seed)
    importance = _importance(right, weights)
    model = bundle.model()
    lengths = length_classes(lines)
    loss = _Loss(right, importance, lengths)
    first = model.first(lines)
    others = min(_FEWER, key=lambda share: loss.by_length(with_fewer(first, share)).sum())
    first = with_fewer(first, others)
    torn = model.second(lines, first)
    calibration = replace(_powers(first, torn, loss), others=others)
    mixed = _mixed(first, torn, lengths, calibration)
    calibration = replace(calibration, sharpness=_sharpness(mixed, loss))
    final = sharpen(mixed, np.asarray(calibration.sharpness)[lengths])
    return calibration, thresholds(final, right, importance, np.array([len(line) for line in lines]))


@dataclass(frozen=True)
class _Loss:
    """What a text is in, how much it counts, and its class of length."""

    right: NDArray[np.int64]
    importance: NDArray[np.float64]
    lengths: NDArray[np.int64]

    def by_length(self, probabilities: Probabilities) -> NDArray[np.float64]:
        found = np.maximum(probabilities[np.arange(len(self.right)), self.right], _LEAST)
        losses = -np.log(found) * self.importance
        return np.bincount(self.lengths, losses, minlength=len(LENGTHS) + 1).astype(np.float64)


def _texts(held_out: Corpus, seed: int) -> tuple[list[str], NDArray[np.int64], NDArray[np.float64]]:
    """Texts, the column of what each is in, and the weight of its source."""
    lines: list[str] = []
    right: list[int] = []
    weights: list[float] = []
    for part in held_out.parts:
        chance = random_of(seed, "calibrate", part.source.name, part.label)
        for line in chance.sample(part.lines, min(_LINES, len(part.lines))):
            texts = [line, line[:40].strip(), line[:20].strip(), Draw().crop(line, chance)]
            lines += texts
            right += [CODES.index(part.label) if part.label in LANGUAGES else len(LANGUAGES)] * len(texts)
            weights += [float(part.source.weight)] * len(texts)
    return lines, np.array(right), np.array(weights)


def _importance(right: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    totals = np.bincount(right, weights, minlength=len(CODES))
    share = np.full(len(CODES), (1 - _OTHERS) / len(LANGUAGES))
    share[-1] = _OTHERS
    return weights * (share / np.where(totals > 0, totals, 1))[right]


def _mixed(
    first: Probabilities, torn: Sequence[Torn], lengths: NDArray[np.int64], calibration: Calibration
) -> Probabilities:
    mixed = first.copy()
    for group in torn:
        mix(mixed, group, lengths, calibration)
    return mixed


def _powers(first: Probabilities, torn: Sequence[Torn], loss: _Loss) -> Calibration:
    """For each class of length the powers with the least loss."""
    losses = {}
    for ratio, second in product(_RATIOS, _POWERS):
        everywhere = [(power,) * (len(LENGTHS) + 1) for power in (ratio * second, second, 1.0)]
        losses[ratio * second, second] = loss.by_length(
            _mixed(first, torn, loss.lengths, Calibration(1.0, *everywhere))
        )
    best = [min(losses, key=lambda powers: (losses[powers][size], powers)) for size in range(len(LENGTHS) + 1)]
    return replace(Calibration.neutral(), first=tuple(one for one, _ in best), second=tuple(other for _, other in best))


def _sharpness(mixed: Probabilities, loss: _Loss) -> tuple[float, ...]:
    """For each class of length the power with the least loss."""
    losses = [loss.by_length(sharpen(mixed, np.full(len(mixed), power))) for power in _SHARPNESSES]
    return tuple(_SHARPNESSES[best] for best in np.argmin(losses, axis=0))


def thresholds(
    probabilities: Probabilities,
    right: NDArray[np.int64],
    importance: NDArray[np.float64],
    characters: NDArray[np.int64],
) -> Mapping[str, float]:
    """By code of the table, from texts of which it is known what they are in. As `measure` says."""
    told, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    found: dict[str, float] = {}
    for column, code in enumerate(LANGUAGES):
        mine = np.flatnonzero((told == column) & (confidence > 0))
        mine = mine[np.argsort(-confidence[mine], kind="stable")]
        weight, is_right = importance[mine], right[mine] == column
        shares = np.cumsum(weight * is_right) / np.cumsum(weight)
        enough = np.flatnonzero(shares >= _RIGHT)
        below = enough[-1] if len(enough) else -1  # the last that is told well enough; of all: nothing is left out
        precise = _FLOOR if below == len(mine) - 1 else confidence[mine[below]] if len(enough) else _CEILING
        sure = confidence[mine[is_right & (characters[mine] >= _MANY)]]
        own = float(np.quantile(sure, 1 - _KEPT)) if len(sure) else _CEILING
        found[code] = round(float(np.clip(min(precise, own), _FLOOR, _CEILING)), 3)
    return found
