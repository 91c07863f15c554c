"""Plain documents as JSON lines: ids from the content, every bad line a named drop."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.datasets.fates import Drop, Reason
from transforms.sources.records import Record
from transforms.sources.rows.json_rows import check_head
from transforms.sources.rows.jsonl import read_rows
from transforms.sources.sites import SiteRule
from transforms.sources.source import Reading

CORPUS = Reading("c.jsonl", "news", 1000)


def read(data: bytes, corpus: Reading = CORPUS) -> list[Record | Drop]:
    return list(read_rows(io.BytesIO(data), 0, None, corpus))


def test_a_document() -> None:
    values = {"id": 7, "text": "schÃ¶n \r\n", "title": "T", "url": "https://x.example/7", "created": "2020-01-02",
              "license": "CC0", "language": "deu", "other": [1]}  # fmt: skip
    (document,) = read(json.dumps(values).encode())
    assert isinstance(document, Record)
    assert document.doc_id == document.thread_id == "jsonl:news:7"
    assert (document.text, document.title, document.url) == ("schön", "T", "https://x.example/7")
    assert (document.kind, document.source, document.site, document.license) == ("document", "jsonl", "news", "CC0")
    assert (document.created, document.score, document.accepted_id) == (1577923200000, None, None)


def test_ids_come_from_the_content() -> None:
    lines = [b'{"text": "a"}\n', b'{"text": "b"}\n', b'{"text": "a", "title": "t"}\n']
    ids = [item.doc_id for item in read(b"".join(lines)) if isinstance(item, Record)]
    moved = [item.doc_id for item in read(b"\n" + b"".join(reversed(lines))) if isinstance(item, Record)]
    assert len(set(ids)) == 3
    assert ids == moved[::-1]


def test_the_site_is_the_documents_own_where_none_is_given() -> None:
    found = read(b'{"id": 1, "text": "a", "source": "c4"}\n{"id": 1, "text": "a"}\n', Reading("f", None, 100))
    assert [item.doc_id for item in found if isinstance(item, Record)] == ["jsonl:c4:1", "jsonl:unnamed:1"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"text": "a"', Reason.MALFORMED),
        (b"[1]", Reason.MALFORMED),
        (b'"text"', Reason.MALFORMED),
        (b"[" * 900, Reason.MALFORMED),
        (b'{"text": "a", "n": ' + b"9" * 900 + b"}", None),
        (b'{"text": "\xff"}', Reason.BAD_ENCODING),
        (b'{"id": 1}', Reason.MISSING_FIELD),
        (b'{"text": 5}', Reason.MISSING_FIELD),
        (b'{"text": "a", "created": NaN}', None),
        (b'{"text": "a", "created": "9999-12-31T23:59:59.999"}', None),
        (b'{"text": "a", "id": {}}', Reason.MISSING_FIELD),
        (b'{"text": "a", "id": "\\ud800"}', Reason.MISSING_FIELD),
        (b'{"text": " \\u0000 "}', Reason.EMPTY),
        (b'{"text": "\\ud800"}', None),
        (b'{"text": "' + b"x" * 2000 + b'"}', Reason.OVERSIZED),
    ],
)
def test_a_bad_line_costs_itself_only(bad: bytes, reason: Reason | None) -> None:
    first, second = b'{"id": "1", "text": "a"}\n', b'{"id": "2", "text": "b"}\n'
    found = read(first + bad + b"\n" + second)
    assert [item.doc_id for item in (found[0], found[-1]) if isinstance(item, Record)] == [
        "jsonl:news:1",
        "jsonl:news:2",
    ]
    assert len(found) == 3
    middle = found[1]
    if reason is None:
        assert isinstance(middle, Record)
        middle.text.encode()  # no lone surrogate is left
    else:
        assert isinstance(middle, Drop)
        assert (middle.reason, middle.offset) == (reason, len(first))


def test_a_last_line_cut_short() -> None:
    found = read(b'{"id": "1", "text": "a"}\n{"id": "2", "te')
    assert [item.reason for item in found if isinstance(item, Drop)] == [Reason.TRUNCATED, Reason.TRUNCATED_FILE]


def test_a_last_line_without_line_end_is_complete() -> None:
    assert all(isinstance(item, Record) for item in read(b'{"text": "a"}\n{"text": "b"}'))


def test_a_truncated_gzip_gives_what_was_read() -> None:
    lines = b"".join(b'{"id": %d, "text": "%d"}\n' % (n, n * 7919 % 10007) for n in range(5000))
    data = gzip.compress(lines)
    with gzip.GzipFile(fileobj=io.BytesIO(data[: len(data) // 2])) as stream:
        found = list(read_rows(stream, 0, None, CORPUS))  # type: ignore[arg-type]
    assert sum(isinstance(item, Record) for item in found) > 1000
    assert [item.reason for item in found if isinstance(item, Drop)][-1] is Reason.TRUNCATED_FILE
    assert sum(isinstance(item, Drop) and item.reason is Reason.TRUNCATED_FILE for item in found) == 1


_LINE = st.sampled_from(
    [b'{"text": "a"}', b"", b"{", b'{"text": "' + b"x" * 80 + b'"}', b"\xff", b'{"id": 1, "text": "b"}']
)


@given(st.lists(_LINE, max_size=8), st.integers(1, 60), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_cut_into_ranges_is_the_whole(lines: list[bytes], step: int, ended: bool) -> None:
    data = b"\n".join(lines) + b"\n" * ended
    corpus = Reading("f", "news", 60)
    found = [
        item
        for start in range(0, max(len(data), 1), step)
        for item in read_rows(io.BytesIO(data), start, start + step, corpus)
    ]
    assert found == read(data, corpus)


@pytest.mark.parametrize(
    ("head", "reason"),
    [(b"", Reason.EMPTY_FILE), (b'[{"text": "a"}]', Reason.WRONG_FORMAT), ("{}".encode("utf-16"), Reason.WRONG_FORMAT)],
)
def test_files_that_are_no_json_lines(head: bytes, reason: Reason) -> None:
    problem = check_head(head)
    assert problem is not None
    assert problem[0] is reason


def test_a_site_that_cannot_stand_in_an_id() -> None:
    SiteRule.NAME.check(None, "f")
    with pytest.raises(ValueError, match="--site"):
        SiteRule.NAME.check("a:b", "f")


@pytest.mark.parametrize(
    ("field", "note"),
    [
        ('"title": 5', "unreadable-title"),
        ('"license": ["MIT", "Apache-2.0"]', "unreadable-license"),
        ('"url": {}', "unreadable-url"),
        ('"created": "soon"', "unreadable-created"),
        ('"created": "0000-00-00 00:00:00"', "unreadable-created"),
        ('"created": "1984"', "unreadable-created"),
        ('"created": 1e30', "unreadable-created"),
        ('"created": Infinity', "unreadable-created"),
        ('"created": -1e12', "created-in-milliseconds"),
        ('"created": 1700000000000', "created-in-milliseconds"),
        ('"created": 1700000000000000', "unreadable-created"),
        ('"created": "0001-01-01T00:00:00+14:00"', "unreadable-created"),
        ('"created": "2008-07-31 22:17:57.883 UTC"', None),
        ('"created": "2008-07-31T22:17:57.883Z"', None),
    ],
)
def test_a_field_that_cannot_be_read_costs_itself_only(field: str, note: str | None) -> None:
    (record,) = read(b'{"id": 1, "text": "a", ' + field.encode() + b"}\n")
    assert isinstance(record, Record)
    assert (record.doc_id, record.text) == ("jsonl:news:1", "a")
    assert record.note == note
    if note:
        assert (record.title, record.url, record.license, record.created) == (None, None, None, None)


def test_big_integers_stay_what_they_are() -> None:
    ids = [2**53 + 1, 2**63, 2**64 - 1, 2**64, 2**64 + 1, 10**30, -(2**64) - 1]
    found = read(b"".join(b'{"id": %d, "text": "a"}\n' % number for number in ids))
    assert [item.doc_id for item in found if isinstance(item, Record)] == [f"jsonl:news:{number}" for number in ids]
