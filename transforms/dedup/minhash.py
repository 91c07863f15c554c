"""MinHash: signatures whose agreement estimates Jaccard similarity, and bands that make similar texts meet.

Broder, "On the resemblance and containment of documents" (1997); bands and rows after Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", section 3.4. Signatures equal those of `datasketch.MinHash(num_perm, seed)` for the same
32-bit shingle hashes: its permutations, its "affine32" scheme (mix once, then a * h + b modulo 2**32, a odd).
Maths only: no Beam here.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from transforms.dedup.shingles import Shingles
from transforms.dedup.spec import MinHashSpec
from transforms.text.hashing import mix

_BAND_BASE = 0xB7E151628AED2A6B  # odd, without structure: the digits of e
_CHUNK_SHINGLES = 1 << 16  # shingles permuted at a time: the two buffers stay in the processor's cache


@lru_cache(maxsize=8)
def _permutations(num_perm: int, seed: int) -> npt.NDArray[np.uint32]:
    """(2, num_perm): odd multipliers, with which each is a permutation, and summands: those of datasketch.

    NumPy never changes what a RandomState gives.
    """
    chance = np.random.RandomState(seed)
    multipliers = chance.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return np.stack([multipliers, chance.randint(0, 1 << 32, num_perm, dtype=np.uint32)])


def signatures(shingles: Shingles, spec: MinHashSpec) -> npt.NDArray[np.uint32]:
    """(D, num_perm) the least permuted shingle of each text; a text without shingles has 2**32 - 1 throughout."""
    multipliers, summands = _permutations(spec.num_perm, spec.seed)
    minima = np.full((len(shingles.counts), spec.num_perm), 0xFFFFFFFF, dtype=np.uint32)
    mixed = _mix32(shingles.hashes)
    for first, last in _chunks(shingles.starts):
        rows = first + np.flatnonzero(shingles.counts[first:last])
        if not len(rows):
            continue
        begin, end = int(shingles.starts[first]), int(shingles.starts[last])
        starts = shingles.starts[rows] - begin
        permuted = np.empty(end - begin, dtype=np.uint32)
        found = np.empty((spec.num_perm, len(rows)), dtype=np.uint32)
        for column in range(spec.num_perm):
            np.multiply(mixed[begin:end], multipliers[column], out=permuted)
            np.add(permuted, summands[column], out=permuted)
            np.minimum.reduceat(permuted, starts, out=found[column])
        minima[rows] = found.T
    return minima


def band_digests(
    minima: npt.NDArray[np.uint32], shingles: Shingles, spec: MinHashSpec
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """(K,) digests and (K,) text numbers: texts that have a digest in common are candidates.

    A text has one digest per band. One too short for a shingle has a single digest, that of its whole text in 64
    bits: its bands would agree or differ together, and 32-bit shingles of many short texts collide. An empty text has
    none.
    """
    num_texts = len(shingles.counts)
    banded = minima.reshape(num_texts, spec.bands, spec.rows)
    # The band's number begins the polynomial: equal minima in different bands are no match.
    digests = np.broadcast_to(np.arange(1, spec.bands + 1, dtype=np.uint64), (num_texts, spec.bands)).copy()
    for row in range(spec.rows):
        digests *= np.uint64(_BAND_BASE)
        digests += banded[:, :, row]
        digests ^= digests >> np.uint64(29)
    long = np.flatnonzero((shingles.counts > 0) & ~shingles.whole)
    short = np.flatnonzero(shingles.whole)
    return (
        np.concatenate([mix(digests[long].reshape(-1)), mix(shingles.digests[short])]),
        np.concatenate([np.repeat(long, spec.bands), short]).astype(np.int64),
    )


def _chunks(starts: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Runs of texts (first, last) with at most _CHUNK_SHINGLES shingles, or of one text that has more."""
    chunks: list[tuple[int, int]] = []
    first, num_texts = 0, len(starts) - 1
    while first < num_texts:
        last = int(np.searchsorted(starts, starts[first] + _CHUNK_SHINGLES, side="right")) - 1
        last = min(max(last, first + 1), num_texts)
        chunks.append((first, last))
        first = last
    return chunks


def _mix32(hashes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """MurmurHash3's 32-bit finaliser, with which datasketch mixes a shingle hash before it is permuted."""
    hashes = hashes ^ (hashes >> np.uint32(16))
    hashes *= np.uint32(0x85EBCA6B)
    hashes ^= hashes >> np.uint32(13)
    hashes *= np.uint32(0xC2B2AE35)
    hashes ^= hashes >> np.uint32(16)
    return hashes
