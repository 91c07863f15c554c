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
    stands for no n-gram, is zeros."""

    codes: Sequence[str]
    bits: int
    weights: NDArray[np.int8]
    scale: float

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
