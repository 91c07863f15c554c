"""Our own model: fastText first, then a linear model where that is torn between near languages, then calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tokenizer.languages import LANGUAGES
from transforms.classifiers.fasttext_file import LABEL
from transforms.langid.chinese import traditional_share
from transforms.langid.groups import Group, log_softmax
from transforms.langid.labels import SHORT_CHARS, VERY_SHORT_CHARS, Guess
from transforms.langid.scripts import possible

OTHER = "other"  # the code of every language that is not listed
CODES = (*LANGUAGES, OTHER)

Probabilities = NDArray[np.float64]

# Labels asked of fastText, and the least probability: what is below is left out, which halves its work. A short line
# may be in many languages, of which the posts around it choose; one or two words in nearly all.
# Of lines of more characters than the first number, and at most the second.
_MOST_LABELS = 30
_ASKED = (
    (0, VERY_SHORT_CHARS, _MOST_LABELS, 0.0001),
    (VERY_SHORT_CHARS, SHORT_CHARS, 10, 0.001),
    (SHORT_CHARS, np.inf, 5, 0.01),
)
_UNSEEN = 0.002  # of a group's languages that fastText does not name: less than what it leaves out
_COLUMN = {code: column for column, code in enumerate(CODES)}
_CHINESE = [_COLUMN[code] for code in ("zho_Hans", "zho_Hant", "yue_Hant")]


@dataclass(frozen=True)
class Calibration:
    """What is made of probabilities, for each class of length. others: times that of languages that are not listed,
    since they are fewer than the samples of them. fastText's and the group's are raised to these powers and multiplied
    within a group, where a power of 0 leaves one out; then all are raised to `sharpness` and add up to 1 again.
    lengths: the characters of the longest lines of each class; the last class has the longer ones. Raises ValueError
    for other numbers than these, or out of bounds."""

    lengths: Sequence[int]
    others: Sequence[float]
    first: Sequence[float]
    second: Sequence[float]
    sharpness: Sequence[float]

    def __post_init__(self) -> None:
        powers = (self.others, self.first, self.second, self.sharpness)
        above_zero = all(0.0 < value < np.inf for value in (*self.others, *self.sharpness))
        whole = all(len(of) == self.classes and all(0.0 <= power < np.inf for power in of) for of in powers)
        is_rising = all(0 < low < high for low, high in pairwise((*self.lengths, np.inf)))
        if not (above_zero and whole and is_rising):
            raise ValueError(
                f"calibration wants rising lengths and {self.classes} numbers of each kind, none below 0, others and "
                f"sharpness above; got {self}"
            )

    @property
    def classes(self) -> int:
        """How many classes of length there are."""
        return len(self.lengths) + 1

    def classes_of(self, lines: Sequence[str]) -> NDArray[np.int64]:
        """The class of length of each line."""
        return np.searchsorted(self.lengths, [len(line) for line in lines])

    @staticmethod
    def neutral(lengths: Sequence[int] = ()) -> Calibration:
        """Before anything is measured."""
        one = (1.0,) * (len(lengths) + 1)
        return Calibration(lengths, one, one, one, one)


class Torn(NamedTuple):
    """Lines between the languages of a group, and what the group says of them: logarithms of probabilities."""

    rows: NDArray[np.int64]
    columns: Sequence[int]
    scores: NDArray[np.float32]


class OwnModel:
    """A trained model. classifier: as fastText loads it. Raises ValueError when it names no language of the table."""

    def __init__(
        self, classifier: Any, groups: Sequence[Group], calibration: Calibration, thresholds: Mapping[str, float]
    ) -> None:
        self._classifier = classifier
        self._columns = {
            label: _COLUMN.get(label.removeprefix(LABEL), _COLUMN[OTHER]) for label in classifier.get_labels()
        }
        self.labels = sorted(LANGUAGES.keys() & {label.removeprefix(LABEL) for label in self._columns})
        if not self.labels:
            raise ValueError("a classifier of no language of the table is no part of a language model")
        self._groups = groups
        self._calibration = calibration
        self.thresholds = thresholds

    def predict(self, lines: Sequence[str]) -> list[Guess]:
        """As Model."""
        if not lines:
            return []
        lengths = self._calibration.classes_of(lines)
        probabilities = with_fewer(self.first(lines), np.asarray(self._calibration.others)[lengths])
        for torn in self.second(lines, probabilities):
            mix(probabilities, torn, lengths, self._calibration)
        self._check_scripts(probabilities, lines)
        calibrated = sharpen(probabilities, np.asarray(self._calibration.sharpness)[lengths])
        return _guesses(calibrated)

    def first(self, lines: Sequence[str]) -> Probabilities:
        """What fastText says, [lines, codes]; nothing of an empty line. Written Chinese is Simplified or not by its
        characters."""
        probabilities = np.zeros((len(lines), len(CODES)))
        sizes = np.array([len(line) for line in lines])
        for over, most, top, least in _ASKED:
            rows = np.flatnonzero((sizes > over) & (sizes <= most))
            labels, found = self._classifier.f.multilinePredict(
                [f"{lines[row]}\n" for row in rows.tolist()], top, least, "strict"
            )
            columns = np.array([self._columns[name] for names in labels for name in names], np.int64)
            places = np.repeat(rows, [len(names) for names in labels]) * len(CODES) + columns
            values = np.concatenate([np.zeros(0), *found])
            probabilities += np.bincount(places, values, probabilities.size).reshape(probabilities.shape)
        for number in np.flatnonzero(np.isin(probabilities.argmax(axis=1), _CHINESE)).tolist():
            self._check_writing(probabilities[number], lines[number])
        return probabilities

    def second(self, lines: Sequence[str], first: Probabilities) -> list[Torn]:
        """What each group says of the lines whose best language is one of its own."""
        best, named = first.argmax(axis=1), first.max(axis=1) > 0
        found = []
        for group in self._groups:
            columns = [_COLUMN[code] for code in group.codes]
            rows = np.flatnonzero(np.isin(best, columns) & named)
            if len(rows):
                found.append(Torn(rows, columns, group.scores([lines[row] for row in rows.tolist()])))
        return found

    def _check_scripts(self, probabilities: Probabilities, lines: Sequence[str]) -> None:
        """Takes from short lines the languages that are written in none of their letters, which few n-grams may look
        like; gives Chinese the writing that its characters say, whatever near languages had to say."""
        short = np.flatnonzero([0 < len(line) <= SHORT_CHARS for line in lines])
        if len(short):
            probabilities[short, : len(LANGUAGES)] *= possible([lines[row] for row in short.tolist()])
        for number in np.flatnonzero(np.isin(probabilities.argmax(axis=1), _CHINESE)).tolist():
            self._set_writing(probabilities[number], lines[number])

    @staticmethod
    def _check_writing(row: Probabilities, line: str) -> None:
        traditional = traditional_share(line)
        total = row[_CHINESE].sum()
        row[_CHINESE] *= (1 - traditional, traditional, traditional)
        row[_CHINESE] *= total / row[_CHINESE].sum()

    @staticmethod
    def _set_writing(row: Probabilities, line: str) -> None:
        traditional = traditional_share(line)
        simplified, *others = _CHINESE
        total, in_others = row[_CHINESE].sum(), row[others].sum()
        row[others] *= total * traditional / in_others if in_others else 0.0
        row[simplified] = total - row[others].sum()


def with_fewer(probabilities: Probabilities, others: NDArray[np.float64]) -> Probabilities:
    """With each row's last column times its `others`, and its sum as it was."""
    totals = probabilities.sum(axis=1, keepdims=True)
    changed = probabilities.copy()
    changed[:, -1] *= others
    return changed * np.divide(totals, changed.sum(axis=1, keepdims=True), out=np.ones_like(totals), where=totals > 0)


