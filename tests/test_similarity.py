"""When a text may be removed for another: held against plain definitions, on edits of texts in four scripts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.plain_similarity import lcs_length, measures, right_rule, tokens_of
from tests.planted_edits import EDITS, LANGUAGES, substituted
from transforms.datasets.ids import keyed_hash
from transforms.datasets.settings import SettingError
from transforms.dedup import similarity
from transforms.dedup.similarity import UNLIKE, Bounds, Rule, Similarity, Text, compare


def hashes(tokens: Sequence[str]) -> npt.NDArray[np.uint64]:
    return np.array([keyed_hash("test-token", token) for token in tokens], dtype=np.uint64)


def compared(removed: Sequence[str], kept: Sequence[str], bounds: Bounds | None = None) -> Similarity:
    return compare(Text(hashes(removed)), Text(hashes(kept)), bounds or Bounds())


def numbered(number: int, prefix: str = "w") -> list[str]:
    return [f"{prefix}{at}" for at in range(number)]


def check(removed: Sequence[str], kept: Sequence[str], bounds: Bounds) -> Similarity:
    """That the verdict is the plain one, and the measures too, where they are told."""
    found = compared(removed, kept, bounds)
    rule = right_rule(removed, kept, (bounds.jaccard, bounds.lcs, bounds.containment))
    assert found.rule == rule
    if min(len(removed), len(kept)) < 10:
        assert found == UNLIKE
    else:
        jaccard, ratio, containment = measures(removed, kept)
        assert (found.jaccard, found.containment) == (jaccard, containment)
        assert found.value == {"jaccard": jaccard, "lcs": ratio, "contained": containment, None: None}[rule]
        assert found.lcs == ratio if found.lcs is not None else rule == "jaccard" or ratio < bounds.lcs
    return found


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_planted_edits_are_judged_as_the_plain_definitions_say(language: str, edit: str) -> None:
    tokens = tokens_of(LANGUAGES[language])
    for length in (8, 9, 10, 12, 15, 19, 20, 30, 49, 50, len(tokens)):
        for seed in range(5):
            original = tokens[:length]
            changed = EDITS[edit](original, random.Random(seed))
            check(changed, original, Bounds())
            check(original, changed, Bounds())


few = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=40)


@given(few, few, st.floats(0.1, 1), st.floats(0.1, 1), st.floats(0.1, 1))
def test_any_two_texts_are_judged_as_the_plain_definitions_say(
    left: list[str], right: list[str], jaccard: float, lcs: float, containment: float
) -> None:
    check(left, right, Bounds(jaccard, lcs, containment))


@given(few, few)
def test_the_length_of_the_longest_common_subsequence(left: list[str], right: list[str]) -> None:
    ratio = similarity._lcs_ratio([ord(a) for a in left], [ord(b) for b in [*right, "z"]], bound=1e-9)
    assert (ratio or 0.0) == 2 * lcs_length(left, right) / (len(left) + len(right) + 1)


@pytest.mark.parametrize("number", [63, 64, 65, 200, 1_000])
def test_words_of_bits_have_no_seams(number: int) -> None:
    left = numbered(number)
    right = substituted(0.1)(left, random.Random(number))
    assert compared(right, left, Bounds(jaccard=1.0)).lcs == 2 * lcs_length(left, right) / (2 * number)


def test_five_words_changed_in_fifty() -> None:
    """The case of the issue: shingles see 0.3 of it, words in order 0.9."""
    original = numbered(50)
    changed = [f"x{at}" if at in (5, 14, 23, 32, 41) else token for at, token in enumerate(original)]
    found = compared(changed, original)
    assert found == Similarity(pytest.approx(21 / 71), 0.9, pytest.approx(21 / 46), Rule.LCS)


@pytest.mark.parametrize(("number", "rule"), [(9, None), (10, Rule.LCS)])
def test_below_ten_tokens_nothing_is_nearly_equal(number: int, rule: Rule | None) -> None:
    original = numbered(number)
    assert compared([*original[:4], "new", *original[5:]], original).rule == rule
    assert compared(numbered(9), numbered(9)).rule is None  # equal texts are told by their digests
    assert compared(numbered(9), numbered(100)).rule is None  # contained, but too short to tell


@pytest.mark.parametrize(("number", "ngram"), [(10, 2), (19, 2), (20, 3), (49, 3), (50, 5), (51, 5)])
def test_shingles_are_shorter_in_shorter_texts(number: int, ngram: int) -> None:
    """By the shorter of the two: an end of two tokens more costs each length of shingles as many of them."""
    short, long = numbered(number), [*numbered(number), "x", "y"]
    shingles = number - ngram + 1
    assert compared(short, long).jaccard == compared(long, short).jaccard == shingles / (shingles + 2)


def test_only_the_contained_text_goes() -> None:
    whole = numbered(100)
    part = whole[20:50]
    assert compared(part, whole) == Similarity(pytest.approx(28 / 98), None, 1.0, Rule.CONTAINED)
    assert compared(whole, part).rule is None
    assert compared([*part, *numbered(2, "x")], whole).rule == Rule.CONTAINED  # 26 of 28 runs of five
    assert compared([*part, *numbered(3, "x")], whole).rule is None  # 26 of 29
    assert compared(whole[:40] + whole[60:], whole[:40] + numbered(60, "x") + whole[60:]).rule == Rule.CONTAINED
    said_again = whole * 2  # longer, though all of its runs but four stand in the other
    assert compared(said_again, whole, Bounds(jaccard=1.0, containment=0.9)).rule is None


def test_bounds_are_least_values() -> None:
    found = compared(numbered(40), numbered(50))  # 38 of 48 shingles of three, 80 of 90 tokens
    assert found.lcs == 80 / 90
    exact = Bounds(jaccard=38 / 48, lcs=1.0, containment=1.0)
    assert compared(numbered(40), numbered(50), exact).rule == Rule.JACCARD
    more = Bounds(jaccard=38 / 48 + 1e-9, lcs=80 / 90, containment=1.0)
    assert compared(numbered(40), numbered(50), more).rule == Rule.LCS
    assert compared(numbered(40), numbered(50), Bounds(0.9, 80 / 90 + 1e-9, 1.0)).rule == Rule.CONTAINED


def test_the_table_is_not_filled_where_a_bound_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts with too few tokens in common, and texts that shingles call similar."""
    monkeypatch.setattr(similarity, "_lcs", lambda mine, theirs: pytest.fail("not needed"))
    assert compared(numbered(100), numbered(50) + numbered(50, "x")).rule is None
    assert compared([*numbered(100), "x"], numbered(100)).rule == Rule.JACCARD


def test_texts_too_long_for_the_table_are_told_by_their_shingles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "_MOST_CELLS", 60 * 60 - 1)
    original = numbered(60)
    changed = original[:49:-1] + original[10:50] + original[9::-1]  # all tokens are common, no end is
    assert compared(changed, original, Bounds(lcs=0.1)).lcs is None
    monkeypatch.setattr(similarity, "_MOST_CELLS", 60 * 60)
    assert compared(changed, original, Bounds(lcs=0.1)).rule == Rule.LCS
    assert compared([*original[:30], "x", *original[31:]], original).rule == Rule.JACCARD


@pytest.mark.parametrize("name", ["jaccard", "lcs", "containment"])
@pytest.mark.parametrize("value", [0, -0.5, 1.01, float("nan"), True, "0.8"])
def test_a_bound_is_a_share(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=f"{name} must be a number above 0 and up to 1; got"):
        Bounds(**{name: value})  # type: ignore[arg-type]
