"""Sizes as people read them: short, and still the size."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.local.memory import parse_size
from pipelines.progress import human_bytes


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (1_536, "1.5 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (64 << 20, "67.1 MB"),
        (2_340_000_000, "2.3 GB"),
        (999_500_000_000, "1.0 TB"),
        (1_234_500_000_000_000, "1234.5 TB"),
    ],
)
def test_sizes(number: int, shown: str) -> None:
    assert human_bytes(number) == shown


@given(st.integers(1, 999_499_999_999))
def test_a_size_that_is_shown_is_the_size_in_three_digits(number: int) -> None:
    shown = human_bytes(number)
    assert re.fullmatch(r"\d{1,3} B|\d{3} [kMG]B|\d\d?\.\d [kMG]B", shown)
    assert abs(parse_size(shown) - number) <= 0.05 * number
