"""Tables of posts and comments hold what `post_rows` reads row by row, whatever the rows are."""

from __future__ import annotations

import io
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.datasets.fates import Drop
from transforms.sources.records import PARSED, Record, to_table
from transforms.sources.stackexchange.post_rows import read_posts
from transforms.sources.stackexchange.post_tables import read_tables
from transforms.sources.stackexchange.tables import Dump, Table

DATA = Path(__file__).parents[2] / "shared" / "data" / "forums" / "stackexchange"
NUM_BUCKETS = 7

_NUMBERS = [
    "1",
    "2",
    "3",
    "17",
    "0",
    "007",
    "-1",
    "+1",
    "1_0",
    "1.5",
    "999999999999",
    "1000000000000",
    "9" * 18,
    "9" * 19,
    "",
    "3.0",
    "many",
]
_TIMES = [
    *("2020-01-02T03:04:05.678", "2099-12-31T23:59:59.999", "2000-01-01T00:00:00.000", "2020-02-29T00:00:00.000"),
    *("2021-02-29T00:00:00.000", "2020-04-31T00:00:00.000", "2020-01-02T24:00:00.000", "2020-01-02T03:04:60.000"),
    *("1999-12-31T23:59:59.999", "2100-01-01T00:00:00.000", "2020-01-02", "2020-01-02T03:04:05", ""),
    *("2020-01-02 03:04:05.678", "2020-01-02T03:04:05.678Z", "2020-01-02T03:04:05.678+01:00", "2020-1-2T03:04:05.678"),
    *("0000-00-00", "2020", "soon", "2020-01-02 03:04:05 UTC", "1577934245", "9999-12-31T23:59:59.999-12:00"),
]
_TEXTS = [
    *("", " ", "<p>hello</p>", "<p>a &amp; b</p>", "a\nb", "\ttab", '<p>"quoted"</p>', "é <b>ü</b>", "日本\r\n語"),
    *("<pre><code>x = '&lt;'</code></pre>", "<p>$x<y$</p>", "\u0301", "<ul><li>" * 20, "𝛼", "&lt;", "\ufeffx", "É"),
    *("\x85", "<p>EDIT: more</p>", "\xa0", "<table><tr><td><pre>a</pre></td></tr></table>"),
]  # fmt: skip
_FIELDS = {
    **dict.fromkeys(["Id", "ParentId", "AcceptedAnswerId", "PostId", "Score", "OwnerUserId", "UserId"], _NUMBERS),
    **dict.fromkeys(["CreationDate", "LastEditDate", "ClosedDate", "CommunityOwnedDate"], _TIMES),
    **dict.fromkeys(["Body", "Title", "Text"], _TEXTS),
    "PostTypeId": ["1", "2", "2", "3", "6", "99", "01", ""],
    "Tags": [
        "",
        "<a>",
        "<a><b&amp;c>",
        "|a|b|",
        "||",
        "a",
        "<é>",
        "a|b",
        "<a>, <b>",
        "<a",
        "<a>\n<b>",
        "|a|b",
        '<"a">',
    ],
    "ContentLicense": ["CC BY-SA 4.0", "", '"C" & é', " ", "CC\nBY ", "x" * 200],
    "OwnerDisplayName": ["Jane", "\x00"],
}
_GOOD = {
    "Id": "5", "PostTypeId": "1", "Score": "3", "CreationDate": "2020-01-02T03:04:05.678", "Title": "t", "PostId": "4",
    "Body": "<p>hello</p>", "Text": "hello `there`",
}  # fmt: skip
# What only some rows have; an answer has not all of it, and says so in vain.
_EVERYTHING = {
    "AcceptedAnswerId": "6", "LastEditDate": "2021-01-02T03:04:05.678", "Tags": "<a><b>", "OwnerUserId": "7",
    "ContentLicense": "CC BY-SA 4.0", "UserId": "8", "ClosedDate": "2021-01-02T03:04:05.678",
}  # fmt: skip
_ESCAPES = {"\n": "&#xA;", "\r": "&#xD;", "\t": "&#x9;"}


