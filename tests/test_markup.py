"""HTML to Markdown: no code block's text changes, whatever stands in it and around it."""

from __future__ import annotations

import html
import io
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from transforms.sources.records import Record
from transforms.sources.source import Reading
from transforms.sources.stackexchange.post_rows import read_posts
from transforms.text.clean import repair
from transforms.text.markup import Markdown, to_markdown
from transforms.text.math_spans import find_math

DATA = Path(__file__).parents[2] / "shared" / "data"

_READER = MarkdownIt("commonmark").enable("table")
_CODE = st.text(st.sampled_from("ab `~\t\n<>&#*_-|\\[]()=+.1'\"éÃ¶中>!"), max_size=40)
_CONTAINERS = ["{}", "<blockquote>{}</blockquote>", "<ul><li>{}</li></ul>", "<ol><li><p>one</p>{}</li></ol>",
               "<blockquote><p>q</p><ul><li>x{}</li></ul></blockquote>", "<p>before</p>{}<p>after</p>",
               "<ul><li>a<ul><li>b{}</li></ul></li></ul>", "<h2>t</h2>{}<hr>"]  # fmt: skip


def _fences(markdown: str) -> list[str]:
    return [token.content for token in _READER.parse(markdown) if token.type == "fence"]


def _ended(code: str) -> str:
    return code if not code or code.endswith("\n") else code + "\n"


@given(_CODE, st.sampled_from(_CONTAINERS), st.booleans())
@settings(max_examples=1500, deadline=None)
def test_no_code_block_changes(code: str, container: str, inner: bool) -> None:
    tag = f"<pre><code>{html.escape(code)}</code></pre>" if inner else f"<pre>\n{html.escape(code)}</pre>"
    result = to_markdown(container.format(tag), repair)
    assert not result.flattened
    assert _fences(result.text) == [_ended(code)], result.text


@given(st.lists(_CODE, min_size=2, max_size=4))
@settings(max_examples=200, deadline=None)
def test_several_blocks_keep_their_order(codes: list[str]) -> None:
    body = "<p>and</p>".join(f"<pre><code>{html.escape(code)}</code></pre>" for code in codes)
    assert _fences(to_markdown(body, repair).text) == [_ended(code) for code in codes]


@given(st.text(st.sampled_from("ab `<>&*_|\\é"), min_size=1, max_size=20))
@settings(max_examples=500, deadline=None)
def test_code_spans_keep_their_text(code: str) -> None:
    result = to_markdown(f"<p>x<code>{html.escape(code)}</code>y</p>", repair)
    inline = _READER.parse(result.text)[1].children or []
    assert [token.content for token in inline if token.type == "code_inline"] == [code], result.text


@given(st.text(st.sampled_from("<>/pre code&;lt#x'\"=\n-!ab"), max_size=60))
@settings(max_examples=1500, deadline=None)
def test_any_markup_gives_some_text(body: str) -> None:
    assert isinstance(to_markdown(body, repair).text, str)


def test_code_in_a_table_cell_reads_back() -> None:
    body = "<table><tr><th>h</th></tr><tr><td><code>a|b</code></td></tr></table>"
    tokens = [child for token in _READER.parse(to_markdown(body).text) for child in token.children or []]
    assert [token.content for token in tokens if token.type == "code_inline"] == ["a|b"]


@pytest.mark.parametrize(
    ("tag", "fence"),
    [
        ('<pre class="lang-py prettyprint-override"><code>', "```py"),
        ('<pre><code class="language-c++">', "```c++"),
        ('<pre class="lang-none"><code>', "```"),
        ("<pre><code>", "```"),
    ],
)
def test_language_tag(tag: str, fence: str) -> None:
    assert to_markdown(f"{tag}x\n</code></pre>").text == f"{fence}\nx\n```"


def test_prose_becomes_markdown() -> None:
    body = (
        '<p>See <a href="https://x.example/a?b=1&amp;c=2">this <b>link</b></a> &amp; <em>that</em>.</p>'
        "<ul><li>one</li><li>two</li></ul><blockquote><p>said</p></blockquote>"
        '<p><img src="https://x.example/i.png" alt="a graph"></p><h3>Title</h3><p>a &lt; b</p>'
    )
    assert to_markdown(body).text == (
        "See [this **link**](https://x.example/a?b=1&c=2) & *that*.\n\n- one\n- two\n\n> said\n\n"
        "![a graph](https://x.example/i.png)\n\n### Title\n\na < b"
    )


def test_a_quote_stands_apart() -> None:
    body = "<p>asked</p><blockquote><p>a</p><p>b</p></blockquote><p>then</p>"
    assert to_markdown(body).text == "asked\n\n> a\n>\n> b\n\nthen"


def test_repair_reaches_prose_and_not_code() -> None:
    text = to_markdown("<p>schÃ¶n</p><pre><code>schÃ¶n\n</code></pre><p><code>schÃ¶n</code></p>", repair).text
    assert text == "schön\n\n```\nschÃ¶n\n```\n\n`schÃ¶n`"


