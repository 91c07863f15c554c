"""Hashes of runs of numbers, for a whole batch at once: a mixer, and the powers of a polynomial.

A run's hash is the sum of number[i] * base**i modulo 2**64, mixed. Powers run through the batch; multiplying with the
inverse power at its first place makes a run start at one, so equal runs have equal hashes wherever they stand.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

_BASE = 0x243F6A8885A308D3  # odd, without structure: the digits of pi


def mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """MurmurHash3's 64-bit finaliser: a bijection in which every input bit moves every output bit."""
    values = values ^ (values >> np.uint64(33))
    values *= np.uint64(0xFF51AFD7ED558CCD)
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xC4CEB9FE1A85EC53)
    values ^= values >> np.uint64(33)
    return values


@lru_cache(maxsize=32)
def powers(size: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """base**i and base**-i modulo 2**64 for i < size, a power of two: so all tables kept are twice the largest."""
    tables = []
    for base in (_BASE, pow(_BASE, -1, 1 << 64)):
        steps = np.full(size, base, dtype=np.uint64)
        steps[0] = 1
        tables.append(np.cumprod(steps))
    return tables[0], tables[1]
