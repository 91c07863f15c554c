"""What is kept of a prompt and a response that are too long together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenizer.cut import cut_lengths


@pytest.mark.parametrize(
    ("prompt", "response", "limit", "wanted"),
    [
        (10, 7, 20, (10, 7)),  # fits
        (13, 7, 20, (13, 7)),  # just
        (18, 8, 20, (12, 8)),  # the prompt gives way to the response
        (30, 15, 20, (5, 15)),  # as far as a quarter
        (30, 16, 20, (5, 15)),  # then the response gives way
        (30, 40, 20, (5, 15)),
        (3, 40, 20, (3, 17)),  # a short prompt stays whole
        (0, 40, 20, (0, 20)),
    ],
)
def test_the_rule(prompt: int, response: int, limit: int, wanted: tuple[int, int]) -> None:
    kept, size = cut_lengths(prompt, np.array([response]), limit)
    assert (kept.item(), size.item()) == wanted


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 300)), min_size=1, max_size=9), st.integers(8, 128))
def test_no_more_is_cut_than_must_be_whatever_is_cut_beside(texts: list[tuple[int, int]], limit: int) -> None:
    kept, sizes = cut_lengths(np.array([prompt for prompt, _ in texts]), np.array([size for _, size in texts]), limit)
    for (prompt, response), left, size in zip(texts, kept.tolist(), sizes.tolist(), strict=True):
        alone = cut_lengths(prompt, np.array([response]), limit)
        assert (left, size) == (alone[0].item(), alone[1].item())
        assert left + size == min(limit, prompt + response)
        assert min(prompt, limit // 4) <= left <= prompt
        assert 1 <= size <= response
        if size < response:
            assert left == min(prompt, limit // 4), "the prompt gives way first"
