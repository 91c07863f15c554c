"""What a thread says of its short posts, and that it is the same however posts arrive."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenizer.languages import LANGUAGES
from transforms.datasets.fates import Reason
from transforms.langid.detect import Seen
from transforms.langid.labels import Guess
from transforms.langid.prior import by_thread
from transforms.langid.threads import Threads
from transforms.langid.verdict import Detected, choose

THRESHOLDS = dict.fromkeys(LANGUAGES, 0.5)
GERMAN: Guess = (("deu_Latn", 0.97), ("nld_Latn", 0.02))
FRENCH: Guess = (("fra_Latn", 0.97), ("ita_Latn", 0.02))
TORN: Guess = (("nld_Latn", 0.4), ("deu_Latn", 0.35), ("eng_Latn", 0.2))


def verdicts(*posts: tuple[str, Guess, int, str | None], cuts: tuple[int, ...] = ()) -> list[Detected]:
    """posts: thread, what it says by itself, characters, stated language. cuts: where a batch ends."""
    threads, found = Threads(THRESHOLDS), []
    for start, end in zip((0, *cuts), (*cuts, len(posts)), strict=True):
        part = posts[start:end]
        seen = Seen([guess for _, guess, _, _ in part], [chars for *_, chars, _ in part], [False] * len(part))
        found += threads.add([thread for thread, *_ in part], seen, [stated for *_, stated in part])
    return found + threads.end()


def test_a_short_post_that_is_torn_is_in_the_language_of_its_thread() -> None:
    alone = verdicts(("b", TORN, 15, None))
    assert alone == [choose(TORN, THRESHOLDS, 0.8)]
    assert alone[0].reason is Reason.LANGUAGE_UNSURE
    found = verdicts(("a", GERMAN, 300, None), ("a", GERMAN, 200, None), ("a", TORN, 15, None))
    assert (found[2].language, found[2].runner_up, found[2].reason) == ("deu_Latn", "nld_Latn", None)
    assert found[2].confidence > 0.8
    assert found[:2] == [choose(GERMAN, THRESHOLDS, 0.0)] * 2, "long and sure ones stay as they are"


def test_short_posts_help_each_other() -> None:
    maybe: Guess = (("deu_Latn", 0.45), ("nld_Latn", 0.4), ("eng_Latn", 0.1))
    other: Guess = (("deu_Latn", 0.45), ("swe_Latn", 0.4), ("dan_Latn", 0.1))
    assert choose(maybe, THRESHOLDS, 0.8).reason is Reason.LANGUAGE_UNSURE
    found = verdicts(*(("a", (maybe, other)[number % 2], 15, None) for number in range(8)))
    assert {(row.language, row.reason) for row in found} == {("deu_Latn", None)}


def test_a_fifth_in_another_language_stays_in_it() -> None:
    posts = [("a", FRENCH if number % 5 == 4 else GERMAN, 18, None) for number in range(10)]
    found = verdicts(*posts)
    assert [row.language for row in found] == ["fra_Latn" if number % 5 == 4 else "deu_Latn" for number in range(10)]
    assert all(row.reason is None for row in found)


def test_the_rule_is_what_it_says() -> None:
    """Two posts, by hand: √P(words) times the share that the other post, which is not changed, gives."""
    found = by_thread([(("deu_Latn", 1.0),), (("nld_Latn", 0.5), ("deu_Latn", 0.25))], [0, 0], [False, True])
    german = 0.25**0.5 * (0.8 * (1 + 1 / len(LANGUAGES)) / 2 + 0.2 / len(LANGUAGES))
    dutch = 0.5**0.5 * (0.8 * (1 / len(LANGUAGES)) / 2 + 0.2 / len(LANGUAGES))
    assert [code for code, _ in found[1]] == ["deu_Latn", "nld_Latn"]
    assert dict(found[1])["deu_Latn"] == pytest.approx(german / (german + dutch))
    assert found[0] == (("deu_Latn", 1.0),)


def test_more_is_asked_of_very_short_posts() -> None:
    """The same guess, in the same thread: 0.65 is enough for 21 characters and not for 20."""
    for chars, reason in ((20, Reason.LANGUAGE_UNSURE), (21, None)):
        found = verdicts(
            ("a", (("deu_Latn", 0.6),), 300, None),
            ("a", (("swe_Latn", 0.2),), 300, None),
            ("a", (("swe_Latn", 0.6), ("deu_Latn", 0.32)), chars, None),
        )[2]
        assert found.language == "swe_Latn"
        assert 0.6 < found.confidence < 0.7
        assert found.reason is reason


def test_posts_without_words_say_and_take_nothing() -> None:
    found = verdicts(("a", (), 0, None), ("a", TORN, 15, None), ("a", (), 0, None))
    assert found == [choose((), THRESHOLDS, 0.8), choose(TORN, THRESHOLDS, 0.8), choose((), THRESHOLDS, 0.8)]
    assert verdicts() == []


def test_a_stated_language_is_believed_and_counts_in_its_thread() -> None:
    found = verdicts(("a", FRENCH, 15, "deu_Latn"), ("a", (), 0, "deu_Latn"), ("a", TORN, 15, None))
    assert found[0] == ("deu_Latn", 0.0, "fra_Latn", 0.97, None)
    assert found[1] == ("deu_Latn", 0.0, None, 0.0, None)
    assert (found[2].language, found[2].reason) == ("deu_Latn", None)
    assert verdicts(("b", FRENCH, 15, "fra_Latn"))[0] == ("fra_Latn", 0.97, "ita_Latn", 0.02, None)
    assert verdicts(("b", FRENCH, 15, "cop"))[0] == (None, 0.0, "fra_Latn", 0.97, Reason.LANGUAGE_UNLISTED)


GUESSES = st.sampled_from([(), GERMAN, FRENCH, TORN, (("lat_Latn", 0.7), ("ita_Latn", 0.2)), (("fra_Latn", 0.3),)])
POSTS = st.lists(
    st.lists(
        st.tuples(GUESSES, st.sampled_from([5, 30, 61, 400]), st.sampled_from([None, None, None, "ita_Latn"])),
        min_size=1,
        max_size=6,
    ),
    max_size=5,
)


@given(POSTS, st.lists(st.integers(0, 30), max_size=3))
def test_where_batches_end_and_which_threads_stand_together_changes_nothing(
    threads: list[list[tuple[Guess, int, str | None]]], cuts: list[int]
) -> None:
    posts = [(str(number), *post) for number, thread in enumerate(threads) for post in thread]
    whole = verdicts(*posts)
    assert len(whole) == len(posts)
    assert verdicts(*posts, cuts=tuple(sorted(min(cut, len(posts)) for cut in cuts))) == whole
    one_by_one = [verdicts(*(post for post in posts if post[0] == str(number))) for number in range(len(threads))]
    assert [row for rows in one_by_one for row in rows] == whole


def test_a_huge_thread_costs_what_its_posts_do() -> None:
    chance = random.Random(0)
    posts = [("a", chance.choice([GERMAN, TORN]), 15, None) for _ in range(5_000)]
    found = verdicts(*posts, cuts=tuple(range(100, 5_000, 100)))
    assert {row.language for row in found} == {"deu_Latn"}
