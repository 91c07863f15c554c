"""Lines of a text: which may be cut, what goes with them, and that what is left is the other lines as they were."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.datasets.texts import cut_out, iter_bodies
from transforms.dedup.line_spec import LineSettings
from transforms.dedup.lines import Lines, read_lines, spans_of

LONG = "one two three four five six seven eight nine ten"
OTHER = "ten nine eight seven six five four three two one"
BREAKS = ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]


def of_text(text: str) -> Lines:
    return read_lines([text], 10)


def may_be_cut(text: str) -> list[str]:
    lines = of_text(text)
    return [text[lines.begin[at] : lines.stop[at]] for at in np.flatnonzero(lines.digest)]


def without(text: str, cut: list[bool]) -> str:
    spans = [{"begin": begin, "end": end} for begin, end in spans_of(of_text(text), cut, len(text))]
    assert len(spans) == sum(cut), "a span for each line"
    return str(cut_out(pa.chunked_array([[text]]), pa.chunked_array([[spans]], SPANS))[0].as_py())


SPANS = pa.list_(pa.struct([("begin", pa.int32()), ("end", pa.int32())]))


def paragraphs(text: str) -> list[list[str]]:
    """Lines without the white space around them, by paragraph."""
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.strip():
            found[-1].append(line.rstrip())
        elif found[-1]:
            found.append([])
    return [paragraph for paragraph in found if paragraph]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (LONG, [LONG]),
        (f"{LONG}\n{OTHER}\n", [LONG, OTHER]),
        (f"  {LONG}  \nshort line", [f"  {LONG}"]),
        (LONG.removesuffix(" ten"), []),  # nine tokens
        (f"```\n{LONG}\n```\n{OTHER}", [OTHER]),
        (f"~~~ text\n{LONG}\n\n{LONG}", []),  # never closed: to the end
        (f"Code:\n\n    x = f(a, b, c) + g[1] * h[2] - {{}}\n\n{OTHER}", [OTHER]),
        (f"- item\n\n    {LONG}", [f"    {LONG}"]),  # a paragraph of a list
        (f"> {LONG}\n\n{OTHER}", [OTHER]),
        (f"[quote=Ann]\n{LONG}\n\n[QUOTE]{LONG}[/QUOTE]\n{LONG}\n[/quote]\n{OTHER}", [OTHER]),
        (f"[quote]Yes[/quote] {LONG}\n{OTHER}", [OTHER]),  # the quote would go with it
        (f"[quote]\n{LONG}\n{OTHER}", [LONG, OTHER]),  # never closed
        (f"<blockquote>\n{LONG}\n</blockquote>\n{OTHER}", [OTHER]),
        (f"<blockquote>\n<blockquote>\na\n</blockquote>\n{LONG}</blockquote>\n\n{OTHER}", [OTHER]),
        (f"$$\n{LONG}\n$$", []),
        (f"$$ a\n{LONG} $$ and {OTHER}\n{OTHER}", [OTHER]),
        (f"It costs $5\n{LONG}\nand $10", [LONG]),
        ("| " + LONG.replace(" ", " | ") + " |", []),
        ("```" + f"\r\n{LONG}\r\n" + "```" + f"\r\n{OTHER}", [OTHER]),
        ("```" + f"\u2028{LONG}\u2028" + "```", []),
        ("ขนมปังขึ้นช้าในครัวที่เย็น", ["ขนมปังขึ้นช้าในครัวที่เย็น"]),  # letters are tokens
        ("* * * * * * * * * * * *", ["* * * * * * * * * * * *"]),
        ("", []),
        (" \n\t\n\u3000\n", []),
    ],
)
def test_lines_of_prose_that_are_long_enough_may_be_cut(text: str, wanted: list[str]) -> None:
    assert may_be_cut(text) == wanted


def test_lines_are_equal_but_for_how_they_are_written() -> None:
    alike = [LONG, LONG.upper(), f"   {LONG}.", LONG.replace(" ", "  "), f"{LONG}!"]
    assert len({of_text(text).digest[0] for text in alike}) == 1
    others = [LONG, f"{LONG} + 1", f"{LONG} 10²", f"{LONG} 102", f"`{LONG.upper()}` x", f"`{LONG}` x"]
    assert len({of_text(text).digest[0] for text in others}) == len(others)


@pytest.mark.parametrize("ending", BREAKS)
def test_whatever_ends_a_line_goes_with_it(ending: str) -> None:
    text = ending.join(["a", LONG, "b", OTHER])
    assert may_be_cut(text) == [LONG, OTHER]
    assert without(text, [False, True, False, False]) == ending.join(["a", "b", OTHER])
    assert without(text, [False, True, False, True]) == f"a{ending}b"
    assert without(text, [True, False, False, False]) == ending.join([LONG, "b", OTHER])


@pytest.mark.parametrize(
    ("text", "cut", "left"),
    [
        ("a\nB\nc", [0, 1, 0], "a\nc"),
        ("a\n\nB\n\nc", [0, 1, 0], "a\n\nc"),
        ("a\nB\n\nc", [0, 1, 0], "a\n\nc"),
        ("a\n\nB\nc", [0, 1, 0], "a\n\nc"),
        ("a\nB\n\nC\nd", [0, 1, 1, 0], "a\n\nd"),
        ("a\n\nB\n\n\nC\n\nd", [0, 1, 1, 0], "a\n\nd"),
        ("a\n\nB \n\n", [0, 1], "a"),
        ("a \nB\n\nC", [0, 1, 1], "a"),
        ("\n\nA\n\nb", [1, 0], "b"),
        ("\n\na\n\nB", [0, 1], "\n\na"),
        ("A\nB\n", [1, 1], ""),
        ("a\nb\n", [0, 0], "a\nb\n"),
    ],
)
def test_what_is_left_has_no_gap_where_a_line_was(text: str, cut: list[int], left: str) -> None:
    assert without(text, [bool(at) for at in cut]) == left


@given(st.lists(st.sampled_from(["a", " b", "c  ", "", " ", LONG]), max_size=12), st.randoms(), st.sampled_from(BREAKS))
def test_the_other_lines_stay_in_the_paragraphs_in_which_they_were(
    written: list[str], chance: random.Random, ending: str
) -> None:
    text = ending.join(written)
    whole = paragraphs(text)
    cut = [chance.random() < 0.5 for paragraph in whole for _ in paragraph]
    flags = iter(cut)
    wanted = [[line for line in paragraph if not next(flags)] for paragraph in whole]
    assert paragraphs(without(text, cut)) == [paragraph for paragraph in wanted if paragraph]


def test_lines_are_read_alike_alone_and_among_other_texts() -> None:
    texts = [f"{LONG}\n\nx", "", f"```\n{OTHER}", f"{OTHER}\n" * 3]
    together = read_lines(texts, 10)
    for number, text in enumerate(texts):
        alone, mine = of_text(text), together.row == number
        for one, other in zip(alone[1:], together[1:], strict=True):
            assert np.array_equal(one, other[mine])


@pytest.mark.parametrize(
    ("text", "number"),
    [(f"{LONG}\n" * 100_000, 100_000), ("word " * 200_000, 1), (" \n" * 100_000, 0), ("\u2028" * 100_000, 0)],
)
def test_a_line_of_a_million_characters_and_a_hundred_thousand_lines(text: str, number: int) -> None:
    lines = of_text(text)
    assert len(lines.row) == number
    spans = spans_of(lines, [True] * number, len(text))
    assert len(spans) == number
    assert not number or (spans[0][0], spans[-1][1]) == (0, len(text))
    assert all(first[1] == second[0] for first, second in pairwise(spans))


@pytest.mark.parametrize("spans", [[(0, 5)], [(2, 1)], [(0, 2), (1, 3)], [(-1, 2)]])
def test_spans_of_another_text_are_refused(spans: list[tuple[int, int]]) -> None:
    column = pa.chunked_array([[[{"begin": begin, "end": end} for begin, end in spans]]], SPANS)
    with pytest.raises(ValueError, match=r"shall be cut from a text of 4.* annotate these documents anew"):
        cut_out(pa.chunked_array([["text"]]), column)


def test_texts_are_cut_in_characters_and_chunk_by_chunk() -> None:
    texts = pa.chunked_array([["日本語😀x", "b"], [], ["é\nf", None]], pa.string())
    spans = [[{"begin": 1, "end": 4}], [], [{"begin": 0, "end": 1}, {"begin": 1, "end": 2}], []]
    assert cut_out(texts, pa.chunked_array([spans[:1], spans[1:]], SPANS)).to_pylist() == ["日x", "b", "f", None]


def test_bodies_come_whole_and_in_order() -> None:
    texts = ["x" * 700_000, "y" * 700_000, "", "z" * 2_000_000, "w"]
    batches = pa.table({"text": texts}).to_batches(max_chunksize=3)
    parts = list(iter_bodies(batches))
    assert [text for part in parts for text in part] == texts
    assert max(len(part) for part in parts) < len(texts)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens": 0}, "tokens must be a whole number of at least 1; got 0"),
        ({"left": True}, "left must be a whole number of at least 1; got True"),
        ({"kept_by": ("split",)}, "kept_by must name some of language, quality, contamination, duplicates.* 'split'"),
        ({"kept_by": ("language", "language")}, "each once; got 'language'"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LineSettings(**settings)  # type: ignore[arg-type]
