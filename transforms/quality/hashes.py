"""Hashes of spans of characters and of n-grams of tokens, for a whole batch at once.

The hash of a span is the polynomial sum(code[i] * base**i) modulo 2**64, mixed. The powers run through the whole batch:
a sum over a span is the difference of two running sums, and multiplying with the inverse power at its first character
makes it start at one. So the same characters have the same hash wherever they stand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.text.hashing import mix, powers

_TOKEN_BASE = 0x9E3779B97F4A7C15  # odd, without structure: the digits of the golden ratio
HASH_BITS = 40
"""Of a key; the others are its text's number."""

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Hashed:
    """Characters of which any span can be hashed."""

    _sums: Hashes  # (C + 1,)
    _inverse_powers: Hashes

    @staticmethod
    def of(codes: npt.NDArray[np.uint32]) -> Hashed:
        """codes: (C,) code points."""
        all_powers, inverse_powers = powers(1 << len(codes).bit_length())
        sums = np.zeros(len(codes) + 1, dtype=np.uint64)
        np.cumsum(codes * all_powers[: len(codes)], out=sums[1:])
        return Hashed(sums, inverse_powers)

    def of_spans(self, begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Hashes:
        """Hashes of the characters [begin, end) of each span."""
        return mix((self._sums[ends] - self._sums[begins]) * self._inverse_powers[begins])


def ngram_hashes(tokens: Hashes, text_of: npt.NDArray[np.int32], size: int) -> tuple[Hashes, npt.NDArray[np.int32]]:
    """The hashes of all n-grams of `size` tokens that lie within one text, in order, and their texts."""
    length = max(len(tokens) - size + 1, 0)
    sums = np.zeros(length, dtype=np.uint64)
    for place in range(size):
        sums += tokens[place : place + length] * np.uint64(pow(_TOKEN_BASE, place, 1 << 64))
    within = text_of[:length] == text_of[size - 1 : size - 1 + length]
    return mix(sums[within]), text_of[:length][within]


def keys_of(text_of: npt.NDArray[np.int32], hashes: Hashes) -> Hashes:
    """Keys that sort by text, then by hash: equal hashes of one text are one key."""
    return (text_of.astype(np.uint64) << np.uint64(HASH_BITS)) | (hashes >> np.uint64(64 - HASH_BITS))
