"""Hostile input: mutated rows and arbitrary bytes fail nothing, and no input takes time beyond its length."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import fuzz, generate
from transforms.sources.stackexchange.xml_rows import MalformedError, read_row
from transforms.text.clean import repair
from transforms.text.markup import to_markdown
from transforms.text.math_spans import find_math

needs_dump = pytest.mark.skipif(
    not (generate.SHARED.is_dir() or generate.SAMPLE.is_dir()),
    reason="neither ../shared/data nor examples/forum is here",
)


@needs_dump
@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_mutated_rows_fail_nothing(target: str) -> None:
    assert fuzz.fuzz(target, 300, seed=0) == []


@pytest.mark.parametrize("target", fuzz.TARGETS)
@given(data=st.one_of(st.binary(max_size=80), st.text(max_size=40).map(lambda text: text.encode(errors="replace"))))
@settings(max_examples=100, deadline=None)
def test_any_bytes_fail_nothing(target: str, data: bytes) -> None:
    fuzz.TARGETS[target].run(data)


def _row(text: str) -> None:
    for row in (f'row Id="1" Body="{text}"/>', f"row {text}"):
        with contextlib.suppress(MalformedError):
            read_row(row.replace("<", "").encode())


def _code(text: str) -> None:
    to_markdown(f"<p>x</p><pre><code>{text.replace('<', '&lt;')}</code></pre>")


def _markup(text: str) -> None:
    to_markdown(text, str, strip_edit_labels=True)


_READERS: list[Callable[[str], object]] = [_markup, _code, find_math, repair, _row]
_PIECES = [
    *("<", "<1", "< ", "&", "&#9", "&lt;", "`", " ", "\n", "\\", "$", "$a", "$$", "\\(", "\\begin{a}", "[", "(", "*"),
    *("|", "<p>", "<b>", "<p><b>", "<!--", "<a href=x>", "<code>", "</code>", "<pre></pre>", "<tr>", "<table>"),
    *("<blockquote>", "<script math/tex ", "<script type=math/tex>", "> ", ">\n", "> \n", "EDIT:\n", "# ", "1. "),
    *(" a=b", ' A="b"', "é", "Ã"),
]  # fmt: skip


@pytest.mark.parametrize("piece", _PIECES)
def test_time_does_not_grow_with_the_square_of_the_length(piece: str) -> None:
    """200 kB each; what took the square of it took minutes, so the bound can be generous."""
    text = piece * (200_000 // len(piece))
    for read in _READERS:
        started = time.process_time()
        read(text)
        assert time.process_time() - started < 10, read


def test_placeholders_spelt_out_by_the_text_cost_no_time() -> None:
    started = time.process_time()
    to_markdown("".join(f"QXCODE{number}X" for number in range(100_000)) + "<pre><code>x\n</code></pre>")
    assert time.process_time() - started < 10


def test_an_element_of_a_million_attributes() -> None:
    body = "<p " + " ".join(f"a{number}=b" for number in range(1_000_000)) + ">text</p>"
    assert to_markdown(body).text == "text"


def test_a_body_of_many_megabytes() -> None:
    body = "<p>Words &amp; <em>more</em> of them.</p>\n" * 100_000
    assert to_markdown(body).text.count("Words & *more* of them.") == 100_000


def test_a_flood_of_entities() -> None:
    assert to_markdown("<p>" + "&lt;&amp;&#65;" * 200_000 + "</p>").text == "<&A" * 200_000