def test_prose_that_looks_like_a_fence_swallows_nothing() -> None:
    result = to_markdown("<p>```</p><pre><code>x\n</code></pre>")
    assert _fences(result.text) == ["x\n"]


def test_a_text_that_spells_a_placeholder() -> None:
    result = to_markdown("<p>QXCODE0X0BQ &#81;XCODE0X0BQ QXCODE1X0SQ</p><pre><code>x\n</code></pre>")
    assert _fences(result.text) == ["x\n"]
    assert "QXCODE0X0BQ" in result.text


def test_an_accent_behind_code_or_mathematics_changes_neither() -> None:
    accents = "\u0300\u0301\u0302\u0303\u0307\u0323\u0338"
    for accent in accents:
        body = f"<p><em>a</em> <code>x</code>{accent}, $a_1 \\\\ b${accent}</p><pre><code>y\n</code></pre>"
        wanted = f"*a* `x`{accent}, $a_1 \\\\ b${accent}\n\n```\ny\n```"
        assert to_markdown(body, repair) == (wanted, False)


@pytest.mark.parametrize("tag", ["div", "blockquote", "ul", "b", "span", "ul><li", "table><tr><td"])
def test_deep_nesting_is_flattened_and_code_survives(tag: str) -> None:
    started = time.perf_counter()
    result = to_markdown(f"<{tag}>" * 100_000 + "<p>deep &amp; text</p><pre><code>x  y\n</code></pre>")
    assert result.flattened
    assert "deep & text" in result.text
    assert _fences(result.text) == ["x  y\n"]
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize(
    "piece", ["<", "&", "<p>", "<a href=x>", "<!--", "<pre>", "<code>", "`", "<td colspan=9999>x", "<pre "]
)
def test_hostile_repetition_is_bounded(piece: str) -> None:
    body = "<table><tr>" * piece.startswith("<td") + piece * 100_000
    started = time.perf_counter()
    result = to_markdown(body)
    assert len(result.text) <= 20 * len(body)
    assert time.perf_counter() - started < 20


def test_real_code_blocks_survive() -> None:
    dumps = sorted((DATA / "forums" / "stackexchange").glob("*/Posts.xml"))
    if not dumps:
        pytest.skip("needs the real data in ../shared/data")
    blocks = flattened = 0
    for dump in dumps:
        for row in ElementTree.parse(dump).getroot():
            body = row.get("Body") or ""
            wanted = [html.unescape(part.partition("</code></pre>")[0]) for part in body.split("<pre><code>")[1:]]
            result = to_markdown(body, repair)
            flattened += result.flattened
            if body.count("<pre") == len(wanted) and not any("<" in part for part in wanted):
                assert _fences(result.text) == [_ended(code) for code in wanted]
                blocks += len(wanted)
    assert blocks > 50
    assert flattened == 0


_MATH = st.text(st.sampled_from("abx12_^{}()[]\\*~`|&<>+-=, .\"'#"), min_size=1, max_size=25)


@given(_MATH, st.sampled_from(_CONTAINERS), st.sampled_from(["$", "$$", "\\("]))
@settings(max_examples=1000, deadline=None)
def test_mathematics_stays_as_written(inner: str, container: str, opener: str) -> None:
    closer = {"\\(": "\\)"}.get(opener, opener)
    written = f"{opener}a{inner}z{closer}"
    assume(not inner.endswith("\\") and "\\)" not in inner and "\\(" not in inner)  # ends elsewhere
    text = to_markdown(container.format(f"<p>so {html.escape(written)} holds</p>")).text
    assert written in text, text


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (r"<p>$a_{1} \\ b_{2}$ and *x*</p>", r"$a_{1} \\ b_{2}$ and *x*"),
        (r"<p>\(x_1\) \[ y \]</p>", r"\(x_1\) \[ y \]"),
        ("<p>$$\na &amp;= b \\\\\n  c\n$$</p>", "$$\na &= b \\\\\nc\n$$"),
        ("<blockquote><p>$$x \\\\\ny$$</p></blockquote>", "> $$x \\\\\n> y$$"),
        (r"<p>\begin{a}\begin{b}\*\end{b}\end{a}</p>", r"\begin{a}\begin{b}\*\end{b}\end{a}"),
        (r'<p>x</p><script type="math/tex">a_b < c\\</script><p>y</p>', "x\n\n$a_b < c\\\\$\n\ny"),
        ('<p><a href="http://a.b/$x\\y$">t</a></p>', "[t](http://a.b/$x\\y$)"),
        ("<table><tr><td>$|x|$</td></tr></table>", "| $\\|x\\|$ |"),
        ("<p>from $5 to $10 or QXCODE0X0MQ</p>", "from $5 to $10 or QXCODE0X0MQ"),
    ],
)  # fmt: skip
def test_mathematics(body: str, kept: str) -> None:
    assert kept in to_markdown(body).text