@st.composite
def _rows(draw: st.DrawFn) -> bytes:
    """A row that is good but for some of its fields."""
    other = draw(st.lists(st.sampled_from(sorted(_FIELDS)), max_size=4, unique=True))
    good = draw(st.sampled_from([_GOOD, _GOOD | {"PostTypeId": "2", "ParentId": "4"}]))
    full = draw(st.sampled_from([{}, _EVERYTHING]))
    values = good | full | {name: draw(st.sampled_from(_FIELDS[name])) for name in other}
    for name in draw(st.lists(st.sampled_from(sorted(values)), max_size=1)):
        del values[name]
    quoted = "".join(f" {name}={quoteattr(value, _ESCAPES)}" for name, value in values.items())
    return f"  <row{quoted} />\r\n".encode() + draw(
        st.sampled_from([b""] * 9 + [b"  <oops>", b'  <row Id="\xff" />', b'<row Id="6" /&gt;'])
    )


def _sorted(table: pa.Table) -> list[dict[str, object]]:
    return sorted(table.to_pylist(), key=lambda row: row["offset"])


def by_records(data: bytes, dump: Dump) -> pa.Table:
    found = list(read_posts(io.BytesIO(data), 0, None, dump))
    records, drops = [x for x in found if isinstance(x, Record)], [x for x in found if isinstance(x, Drop)]
    return to_table(dump.file, records, drops, NUM_BUCKETS)


def by_tables(data: bytes, dump: Dump, max_rows: int = 1000, max_chars: int = 1 << 20) -> tuple[pa.Table, int]:
    """(PARSED rows, how many of them came in tables)."""
    found = list(read_tables(io.BytesIO(data), 0, None, dump, NUM_BUCKETS, max_rows, max_chars))
    tables = [item for item in found if isinstance(item, pa.Table)]
    assert all(table.schema == PARSED for table in tables)
    records, drops = [x for x in found if isinstance(x, Record)], [x for x in found if isinstance(x, Drop)]
    others = to_table(dump.file, records, drops, NUM_BUCKETS)
    return pa.concat_tables([*tables, others]), sum(table.num_rows for table in tables)


@given(
    st.lists(_rows(), max_size=6),
    st.sampled_from([Table.POSTS, Table.COMMENTS]),
    st.sampled_from([None, b"secret"]),
    st.booleans(),
    st.integers(1, 4),
)
@settings(max_examples=1500, deadline=None)
def test_tables_hold_what_is_read_row_by_row(
    rows: list[bytes], table: Table, secret: bytes | None, strip: bool, max_rows: int
) -> None:
    data = b"<%b>\n%b</%b>" % (table.encode(), b"".join(rows), table.encode())
    dump = Dump("f.xml", "x.example", 1 << 20, secret, table, strip)
    assert _sorted(by_tables(data, dump, max_rows)[0]) == _sorted(by_records(data, dump))


@pytest.mark.parametrize("name", ["Posts", "Comments"])
def test_ordinary_rows_come_in_tables(name: str) -> None:
    quoted = "".join(f' {field}="{value}"' for field, value in _GOOD.items()).replace("<", "&lt;")
    dump = Dump("f.xml", "x.example", 1 << 20, table=Table(name.lower()))
    rows = f"<row{quoted} />\n" * 10
    assert by_tables(f"<{dump.table}>{rows}</{dump.table}>".encode(), dump)[1] == 10


@pytest.mark.parametrize("limits", [{"max_rows": 3}, {"max_chars": 11}])
def test_a_table_is_bounded(limits: dict[str, int]) -> None:
    quoted = "".join(f' {field}="{value}"' for field, value in _GOOD.items()).replace("<", "&lt;")
    data = f"<posts>{f'<row{quoted} />' * 10}</posts>".encode()
    sizes = {"max_rows": 1000, "max_chars": 1 << 20} | limits
    found = read_tables(io.BytesIO(data), 0, None, Dump("f", "x.example", 1 << 20), NUM_BUCKETS, **sizes)
    assert [table.num_rows for table in found] == [3, 3, 3, 1]


@pytest.mark.parametrize("table", [Table.POSTS, Table.COMMENTS])
@pytest.mark.parametrize("site", ["french-meta", "conlang-meta", "genai"])
def test_real_dumps_give_the_same_rows(site: str, table: Table) -> None:
    path = next((path for path in (DATA / site).glob("*.xml") if path.stem.lower() == table), None)
    if path is None:
        pytest.skip("needs the real data in ../shared/data")
    data, dump = path.read_bytes(), Dump("f.xml", "x.example", 1 << 24, b"secret", table)
    found, in_tables = by_tables(data, dump)
    assert _sorted(found) == _sorted(by_records(data, dump))
    assert in_tables >= 0.99 * found.filter(found.column("reason").is_null()).num_rows
