"""Which of the texts that share a digest become candidates of each other: those whose signatures agree as well.

A band is a small part of a signature, and many texts share one by chance: each further text brings every other about a
millionth of a candidate, and from a million texts on chance alone would join nearly all of them in one component. So a
digest travels with a mark, the lowest four bits of each value of the signature (Li and König, "b-Bit Minwise Hashing",
2010), and two texts are joined where their marks agree about as often as those of texts at the bound do. What is
joined is a function of the set of texts: not of their order or shards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from transforms.dedup.components import Nodes, star_edges
from transforms.dedup.spec import MinHashSpec
from transforms.text.hashing import mix

# What a digest is of, in its lowest two bits: the text, the bands of most texts, those of dense ones, the beginning.
WHOLE, MOST, DENSE, BEGUN = 0, 1, 2, 3
KIND = np.uint64(3)
_BITS = 4  # of a value
_PER_WORD = 64 // _BITS
_LONGEST = 128  # values that are marked
# The LCS ratio of texts that must not be missed is below the bound by so much, and their marks agree less often than is
# expected by so many standard deviations: of a text and one with 15% of its words exchanged, one pair in 10,000.
_MARGIN, _DEVIATIONS = 0.05, 3.5
_LEADERS = 32  # marks that the others of a digest are held against
_LOWEST = np.uint64(0x1111111111111111)
_LOWEST_OF_ALL = int.from_bytes(b"\x11" * (_LONGEST * _BITS // 8), "little")

_Hashes = npt.NDArray[np.uint64]


def num_words(spec: MinHashSpec) -> int:
    """Words of 64 bits of a mark, of most texts and of dense ones."""
    return -(-min(max(spec.num_perm, spec.of_dense_texts.num_perm), _LONGEST) // _PER_WORD)


def marks(minima: npt.NDArray[np.uint32], words: int) -> _Hashes:
    """(D, words) of signatures (D, num_perm). What a signature has no value for is 0."""
    values = minima[:, :_LONGEST]
    padded = np.zeros((len(values), words * _PER_WORD), np.uint64)
    padded[:, : values.shape[1]] = values & np.uint32((1 << _BITS) - 1)
    shifts = np.arange(0, 64, _BITS, dtype=np.uint64)
    return np.bitwise_or.reduce(padded.reshape(-1, words, _PER_WORD) << shifts, axis=2)


@lru_cache(maxsize=8)
def most_by_kind(spec: MinHashSpec) -> Sequence[int]:
    """By the kind of a digest: how many values of two marks are different at most, where texts that share it are to be
    compared."""
    return 0, most_different(spec), most_different(spec.of_dense_texts), 0


def most_different(spec: MinHashSpec) -> int:
    """That, of marks of such a spec.

    A text and one with a share of s of its tokens in common have about s^n of their runs of n in common.
    """
    number = min(spec.num_perm, _LONGEST)
    common = max(0.0, min(spec.lcs, spec.jaccard + _MARGIN) - _MARGIN) ** spec.ngram
    different = (1 - common / (2 - common)) * (1 - 1 / (1 << _BITS))
    return min(number, int(number * different + _DEVIATIONS * (number * different * (1 - different)) ** 0.5))


def differences(left: _Hashes, right: _Hashes) -> npt.NDArray[np.int64]:
    """(R,) how many values of the marks (R, W) are different."""
    differ = left ^ right
    differ |= differ >> np.uint64(2)
    differ |= differ >> np.uint64(1)
    return np.bitwise_count(differ & _LOWEST).sum(axis=1, dtype=np.int64)


def marks_by_kind(bands: _Hashes, marked: _Hashes, words: int) -> dict[int, int]:
    """The marks of a text (its words one after the other) as integers, by kind. bands: its digests."""
    kinds = [kind for kind in (MOST, DENSE) if (bands & KIND == kind).any()]
    return {
        kind: int.from_bytes(marked[words * at : words * (at + 1)].tobytes(), "little") for at, kind in enumerate(kinds)
    }


def agree(digest: int, left: Mapping[int, int], right: Mapping[int, int], most: Sequence[int]) -> bool:
    """Whether two texts that share a digest are to be compared, by their marks (`marks_by_kind`). most: by kind."""
    kind = digest & int(KIND)
    if kind in (WHOLE, BEGUN):
        return True
    differ = left[kind] ^ right[kind]
    differ |= differ >> 2
    differ |= differ >> 1
    return (differ & _LOWEST_OF_ALL).bit_count() <= most[kind]


def joined(digests: _Hashes, nodes: Nodes, marked: _Hashes) -> tuple[Nodes, npt.NDArray[np.bool_]]:
    """(E, 2) edges between nodes whose digests and marks are equal, and (K,) which are the smallest of such. digests,
    nodes: (K,), marked: (K, W)."""
    rows = _shared(digests)
    found = mix(digests[rows])
    for word in marked[rows].T:
        found = mix(found ^ word)
    edges, first = star_edges(found, nodes[rows])
    smallest = np.ones(len(digests), np.bool_)
    smallest[rows] = first
    return edges, smallest


def linked(digests: _Hashes, nodes: Nodes, marked: _Hashes, most: npt.NDArray[np.int64]) -> Nodes:
    """(E, 2) edges between texts that share a digest, smaller node first. digests, nodes: (K,), marked: (K, W), none of
    them `joined`. most: (K,) by digest, how many values may be different.

    The first in order of marks that agrees with none before it leads, and all that agree with it are joined to it. A
    digest has 32 leaders at most; what agrees with none of them is joined to the first, so that it is compared all the
    same.
    """
    rows = _shared(digests)
    rows = rows[np.lexsort((*marked[rows].T[::-1], digests[rows]))]
    digests, nodes, marked, most = digests[rows], nodes[rows], marked[rows], most[rows]
    group = np.cumsum(np.append(False, digests[1:] != digests[:-1])[: len(rows)])
    joined, agrees = [np.zeros((0, 2), np.int64)], np.zeros(len(rows), np.bool_)
    going = np.arange(len(rows))
    for _ in range(_LEADERS):
        left = going[~agrees[going]]
        groups, at = np.unique(group[left], return_index=True)
        leader = np.full(len(rows), -1)
        leader[groups] = left[at]
        going = going[leader[group[going]] >= 0]
        leads = leader[group[going]]
        hits = differences(marked[going], marked[leads]) <= most[going]
        joined.append(np.stack([leads[hits], going[hits]], axis=1))
        agrees[going[hits]] = True
    rest = going[~agrees[going]]
    firsts = np.searchsorted(group, group[rest])
    every = nodes[np.concatenate([*joined, np.stack([firsts, rest], axis=1)])]
    return np.sort(every[every[:, 0] != every[:, 1]], axis=1)


def _shared(digests: _Hashes) -> npt.NDArray[np.int64]:
    """Rows whose digest is another's as well."""
    order = np.argsort(digests, kind="stable")
    ordered = digests[order]
    equal = ordered[1:] == ordered[:-1]
    shared = np.zeros(len(digests), np.bool_)
    shared[1:] |= equal
    shared[:-1] |= equal
    return order[shared]
