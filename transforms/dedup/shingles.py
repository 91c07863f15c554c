"""Shingles: hashed n-grams of tokens, the sets whose Jaccard similarity near-duplicate search estimates.

Five characters of Chinese, where a letter is a token, are two to three words: shorter runs are shared by unrelated
texts, longer ones are lost to a small edit. A text with fewer tokens than a shingle needs (forum answers such as
"Thanks!") has one shingle, its digest: it is found equal to the same text only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.dedup.compared import Compared
from transforms.text.hashing import mix

_BASE = 0x9E3779B97F4A7C15  # of the polynomial hash: odd, without structure (the digits of the golden ratio)


@dataclass(frozen=True)
class Shingles:
    """The shingles of D texts, one after the other. Those of text i are hashes[starts[i]:starts[i + 1]]."""

    hashes: npt.NDArray[np.uint32]  # (S,) with repetitions
    starts: npt.NDArray[np.int64]  # (D + 1,)
    digests: npt.NDArray[np.uint64]  # (D,) of what is compared of each text
    whole: npt.NDArray[np.bool_]  # (D,) too short for a shingle of ngram tokens: its one shingle is the digest

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(D,) number of shingles; 0 for a text of which nothing is compared."""
        return np.diff(self.starts)


def shingles(texts: Compared, ngram: int) -> Shingles:
    """Shingles of `ngram` tokens of each text."""
    grams, num_grams = _ngram_hashes(texts.tokens, texts.offsets, ngram)
    digests = texts.digests
    whole = (digests != 0) & (num_grams == 0)
    counts = np.where(whole, 1, num_grams)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    hashes = np.empty(int(starts[-1]), dtype=np.uint32)
    is_gram = np.ones(len(hashes), dtype=np.bool_)
    is_gram[starts[:-1][whole]] = False
    hashes[is_gram] = grams
    hashes[starts[:-1][whole]] = (digests[whole] & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    return Shingles(hashes, starts, digests, whole)


def _ngram_hashes(
    tokens: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], ngram: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """32-bit hashes of all n-grams that lie within one text, in order, and how many each text has (D,)."""
    num_tokens = np.diff(offsets)
    num_grams = np.maximum(num_tokens - (ngram - 1), 0)
    if len(tokens) < ngram:
        return np.zeros(0, np.uint32), num_grams
    length = len(tokens) - ngram + 1
    sums = np.zeros(length, dtype=np.uint64)
    for place in range(ngram):
        sums += tokens[place : place + length] * np.uint64(pow(_BASE, place, 1 << 64))
    within = np.ones(len(tokens), dtype=np.bool_)
    for place in range(1, ngram):
        within[(offsets[1:] - place)[num_tokens >= place]] = False
    return (mix(sums) >> np.uint64(32)).astype(np.uint32)[within[:length]], num_grams
