"""Which items of benchmarks a text may hold, told before any two sequences are compared: none that a rule finds is
missing. Tokens are numbers here; one that no item has is UNKNOWN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt

UNKNOWN = -1
_PART = 4  # of what an item and a text must share: so much must be among the rare things of one

_Numbers = npt.NDArray[np.int64]


class _Lists:
    """Lists of whole numbers by a key, a whole number from 0."""

    def __init__(self, keys: _Numbers, values: _Numbers, num_keys: int) -> None:
        self._values = values[np.argsort(keys, kind="stable")]
        self._lengths = np.bincount(keys, minlength=num_keys)
        self._begins = np.cumsum(self._lengths) - self._lengths

    def of(self, keys: _Numbers) -> tuple[_Numbers, _Numbers]:
        """What the lists of these keys hold, one after the other, and where each list begins in it."""
        lengths = self._lengths[keys]
        begins = lengths.cumsum() - lengths
        places = (self._begins[keys] - begins).repeat(lengths)
        places += np.arange(len(places))
        return self._values[places], begins


class ByTokens:
    """Finds the items that share many tokens with a text, each as often as both have it: a second "the" is another
    thing than the first, so that sequences are sets of things.

    Of two sets that share c things, any c - k of one hold at most c - k of them: the others hold k. So an item is
    looked for by its rare things alone, and one that is longer than the text by those of the text.
    """

    def __init__(self, items: Sequence[Sequence[int]], needed: _Numbers, num_tokens: int) -> None:
        """items: the longest first. needed: the things that each must share with a text that is no shorter; a text is
        shorter where it needs less. num_tokens: of all items, numbered from 0."""
        lengths = np.array([len(item) for item in items], np.int64)
        tokens = np.fromiter(chain.from_iterable(items), np.int64, int(lengths.sum()))
        numbers = np.repeat(np.arange(len(items)), lengths)
        order = np.lexsort((tokens, numbers))
        tokens, numbers = tokens[order], numbers[order]
        times = _times(numbers * num_tokens + tokens)
        most = np.zeros(num_tokens + 1, np.int64)
        np.maximum.at(most, tokens + 1, times + 1)
        self._first = np.cumsum(most)  # of each token: it has as many things as an item has it times, at most
        things = self._first[tokens] + times
        having = np.bincount(things, minlength=int(self._first[-1]))
        self._rank = np.empty_like(having)
        self._rank[np.argsort(having, kind="stable")] = np.arange(
            len(having)
        )  # what things are called: rare ones first
        things = self._rank[things]
        order = np.lexsort((things, numbers))
        things, numbers = things[order], numbers[order]
        self._needed, self._descending, self._enough = needed, -needed, needed // _PART
        places = np.arange(len(things)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        rare = places < (lengths - needed + self._enough)[numbers]
        self._by_rare = _Lists(things[rare], numbers[rare], len(having))
        self._by_any = _Lists(things, numbers, len(having))
        self._things_of = _Lists(numbers, things, len(items))

    def having(self, ids: Sequence[int], most: int, among: range) -> _Numbers:
        """Which items of a range share as many tokens with a text as they need, ascending. most: what they need at
        most, the text being as long as it is."""
        things = self._things(ids)
        may = np.bincount(self._by_rare.of(things)[0], minlength=len(self._needed)) >= self._enough
        longer = int(np.searchsorted(self._descending, -most))
        if longer:
            enough = most // _PART
            rare = things[: max(0, len(things) - most + enough)]
            found = self._by_any.of(rare)[0]
            may[:longer] |= np.bincount(found[found < longer], minlength=longer) >= enough
        numbers = np.flatnonzero(may[among.start : among.stop]) + among.start
        if not len(numbers):
            return numbers
        is_there = np.zeros(len(self._rank), np.bool_)
        is_there[things] = True
        theirs, begins = self._things_of.of(numbers)
        shared = np.add.reduceat(is_there[theirs], begins, dtype=np.int64)
        return numbers[shared >= np.minimum(self._needed[numbers], most)]

    def _things(self, ids: Sequence[int]) -> _Numbers:
        """What items have, too, of the things of a text; rare ones first."""
        tokens = np.array(ids, np.int64)
        tokens.sort()
        tokens = tokens[np.searchsorted(tokens, 0) :]
        things = self._first[tokens] + _times(tokens)
        found = self._rank[things[things < self._first[tokens + 1]]]
        found.sort()
        return found


def _times(values: _Numbers) -> _Numbers:
    """How often each of the ascending values stands before it."""
    places = np.arange(len(values))
    begins = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=begins[1:])
    return places - np.maximum.accumulate(np.where(begins, places, 0))


class ByRuns:
    """Finds the items that have one of a text's runs: so many tokens, or in the place of each so many letters of a
    script without spaces."""

    def __init__(self, items: Sequence[Sequence[int]], weights: Sequence[int], weight: int) -> None:
        """weights: of each token. weight: of a run, at least, and no shorter one has it."""
        self._weights, self._weight = weights, weight
        self._runs: dict[tuple[int, ...], list[int]] = {}
        for number, item in enumerate(items):
            for run in set(self._runs_of(item)):
                self._runs.setdefault(run, []).append(number)
        self._pairs = {pair for item in items for pair in pairwise(item)}
        fewest = -(-weight // max(weights, default=1))
        self._paired = re.compile(rb"\x01{%d,}" % (fewest - 1))

    def having(self, ids: Sequence[int]) -> set[int]:
        """The items. Only where every two neighbours of a text are neighbours in an item can a run be."""
        paired = bytes(map(self._pairs.__contains__, pairwise(ids)))
        stretches = [ids[found.start() : found.end() + 1] for found in self._paired.finditer(paired)]
        return {item for stretch in stretches for run in self._runs_of(stretch) for item in self._runs.get(run, ())}

    def _runs_of(self, ids: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """The run that begins at each place."""
        weights = [self._weights[token] for token in ids]
        end = weight = 0
        for begin in range(len(ids)):
            while end < len(ids) and weight < self._weight:
                weight += weights[end]
                end += 1
            if weight < self._weight:
                return
            yield tuple(ids[begin:end])
            weight -= weights[begin]
