"""Which texts hold items of benchmarks, by one of three published rules.

qwen2 (arXiv 2407.10671, section 5.2.6; Qwen2.5 has the same): the longest common subsequence (LCS) of the two sequences
of tokens has at least 13 tokens and at least 0.6 of those of the shorter. coder (Qwen2.5-Coder, section 5): a run of 10
tokens stands in both. math (Qwen2.5-Math): a run of 13 tokens stands in both, and the LCS has more than 0.6 of the
shorter.

The papers compare sequences and do not say how long one is. In a text that is many times longer than the other nearly
every short sentence is a subsequence, word by word. So of the longer of two, where it is more than twice as long as the
shorter, stretches of twice the shorter's length are compared, one beginning at every length of the shorter: a copy of
the shorter stands whole in one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.benchmarks.nominate import UNKNOWN, ByRuns, ByTokens
from transforms.benchmarks.readers import Item
from transforms.benchmarks.tokens import GAPS, GLUED, View, is_letter, placed, tokens

_STEP = 256  # tokens; of a long text blocks of two steps are looked at, in which items of half a step are nominated
_LETTERS = 2  # of a script without spaces, that stand for a word in a run


@dataclass(frozen=True)
class Rule:
    """run: tokens in a row that two sequences must share. least: tokens of their LCS. tenths: of the shorter, that the
    LCS must have; above: whether it must have more."""

    run: int = 0
    least: int = 0
    tenths: int = 0
    above: bool = False

    @property
    def shortest(self) -> int:
        """Tokens of a text that can be matched."""
        return max(self.run, self.least)

    def needed(self, shorter: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The lengths of an LCS that are enough, where the shorter sequences have so many tokens."""
        share = shorter * self.tenths // 10 + 1 if self.above else -(-shorter * self.tenths // 10)
        return np.maximum(share, self.shortest)


RULES: Mapping[str, Rule] = {
    "qwen2": Rule(least=13, tenths=6),
    "coder": Rule(run=10),
    "math": Rule(run=13, tenths=6, above=True),
}


class Match(NamedTuple):
    """A text that holds an item. lcs: of their tokens, at most; text[begin:end] is where."""

    item: Item
    lcs: int
    begin: int
    end: int


class _Known:
    """The tokens of an item as numbers, and where each stands as the bits of an integer."""

    def __init__(self, item: Item, ids: Sequence[int]) -> None:
        self.item, self.ids = item, ids
        self.bits = _bits(ids)


class Benchmarks:
    """Items that texts are held against. Memory: about a kilobyte a token of them."""

    def __init__(self, items: Sequence[Item], rule: str) -> None:
        """rule: of RULES. The order of the items decides nothing."""
        self._views = [_Seen(sorted(set(items)), RULES[rule], view) for view in (GAPS, GLUED)]

    def match(self, text: str) -> Match | None:
        """The item that the text holds, in any view: of several the one with the longest LCS, then the first."""
        found = [match for seen in self._views if (match := seen.match(text))]
        return max(found, key=lambda match: match.lcs, default=None)


