"""What a model's probabilities are worth: measured on sentences that it was not trained on.

Each sentence is asked for whole, its first 40 and first 20 characters, a piece, and one and two of its words, as an
answer may be that says no more. Every language counts alike; all
that are not listed are `_OTHERS` of everything. Of a language, a text counts its source's weight.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tokenizer.languages import LANGUAGES
from transforms.langid.bundle import Bundle
from transforms.langid.corpus import Corpus, random_of
from transforms.langid.draw import SPACED_CHARS, Draw
from transforms.langid.evaluate import score
from transforms.langid.own import (
    CODES,
    Calibration,
    Probabilities,
    Torn,
    mix,
    sharpen,
    with_fewer,
)
from transforms.langid.verdict import least_of

_LENGTHS = (5, 10, 15, 30, 60, 120)  # characters: the longest lines of classes of length
_ASKED = ("whole sentences", "their first 40 characters", "their first 20", "a piece", "one word", "two words")
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


class Measured(NamedTuple):
    """What was found on sentences that a model was not trained on.

    thresholds: each language's least confidence, from the floor on, from which 95% of what is told is right, unless
    fewer than 95% of the language's longer texts would be kept. macro_f1: by what was asked (`_ASKED`).
    """

    calibration: Calibration
    thresholds: Mapping[str, float]
    macro_f1: Mapping[str, float]


def measure(bundle: Bundle, held_out: Corpus, seed: int) -> Measured:
    """Asks a model that is not calibrated."""
    lines, right, weights = _texts(held_out, seed)
    importance = _importance(right, weights)
    model = bundle.model()
    calibration = Calibration.neutral(_LENGTHS)
    lengths = calibration.classes_of(lines)
    loss = _Loss(right, importance, lengths)
    first = model.first(lines)
    others = _others(first, loss)
    first = with_fewer(first, np.asarray(others)[lengths])
    torn = model.second(lines, first)
    powers = _powers(first, torn, loss)
    calibration = replace(calibration, others=others, first=powers[0], second=powers[1])
    mixed = _mixed(first, torn, lengths, calibration)
    calibration = replace(calibration, sharpness=_sharpness(mixed, loss))
    final = sharpen(mixed, np.asarray(calibration.sharpness)[lengths])
    characters = np.array([len(line) for line in lines])
    return Measured(calibration, thresholds(final, right, importance, characters), _macro_f1(final, right))


def _macro_f1(final: Probabilities, right: NDArray[np.int64]) -> dict[str, float]:
    truths = [CODES[column] for column in right.tolist()]
    told = [CODES[column] if column < len(LANGUAGES) else None for column in final.argmax(axis=1).tolist()]
    scores = {name: score(truths[kind :: len(_ASKED)], told[kind :: len(_ASKED)]) for kind, name in enumerate(_ASKED)}
    return {name: found.macro_f1() or 0.0 for name, found in scores.items()}


@dataclass(frozen=True)
class _Loss:
    """What a text is in, how much it counts, and its class of length."""

    right: NDArray[np.int64]
    importance: NDArray[np.float64]
    lengths: NDArray[np.int64]

    def by_length(self, probabilities: Probabilities) -> NDArray[np.float64]:
        found = np.maximum(probabilities[np.arange(len(self.right)), self.right], _LEAST)
        losses = -np.log(found) * self.importance
        return np.bincount(self.lengths, losses, minlength=len(_LENGTHS) + 1).astype(np.float64)


def _texts(held_out: Corpus, seed: int) -> tuple[list[str], NDArray[np.int64], NDArray[np.float64]]:
    """Texts, the column of what each is in, and the weight of its source."""
    lines: list[str] = []
    right: list[int] = []
    weights: list[float] = []
    for part in held_out.parts:
        chance = random_of(seed, "calibrate", part.source.name, part.label)
        for line in chance.sample(part.lines, min(_LINES, len(part.lines))):
            texts = [line, line[:40].strip(), line[:20].strip(), Draw().crop(line, chance), *pieces(line, chance)]
            lines += texts
            right += [CODES.index(part.label) if part.label in LANGUAGES else len(LANGUAGES)] * len(texts)
            weights += [float(part.source.weight)] * len(texts)
    return lines, np.array(right), np.array(weights)


def pieces(line: str, chance: random.Random) -> list[str]:
    """A word and two words that follow each other, some with a capital or a full stop; of a line without spaces, so
    many characters as words have."""
    words = line.split()
    if len(words) * SPACED_CHARS < len(line):
        words = [line[start : start + 2] for start in range(0, len(line), 2)]
        joint = ""
    else:
        joint = " "
    pieces = []
    for size in (1, 2):
        start = chance.randrange(max(1, len(words) - size + 1))
        piece = joint.join(words[start : start + size])
        pieces.append(chance.choice((piece, piece[:1].upper() + piece[1:], f"{piece}.", f"{piece}!")))
    return pieces


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


def _others(first: Probabilities, loss: _Loss) -> tuple[float, ...]:
    """For each class of length the share of _FEWER with the least loss."""
    losses = [loss.by_length(with_fewer(first, np.full(len(first), share))) for share in _FEWER]
    return tuple(_FEWER[best] for best in np.argmin(losses, axis=0))


def _powers(first: Probabilities, torn: Sequence[Torn], loss: _Loss) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """For each class of length the powers with the least loss."""
    classes = range(len(_LENGTHS) + 1)
    losses = {}
    for ratio, second in product(_RATIOS, _POWERS):
        everywhere = [(power,) * len(classes) for power in (1.0, ratio * second, second, 1.0)]
        losses[ratio * second, second] = loss.by_length(
            _mixed(first, torn, loss.lengths, Calibration(_LENGTHS, *everywhere))
        )
    best = [min(losses, key=lambda powers: (losses[powers][size], powers)) for size in classes]
    return tuple(one for one, _ in best), tuple(other for _, other in best)


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
    """By code of the table, from texts of which it is known what they are in, without those too short to be sure of.
    As `Measured` says."""
    asked = np.array([least_of(size) for size in characters.tolist()])
    told, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    found: dict[str, float] = {}
    for column, code in enumerate(LANGUAGES):
        mine = np.flatnonzero((told == column) & (confidence > 0) & (confidence >= asked))
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
