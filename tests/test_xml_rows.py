"""Rows of XML tables: as strict as a parser, and the short way gives what the grammar gives."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.sources.pieces import pieces
from transforms.sources.xml_rows import MalformedError, read_by_grammar, read_plain_row, read_row

DATA = Path(__file__).parents[2] / "shared" / "data" / "forums" / "stackexchange"

_VALUE = st.text(
    st.characters(
        exclude_categories=["Cs"],
        exclude_characters=[chr(c) for c in range(32) if c not in (9, 10, 13)] + ["\ufffe", "\uffff"],
    ),
    max_size=30,
)


@given(
    st.dictionaries(st.sampled_from(["Id", "Body", "Title", "Tags", "x.y-z"]), _VALUE, max_size=4),
    st.sampled_from(["", " ", "\r\n "]),
)
@settings(max_examples=500, deadline=None)
def test_a_row_equals_a_parser(values: dict[str, str], space: str) -> None:
    escaped = {"\n": "&#xA;", "\r": "&#xD;", "\t": "&#x9;"}
    text = (
        "row" + "".join(f" {space}{name}={quoteattr(value, escaped)}" for name, value in values.items()) + f"{space}/>"
    )
    assert read_row((text + "\r\n").encode()) == dict(ElementTree.fromstring("<" + text).attrib) == values


_MARKS = [" D", "=", '"', "'", "/>", " ", ">", "\n", "\x00", "\ufffe", "\udcff", ';"']
_ATTRIBUTES = [' A="x"', " B='y\"z'", ' C = "\'"', ' Id="7"', ' E="é&#38;"', ' F="\t"', 'é=""', ' A="&']
_ATTRIBUTES += [' A="&lt;"', ' A="&amp;lt;&#xA;"', ' A="&b;"', ' A="&#1;"']
_PIECES = st.sampled_from(_MARKS + _ATTRIBUTES)


@given(st.lists(_PIECES, max_size=10).map("".join))
@settings(max_examples=3000, deadline=None)
def test_the_short_way_equals_the_grammar(text: str) -> None:
    row = ("row" + text).encode(errors="surrogateescape")
    short = read_plain_row(row)
    try:
        assert short in (None, read_by_grammar(row))
    except (MalformedError, UnicodeDecodeError):
        assert short is None


@given(
    st.lists(
        st.sampled_from(
            ["&lt;", "&amp;", "&", ";", "lt;", "#xA;", "&#xA;", "&#38;", "&#x26;", "&apos;", "amp;", "&#1;", "&b;", "é"]
        ),
        max_size=8,
    ).map("".join)
)
@settings(max_examples=1000, deadline=None)
def test_references_equal_one_pass(value: str) -> None:
    row = f'row Body="{value}" />'.encode()
    short = read_plain_row(row)
    try:
        assert short in (None, read_by_grammar(row))
    except MalformedError:
        assert short is None


def test_a_malformed_row_keeps_its_number() -> None:
    with pytest.raises(MalformedError, match="undefined entity &b;") as caught:
        read_row(b'row Id="5" Body="&b;" />')
    assert caught.value.number == "5"


def test_white_space_in_a_value_is_spaces_as_a_parser_reads_it() -> None:
    text = 'row A="a\tb\nc\r\nd&#xA;e"/>'
    assert read_row(text.encode())["A"] == ElementTree.fromstring("<" + text).attrib["A"] == "a b c d\ne"


@pytest.mark.parametrize("table", ["Posts", "Comments", "Votes", "PostLinks"])
@pytest.mark.parametrize("site", ["french-meta", "conlang-meta", "genai"])
def test_reads_what_a_parser_reads_of_real_dumps(site: str, table: str) -> None:
    path = DATA / site / f"{table}.xml"
    if not path.exists():
        pytest.skip("needs the real data in ../shared/data, which has all tables for two of three sites")
    parsed = [dict(element.attrib) for element in ElementTree.parse(path).getroot()]
    ours = []
    short = 0
    with path.open("rb") as stream:
        for piece in pieces(stream, 0, None, b"<", 1 << 24):
            if piece.data is not None and piece.data.startswith(b"row "):
                ours.append(read_row(piece.data))
                short += read_plain_row(piece.data) is not None
    assert ours == parsed
    assert short >= 0.99 * len(ours)
