from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.pack import pack


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
