from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.curriculum.schedule import schedule, shard_bounds


def worst_prefix_error(counts: list[int]) -> float:
    """Sequences by which any language is ahead of or behind its plan, over all prefixes; exact in integers."""
    order, total = schedule(counts), sum(counts)
    assert np.bincount(order, minlength=len(counts)).tolist() == counts
    planned = np.arange(1, total + 1, dtype=np.int64)
    errors = [np.abs(np.cumsum(order == index) * total - count * planned).max() for index, count in enumerate(counts)]
    return int(max(errors)) / total


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(any))
def test_every_prefix_is_within_one_sequence(counts: list[int]) -> None:
    assert worst_prefix_error(counts) < 1


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6))
@settings(max_examples=500, deadline=None)
def test_every_prefix_is_within_tijdemans_bound(counts: list[int]) -> None:
    assert worst_prefix_error(counts) <= 1 - 1 / (2 * len(counts) - 2) + 1e-12


def test_119_languages_of_zipf_weights() -> None:
    weights = 1 / np.arange(1, 120)
    counts = np.maximum(1, weights / weights.sum() * 20_000).astype(int).tolist()
    assert worst_prefix_error(counts) < 1  # design section 8 asks for 4


def test_one_huge_and_many_tiny() -> None:
    assert worst_prefix_error([50_000] + [1] * 118) < 1


def test_none_and_negative() -> None:
    assert schedule([]).tolist() == []
    assert schedule([0, 3]).tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="negative"):
        schedule([2, -1])


@given(st.integers(0, 1000), st.integers(1, 50))
def test_shards_divide_the_stage_evenly(num_sequences: int, num_shards: int) -> None:
    sizes = np.diff(shard_bounds(num_sequences, num_shards))
    assert sizes.sum() == num_sequences
    assert sizes.max() - sizes.min() <= 1
