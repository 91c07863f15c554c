"""Hashed n-grams of a batch of lines at once: characters 1 to 5 and words 1 to 2, as rows of a table of weights.

Numpy over the whole batch: the lines lie one after the other as code points, and each kind of n-gram is one pass. A
prefix hash modulo 2**64 gives the hash of any stretch by one subtraction: H[r] - H[l], times P**-l.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_CHARACTERS = 5  # the longest n-gram of characters
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_INVERSE = pow(_BASE, -1, 2**64)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_SPACE = ord(" ")

Ids = NDArray[np.int64]


def gram_ids(lines: Sequence[str], bits: int) -> Iterator[tuple[Ids, Ids]]:
    """For each kind of n-gram, the rows in [0, 2**bits) of every n-gram, line after line, and where each line starts.

    Every line has at least one of each kind; row 2**bits stands for none. Letters count small, and spaces at both ends.
    """
    padded = [f" {line.lower()} " for line in lines]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    lengths = np.array([len(line) for line in padded])
    ends = np.cumsum(lengths)
    starts = ends - lengths
    prefix = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum((codes + np.uint64(1)) * _powers(_BASE, len(codes)), out=prefix[1:])
    inverse = _powers(_INVERSE, len(codes))
    shift = np.uint64(64 - bits)
    for size in range(1, _CHARACTERS + 1):
        ids = np.full(len(codes), 2**bits, np.int64)
        count = max(0, len(codes) - size + 1)
        hashed = (prefix[size:] - prefix[:count]) * inverse[:count] + np.uint64(size)
        ids[:count] = (hashed * _MIX) >> shift
        if size > 1:  # those that run over the end of their line
            over = (ends[:, None] - np.arange(1, size)[None, :]).ravel()
            ids[over[over >= 0]] = 2**bits
        yield ids, starts
    yield from _word_ids(codes, starts, prefix, inverse, bits)


def _word_ids(
    codes: NDArray[np.uint64], starts: Ids, prefix: NDArray[np.uint64], inverse: NDArray[np.uint64], bits: int
) -> Iterator[tuple[Ids, Ids]]:
    """Words, and pairs of neighbours: from the start of one to the end of itself and of the next."""
    is_space = codes == _SPACE
    first = np.flatnonzero(is_space[:-1] & ~is_space[1:]) + 1  # every line begins and ends with a space
    last = np.flatnonzero(~is_space[:-1] & is_space[1:]) + 1
    line_of = np.searchsorted(starts, first, "right") - 1
    bounds = np.searchsorted(line_of, np.arange(len(starts)))
    for size in (1, 2):
        ids = np.full(len(first) + len(starts), 2**bits, np.int64)  # one more a line, so that none is empty
        count = max(0, len(first) - size + 1)
        here, there = first[:count], last[size - 1 :]
        hashed = (prefix[there] - prefix[here]) * inverse[here] + np.uint64(_CHARACTERS + size)
        same = line_of[:count] == line_of[size - 1 :]
        rows = np.where(same, ((hashed * _MIX) >> np.uint64(64 - bits)).astype(np.int64), 2**bits)
        ids[np.arange(count) + line_of[:count] + 1] = rows
        yield ids, bounds + np.arange(len(starts))


def _powers(base: int, count: int) -> NDArray[np.uint64]:
    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.cumprod(powers, dtype=np.uint64)
