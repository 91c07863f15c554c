"""Comment trees: cycles are found, whatever hangs on them is not, and depth costs nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transforms.ingest.trees import MISSING, on_cycles, parent_rows


def test_parents() -> None:
    assert parent_rows(["a", "b", "c"], [None, "a", "z"]) == [MISSING, 0, MISSING]


def test_cycles() -> None:
    assert on_cycles([]) == []
    assert on_cycles([0]) == [0]
    assert on_cycles([1, 2, 0, 0, 3, MISSING]) == [0, 1, 2]  # 3 and 4 hang below the cycle


def test_a_chain_of_a_million_is_no_cycle_and_no_recursion() -> None:
    assert on_cycles([MISSING, *range(999_999)]) == []
    assert len(on_cycles([999_999, *range(999_999)])) == 1_000_000


@given(st.integers(1, 12).flatmap(lambda n: st.lists(st.integers(-1, n - 1), min_size=n, max_size=n)))
def test_as_one_would_say_it(parents: list[int]) -> None:
    def leads_back(post: int) -> bool:
        above = parents[post]
        for _ in parents:
            if above in (post, MISSING):
                break
            above = parents[above]
        return above == post

    assert on_cycles(parents) == [post for post in range(len(parents)) if leads_back(post)]
