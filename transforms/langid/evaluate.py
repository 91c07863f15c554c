"""How right a model is: texts counted by the language they are in and the one that was told. All figures follow.

F1 and its like are of the languages of the table, over texts in them. Texts in other languages are counted in rows of
their own: how many there are is up to whoever collected them, so that they only make false positives.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tokenizer.languages import LANGUAGES
from transforms.langid.verdict import Detected

# Languages that models take for one another: near varieties, and two scripts of one language.
GROUPS: Mapping[str, Sequence[str]] = {
    "Arabic": [code for code, row in LANGUAGES.items() if row.name.startswith("Arabic (")],
    "Bosnian, Croatian, Serbian": ["bos_Latn", "hrv_Latn", "srp_Cyrl"],
    "Chinese": [code for code, row in LANGUAGES.items() if row.name.startswith("Chinese (")],
    "Eastern Hindi, Bihari": ["awa_Deva", "bho_Deva", "hin_Deva", "hne_Deva", "mag_Deva", "mai_Deva"],
    "Indonesian, Malay": ["ind_Latn", "zsm_Latn"],
    "Persian, Dari": ["pes_Arab", "prs_Arab"],
    "Scandinavian": ["dan_Latn", "nno_Latn", "nob_Latn"],
}

WHOLE = "whole texts"
_BEGINNINGS = {f"first {characters} characters": characters for characters in (40, 20)}  # all that is read of a text
FIRST = tuple(_BEGINNINGS)
_LENGTHS = (20, 40, 80, 160)  # the longest texts of classes, in characters; the last class has the longer ones

_COLUMNS: Mapping[str | None, int] = {code: place for place, code in enumerate((*LANGUAGES, None))}  # None: no language
_CODES = tuple(LANGUAGES)

_Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """Of one language: its texts, those told to be in it, and those of them that are. Shares of nothing are None."""

    texts: int
    told: int
    right: int

    @property
    def precision(self) -> float | None:
        """The share of those told that is right."""
        return self.right / self.told if self.told else None

    @property
    def recall(self) -> float | None:
        """The share of its texts that is found."""
        return self.right / self.texts if self.texts else None

    @property
    def f1(self) -> float:
        """The harmonic mean of both; 0 where nothing is right."""
        return 2 * self.right / (self.texts + self.told) if self.right else 0.0


@dataclass(frozen=True)
class Scores:
    """Texts by what they are in (a row a label, ascending) and what was told (a column a code, the last: none)."""

    labels: Sequence[str]
    counts: _Counts  # [labels, languages of the table + 1]

    @property
    def languages(self) -> list[str]:
        """The labels that are languages of the table."""
        return [label for label in self.labels if label in LANGUAGES]

    @property
    def others(self) -> list[str]:
        """The labels that are not."""
        return [label for label in self.labels if label not in LANGUAGES]

    @property
    def whole(self) -> Score:
        """Of all texts in languages of the table; told: those for which some language was."""
        rows = self._rows(self.languages)
        right = sum(self.of(code).right for code in self.languages)
        return Score(int(rows.sum()), int(rows[:, :-1].sum()), right)

    @property
    def false_positives(self) -> Score:
        """Of all texts in other languages; told: those for which a language of the table was. None is right."""
        rows = self._rows(self.others)
        return Score(int(rows.sum()), int(rows[:, :-1].sum()), 0)

    def of(self, code: str) -> Score:
        """Of a language of the table."""
        column = _COLUMNS[code]
        row = self._row(code)
        return Score(int(row.sum()), int(self._rows(self.languages)[:, column].sum()), int(row[column]))

    def texts(self, label: str) -> int:
        """The texts of a label."""
        return int(self._row(label).sum())

    def told(self, label: str, code: str | None) -> int:
        """The texts of a label of which this was told."""
        return int(self._row(label)[_COLUMNS[code]])

    def sure(self, label: str) -> float | None:
        """The share of a label's texts for which a language was told, right or wrong; None without texts."""
        row = self._row(label)
        return float(row[:-1].sum() / row.sum()) if row.any() else None

    def macro_f1(self, without: Collection[str] = ()) -> float | None:
        """The mean F1 of the languages that have texts, each alike. without: left out of the mean, not of the texts.

        None when no language is left.
        """
        found = [self.of(code).f1 for code in self.languages if code not in without]
        return float(np.mean(found)) if found else None

    def confusions(self, labels: Collection[str], told: Collection[str] | None = None) -> list[tuple[str, str, int]]:
        """(label, code told, texts) of what was told wrongly, the most frequent first. told: these codes only."""
        columns = [_COLUMNS[code] for code in _CODES if told is None or code in told]
        found = [
            (label, _CODES[column], int(self._row(label)[column]))
            for label in self.labels
            if label in labels
            for column in columns
            if _CODES[column] != label
        ]
        return sorted((entry for entry in found if entry[2]), key=lambda entry: (-entry[2], *entry[:2]))

    def merged(self, into: Mapping[str, str]) -> Scores:
        """With languages counted as others: {"ars_Arab": "arb_Arab"} makes one of two."""
        labels = sorted({into.get(label, label) for label in self.labels})
        counts = np.zeros((len(labels), len(_COLUMNS)), np.int64)
        columns = [_COLUMNS[into.get(code, code)] for code in _CODES] + [_COLUMNS[None]]
        for label, row in zip(self.labels, self.counts, strict=True):
            np.add.at(counts[labels.index(into.get(label, label))], columns, row)
        return Scores(labels, counts)

    def __add__(self, other: Scores) -> Scores:
        """All texts of both."""
        labels = sorted({*self.labels, *other.labels})
        counts = np.zeros((len(labels), len(_COLUMNS)), np.int64)
        for part in (self, other):
            counts[[labels.index(label) for label in part.labels]] += part.counts
        return Scores(labels, counts)

    def _row(self, label: str) -> _Counts:
        return self._rows([label]).sum(axis=0)

    def _rows(self, labels: Collection[str]) -> _Counts:
        return self.counts[[place for place, label in enumerate(self.labels) if label in labels]]


