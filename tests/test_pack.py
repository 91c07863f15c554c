from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.curriculum.pack import Packing, pack


def forum_lengths(number: int) -> np.ndarray:
    """Tokens of forum posts: log-normal, median 150, a tail of thousands."""
    drawn = np.random.default_rng(7).lognormal(5.0, 1.0, number)
    return np.clip(drawn, 4, None).astype(np.int64)


@given(
    st.lists(st.integers(1, 50), max_size=60),
    st.integers(1, 20),
    st.integers(1, 9),
)
def test_every_token_is_in_one_sequence(lengths: list[int], sequence_length: int, window: int) -> None:
    packed = pack(np.array(lengths, np.int64), sequence_length, window)
    seen = [
        (int(document), int(start) + offset)
        for document, start, length in zip(packed.document, packed.start, packed.length, strict=True)
        for offset in range(length)
    ]
    assert sorted(seen) == [(document, token) for document, length in enumerate(lengths) for token in range(length)]
    assert packed.bounds[0] == 0
    assert packed.bounds[-1] == len(packed.document)
    for begin, end in pairwise(packed.bounds):
        assert 0 < packed.length[begin:end].sum() <= sequence_length


@pytest.mark.parametrize("sequence_length", [512, 2048, 4096, 32768])
def test_fill(sequence_length: int) -> None:
    lengths = forum_lengths(20_000)
    packed = pack(lengths, sequence_length)
    assert lengths.sum() / (packed.num_sequences * sequence_length) >= 0.99


def test_only_long_documents_are_cut() -> None:
    packed = pack(np.array([3, 10, 4, 25]), 10)
    pieces = sorted(zip(packed.document.tolist(), packed.start.tolist(), packed.length.tolist(), strict=True))
    assert pieces == [(0, 0, 3), (1, 0, 10), (2, 0, 4), (3, 0, 10), (3, 10, 10), (3, 20, 5)]
    sizes = [packed.length[begin:end].tolist() for begin, end in pairwise(packed.bounds)]
    assert sizes == [[3], [10], [10], [10], [5, 4]]


def test_length_does_not_drift() -> None:
    lengths = forum_lengths(40_000)
    packed = pack(lengths, 2048)
    documents = np.diff(packed.bounds)
    tenths = [part.mean() for part in np.array_split(documents, 10)]
    assert max(tenths) / min(tenths) < 1.25  # sorted by length it would be above 10


def test_refuses_empty_documents() -> None:
    assert pack(np.array([], np.int64), 8).num_sequences == 0
    with pytest.raises(ValueError, match="document 1 has 0 tokens"):
        pack(np.array([3, 0]), 8)


def sequences_of(packed: Packing) -> list[list[tuple[int, int, int]]]:
    """(document, start, length) of the pieces of each sequence."""
    pieces = list(zip(packed.document.tolist(), packed.start.tolist(), packed.length.tolist(), strict=True))
    return [pieces[begin:end] for begin, end in pairwise(packed.bounds.tolist())]


def plain_best_fit(lengths: list[int], sequence_length: int) -> list[list[tuple[int, int, int]]]:
    """The rule piece by piece, in one window: longest first, each into the fullest sequence with room for it."""
    pieces = [
        (document, start, min(length - start, sequence_length))
        for document, length in enumerate(lengths)
        for start in range(0, length, sequence_length)
    ]
    sequences: list[tuple[int, int, list[tuple[int, int, int]]]] = []  # (room, when it got that room, pieces)
    for time, piece in enumerate(sorted(pieces, key=lambda piece: -piece[2])):
        fitting = [sequence for sequence in sequences if sequence[0] >= piece[2]]
        room, _, members = min(
            fitting, key=lambda sequence: (sequence[0], -sequence[1]), default=(sequence_length, 0, [])
        )
        sequences = [sequence for sequence in sequences if sequence[2] is not members]
        sequences.append((room - piece[2], time, [*members, piece]))
    return sorted(members for _, _, members in sequences)


@given(st.lists(st.integers(1, 40), max_size=40), st.integers(4, 20))
@settings(deadline=None)
def test_each_piece_goes_longest_first_into_the_fullest_sequence_with_room(
    lengths: list[int], sequence_length: int
) -> None:
    assert sequences_of(pack(np.array(lengths, np.int64), sequence_length)) == plain_best_fit(lengths, sequence_length)