def mix(probabilities: Probabilities, torn: Torn, lengths: NDArray[np.int64], calibration: Calibration) -> None:
    """Shares anew, in place, what the languages of a group have among them. lengths: the class of every line."""
    here = np.ix_(torn.rows, np.asarray(torn.columns))
    total = probabilities[here].sum(axis=1, keepdims=True)
    first = np.log(np.maximum(probabilities[here] / total, _UNSEEN))
    one, other = (np.asarray(powers)[lengths[torn.rows]][:, None] for powers in (calibration.first, calibration.second))
    probabilities[here] = np.exp(log_softmax(one * first + other * torn.scores)) * total


def sharpen(probabilities: Probabilities, sharpness: NDArray[np.float64]) -> Probabilities:
    """Each row raised to a power above 0, with what is left to 1 as one more language. Zeros, which are nearly all,
    cost next to nothing."""
    rows, columns = np.nonzero(probabilities)
    rest = np.maximum(1 - probabilities.sum(axis=1), 0) ** sharpness
    raised = np.zeros_like(probabilities)
    raised[rows, columns] = probabilities[rows, columns] ** sharpness[rows]
    total = raised.sum(axis=1) + rest
    raised[rows, columns] /= total[rows]
    return raised


def _guesses(probabilities: Probabilities) -> list[Guess]:
    """The best codes of each row, of equal ones the first by name."""
    rows, columns = np.nonzero(probabilities)
    values = probabilities[rows, columns]
    order = np.lexsort((columns, -values, rows))  # rows stay where they were
    ranked = list(zip([CODES[column] for column in columns[order].tolist()], values[order].tolist(), strict=True))
    bounds = np.searchsorted(rows, np.arange(len(probabilities) + 1)).tolist()
    return [ranked[start : min(end, start + _MOST_LABELS)] for start, end in pairwise(bounds)]
