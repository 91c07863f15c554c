"""What of a text is read for its language: a person's own words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.langid.readable import in_place, one_line, readable, stripped_all

PIECES = [
    *(
        "word",
        "Слово",
        "語",
        " ",
        "  ",
        "    ",
        "\t",
        "\n",
        "\n\n",
        "> ",
        ">",
        "`",
        "```",
        "~~~",
        "<br>",
        "</s>",
        "&nbsp;",
    ),
    *(
        "@bob",
        "a@b.c",
        "https://a.b/c",
        "www.a.b",
        "u/me",
        ":smile:",
        ":D",
        "xD",
        "👍🏽",
        "❤️",
        "NASA",
        "ÉTÉ",
        "x = f(1);",
    ),
    *("Ⅷ", "1", ".", ":", "<3", "İI", "- ", "\u00a0", "\u2028", "\r"),
]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        # what others wrote
        ("> Wie geht das?\nLike this", "Like this"),
        ("Like this:\n   > Wie geht das?\n>> Warum?\nand so on", "Like this: and so on"),
        ("a > b, so b < a", "a > b, so b < a"),
        ("> Wie geht das?\n> So!", ""),
        # whom they wrote to, and from where
        ("@jean-luc merci", "merci"),
        ("écris à jean.luc+x@exemple.fr ou @jean", "écris à ou"),
        ("5 @ 3 euros", "5 @ 3 euros"),
        ("merci u/jean et /u/luc", "merci et"),
        ("peau/eau", "peau/eau"),
        # faces
        ("merci 👍🏽❤️ beaucoup ☺", "merci beaucoup"),
        ("merci :D et :-P et xDD", "merci et et"),
        ("merci :thumbs_up: oui", "merci oui"),
        ("à 12:30:45 ou 2:Dimanche", "à 12:30:45 ou 2:Dimanche"),
        ("क्‍ष श्री", "क्‍ष श्री"),  # the joiner of letters is no emoji's
        # code and markup
        ("merci<br/>oui <a href='x'>non</a>&nbsp;si &#39;", "merci oui non si"),
        ("a<b, c <3 d", "a<b, c <3 d"),
        ("Essaie :\n\n    for (i = 0; i < 3; i++) {\n        f(i);\n    }\n\nmerci", "Essaie : merci"),
        ("Essaie :\n\n\t$ make all\n\nmerci", "Essaie : merci"),
        (
            "- un\n\n    Voici « le reste » (du point), déjà dit.\n\nfin",
            "- un Voici « le reste » (du point), déjà dit. fin",
        ),
        ("    Un vers en retrait\n    et un autre", "Un vers en retrait et un autre"),
        ("fin</s>suite", "fin suite"),
    ],
)
def test_what_is_not_the_authors_own_words_is_left_out(text: str, read: str) -> None:
    assert readable(text).split() == read.split()
    assert stripped_all([text])[0].split() == read.split()


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), max_size=4))
def test_a_batch_is_read_as_its_texts_are(texts: list[str]) -> None:
    assert list(map(one_line, stripped_all(texts))) == [readable(text) for text in texts]


@given(st.text(max_size=30))
def test_any_text_is_read_in_a_batch_as_alone(text: str) -> None:
    assert one_line(stripped_all([text, "b"])[0]) == readable(text)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_what_is_read_in_place_stands_where_it_stood(text: str) -> None:
    there = in_place(text)
    assert there.split() == readable(text).split()
    assert not there or len(there) == len(text)
    for found, was in zip(there, text, strict=False):
        assert found in (" ", was, was.lower(), "ı", "i")


def test_capitals_of_every_writing_are_seen_in_a_batch() -> None:
    for code in [*range(0x2E00), *range(0xA640, 0xA7FF)]:
        if chr(code).isupper():
            assert stripped_all([chr(code) * 2]) == [readable(chr(code) * 2)], hex(code)


@pytest.mark.parametrize("space", [char for char in map(chr, range(0x3001)) if char.isspace()])
def test_a_space_of_any_kind_is_a_space(space: str) -> None:
    text = f"Quel{space}est le prix"
    assert readable(text) == one_line(stripped_all([text])[0]) == ("Quel est le prix")


@pytest.mark.parametrize("many", ["-" * 5_000, "1 " * 15_000, "\u00a0" * 5_000, "> quoted\n" * 1_000])
def test_what_has_no_letter_as_far_as_it_is_read_is_not_read(many: str) -> None:
    assert (
        readable(f"{many} and words")
        == stripped_all([f"{many} and words"])[0].strip()
        == ("and words" if ">" in many else "")
    )


@given(st.lists(st.sampled_from(["word", "https://a.b/c", "@bob", "👍🏽", "<br>", "</s>", "\n"]), max_size=8))
def test_what_is_left_out_leaves_no_trace(pieces: list[str]) -> None:
    assert readable(" ".join(pieces)) == " ".join(piece for piece in pieces if piece == "word")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("`word`word~~~", "word~~~"),
        ("   `x`f(x) = 1;", "f(x) = 1;"),
        ("@someone f(x);", "f(x);"),
        ("word <br>\n@someone\n\n    y = {1};", "word"),  # code, after what is left out as after any other line
    ],
)
def test_a_gap_is_no_indentation(text: str, read: str) -> None:
    assert readable(text) == read
    assert in_place(text).split() == read.split()
