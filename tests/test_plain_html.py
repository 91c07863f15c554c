"""The short way from HTML to Markdown gives what the general path gives, byte for byte, or leaves the body to it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from transforms import markup, plain_html
from transforms.clean import repair
from transforms.markup import to_markdown

_SPACE = st.sampled_from(["", "", " ", " ", "\n", "\xa0", "  ", " \n", "\u2009"])
_WORDS = [
    *(
        "a",
        "word",
        "x y",
        "é",
        "«\xa0b\xa0»",
        "c.",
        "1. a",
        "- a",
        "2",
        '"q"',
        "it's",
        "&amp;",
        "&lt;b&gt;",
        "[t]",
        "#",
    ),
    *("a  b", "(", "a\nb", "a \n b", ":", "C#", "3) z", "*", "**", "_u_", "> g", "&gt; g", "&#233;", "&nbsp;", "--"),
    *("`", "``", "Edit: q", "\u202f!", "fi\u200bn", "\u200b", "^", "中文。", "Ã©", "$5", "e\u0301", "\u0301", "1", "."),
    *("!", "=", "|", "~", "~~", "[x", "y]", "&amp;lt;", "&copy;", "&", "\t", "\\", "\x0b", "\x00", "QXCODE0X0SQ"),
]
_TEXT = st.tuples(_SPACE, st.sampled_from(_WORDS), _SPACE).map("".join)
_INNER_CODE = st.sampled_from(
    ["c", "a b", "`", " x ", "&lt;t&gt;", "$a$", "a\nb", "\\", "é", "  ", "", "```\n", "EDIT: "]
)
_CODE = _INNER_CODE.map(lambda code: f"<code>{code}</code>")
_PRE = st.tuples(st.sampled_from(["<pre>", '<pre class="lang-py prettyprint-override">']), _CODE, _SPACE)
_IMAGE = st.sampled_from(
    [
        *('<img src="u.png" alt="al">', '<img src="u" alt="&quot;b&quot; [c]" />', '<img src="u?a&amp;b">'),
        *('<img src="u" width="3" height="4" alt="q" title="t">', '<img alt="q" src="u">'),
    ]
)
_LINK = st.sampled_from(
    [
        *('<a href="http://x.y/?a=1&amp;b=2">', '<a href="https://e.org/a_(b)" title="t &amp; u">', '<a href="é">'),
        *('<a href="x" rel="nofollow noreferrer">', '<a href="x" title="show &#39;x&#39;" rel="tag">', '<a href="">'),
        *('<a title="t" href="x">', '<a href="a(b" rel="n">', '<a href="#c">', "<a>", '<a href="x" title="&quot;">'),
    ]
)
_MARK = st.sampled_from(["em", "strong", "i", "b", "sub", "sup", "s", "del", "span"])
_BREAK = st.sampled_from(["<br>\n", "<br>", "<br />\n"])
_LEAF = st.one_of(_TEXT, _TEXT, _TEXT, _CODE, _IMAGE, _BREAK)


def _joined(pieces: st.SearchStrategy[str], most: int, between: str = "") -> st.SearchStrategy[str]:
    return st.lists(pieces, min_size=1, max_size=most).map(between.join)


def _element(name: st.SearchStrategy[str], inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(name, inner).map(lambda pair: f"<{pair[0]}>{pair[1]}</{pair[0]}>")


def _marked(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    text = _joined(inner, 3)
    return _element(_MARK, text) | st.tuples(_LINK, text).map(lambda pair: f"{pair[0]}{pair[1]}</a>")


_INLINE = _joined(st.recursive(_LEAF, _marked, max_leaves=5), 4)
_PARAGRAPH = _element(st.just("p"), _INLINE)
_FLAT = st.one_of(
    *(_PARAGRAPH, _PARAGRAPH, _PARAGRAPH, _PRE.map(lambda parts: f"{parts[0]}{parts[1]}</pre>{parts[2]}")),
    *(_element(st.sampled_from(["h1", "h2", "h3", "h6"]), _INLINE), st.sampled_from(["<hr>", "<hr />", "text", ""])),
)


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    loose = st.tuples(_PARAGRAPH, st.sampled_from(["", "\n"]), inner | st.just("")).map("".join)
    lists = [
        st.tuples(st.sampled_from(["<ul>", "<ol>", '<ol start="9">']), _joined(_element(st.just("li"), item), 3, "\n"))
        for item in (_INLINE, loose, _INLINE | loose)
    ]
    quote = _joined(inner, 3, "\n").map(lambda text: f"<blockquote>\n  {text}\n</blockquote>")
    return st.one_of(quote, *(one.map(lambda parts: f"{parts[0]}\n{parts[1]}\n</{parts[0][1:3]}>") for one in lists))


_BODY = st.tuples(
    st.lists(st.recursive(_FLAT, _nested, max_leaves=3), min_size=1, max_size=4), st.sampled_from(["\n\n", "\n", ""])
).map(lambda parts: parts[1].join(parts[0]) + parts[1][:1])


def _check(body: str) -> bool:
    """The same with and without the short way, for each of the converter's ways; True when the short way was taken."""
    for limit in (1 << 14, 0):  # 0: the converter's careful way, which long bodies take
        with patch.object(markup, "_QUICK_CHARS", 2 * limit), patch.object(plain_html, "_QUICK_CHARS", limit):
            for prose, strips in ((str, False), (repair, False), (repair, True)):
                short = to_markdown(body, prose, strip_edit_labels=strips)
                with patch.object(plain_html, "convert", return_value=None):
                    assert to_markdown(body, prose, strip_edit_labels=strips) == short, body
    return plain_html.convert(markup.tidied(body)) is not None


