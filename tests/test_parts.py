"""Parts of a post: hand-written posts, and what of them is a person's own prose, code and mathematics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.dedup.parts import is_plain, parts


def own(text: str) -> str:
    """What is left of a text without quotes, its lines between bars."""
    return "|".join(line.strip() for line in "".join(part.text for part in parts(text)).split("\n") if line.strip())


def exact(text: str) -> list[str]:
    """The code and mathematics of a text."""
    return [part.text.strip("\n") for part in parts(text) if part.exact]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("> one\n> two\n\nmine", "mine"),
        ("mine\n\n> one\n\nmine too\n>> nested\n> > and so\n\nend", "mine|mine too|end"),
        ("   >up to three spaces\nmine", "mine"),
        ("> all\n> of it", ""),
        ("a > b and c\n-> d", "a > b and c|-> d"),
        (">!a person's own words, hidden!<", ">!a person's own words, hidden!<"),
        ("```\n> a prompt\n```", "> a prompt"),
        ("> ```\n> quoted code\n> ```\nmine", "mine"),
        ("[quote=Ann]one [quote]two[/quote] three[/quote]mine", "mine"),
        ("[QUOTE]one[/QUOTE]mine", "mine"),
        ("mine [quote]never closed", "mine [quote]never closed"),
        ("a[/quote] b [quote]theirs[/quote]c", "a[/quote] b|c"),
        ("mine[/quote] mine", "mine[/quote] mine"),
        ("<blockquote>one <blockquote>two</blockquote>\n\nthree</blockquote>mine", "mine"),
        ("mine\n<BLOCKQUOTE cite='x'>\ntheirs\n</BLOCKQUOTE> mine too\nend", "mine|mine too|end"),
        ("Ann wrote:\n<blockquote>\ntheirs\n</blockquote>", ""),
        ("<blockquote>a</blockquote> <blockquote>and b</blockquote>mine", "mine"),
        ("<blockquote>\n<blockquote>a</blockquote>mine\n<blockquote>b", "<blockquote>|mine|<blockquote>b"),
        ("<blockquote> that is never closed\nmine", "<blockquote> that is never closed|mine"),
        ("write `<blockquote>` and `</blockquote>`", "write `<blockquote>` and `</blockquote>`"),
        ("```\n<blockquote>\na\n</blockquote>\n```\nmine", "<blockquote>|a|</blockquote>|mine"),
    ],
)
def test_quotes_are_left_out(text: str, left: str) -> None:
    assert own(text) == left


@pytest.mark.parametrize(
    "line",
    [
        "On Mon, 3 Feb 2020 at 10:15, Ann B. <ann@example.com> wrote:",
        "On Mon, 3 Feb 2020 at 10:15, Ann B.\n<ann@example.com> wrote:",
        "Am 03.02.2020 um 10:15 schrieb Ann B.:",
        "Le lun. 3 févr. 2020 à 10:15, Ann B. a écrit :",
        "El lun, 3 feb 2020 a las 10:15, Ann escribió:",
        "Op 3 feb 2020 schreef Ann B. het volgende:",
        "Ann kirjoitti:",
        "3 февр. 2020 г. Анна написала:",
        "张三写道：",
        "Annさんは書きました:",
        "2020년 2월 3일 Ann B. <ann@example.com>:",
        "u/ann said:",
    ],
)
def test_the_line_that_announces_a_quote_goes_with_it(line: str) -> None:
    assert own(f"mine\n\n{line}\n> theirs\n\nend") == "mine|end"
    assert own(f"mine\n\n{line}\n\n> theirs\n\nend") == "mine|end"
    assert own(f"{line}\n\nmine") == "|".join([*line.split("\n"), "mine"]), "there is no quote below it"


@pytest.mark.parametrize("line", ["I disagree with:", "She wrote a book. My view:", "x" * 200 + " wrote:"])
def test_own_words_above_a_quote_stay(line: str) -> None:
    assert own(f"{line}\n> theirs\n\nend") == f"{line}|end"


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("Use `Foo` or ``a`b``, not `c", ["`Foo`", "``a`b``"]),
        ("```py\nFoo\n\nBar\n```\nprose\n~~~\nBaz\n~~~", ["Foo\n\nBar", "Baz"]),
        ("````\n```\n````\nprose", ["```"]),
        ("- ```\n  Foo\n  ```\nprose", ["  Foo"]),
        ("prose\n```\nnever closed\n\nFoo", ["never closed\n\nFoo"]),
        ("prose\n\n    x = Foo(1);\n\n    y = x\n\nprose", ["    x = Foo(1);\n\n    y = x"]),
        ("1. a list\n\n    with a paragraph of plain words", []),
        ("prose\n    that goes on: x = Foo(1);", []),
        ("$A_1$, $$B$$, \\(C\\) and \\[D\\]", ["$A_1$", "$$B$$", "\\(C\\)", "\\[D\\]"]),
        ("so \\begin{align*}\nA\\\\\nB\n\\end{align*} holds", ["\\begin{align*}\nA\\\\\nB\n\\end{align*}"]),
        ("\\begin{Foo} is closed by \\end{Bar}", []),
        ("$5 and $10", []),
        ("US$5 to US$10", []),
        ("$HOME and $PATH", []),
        ("5$ or a$", []),
        ("```\n```py\nFoo\n```\nprose", ["```py\nFoo"]),
        ("`never\n\nclosed`", []),
        ("a path C:\\(Users", []),
    ],
)
def test_code_and_mathematics_are_told_from_prose(text: str, spans: list[str]) -> None:
    assert exact(text) == spans


@given(st.text(st.sampled_from("aB1 \n>`$\\()[]~:"), max_size=80))
def test_what_a_glance_calls_plain_has_no_other_part(text: str) -> None:
    found = list(parts(text))
    kept = "".join("".join(part.text.split()) for part in found)
    if is_plain(text):
        assert not any(part.exact for part in found)
        assert kept == "".join(text.split())
    if ">" not in text and "```" not in text and "~~~" not in text:
        assert kept == "".join(text.split()), "only quotes are left out, and the lines of fences"
