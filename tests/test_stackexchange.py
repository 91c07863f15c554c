"""Posts.xml: what a parser reads we read, any cut into ranges gives the whole, and damage costs only its own row."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.datasets.fates import Drop, Reason
from transforms.sources.records import FILE_REASONS, Record
from transforms.sources.sites import SiteRule
from transforms.sources.source import Reading
from transforms.sources.stackexchange.post_rows import read_posts
from transforms.sources.stackexchange.tables import check_head
from transforms.sources.streams.pieces import pieces

DATA = Path(__file__).parents[2] / "shared" / "data" / "forums" / "stackexchange"
HEAD = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n<posts>\r\n'
DUMP = Reading("Posts.xml", "x.example", 1 << 20)


def row(number: int, **more: str) -> bytes:
    values = {"Id": str(number), "PostTypeId": "1", "CreationDate": "2020-01-02T03:04:05.678", "Score": "3",
              "Body": "&lt;p&gt;hello&lt;/p&gt;", "Title": "t"} | more  # fmt: skip
    return ("  <row " + " ".join(f'{name}="{value}"' for name, value in values.items()) + " />\r\n").encode()


def posts(*rows: bytes) -> bytes:
    return HEAD + b"".join(rows) + b"</posts>"


def read(data: bytes, dump: Reading = DUMP) -> list[Record | Drop]:
    return list(read_posts(io.BytesIO(data), 0, None, dump))


def fates(data: bytes, dump: Reading = DUMP) -> list[str]:
    return [item.doc_id.split(":")[-1] if isinstance(item, Record) else item.reason.value for item in read(data, dump)]


def test_a_question_and_its_answer() -> None:
    question, answer = read(
        posts(
            row(1, Tags="&lt;a-b&gt;&lt;c&gt;", AcceptedAnswerId="2", ContentLicense="CC BY-SA 4.0", OwnerUserId="7",
                LastEditDate="2021-01-01T00:00:00", Title="A &amp; &lt;B&gt;"),
            row(2, PostTypeId="2", ParentId="1", Score="-4", Body="&lt;p&gt;a &amp;amp; b&lt;/p&gt;"),
        )
    )  # fmt: skip
    assert isinstance(question, Record)
    assert isinstance(answer, Record)
    assert question._asdict() | {"offset": 0} == {
        "offset": 0, "doc_id": "stackexchange:x.example:1", "thread_id": "stackexchange:x.example:1",
        "parent_id": None, "kind": "question", "text": "hello", "title": "A & <B>", "tags": ["a-b", "c"],
        "source": "stackexchange", "site": "x.example", "url": "https://x.example/questions/1",
        "created": 1577934245678, "edited": 1609459200000, "license": "CC BY-SA 4.0", "author_key": None, "score": 3,
        "accepted_id": "stackexchange:x.example:2", "note": None, "ups": None, "downs": None, "accepted": None,
        "flags": [], "language": None, "attributes": (), "authors": ("7", ""),
    }  # fmt: skip
    assert (answer.thread_id, answer.parent_id, answer.kind) == (question.doc_id, question.doc_id, "answer")
    assert (answer.text, answer.score, answer.url) == ("a & b", -4, "https://x.example/a/2")
    assert (answer.title, answer.license, answer.accepted_id) == (None, None, None)


def test_tags_of_new_dumps() -> None:
    (post,) = read(posts(row(1, Tags="|a|b-c|")))
    assert isinstance(post, Record)
    assert post.tags == ["a", "b-c"]


def test_author_keys_need_the_secret() -> None:
    def key(secret: bytes | None, owner: str) -> str | None:
        (post,) = read(
            posts(row(1, OwnerUserId=owner, OwnerDisplayName="Jane Doe")), Reading("f", "x.example", 1000, secret)
        )
        assert isinstance(post, Record)
        assert "Jane" not in repr(post._replace(authors=()))  # which no table holds
        return post.author_key

    assert key(None, "7") is None
    assert key(b"a", "7") == key(b"a", "7")
    assert len({key(b"a", "7"), key(b"b", "7"), key(b"a", "8")}) == 3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(9, PostTypeId="5"), Reason.NOT_A_POST),
        (row(9, PostTypeId="99"), Reason.NOT_A_POST),
        (row(9, Id="9a"), Reason.MISSING_FIELD),
        (row(9, PostTypeId="2", ParentId="-1"), Reason.MISSING_FIELD),
        (row(9, PostTypeId="2"), Reason.MISSING_FIELD),
        (b'<row Id="9" PostTypeId="1" />', Reason.MISSING_FIELD),
        (row(9, Body="&lt;p&gt; &lt;/p&gt;"), Reason.EMPTY),
        (row(9, Body="&bomb;"), Reason.MALFORMED),
        (row(9, OwnerDisplayName="&bomb;"), Reason.MALFORMED),
        (row(9, Body="a & b"), Reason.MALFORMED),
        (row(9, Body="&#xD800;"), Reason.MALFORMED),
        (row(9, Body="&#x110000;"), Reason.MALFORMED),
        (row(9)[:-6] + b">", Reason.MALFORMED),
        (b'<row Id="9" Id="9" />', Reason.MALFORMED),
        (b"<row Id=9 />", Reason.MALFORMED),
        (b'<rows Id="9" />', Reason.MALFORMED),
        (row(9, Body="bad \xff").decode().encode("latin-1"), Reason.BAD_ENCODING),
        (row(9, Body="x" * (1 << 20)), Reason.OVERSIZED),
        (row(9, Body="x" * (20 << 20)), Reason.OVERSIZED),
    ],
)
def test_a_bad_row_costs_itself_only(bad: bytes, reason: Reason) -> None:
    assert fates(posts(row(1), bad, row(2))) == ["1", reason.value, "2"]


@pytest.mark.parametrize(
    "control", ["&#0;", "&#x0E;", "&#x1b;", "\x00", "\x0e", "\uffff", "&#xFFFE;", "&#14;\x01&#x2;"]
)
def test_control_characters_are_taken_out_and_counted(control: str) -> None:
    dumped = posts(row(1), row(9, Body=f"one{control} two &amp;#x0E; three"), row(2))
    _, mended, _ = read(dumped)
    assert isinstance(mended, Record)
    assert (mended.text, mended.note) == ("one two &#x0E; three", "control-character")
    assert fates(posts(row(9, Body=control))) == ["empty"], "nothing is left"
    assert fates(posts(row(9, Body=f"{control} &bomb;"))) == ["malformed"], "nothing else is mended"


def test_drops_say_where_and_not_what() -> None:
    data = posts(row(1), row(9, Body="&secret;", Score="5"))
    drop = read(data)[1]
    assert isinstance(drop, Drop)
    assert drop.offset == data.index(b'<row Id="9"')
    assert drop.record_id == "stackexchange:x.example:9"
    assert drop.detail == "undefined entity &secret;"


@given(st.integers(0, 400))
@settings(max_examples=150, deadline=None)
def test_a_file_cut_anywhere_keeps_its_complete_rows(num_bytes: int) -> None:
    data = posts(row(1), row(2))[: len(HEAD) + num_bytes]
    whole = data.count(b"/>")
    found = fates(data)
    assert found[:whole] == ["1", "2"][:whole]
    complete = data.endswith(b"</posts>")
    assert (Reason.TRUNCATED_FILE.value in found) == (not complete)
    assert found.count(Reason.TRUNCATED_FILE.value) <= 1


def test_a_file_cut_inside_a_row() -> None:
    assert fates(posts(row(1), row(2))[:-40]) == ["1", "truncated", "truncated-file"]


def test_entities_are_never_expanded() -> None:
    bomb = (
        b'<!DOCTYPE posts [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>'
    )
    data = posts(row(1), row(2, Body="&b;"), row(3, Body="&c;")).replace(b"<posts>", bomb + b"<posts>")
    assert fates(data) == ["1", "malformed", "malformed"]
    problem = check_head(data)
    assert problem is not None
    assert problem[0] is Reason.DOCTYPE


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", Reason.EMPTY_FILE),
        (b" \r\n", Reason.EMPTY_FILE),
        ('<?xml version="1.0"?><posts/>'.encode("utf-16"), Reason.WRONG_FORMAT),
        (b'<?xml version="1.0" encoding="windows-1252"?><posts>', Reason.WRONG_FORMAT),
        (b'<?xml version="1.0"?><users><row Id="1"/></users>', Reason.WRONG_FORMAT),
        (b"<html><body>", Reason.WRONG_FORMAT),
    ],
)
def test_files_that_are_no_posts(head: bytes, reason: Reason) -> None:
    problem = check_head(head)
    assert problem is not None
    assert problem[0] is reason


def test_a_part_without_head_is_read() -> None:
    assert check_head(row(1)) is None
    assert check_head(HEAD) is None
    assert fates(row(1).lstrip() + row(2)) == ["1", "2", "truncated-file"]


@pytest.mark.parametrize("site", [None, "", "https://x.example", "X.example", "a/b"])
def test_the_site_must_be_given(site: str | None) -> None:
    with pytest.raises(ValueError, match="--site"):
        SiteRule.HOST.check(site, "Posts.xml")


# ------------------------------------------------------------------------------------------ ranges

_PIECE = st.sampled_from(
    [row(1), row(22, Body="x" * 90), b"<!-- c -->", b"\r\n", row(3)[:30], b"<", b"text", row(4, Body="y" * 300)]
)


@given(st.lists(_PIECE, max_size=8), st.lists(st.integers(0, 1500), max_size=6), st.booleans())
@settings(max_examples=500, deadline=None)
def test_any_cut_into_ranges_is_the_whole(parts: list[bytes], cuts: list[int], closed: bool) -> None:
    data = HEAD + b"".join(parts) + b"</posts>" * closed
    dump = Reading("f", "x.example", 200)
    bounds = sorted({0, *(cut for cut in cuts if cut < len(data))})
    ranges = [(start, end) for start, end in zip(bounds, [*bounds[1:], len(data)], strict=True)]
    found = [item for start, end in ranges for item in read_posts(io.BytesIO(data), start, end, dump)]
    assert found == read(data, dump)


@given(st.binary(max_size=200).map(lambda data: data.replace(b"a", b"<")), st.integers(1, 30), st.integers(1, 40))
@settings(max_examples=500, deadline=None)
def test_pieces_of_ranges_are_the_pieces_of_the_file(data: bytes, step: int, limit: int) -> None:
    whole = data.split(b"<")
    found = [
        piece
        for start in range(0, max(len(data), 1), step)
        for piece in pieces(io.BytesIO(data), start, start + step if start + step < len(data) else None, b"<", limit)
    ]
    assert [piece.data for piece in found] == [part if len(part) <= limit else None for part in whole]
    assert all(data[piece.offset :][: piece.num_bytes] == part for piece, part in zip(found, whole, strict=True))
    assert [piece.last for piece in found] == [False] * (len(whole) - 1) + [True]


def test_a_truncated_gzip_gives_what_was_read() -> None:
    data = gzip.compress(posts(*(row(number, Body=f"{number * 7919 % 10007}" * 50) for number in range(300))))
    with gzip.GzipFile(fileobj=io.BytesIO(data[: len(data) // 2])) as stream:
        found = list(read_posts(stream, 0, None, DUMP))  # type: ignore[arg-type]
    assert sum(isinstance(item, Record) for item in found) > 20
    assert [item.reason for item in found if isinstance(item, Drop) and item.reason in FILE_REASONS] == [
        Reason.TRUNCATED_FILE
    ]


# ------------------------------------------------------------------------------------------ equal to a parser