def test_prices_are_no_mathematics() -> None:
    assert find_math("from $5 to $10") == []
    assert find_math(r"\$a$ costs \$5, $ x$") == []
    assert [(span.start, span.end) for span in find_math("$a$$b$ <p>$c</p>$")] == [(0, 3), (3, 6)]


@pytest.mark.parametrize(
    "banner",
    [
        '<blockquote>\n  <p><strong>Possible Duplicate:</strong><br>\n  <a href="http://x">T</a> </p>\n</blockquote>',
        '<blockquote><p><strong>Exact duplicates:</strong> <a href="a">T</a><br/><a href="b">U</a></p></blockquote>',
    ],
)
def test_a_duplicate_banner_is_taken_off(banner: str) -> None:
    assert to_markdown(banner + "<p>question</p>").text == "question"
    assert to_markdown("<p>I saw</p>" + banner).text != "I saw"  # only at the beginning


def test_a_quote_that_speaks_of_duplicates_stays() -> None:
    body = "<blockquote><p><strong>Possible Duplicate:</strong> they said so</p></blockquote><p>why?</p>"
    assert "they said so" in to_markdown(body).text


def test_edit_labels_are_taken_off_by_option() -> None:
    body = (
        "<p>asked</p><p><strong>EDIT 2:</strong> more</p><p>Update: even more</p><p>Edited the file: no label</p>"
        "<pre><code>EDIT: code\n</code></pre><blockquote><p>Edit: quoted</p></blockquote>"
    )
    assert to_markdown(body, str, strip_edit_labels=True).text == (
        "asked\n\nmore\n\neven more\n\nEdited the file: no label\n\n```\nEDIT: code\n```\n\n> quoted"
    )
    assert "EDIT 2:" in to_markdown(body).text


def test_a_number_too_long_to_read_is_no_crash() -> None:
    digits = "9" * 5000
    result = to_markdown(f"<p>&#{digits};</p><pre><code>&#{digits}; &#65;\n</code></pre><p>$&#{digits};$</p>")
    assert _fences(result.text) == ["\ufffd A\n"]


@pytest.mark.parametrize("length", [1000, 100_000])
def test_the_quick_and_the_careful_way_give_the_same_prose(length: int) -> None:
    body = "<p>a <em>b</em></p>\n\n<blockquote>\n  <p>c</p>\n\n  <p>d</p>\n</blockquote>\n\n<ul>\n<li>e</li>\n</ul>\n"
    assert to_markdown(body + f"<p>{'x' * length}</p>").text.startswith("a *b*\n\n> c\n>\n> d\n\n- e\n\nxxx")


@pytest.mark.parametrize("container", ["{}", "<blockquote>{}</blockquote>", "<ul><li>x{}</li></ul>"])
def test_two_quotes_stay_two(container: str) -> None:
    quotes = "<blockquote>\n<p>a</p>\n</blockquote>\n\n<blockquote>\n<p>b</p>\n<p>c</p>\n</blockquote>\n"
    tokens = _READER.parse(to_markdown(container.format(quotes)).text)
    assert sum(token.type == "blockquote_open" for token in tokens) == 2 + container.startswith("<blockquote")
    assert [token.content for token in tokens if token.type == "inline"][-3:] == ["a", "b", "c"]


def test_edit_labels_are_a_setting_of_a_dump() -> None:
    row = b'<posts><row Id="1" PostTypeId="1" CreationDate="2020-01-01T00:00:00" Score="1" Body="EDIT: x" />'
    for strip, text in ((True, "x"), (False, "EDIT: x")):
        dump = Reading("Posts.xml", "x.example", 1 << 20, strip_edit_labels=strip)
        (record,) = read_posts(io.BytesIO(row + b"</posts>"), 0, None, dump)
        assert isinstance(record, Record)
        assert record.text == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>2<sup>10</sup> is not 210</p>", "2<sup>10</sup> is not 210"),
        ("<p>CO<sub>2</sub>, x<SUB>i+1</SUB></p>", "CO<sub>2</sub>, x<sub>i+1</sub>"),
        ("<blockquote><p>m<sup>2</sup></p></blockquote>", "> m<sup>2</sup>"),
        ("<p><sup>a <b>note</b></sup></p>", "<sup>a **note**</sup>"),
        ("<pre><code>x<sup>2</sup></code></pre>", "```\nx2\n```"),
        ("<ol start=0><li>a</li><li>b</li></ol>", "0. a\n1. b"),
        ('<ol start="5"><li>a</li></ol>', "5. a"),
        ("<ol><li>a</li></ol>", "1. a"),
    ],
)
def test_exponents_indices_and_the_first_number_of_a_list_stay(body: str, text: str) -> None:
    assert to_markdown(body) == Markdown(text, flattened=False)