@given(_BODY)
@settings(max_examples=150, deadline=None)
def test_generated_bodies_come_out_the_same(body: str) -> None:
    _check(body)


def _bodies(dump: Path) -> list[str]:
    return [row.get("Body") or "" for row in ElementTree.parse(dump).getroot()]


@pytest.fixture(scope="module")
def sample() -> list[str]:
    return _bodies(ROOT / "examples" / "forum" / "Posts.xml")


def test_the_sample_comes_out_the_same_and_takes_the_short_way(sample: list[str]) -> None:
    assert sum(map(_check, sample[::10])) > 0.99 * len(sample[::10])


@pytest.mark.parametrize("site", ["conlang-meta", "french-meta", "genai"])
def test_real_bodies_come_out_the_same_and_mostly_take_the_short_way(site: str, shared_data: Path) -> None:
    bodies = _bodies(shared_data / "forums" / "stackexchange" / site / "Posts.xml")
    assert sum(map(_check, bodies)) > 0.82 * len(bodies)


_PIECE = re.compile(r"<[^<>]*>|&[#\w]+;|\s+|[^<&\s]+|.", re.DOTALL)
_OTHERS = [*_WORDS, "<p>", "</p>", "<em>", "</em> ", "<br>\n", "<hr>", "<li>", "</li>\n", "<ul>\n", "</ul>", "<ol>\n"]
_OTHERS += [
    "<blockquote>\n",
    "</blockquote>",
    "<code>",
    "</code>",
    "</a>",
    "\n\n",
    " ",
    "\xa0",
    "<pre>",
    "<sub>",
    "</sub>",
]


def _mutated(bodies: list[str], times: int, seed: int) -> Iterator[str]:
    """Bodies with one to four of their tags, words and spaces deleted, doubled, exchanged or replaced."""
    chance = random.Random(seed)
    for _ in range(times):
        pieces = _PIECE.findall(chance.choice(bodies))
        for _ in range(chance.randint(1, 4)):
            place, other = chance.randrange(len(pieces)), chance.randrange(len(pieces))
            change: Callable[[], object] = chance.choice(
                [
                    lambda: pieces.pop(place) if len(pieces) > 1 else None,  # noqa: B023
                    lambda: pieces.insert(place, pieces[other]),  # noqa: B023
                    lambda: pieces.insert(place, chance.choice(_OTHERS)),  # noqa: B023
                    lambda: pieces.__setitem__(place, chance.choice(_OTHERS)),  # noqa: B023
                ]
            )
            change()
        yield "".join(pieces)


def test_mutated_bodies_come_out_the_same(sample: list[str]) -> None:
    rich = [body for body in sample if body.count("<") > 6]
    assert sum(map(_check, _mutated(rich, 1000, seed=1))) > 200


def test_mutated_real_bodies_come_out_the_same(shared_data: Path) -> None:
    dumps = sorted((shared_data / "forums" / "stackexchange").glob("*/Posts.xml"))
    bodies = [body for dump in dumps for body in _bodies(dump) if body]
    assert sum(map(_check, _mutated(bodies, 2000, seed=2))) > 500


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "<",
            ">",
            "&",
            "`",
            "\n",
            " ",
            "<p>",
            "<p>\n",
            "</p>",
            "<p ",
            '<a href="',
            '<a href="x">',
            '<img src="',
            "<em>",
        ),
        *(
            "<sub>",
            "<ul><li>",
            "<code>",
            "<pre><code>",
            "<blockquote>\n",
            "<br>",
            "[",
            "*",
            "&amp",
            "&quot;",
            "1.",
            "(()",
        ),
    ],
)
def test_hostile_repetition_ends(piece: str) -> None:
    for body in (
        piece * 100_000,
        f"<p>{piece * 100_000}</p>",
        f"<p>x{piece * 100_000}",
        f'<a href="{piece * 100_000}">',
    ):
        plain_html.convert(body)


def test_code_is_kept_from_repair() -> None:
    plain = plain_html.convert(
        "<p>a <code>schÃ¶n</code></p>\n<ul>\n<li><p>b</p>\n<pre><code>c\n</code></pre></li>\n</ul>"
    )
    assert plain is not None
    assert plain.text == "a `schÃ¶n`\n\n- b\n\n  ```\n  c\n  ```"
    assert plain.prose == "a QXCODE0X0SQ\n\n- b\n\n  QXCODE0X1BQ"
