"""Stars: what is removed is similar to what is kept, which stays; held against a plain search on planted edits."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.plain_similarity import measures, right_rule, tokens_of
from tests.planted_edits import EDITS, LANGUAGES
from tests.test_similarity import hashes, numbered
from transforms.datasets.ids import keyed_hash
from transforms.dedup import stars as stars_module
from transforms.dedup.links import BEGUN
from transforms.dedup.links import MOST as MOST_TEXTS
from transforms.dedup.similarity import EXACT, UNLIKE, Bounds, Rule, Similarity, Text
from transforms.dedup.stars import Member, Star, stars

BOUNDS = Bounds()
MOST = (0, 0, 0, 0)


def member(tokens: Sequence[str], bands: Sequence[int] = (1,), digest: int | None = None) -> Member:
    """A text whose digest is that of its tokens."""
    own = keyed_hash("test-digest", " ".join(tokens)) if digest is None else digest
    return Member(own, np.array(bands, np.uint64) * np.uint64(4), {}, hashes(tokens))  # digests without marks


def changed(tokens: Sequence[str], number: int, prefix: str = "x") -> list[str]:
    """With the first so many tokens exchanged: an LCS ratio of 1 - number / length."""
    return [*numbered(number, prefix), *tokens[number:]]


def component(seed: int) -> list[list[str]]:
    """Texts in several languages and edits of them, edits of edits, and copies, the longest first."""
    chance = random.Random(seed)
    texts = [tokens_of(text)[: chance.choice([9, 12, 25, 60])] for text in LANGUAGES.values()]
    for _ in range(25):
        original = chance.choice(texts)
        edit = EDITS[chance.choice(list(EDITS))]
        texts += [edit(original, chance)] * chance.choice([1, 1, 2])
    return sorted(texts, key=lambda tokens: (-len(tokens), tokens))


def plain_stars(texts: list[list[str]]) -> list[int]:
    """What each is removed for: all survivors before it are looked at, the most similar is taken."""
    kept: list[int] = []
    for place, tokens in enumerate(texts):
        if tokens in texts[:place]:
            kept.append(kept[texts.index(tokens)])
            continue
        accepting = [
            other
            for other in range(place)
            if kept[other] == other and right_rule(tokens, texts[other], (BOUNDS.jaccard, BOUNDS.lcs, 0.9))
        ]
        kept.append(max(accepting, key=lambda other: measures(tokens, texts[other])[0], default=place))
    return kept


@pytest.mark.parametrize("seed", range(12))
def test_stars_are_those_of_a_plain_search(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stars_module, "_MOST_COMPARED", 100)
    texts = component(seed)
    found = stars([member(tokens) for tokens in texts], BOUNDS, MOST)
    assert [star.kept for star in found] == plain_stars(texts)
    removed = 0
    for place, (star, tokens) in enumerate(zip(found, texts, strict=True)):
        kept = texts[star.kept]
        assert found[star.kept].kept == star.kept, "what is kept stays: no chain"
        if star.kept == place:
            assert star.similarity == UNLIKE
        else:
            removed += 1
            assert star.kept < place
            rule = "exact" if tokens == kept else right_rule(tokens, kept, (BOUNDS.jaccard, BOUNDS.lcs, 0.9))
            assert star.similarity.rule == rule
    assert removed > 5


@pytest.mark.parametrize("most", [1, 2, 16])
@pytest.mark.parametrize("tokens_kept", [1, 200_000])
def test_precision_is_one_when_not_all_are_looked_at(
    most: int, tokens_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stars_module, "_MOST_COMPARED", most)
    monkeypatch.setattr(stars_module, "_MOST_TOKENS", tokens_kept)
    for seed in range(6):
        texts = component(seed)
        chance = random.Random(seed)
        members = [member(tokens, chance.sample(range(4), 2)) for tokens in texts]
        for star, tokens in zip(stars(members, BOUNDS, MOST), texts, strict=True):
            kept = texts[star.kept]
            assert tokens == kept or right_rule(tokens, kept, (BOUNDS.jaccard, BOUNDS.lcs, 0.9))


def test_a_chain_is_cut() -> None:
    """Each of these is similar to the one before it; the third not to the first."""
    first = numbered(50)
    second, third = changed(first, 6), changed(first, 12)
    third[:6] = second[:6]
    found = stars([member(first), member(second), member(third)], BOUNDS, MOST)
    assert [star.kept for star in found] == [0, 0, 2]
    alone = stars([member(second), member(third)], BOUNDS, MOST)
    assert [star.kept for star in alone] == [0, 0]


def test_a_text_goes_for_the_most_similar_survivor() -> None:
    base = numbered(60)
    far, near = changed(base, 10, "y"), changed(base, 10, "z")
    text = changed(base, 9, "z")
    found = stars([member(far), member(near), member(text)], Bounds(lcs=0.8, jaccard=1.0, containment=1.0), MOST)
    assert [star.kept for star in found] == [0, 0, 0]
    found = stars([member(far), member(near), member(text)], Bounds(lcs=0.84, jaccard=1.0, containment=1.0), MOST)
    assert [star.kept for star in found] == [0, 1, 1]


def test_of_equally_similar_survivors_the_first_is_kept() -> None:
    base = numbered(60)
    sides = [changed(base, 10), [*base[:50], *numbered(10, "x")]]
    found = stars([*map(member, sides), member(base)], Bounds(lcs=0.83, jaccard=1.0, containment=1.0), MOST)
    assert [star.kept for star in found] == [0, 1, 0]


def test_only_texts_that_share_a_digest_are_compared() -> None:
    text = numbered(50)
    apart = [member(text, [1, 2], digest=1), member(text, [3, 4], digest=2)]
    assert [star.kept for star in stars(apart, BOUNDS, MOST)] == [0, 1]
    met = [member(text, [1, 2], digest=1), member(text, [3, 2], digest=2)]
    assert stars(met, BOUNDS, MOST)[1] == Star(0, Similarity(1.0, 1.0, 1.0, Rule.JACCARD), False)


def test_equal_digests_are_exact_at_any_length_but_for_none() -> None:
    short = member(["thanks"], [], digest=7)
    assert [star.kept for star in stars([short, short, short], BOUNDS, MOST)] == [0, 0, 0]
    assert stars([short, short], BOUNDS, MOST)[1] == Star(0, EXACT, False)
    nothing = member([], [1], digest=0)
    assert [star.kept for star in stars([nothing, nothing], BOUNDS, MOST)] == [0, 1]


def test_a_copy_of_a_removed_text_is_as_similar_as_that_one() -> None:
    base = numbered(50)
    found = stars([member(base), member(changed(base, 3)), member(changed(base, 3))], BOUNDS, MOST)
    assert found[1] == found[2]
    assert found[2].similarity.rule == Rule.JACCARD
    assert found[2].kept == 0


def test_equal_digests_of_other_tokens_are_compared_for_themselves() -> None:
    """A digest may leave out what tokens keep: no text is removed for one that it was not held against."""
    base = numbered(50)
    other = member([*base[:10], *numbered(40, "other")], digest=5)
    found = stars([member(base), member(changed(base, 3), digest=5), other], BOUNDS, MOST)
    assert [star.kept for star in found] == [0, 0, 2]


def counted(members: Sequence[Member], monkeypatch: pytest.MonkeyPatch) -> tuple[list[Star], int]:
    """The stars, and how many pairs were compared."""
    pairs = 0

    def compare(removed: Text, kept: Text, bounds: Bounds) -> Similarity:
        nonlocal pairs
        pairs += 1
        return genuine(removed, kept, bounds)

    genuine = stars_module.compare
    with monkeypatch.context() as patch:
        patch.setattr(stars_module, "compare", compare)
        return stars(members, BOUNDS, MOST), pairs


@pytest.mark.parametrize("number", [10, 5_000])
def test_copies_are_one_comparison(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    base = numbered(30)
    copies = [member(base)] * number + [member(changed(base, 2))] * number
    found, pairs = counted(copies, monkeypatch)
    assert {star.kept for star in found} == {0}
    assert pairs == 1


def test_comparisons_grow_with_the_members_in_a_component_where_nobody_is_similar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One hot digest, and others that a few share: each is compared with so many, and says that there were more."""
    members = [
        member([f"t{number}-{at}" for at in range(12)], [1, 2 + number % 7, 100 + number // 3])
        for number in range(1_000)
    ]
    found, pairs = counted(members, monkeypatch)
    assert [star.kept for star in found] == list(range(1_000))
    assert pairs <= 16 * 1_000
    assert [star.capped for star in found].index(True) == 17  # sixteen are looked at, the eighteenth has seventeen


def test_who_was_not_compared_with_all_that_share_its_digest_says_so() -> None:
    members = [member([f"t{number}-{at}" for at in range(12)], [1]) for number in range(20)]
    assert [star.capped for star in stars(members, BOUNDS, MOST)] == [False] * 17 + [True] * 3


def test_a_digest_is_in_hot_company_and_rarer_ones_still_lead_to_the_right_text() -> None:
    members = [member([f"t{number}-{at}" for at in range(12)], [1, 1_000 + number]) for number in range(100)]
    text = member(["x", *(f"t60-{at}" for at in range(1, 12))], [1, 1_060])
    found = stars([*members, text], BOUNDS, MOST)
    assert (found[-1].kept, found[-1].capped) == (60, True)


def test_the_order_of_bands_changes_nothing() -> None:
    texts = component(3)
    chance = random.Random(0)
    bands = [chance.sample(range(8), 4) for _ in texts]
    found = stars([member(text, band) for text, band in zip(texts, bands, strict=True)], BOUNDS, MOST)
    turned = [[*reversed(band), band[0]] for band in bands]
    assert stars([member(text, band) for text, band in zip(texts, turned, strict=True)], BOUNDS, MOST) == found


def test_who_shares_a_band_is_compared_where_marks_agree_whoever_else_is_there() -> None:
    """A component may join two by way of a third; whether they are compared is a matter of the two."""
    base = numbered(60)
    band, beginning = 8 | MOST_TEXTS, 12 | BEGUN
    for marks, wanted in ((0x33, True), (0x03, False)):
        longer = Member(1, np.array([band], np.uint64), {MOST_TEXTS: 0x33}, hashes([*base, "more"]))
        shorter = Member(2, np.array([band], np.uint64), {MOST_TEXTS: marks}, hashes(base))
        assert (stars([longer, shorter], BOUNDS, MOST)[1].kept == 0) is wanted
        one_apart = stars([longer, shorter], BOUNDS, (0, 1, 0, 0))
        assert one_apart[1].kept == 0
        third = Member(3, np.array([band, beginning], np.uint64), {MOST_TEXTS: 0x33}, hashes(numbered(40, "y")))
        assert (stars([longer, shorter, third], BOUNDS, MOST)[1].kept == 0) is wanted
    begun = [member._replace(bands=np.array([beginning], np.uint64)) for member in (longer, shorter)]
    assert stars(begun, BOUNDS, MOST)[1].kept == 0, "a beginning has no marks"


def test_of_many_that_share_a_digest_those_that_agree_are_found() -> None:
    """Behind others that share it by chance; and it is said when there may be more than were looked at."""
    base = numbered(60)
    band = np.array([8 | MOST_TEXTS], np.uint64)
    for others, kept, capped in ((40, True, False), (80, False, True)):
        chance = [Member(10 + n, band, {MOST_TEXTS: 0xF0}, hashes(numbered(61, f"c{n}-"))) for n in range(others)]
        longer = Member(1, band, {MOST_TEXTS: 0x33}, hashes([*base, "more"]))
        shorter = Member(2, band, {MOST_TEXTS: 0x33}, hashes(base))
        found = stars([*chance, longer, shorter], BOUNDS, MOST)[-1]
        assert (found.kept == others, found.capped) == (kept, capped)
