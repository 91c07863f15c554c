"""Whether a text says so nearly what another says that it may be removed for it: three measures, and a bound for each.

Of the tokens of two texts (`compared`), never of signatures: MinHash proposes, this decides.

* **Jaccard** of the sets of shingles: runs of five tokens; of three when the shorter text has fewer than 50 tokens, of
  two below 20. A changed token costs a text as many shingles as a shingle is long, and a text of 15 tokens has eleven
  of five: one changed word would leave 0.38.
* **LCS ratio** 2 * LCS / (n + m), of the longest common subsequence of the tokens: five words changed in fifty leave
  0.90, where Jaccard leaves 0.30.
* **Containment**: the share of the removed text's runs of five tokens that stand in the kept one. It is directional:
  only the shorter text may go for it. Runs are of five at any length: most pairs of words of a short text stand
  somewhere in a long one.

The default bounds were measured on posts (`benchmarks/bounds.py`). With an LCS ratio of 0.85, 0.68 of first and last
revisions go together (0.50 by Jaccard alone), and of 879 pairs of answers of one thread seven, which all fill in one
form; at 0.8 there are 24, at 0.9 none. Containment of 0.9 takes 0.82 of the revisions and no further answer.

Texts below ten tokens say too little to be nearly the same ("C++ is better than C#", "C is better than C"): they are
duplicates when their normalised texts are equal, and not otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.datasets.settings import SettingError

SHORTEST = 10  # tokens; of shorter texts only equal ones are duplicates
_NGRAM = 5  # tokens of a shingle
_SHORTER_NGRAMS = ((20, 2), (50, 3))  # below so many tokens: so many
# Pairs of tokens that a longest common subsequence is found among: about 40 ms. Two texts of more (20,000 tokens each
# that differ) are compared by their shingles alone, which at that length agree with it but for scattered edits.
_MOST_CELLS = 400_000_000


class Rule(StrEnum):
    """Why a text may be removed for another, the first that holds."""

    EXACT = "exact"  # equal after normalisation
    JACCARD = "jaccard"
    LCS = "lcs"
    CONTAINED = "contained"


@dataclass(frozen=True)
class Bounds:
    """The least similarity, in (0, 1], that lets a text be removed: any of the three is enough."""

    jaccard: float = 0.8
    lcs: float = 0.85
    containment: float = 0.9

    def __post_init__(self) -> None:
        for name in ("jaccard", "lcs", "containment"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
                raise SettingError(name, f"must be a number above 0 and up to 1; got {value!r}")


class Similarity(NamedTuple):
    """How similar a text is to the one it would be removed for, each in [0, 1], and by which rule it goes, if any.

    None is what was not measured: nothing of a text below ten tokens, or of one that is compared with none; LCS where
    Jaccard was enough, where too few tokens are common to meet its bound, or where 20,000 tokens differ.
    """

    jaccard: float | None
    lcs: float | None
    containment: float | None
    rule: Rule | None

    @property
    def value(self) -> float | None:
        """What the rule measures."""
        if self.rule is None:
            return None
        return {Rule.LCS: self.lcs, Rule.CONTAINED: self.containment}.get(self.rule, self.jaccard)


EXACT = Similarity(1.0, 1.0, 1.0, Rule.EXACT)
UNLIKE = Similarity(None, None, None, None)


class Text:
    """The tokens of a text, and its sets of shingles once they are asked for."""

    __slots__ = ("_shingles", "tokens")

    def __init__(self, tokens: npt.NDArray[np.uint64]) -> None:
        """tokens: (T,) hashes of its tokens, in order."""
        self.tokens: list[int] = tokens.tolist()
        self._shingles: dict[int, set[tuple[int, ...]]] = {}

    def shingles(self, ngram: int) -> set[tuple[int, ...]]:
        """Its runs of ngram tokens."""
        found = self._shingles.get(ngram)
        if found is None:
            runs = (self.tokens[start:] for start in range(ngram))
            found = self._shingles[ngram] = set(zip(*runs, strict=False))
        return found


def compare(removed: Text, kept: Text, bounds: Bounds) -> Similarity:
    """How similar the first text is to the second, and by which rule it may be removed for it; none below ten tokens.

    Equal texts are told by their digests: this knows tokens alone, and calls texts of equal tokens similar.
    """
    mine, theirs = removed.tokens, kept.tokens
    shorter = min(len(mine), len(theirs))
    if shorter < SHORTEST:
        return UNLIKE
    if mine == theirs:
        return Similarity(1.0, 1.0, 1.0, Rule.JACCARD)
    ngram = _ngram(shorter)
    runs, others = removed.shingles(ngram), kept.shingles(ngram)
    common = len(runs & others)
    jaccard = common / (len(runs) + len(others) - common)
    if ngram != _NGRAM:
        runs = removed.shingles(_NGRAM)
        common = len(runs & kept.shingles(_NGRAM))
    containment = common / len(runs)
    if jaccard >= bounds.jaccard:
        return Similarity(jaccard, None, containment, Rule.JACCARD)
    lcs = _lcs_ratio(mine, theirs, bounds.lcs)
    if lcs is not None and lcs >= bounds.lcs:
        return Similarity(jaccard, lcs, containment, Rule.LCS)
    contained = containment >= bounds.containment and len(mine) <= len(theirs)
    return Similarity(jaccard, lcs, containment, Rule.CONTAINED if contained else None)


def _ngram(num_tokens: int) -> int:
    """Tokens of a shingle, when the shorter text has so many tokens."""
    return next((ngram for below, ngram in _SHORTER_NGRAMS if num_tokens < below), _NGRAM)


def _lcs_ratio(mine: Sequence[int], theirs: Sequence[int], bound: float) -> float | None:
    """2 * LCS / (n + m); None where it is below the bound for certain, or too dear to know.

    A token that the other text lacks is in no common subsequence, and what two texts begin and end with alike is in
    some longest one. Taking both away, again and again, leaves little where words were exchanged or put in.
    """
    total = len(mine) + len(theirs)
    found = 0
    while True:
        common = set(mine).intersection(theirs)
        mine, theirs = [token for token in mine if token in common], [token for token in theirs if token in common]
        if 2 * (found + min(len(mine), len(theirs))) / total < bound:
            return None
        begin, end = common_ends(mine, theirs)
        taken = begin + end
        found += taken
        mine, theirs = mine[begin : len(mine) - end], theirs[begin : len(theirs) - end]
        if not mine or not theirs:
            return 2 * found / total
        if not taken:
            break
    if len(mine) * len(theirs) > _MOST_CELLS:
        return None
    return 2 * (found + _lcs(mine, theirs)) / total


def common_ends(mine: Sequence[object], theirs: Sequence[object]) -> tuple[int, int]:
    """How many tokens both begin with, and how many of the others both end with."""
    shorter = min(len(mine), len(theirs))
    begin = end = 0
    while begin < shorter and mine[begin] == theirs[begin]:
        begin += 1
    while end < shorter - begin and mine[-1 - end] == theirs[-1 - end]:
        end += 1
    return begin, end


def _lcs(mine: Sequence[int], theirs: Sequence[int]) -> int:
    """The length of a longest common subsequence, by rows of bits.

    Hyyrö, "Bit-parallel LCS-length computation revisited" (2004): a bit that is 0 is a token of `mine` at which the
    length grows by one; each token of `theirs` moves such bits down.
    """
    places = dict.fromkeys(theirs, 0)
    bit = 1
    for token in mine:
        places[token] = places.get(token, 0) | bit
        bit <<= 1
    every = row = bit - 1
    for matches in map(places.__getitem__, theirs):
        matched = row & matches
        row = (row + matched) | (row - matched)
    return len(mine) - (row & every).bit_count()
