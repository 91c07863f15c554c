"""Rows of XML tables: as strict as a parser, and the short way gives what the grammar gives."""

from __future__ import annotations

import time
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.sources.stackexchange.xml_rows import MalformedError, _names, read_plain, read_row
from transforms.sources.streams.pieces import pieces

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
    row = (text + "\r\n").encode()
    assert read_row(row) == dict(ElementTree.fromstring("<" + text).attrib) == values
    assert attributes(row) in (None, values)


_MARKS = [" D", "=", '"', "'", "/>", " ", ">", "\n", "\x00", "\ufffe", "\udcff", ';"']
_ATTRIBUTES = [' A="x"', " B='y\"z'", ' C = "\'"', ' Id="7"', ' E="é&#38;"', ' F="\t"', 'é=""', ' A="&']
_MARKS += ["/&gt;", "&quot;", "&#xA;"]
_ATTRIBUTES += [' A="&lt;"', ' A="&amp;lt;&#xA;"', ' A="&b;"', ' A="&#1;"']
_PIECES = st.sampled_from(_MARKS + _ATTRIBUTES)


def exact(row: bytes) -> dict[str, str] | None:
    try:
        return read_row(row)
    except (MalformedError, UnicodeDecodeError):
        return None


@pytest.fixture(autouse=True)
def _forget() -> None:
    _names.cache_clear()


def attributes(row: bytes) -> dict[str, str] | None:
    (plain,) = read_plain([row])
    return plain


@given(st.lists(st.lists(_PIECES, max_size=10).map("".join), max_size=6))
@settings(max_examples=3000, deadline=None)
def test_plain_rows_are_read_as_by_the_grammar(texts: list[str]) -> None:
    rows = [("row" + text).encode(errors="surrogateescape") for text in texts]
    together = read_plain(rows)
    assert together == [attributes(row) for row in rows]  # no row changes how another is read
    assert all(found in (None, exact(row)) for found, row in zip(together, rows, strict=True))


_REFERENCES = ["&lt;", "&amp;", "&", ";", "lt;", "#xA;", "&#xA;", "&#x9;", "&quot;", "&#38;", "&#x26;", "&apos;"]


@given(st.lists(st.sampled_from([*_REFERENCES, "amp;", "&#1;", "&b;", "é"]), max_size=8).map("".join))
@settings(max_examples=1000, deadline=None)
def test_references_are_replaced_once(value: str) -> None:
    row = f'row Body="{value}" />'.encode()
    assert attributes(row) in (None, exact(row))


def test_a_block_may_end_within_a_reference() -> None:
    assert read_plain([b'row Id="1" />', b'row Id="2" /> &']) == [{"Id": "1"}, None]
    assert read_plain([b"&"]) == [None]
    assert read_plain([]) == []


def test_what_ends_a_row_is_no_reference() -> None:
    assert read_plain([b'row Id="1" /&gt;', b'row Id="2" />']) == [None, {"Id": "2"}]


def test_time_and_memory_are_those_of_the_rows() -> None:
    strange = b'row Id="1" Body="' + b"&#39;" * 40_000 + b'" />'
    started = time.process_time()
    assert read_plain([strange] * 20) == [None] * 20
    assert time.process_time() - started < 5  # it took a second for each
    assert read_plain([b'row Id="1" Body="' + b"x" * (1 << 20) + b'" />', b'row Id="2" />']) == [
        None,
        {"Id": "2"},
    ]
    for number in range(100):
        assert read_plain([b"row Id='%d' Body='%b' />" % (number, b"x" * 10_000)]) == [None]
    assert _names.cache_info().currsize < 100


def test_one_odd_row_leaves_the_others_plain() -> None:
    rows = [b'row Id="%d" />' % number for number in range(100)]
    rows[37], rows[61], rows[80] = b'row Id="\x00" />', b'row Id="\xff" />', b'row Id="&b;" />'
    assert [number for number, plain in enumerate(read_plain(rows)) if plain is None] == [37, 61, 80]


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
    rows = []
    with path.open("rb") as stream:
        for piece in pieces(stream, 0, None, b"<", 1 << 24):
            if piece.data is not None and piece.data.startswith(b"row "):
                rows.append(piece.data)
    assert [read_row(row) for row in rows] == parsed
    plain = read_plain(rows)
    assert all(found in (None, wanted) for found, wanted in zip(plain, parsed, strict=True))
    assert plain.count(None) <= 0.01 * len(rows)
