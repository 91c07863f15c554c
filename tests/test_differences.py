"""What differs between two texts is marked: all of both is there, and what is alike is as much as can be."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import differences as module
from pipelines.differences import Piece, Pieces, differences, shortened

WORDS = st.lists(st.sampled_from(["a", "b", "c", "D", "+", "\n", "漢", "字", "ก", "é", "e\u0301", "👍"]), max_size=14)


def told(pieces: Pieces) -> str:
    return "".join(f"[{piece.text}]" if piece.differs else piece.text for piece in pieces)


def alike(pieces: Pieces) -> str:
    return "".join("".join(piece.text for piece in pieces if not piece.differs).split())


def longest_common(one: list[str], other: list[str]) -> int:
    """By the plain table."""
    lengths = [0] * (len(other) + 1)
    for mine in one:
        before = list(lengths)
        for at, theirs in enumerate(other):
            lengths[at + 1] = before[at] + 1 if mine == theirs else max(lengths[at], before[at + 1])
    return lengths[-1]


@pytest.mark.parametrize(
    ("one", "other", "marked"),
    [
        ("Bread rises slowly.", "Bread rises fast!", ("Bread rises [slowly.]", "Bread rises [fast!]")),
        ("cats and dogs", "cats, and big dogs", ("cats and dogs", "cats[,] and[ big] dogs")),
        ("one two three", "one 2 3", ("one [two three]", "one [2 3]")),
        ("我昨天去了商店", "我今天去了大商店", ("我[昨]天去了商店", "我[今]天去了[大]商店")),
        ("x = a + b", "x = a - b", ("x = a [+] b", "x = a [-] b")),
        ("a b", "a  b", ("a[ ]b", "a[  ]b")),
        ("हिन्दी भाषा", "हिन्दू भाषा", ("[हिन्दी] भाषा", "[हिन्दू] भाषा")),
        ("", "new", ("", "[new]")),
        ("same", "same", ("same", "same")),
    ],
)
def test_words_that_the_other_text_lacks_are_marked(one: str, other: str, marked: tuple[str, str]) -> None:
    assert tuple(map(told, differences(one, other))) == marked


@given(WORDS, WORDS)
def test_nothing_is_lost_and_both_have_what_is_alike(one: list[str], other: list[str]) -> None:
    mine, theirs = " ".join(one), " ".join(other)
    pieces, others = differences(mine, theirs)
    for text, found in ((mine, pieces), (theirs, others)):
        assert "".join(piece.text for piece in found) == text
        assert all(a.differs != b.differs for a, b in pairwise(found)), "neighbours are joined"
    assert alike(pieces) == alike(others)


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_the_pairs_are_as_many_as_the_plain_table_finds(one: list[str], other: list[str]) -> None:
    pairs = module._common(one, other)
    assert len(pairs) == longest_common(one, other)
    assert pairs == sorted(pairs, reverse=True)
    assert all(one[mine] == other[theirs] for mine, theirs in pairs)
    assert len({mine for mine, _ in pairs}) == len({theirs for _, theirs in pairs}) == len(pairs)


def test_a_mark_stays_with_its_letter() -> None:
    one, other = differences("e\u0301a", "e\u0300a")
    assert (told(one), told(other)) == ("[e\u0301a]", "[e\u0300a]")
    one, other = differences("กา", "กี")
    assert (told(one), told(other)) == ("[กา]", "[กี]")


def test_texts_of_too_many_words_are_compared_by_lines_and_then_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_CELLS", 9)  # three lines by three
    one, other = "=\na b\nc d\nx y\n=", "=\nA B\nc d\nX Y\n="
    assert told(differences(one, other)[0]) == "=\n[a b\n]c d\n[x y\n]="
    monkeypatch.setattr(module, "_MOST_CELLS", 8)
    assert told(differences(one, other)[0]) == "=\n[a b\nc d\nx y\n]="


def test_any_text_is_marked_in_bounded_time() -> None:
    hostile = "a \u202e\x00\ud800</mark>" * 3_000
    pieces, others = differences(hostile, hostile[::-1])
    assert "".join(piece.text for piece in pieces) == hostile
    assert "".join(piece.text for piece in others) == hostile[::-1]


def test_what_is_alike_is_shortened_and_all_is_bounded() -> None:
    pieces = [Piece("x" * 100, False), Piece("new", True), Piece("y" * 100, False), Piece("z" * 100, True)]
    assert told(shortened(pieces, 1000, 20)) == (
        f"{'x' * 10} … (80 characters) … {'x' * 10}[new]{'y' * 10} … (80 characters) … {'y' * 10}[{'z' * 100}]"
    )
    assert told(shortened(pieces, 100, 1000)) == f"{'x' * 100} … (203 more characters)"
    assert told(shortened([Piece("z" * 100, True)], 40, 20)) == f"[{'z' * 20} … (60 characters) … {'z' * 20}]"
    assert shortened(pieces, 1000, 1000) == pieces
