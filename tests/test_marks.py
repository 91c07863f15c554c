"""Votes.xml and PostLinks.xml: the fast way reads what the strict one reads, whatever the range and the damage."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.datasets.fates import Drop, Reason
from transforms.sources.marks import LINK, Marks, kind_name, num_unused
from transforms.sources.source import Holds, Reading
from transforms.sources.stackexchange import vote_rows
from transforms.sources.stackexchange.tables import holds_of
from transforms.sources.stackexchange.vote_rows import fast_marks, read_marks

DATA = Path(__file__).parents[2] / "shared" / "data" / "forums" / "stackexchange"
VOTES = Reading("Votes.xml", "x.example", 400, None, Holds.VOTES)
LINKS = Reading("PostLinks.xml", "x.example", 400, None, Holds.LINKS)
HEAD = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n<votes>\r\n'


def vote(number: int, post: int = 7, kind: object = 2, more: str = "", date: str = "2011-08-17T00:00:00.000") -> bytes:
    return (f'  <row Id="{number}" PostId="{post}" VoteTypeId="{kind}"{more} CreationDate="{date}" />\r\n').encode()


def votes(*rows: bytes) -> bytes:
    return HEAD + b"".join(rows) + b"</votes>"


def flat(items: Sequence[Marks | Drop]) -> tuple[list[tuple[int, ...]], list[Drop]]:
    rows = [tuple(map(int, row)) for item in items if isinstance(item, Marks) for row in zip(*item, strict=True)]
    return rows, [item for item in items if isinstance(item, Drop)]


def read(data: bytes, dump: Reading = VOTES) -> tuple[list[tuple[int, ...]], list[Drop]]:
    return flat(list(read_marks(io.BytesIO(data), 0, None, dump)))


def strictly(data: bytes, dump: Reading = VOTES) -> tuple[list[tuple[int, ...]], list[Drop]]:
    return flat(list(vote_rows._strictly(vote_rows._Bytes(data), None, dump, 0)))


def test_votes_and_links() -> None:
    found, drops = read(votes(vote(1), vote(2, 9, 5, ' UserId="4"'), vote(3, 9, 8, ' BountyAmount="50"')))
    day = 1313539200000
    assert (found, drops) == ([(1, 7, 2, day), (2, 9, 5, day), (3, 9, 8, day)], [])
    data = b'<row Id="5" CreationDate="2011-08-17" PostId="1" RelatedPostId="20" LinkTypeId="3" />'
    assert read(b"<postlinks>" + data + b"</postlinks>", LINKS) == ([(5, 1, LINK + 3, 20)], [])
    assert [kind_name(kind) for kind in (2, LINK + 3, 99)] == ["up", "duplicate", "type-99"]
    columns = Marks(*(np.array(column) for column in ([1, 2], [3, 3], [2, 5], [0, 0])))
    assert num_unused(columns) == {Reason.OTHER_VOTE: 1}


def test_a_table_is_known_by_its_root_and_else_by_its_name() -> None:
    assert holds_of(HEAD, "Posts.xml") is Holds.VOTES
    assert holds_of(b"<row Id=", "dump/VOTES.XML.gz") is Holds.VOTES
    assert holds_of(b"<row Id=", "part-3.xml") is Holds.POSTS


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (vote(9, kind="x"), Reason.MISSING_FIELD),
        (vote(9, kind="0x2"), Reason.MISSING_FIELD),
        (vote(9, kind=1000), Reason.MISSING_FIELD),
        (vote(9, post=-4), Reason.MISSING_FIELD),
        (vote(9, post=1 << 40), Reason.MISSING_FIELD),
        (vote(9, more=' UserId="&bomb;"'), Reason.MALFORMED),
        (vote(9, more=' Id="1"'), Reason.MALFORMED),
        (vote(9, more=' UserId="<"'), Reason.MALFORMED),
        (vote(9).replace(b"/>", b">"), Reason.MALFORMED),
        (vote(9, more=' UserId="' + "1" * 500 + '"'), Reason.OVERSIZED),
        (b'  <row Id="9" PostId="1" />\r\n', Reason.MISSING_FIELD),
    ],
)
def test_a_bad_row_costs_itself_only(bad: bytes, reason: Reason) -> None:
    found, drops = read(votes(vote(1), vote(2), bad, vote(3), vote(4)))
    assert [row[0] for row in found] == [1, 2, 3, 4]
    assert {drop.reason for drop in drops} <= {reason, Reason.MALFORMED}
    assert reason in {drop.reason for drop in drops}


def test_a_vote_counts_without_its_control_characters() -> None:
    found, drops = read(votes(vote(1), vote(9, more=' UserId="\x00&#1;"'), vote(3)))
    assert [row[0] for row in found] == [1, 9, 3]
    assert not drops


_ROW = st.sampled_from(
    [vote(1), vote(22, 3, 5, ' UserId="-1"'), vote(3, 4, 8, ' BountyAmount="50"'), vote(4, kind="2 "), vote(5)[:30],
     b'<row VoteTypeId="2" Id="6" CreationDate="2011-08-17 01:02:03" PostId="1"/>', b"<!-- c -->", b"text", b"<",
     vote(7, kind="+2"), vote(8, more=" UserId='4'"), vote(9, date="2011-08-17T00:00:00Z"), vote(10, date="2011-W33-3"),
     vote(11, kind=" 2"), vote(12, more=' A="' + "x" * 500 + '"'), vote(13, kind="007"), vote(14, date=""), b'"', b"/>",
     vote(15).replace(b"<row", b"<rows"), vote(16, date="2011-08-17T00:00:00.1234567"), vote(17, kind="٢"),
     vote(18, kind="1_0"), vote(19, kind="2.0"), vote(20, date="yesterday"), vote(21, date="0000-00-00T00:00:00.000"),
     vote(22, date="2011-08-17 00:00:00 UTC"), vote(23, date="1313539200"),
     vote(24, date="9999-12-31T23:59:59.999-01:00"), vote(25, date="2011"), vote(26, date="20110817T000000"),
     b'<row Id="27" PostId="1" VoteTypeId="2" />']
)  # fmt: skip


@given(st.lists(_ROW, max_size=8), st.booleans())
@settings(max_examples=400, deadline=None)
def test_the_fast_way_equals_the_strict_one(rows: list[bytes], closed: bool) -> None:
    data = HEAD + b"".join(rows) + b"</votes>" * closed
    assert read(data) == strictly(data)


@given(
    st.lists(st.sampled_from([vote(n) for n in range(5)] + [b"<!-- c -->", b"<row ", vote(6, kind="x")]), max_size=9),
    st.lists(st.integers(0, 900), max_size=5),
    st.sampled_from([64, 200, 1 << 20]),
)
@settings(max_examples=400, deadline=None)
def test_any_cut_into_ranges_is_the_whole(rows: list[bytes], cuts: list[int], block_bytes: int) -> None:
    data = votes(*rows)
    bounds = sorted({0, *(cut for cut in cuts if cut < len(data))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vote_rows, "_BLOCK_BYTES", block_bytes)
        items = [
            item
            for start, end in zip(bounds, [*bounds[1:], None], strict=True)
            for item in read_marks(io.BytesIO(data), start, end, VOTES)
        ]
    assert flat(items) == strictly(data)


@pytest.mark.parametrize("site", ["french-meta", "conlang-meta"])
def test_real_tables_take_the_fast_way(site: str) -> None:
    if not (DATA / site).exists():
        pytest.skip("needs the real data in ../shared/data")
    for name, dump in (("Votes.xml", VOTES), ("PostLinks.xml", LINKS)):
        data = (DATA / site / name).read_bytes()
        assert read(data, dump) == strictly(data, dump)
        rows = data[data.index(b"<row ") : data.rindex(b"</")]
        columns = fast_marks(rows, dump.holds)
        assert columns is not None
        assert len(columns.id) == data.count(b"<row ")