class _Seen:
    """Items in one view."""

    def __init__(self, items: Sequence[Item], rule: Rule, view: View) -> None:
        self._rule, self._view = rule, view
        self._ids: dict[str, int] = {}
        found = [
            _Known(item, [self._ids.setdefault(token, len(self._ids)) for token in found])
            for item in items
            if len(found := tokens(item.text, view)) >= rule.shortest
        ]
        self._items = sorted(found, key=lambda item: len(item.ids), reverse=True)
        sequences = [item.ids for item in self._items]
        lengths = np.array([len(ids) for ids in sequences], np.int64)
        self._needed = rule.needed(lengths)
        long = int((2 * lengths > _STEP).sum())
        self._long, self._short = range(long), range(long, len(self._items))
        self._by: ByRuns | ByTokens
        if rule.run:
            weights = [1 if is_letter(token) else _LETTERS for token in self._ids]
            self._by = ByRuns(sequences, weights, rule.run * _LETTERS)
        else:
            self._by = ByTokens(sequences, self._needed, len(self._ids))

    def match(self, text: str) -> Match | None:
        """As Benchmarks.match."""
        ids = [self._ids.get(token, UNKNOWN) for token in tokens(text, self._view)]
        if len(ids) < self._rule.shortest:
            return None
        best: tuple[int, int, tuple[int, int]] | None = None
        most = int(self._rule.needed(np.array(len(ids))))
        nominated = self._nominated(ids, most)
        for number in sorted(nominated, key=lambda number: self._items[number].item):
            least = min(int(self._needed[number]), most)
            lcs, stretch = self._longest(ids, self._items[number], least, nominated[number])
            if lcs >= least and (best is None or lcs > best[0]):
                best = (lcs, number, stretch)
        return best and self._described(text, ids, *best)

    def _nominated(self, ids: Sequence[int], most: int) -> dict[int, set[int] | None]:
        """The items that the rule may find in a text: those with one of its runs, or with so many of its tokens, each
        as often as both have it, as their LCS must have. None that the rule finds is missing. Of each the steps of the
        text in which a stretch that has it may begin; None: any. most: tokens of an LCS that the rule asks for."""
        if isinstance(self._by, ByRuns):
            return dict.fromkeys(self._by.having(ids))
        if len(ids) <= 2 * _STEP:
            return dict.fromkeys(self._by.having(ids, most, range(len(self._items))).tolist())
        found: dict[int, set[int] | None] = {}
        found.update(dict.fromkeys(self._by.having(ids, most, self._long).tolist()))
        for step in range(-(-len(ids) // _STEP)):
            for number in self._by.having(ids[step * _STEP : (step + 2) * _STEP], most, self._short).tolist():
                steps = found.setdefault(number, set())
                assert steps is not None
                steps.add(step)
        return found

    def _longest(
        self, ids: Sequence[int], item: _Known, needed: int, steps: set[int] | None
    ) -> tuple[int, tuple[int, int]]:
        """The longest LCS of any two stretches of a text and an item, and where the first of those begins and ends; of
        none where no two have what is needed. steps: where stretches of the text may begin; None: anywhere."""
        if len(ids) < len(item.ids):
            bits, whole = _bits(ids), (0, len(ids))
            stretches = _rich(item.ids, _stretches(item.ids, len(ids)), bits, needed)
            return max((_lcs(bits, len(ids), item.ids[a:b]) for a, b in stretches), default=0), whole
        stretches = [(a, b) for a, b in _stretches(ids, len(item.ids)) if steps is None or a // _STEP in steps]
        found = [
            (_lcs(item.bits, len(item.ids), ids[a:b]), (a, b)) for a, b in _rich(ids, stretches, item.bits, needed)
        ]
        return max(found, key=lambda entry: entry[0], default=(0, (0, 0)))

    def _described(self, text: str, ids: Sequence[int], lcs: int, number: int, stretch: tuple[int, int]) -> Match:
        """The match, from the first to the last of the common tokens that an item shorter than the text has there."""
        item, (begin, end) = self._items[number], stretch
        at = placed(text, self._view)
        if len(ids) >= len(item.ids):
            end = begin + _reaching(item.bits, len(item.ids), ids[begin:end], lcs)
            turned = ids[begin:end][::-1]
            begin = end - _reaching(_bits(item.ids[::-1]), len(item.ids), turned, lcs)
        return Match(item.item, lcs, at.begins[begin], at.ends[end - 1])


def too_short(items: Sequence[Item], rule: str) -> int:
    """How many of the items no text can hold by a rule, since they have too few tokens."""
    return sum(len(tokens(item.text, GAPS)) < RULES[rule].shortest for item in items)


def _stretches(ids: Sequence[int], length: int) -> list[tuple[int, int]]:
    """What of the longer of two sequences is compared with the shorter, which has so many tokens."""
    if len(ids) <= 2 * length:
        return [(0, len(ids))]
    return [(begin, min(begin + 2 * length, len(ids))) for begin in range(0, len(ids) - length, length)]


def _rich(
    ids: Sequence[int], stretches: Sequence[tuple[int, int]], wanted: Mapping[int, int], needed: int
) -> list[tuple[int, int]]:
    """The stretches, ascending, with so many of the tokens that are wanted."""
    if not stretches:
        return []
    first = stretches[0][0]
    have = [
        0,
        *accumulate(map(wanted.__contains__, ids[first : stretches[-1][1]])),
    ]  # before each token, from the first
    return [(a, b) for a, b in stretches if have[b - first] - have[a - first] >= needed]


def _bits(ids: Sequence[int]) -> dict[int, int]:
    """By token the places where it stands, as bits. What no item has stands nowhere."""
    bits: dict[int, int] = {}
    for place, token in enumerate(ids):
        if token != UNKNOWN:
            bits[token] = bits.get(token, 0) | 1 << place
    return bits


def _lcs(bits: Mapping[int, int], length: int, ids: Sequence[int]) -> int:
    """The length of the longest common subsequence of the sequence that has these bits, and `ids`."""
    left = (1 << length) - 1
    for left in _flat(bits, length, ids):  # noqa: B007
        pass
    return length - left.bit_count()


def _reaching(bits: Mapping[int, int], length: int, ids: Sequence[int], lcs: int) -> int:
    """How many of `ids` are enough for an LCS of this length."""
    return next(read for read, left in enumerate(_flat(bits, length, ids), 1) if length - left.bit_count() >= lcs)


def _flat(bits: Mapping[int, int], length: int, ids: Sequence[int]) -> Iterator[int]:
    """Hyyrö's bit-parallel LCS: after each of `ids` is read, the places in a column of the table of lengths where it
    does not rise."""
    column = full = (1 << length) - 1
    for token in ids:
        if here := column & bits.get(token, 0):
            column = (column + here | column - here) & full
        yield column
