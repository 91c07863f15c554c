"""HTML to Markdown: no code block's text changes, whatever stands in it and around it."""

from __future__ import annotations

import html
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from transforms.clean import repair
from transforms.markup import to_markdown

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
    result = to_markdown("<p>QXCODE0X0B &#81;XCODE0X0B QXCODE1X0S</p><pre><code>x\n</code></pre>")
    assert _fences(result.text) == ["x\n"]
    assert "QXCODE0X0B" in result.text


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
