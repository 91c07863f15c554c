"""What is compared of a text: which texts are equal, and which tokens they have, by hand-written outcomes."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenizer.languages import LANGUAGES
from transforms.dedup import characters
from transforms.dedup.compared import compared


def tokens(text: str) -> list[int]:
    return compared([text]).tokens.tolist()


def digest(text: str) -> int:
    return int(compared([text]).digests[0])


@pytest.mark.parametrize(
    "texts",
    [
        ["Thanks!", "Thanks.", "thanks", " THANKS !!\n", "Thanks…", "thanks?!"],
        ["One.  Two!\n\nThree?", "one two three"],
        ['He said "yes."', 'he said "yes"'],
        ["(It works.)", "(it works)"],
        ["cafe\u0301", "CAFÉ"],
        ["STRASSE", "Straße"],
        ["İSTANBUL ILIK", "istanbul ılık", "i\u0307stanbul ilik", "ISTANBUL ilik"],
        ["ΟΔΟΣ", "οδος", "οδός".replace("ό", "ο")],
        ["谢谢。", "谢谢", "谢谢！", " 谢谢 "],
        ["شكرا؟", "شكرا", "شكرا."],
        ["धन्यवाद।", "धन्यवाद", "धन्यवाद ॥"],
        ["ขอบคุณ", "ขอบคุณ ", "ขอบคุณ!"],
        ["ありがとう｡", "ありがとう"],
        ["> Thanks!\n\nNo.", "no", "On Monday Ann wrote:\n> x\n> y\n\nNo", "No.\n\n> Thanks!"],
        ["「谢谢。」", "「谢谢」"],
        ["\u2764\ufe0f", "\u2764"],
        ["Thanks\u200b", "\ufeffthanks"],
    ],
)
def test_texts_that_say_the_same_are_equal(texts: list[str]) -> None:
    assert len({digest(text) for text in texts}) == 1
    assert len({tuple(tokens(text)) for text in texts}) == 1
    assert digest(texts[0])


@pytest.mark.parametrize(
    "texts",
    [
        ["10²", "102", "10 2", "10"],
        ["C is better than C", "C# is better than C", "C++ is better than C#", "C+ is better than C"],
        ["x = a + b * c", "x = a - b / c", "x = a + b / c"],
        ["a == b && c == d", "a != b || c != d", "a = b & c = d"],
        ["x = 5", "x = -5", "x = ±5", "x ≠ 5", "x ≥ 5", "x <= 5"],
        ["if (ready)", "if (!ready)"],
        ["It is 5!", "It is 5."],
        ["$5", "€5", "5%", "5"],
        ["👍", "👎", "👍👍"],
        ["🏴󠁧󠁢󠁷󠁬󠁳󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🏴"],
        ["`Foo`", "`foo`", "`FOO`"],
        ["$N$", "$n$"],
        ["```\nFoo\n```", "```\nfoo\n```"],
        ["\\(X\\)", "\\(x\\)"],
        ["`f(x)`", "`f[x]`"],
        ["    x = Foo(1);", "    x = foo(1);"],
        ["café", "cafe"],
        ["ｗords", "words"],
        ["क", "का"],
        ["มา", "ม้า"],
        ["كتب", "كتّب"],
        ["…", "!"],
    ],
)
def test_texts_that_say_other_things_differ(texts: list[str]) -> None:
    assert len({digest(text) for text in texts}) == len(texts)
    if tokens(texts[0]):
        assert len({tuple(tokens(text)) for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("One, two; (three) - four", 5),
        ("don't", 2),
        ("C++", 3),
        ("x = -5, y=-3 and (−2)", 8),  # a number has its sign
        ("x-5, 3-4, (x)-5, 2020-11-29", 14),  # a difference and a date have it between them
        ("a != b", 4),
        ("Hello!World", 2),
        ("snake_case", 3),
        ("`f(x, 'y')`", 10),  # every sign of code counts, its backticks too
        ("f(x, 'y')", 3),
        ("Straße, Straße `((x))`", 9),  # code stands elsewhere once words are folded
        ("```\nf(x)\n```", 4),
        ("का!word", 2),
        ("中文字", 3),
        ("中文 words 字", 4),
        ("ก็ ข", 2),
        ("नमस्ते दुनिया।", 2),
        ("شُكْراً جزيلاً.", 2),
        ("e\u0301te\u0301 = \u0301", 3),
        ("10² ½", 2),
        ("\u0301a", 1),
        ("...!?", 0),
        ("> only a quote", 0),
    ],
)
def test_tokens_are_words_and_symbols(text: str, number: int) -> None:
    assert len(tokens(text)) == number


@pytest.mark.parametrize("text", ["", " \n\t", "\u00a0\u3000", "> quoted", "> a\n>> b\n", "Ann wrote:\n> a", "\0"])
def test_a_text_without_words_of_its_own_has_nothing_to_compare(text: str) -> None:
    found = compared(["before", text, "after"])
    assert found.digests[1] == 0
    assert found.offsets.tolist() == [0, 1, 1, 2]


def test_a_sentence_that_ends_without_a_space_parts_words() -> None:
    assert digest("谢谢。你好") == digest("谢谢。 你好！") != digest("谢谢你好")
    assert digest("3.5") != digest("3 5") != digest("35")


def test_code_and_prose_keep_their_places_in_a_batch() -> None:
    """Each text is compared as if it were alone, whatever stands beside it and wherever it has code."""
    texts = [
        "Foo `Bar` baz!",
        "",
        "> q\n\nStraße $X!$",
        "İ",
        "a\0b",
        "!x",
        "5!",
        "```\nA.\n```",
        "。",
        "x\u0301" * 40,
        "A",
    ]
    together = compared(texts)
    for number, text in enumerate(texts):
        alone = compared([text])
        assert alone.digests.tolist() == [together.digests[number]]
        begin, end = together.offsets[number : number + 2]
        assert alone.tokens.tolist() == together.tokens[begin:end].tolist()
    none = compared([])
    assert (none.tokens.shape, none.offsets.tolist(), none.digests.shape) == ((0,), [0], (0,))
    assert (together.tokens.dtype, together.offsets.dtype) == (np.uint64, np.int64)


@given(st.text(st.sampled_from("aÄßİıéǰ1 .!?。=+`$>\n\u0301\u0307ก中"), max_size=40))
def test_canonically_equal_texts_are_equal(text: str) -> None:
    same = [text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))]
    found = compared(same)
    assert len(set(found.digests.tolist())) == 1
    assert len({tuple(tokens(each)) for each in same}) == 1


def test_every_listed_language_has_its_ends_of_sentences() -> None:
    """All but the colon, which goes on more often than it ends."""
    kinds = characters.kinds()
    listed = {unicodedata.normalize("NFC", sign) for row in LANGUAGES.values() for sign in row.sentence_enders} - {":"}
    assert not {sign for sign in listed if kinds[ord(sign)] < characters.ENDER}


def test_every_character_has_a_kind_by_its_category() -> None:
    kinds = characters.kinds()
    for sign, kind in (
        ("a", 3),
        ("٣", 3),
        ("\u0301", 4),
        ("中", 5),
        ("ก", 5),
        ("€", 7),
        ("«", 8),
        ("»", 9),
        ("\u200d", 2),
    ):
        assert kinds[ord(sign)] == kind, sign
    blank = {code for code in range(0x110000) if chr(code).isspace()}
    assert set(np.flatnonzero(kinds == characters.SPACE).tolist()) == blank
    empty = [code for code in range(0x40000, 0x110000) if not 0xE0000 <= code < 0xF0000]
    assert {unicodedata.category(chr(code)) for code in empty} <= {"Cn", "Co"}, "a plane that is not looked at"
