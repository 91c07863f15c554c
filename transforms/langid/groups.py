"""Languages that a first look takes for one another, told apart by a linear model of their own.

A table of weights: a row a hashed n-gram, a column a language, 8-bit numbers and one scale. The score of a line is the
sum of its rows over the root of their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenizer.languages import LANGUAGES
from transforms.langid.grams import gram_ids

Scores = NDArray[np.float32]

_MOST_BITS = 30
_MOST = 800  # characters read of a line: a group shows in far fewer

# What models of many languages confuse: near varieties, and one language in two countries.
GROUPS: dict[str, tuple[str, ...]] = {
    "arabic": tuple(code for code, row in LANGUAGES.items() if row.name.startswith("Arabic (")),
    "chinese": ("yue_Hant", "zho_Hans", "zho_Hant"),
    "hindi": ("awa_Deva", "bho_Deva", "hin_Deva", "hne_Deva", "mag_Deva", "mai_Deva"),
    "malay": ("bjn_Latn", "ind_Latn", "zsm_Latn"),
    "persian": ("pes_Arab", "prs_Arab"),
    "scandinavian": ("dan_Latn", "nno_Latn", "nob_Latn"),
    "serbo-croatian": ("bos_Latn", "hrv_Latn"),
}

# Sentences of one source and language that a group is fitted to, at most. Of Arabic few: most varieties have one source
# alone, and what more there is of the others is of other styles.
GROUP_LINES = {**dict.fromkeys(GROUPS, 1_500), "arabic": 600}


@dataclass(frozen=True)
class Group:
    """A linear model of some languages. weights: [2**bits + 1, languages], in units of scale; the last row, which
    stands for no n-gram, is zeros. Raises ValueError for other shapes and values."""

    codes: Sequence[str]
    bits: int
    weights: NDArray[np.int8]
    scale: float

    def __post_init__(self) -> None:
        if not set(self.codes) <= LANGUAGES.keys() or len(set(self.codes)) != len(self.codes):
            raise ValueError(f"a group is of codes of the table, each once; got {self.codes}")
        if not 0 < self.bits <= _MOST_BITS or self.weights.shape != (2**self.bits + 1, len(self.codes)):
            raise ValueError(f"weights of {self.weights.shape} are not of {self.bits} bits and {len(self.codes)} codes")
        if self.weights[-1].any() or not 0.0 < self.scale < np.inf:
            raise ValueError(f"weights of no n-gram are not zeros, or their scale is {self.scale}, not above 0")

    @staticmethod
    def of(codes: Sequence[str], bits: int, weights: NDArray[np.float64]) -> Group:
        """With weights as they were fitted, [2**bits, languages]."""
        scale = float(np.abs(weights).max()) / 127 or 1.0
        table = np.zeros((2**bits + 1, len(codes)), np.int8)
        table[:-1] = np.rint(weights / scale)
        return Group(codes, bits, table, scale)

    def scores(self, lines: Sequence[str]) -> Scores:
        """Logarithms of probabilities, [lines, languages]."""
        totals = np.zeros((len(lines), len(self.codes)), np.int32)
        counts = np.zeros(len(lines), np.int64)
        for rows, starts in gram_ids([line[:_MOST] for line in lines], self.bits):
            totals += np.add.reduceat(self.weights.take(rows, axis=0), starts, axis=0, dtype=np.int32)
            counts += np.add.reduceat(rows < 2**self.bits, starts, dtype=np.int64)
        logits = totals * (self.scale / np.sqrt(np.maximum(counts, 1)))[:, None]
        return log_softmax(logits).astype(np.float32)


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms of probabilities, along the last axis."""
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