def score(truths: Sequence[str], told: Sequence[str | None]) -> Scores:
    """Counts texts. truths: what each is in, a code of the table or any other label. told: a code of the table, or None
    where no language was told.

    Raises KeyError for another code that was told, ValueError when there are not as many of both.
    """
    columns = np.array([_COLUMNS[code] for code in told], np.int64)
    labels, rows = np.unique(np.array(truths, np.str_), return_inverse=True)
    if len(rows) != len(columns):
        raise ValueError(f"{len(truths)} texts and {len(told)} languages told; should be as many")
    counts = np.bincount(rows * len(_COLUMNS) + columns, minlength=len(labels) * len(_COLUMNS))
    return Scores(labels.tolist(), counts.reshape(len(labels), len(_COLUMNS)).astype(np.int64))


@dataclass(frozen=True)
class Measured:
    """A model on some texts. best: its best guess, however unsure. kept: what the thresholds leave of those."""

    best: Scores
    kept: Scores

    def __add__(self, other: Measured) -> Measured:
        """On all texts of both."""
        return Measured(self.best + other.best, self.kept + other.kept)


def _measured(label: str, found: Sequence[Detected]) -> Measured:
    truths = [label] * len(found)
    kept = [row.language if row.reason is None else None for row in found]
    return Measured(score(truths, [row.language for row in found]), score(truths, kept))


def measure(
    detect: Callable[[Sequence[str]], Sequence[Detected]], batches: Iterable[tuple[str, Sequence[str]]]
) -> dict[str, Measured]:
    """A model on texts in their whole length, on their beginnings, and by length. batches: a label, and texts in it.

    Memory: a batch, and the counts. Raises ValueError when there are no texts.
    """
    found: dict[str, list[Measured]] = {name: [] for name in (WHOLE, *FIRST, *_classes())}
    for label, texts in batches:
        whole = detect(texts)
        found[WHOLE].append(_measured(label, whole))
        for name, most in _BEGINNINGS.items():
            found[name].append(_measured(label, detect([text[:most] for text in texts])))
        classes = np.searchsorted(_LENGTHS, [len(text) for text in texts])
        for place, name in enumerate(_classes()):
            found[name].append(_measured(label, [row for row, its in zip(whole, classes, strict=True) if its == place]))
        for parts in found.values():
            parts[:] = [reduce(Measured.__add__, parts)]
    if not found[WHOLE]:
        raise ValueError("there are no texts to measure a model on")
    return {name: parts[0] for name, parts in found.items() if parts[0].best.labels}


def _classes() -> list[str]:
    """Of texts by length, the shortest first."""
    between = [f"texts of {low + 1} to {high}" for low, high in pairwise(_LENGTHS)]
    return [f"texts of up to {_LENGTHS[0]}", *between, f"texts of more than {_LENGTHS[-1]}"]
