"""Posts and comments of a dump as PARSED tables, column by column, without an object for each row.

An ordinary row is one of which a regular expression sees that it is of use and what its numbers and times mean. Its
values go into columns as they stand, and ids, addresses, numbers and times are made of whole columns. Every other row
is read by `post_rows`, which says what a row means: tests hold both ways against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.fates import Drop
from transforms.datasets.schema import TIME, PostKind
from transforms.sources.records import Record, buckets_of, parsed_table
from transforms.sources.stackexchange.post_rows import (
    FLATTENED,
    author_key,
    flags,
    licence,
    tags,
    title,
    to_comment,
    to_post,
    url_before,
)
from transforms.sources.stackexchange.tables import SOURCE, Dump, Table, id_prefix, plain_rows, raw_rows, read_row_as
from transforms.sources.stackexchange.xml_rows import PlainRow, text
from transforms.text.clean import is_blank, repair
from transforms.text.markup import to_markdown

_POST = (
    *("Id", "PostTypeId", "ParentId", "Score", "CreationDate", "LastEditDate", "AcceptedAnswerId"),
    *("Body", "Title", "Tags", "ContentLicense", "OwnerUserId", "ClosedDate", "CommunityOwnedDate"),
)
_COMMENT = ("Id", "PostId", "Score", "CreationDate", "Text", "ContentLicense", "UserId")

# What is ordinary: ids as posts' ids are written; times of the calendar (but for 29 February), odd in no way.
_NO_VALUE = "\x02"  # XML does not allow it in any
_ID, _SCORE = "[1-9][0-9]{0,11}", "-?[0-9]{1,18}"
_DAY = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_TIME = f"20[0-9][0-9]-{_DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9][.][0-9]{{3}}"
_KIND = f"(?:1{_NO_VALUE}|2{_NO_VALUE}{_ID})"  # of a question, or of an answer and its question
_ORDINARY_POST = re.compile(_NO_VALUE.join((_ID, _KIND, _SCORE, _TIME, f"(?:{_TIME})?", f"(?:{_ID})?")).encode())
_ORDINARY_COMMENT = re.compile(_NO_VALUE.join((_ID, _ID, _SCORE, _TIME)).encode())


class _Post(NamedTuple):
    """An ordinary post, its numbers and times as they are written; b"" is what it lacks."""

    offset: int
    number: bytes
    question: bytes  # that it answers
    score: bytes
    created: bytes
    edited: bytes
    accepted: bytes
    text: str
    note: str | None
    title: str | None
    tags: Sequence[str]
    license: str | None
    author_key: str | None
    flags: Sequence[str]


class _Comment(NamedTuple):
    offset: int
    number: bytes
    post: bytes
    score: bytes
    created: bytes
    text: str
    license: str | None
    author_key: str | None


def read_tables(
    stream: IO[bytes], start: int, end: int | None, dump: Dump, num_buckets: int, max_rows: int, max_chars: int
) -> Iterator[pa.Table | Record | Drop]:
    """What `post_rows.read_posts` reads, in no stated order: ordinary rows in PARSED tables, the others one by one.

    Memory: a table of at most max_rows rows, and max_chars characters but for its last row's.
    """
    rows: list[_Post | _Comment] = []
    num_chars = 0
    of_comments = dump.table is Table.COMMENTS
    ordinary: Callable[[int, PlainRow, Dump], _Post | _Comment | None] = _comment if of_comments else _post
    for raw, plain in plain_rows(raw_rows(stream, start, end, dump)):
        if isinstance(raw, Drop):
            yield raw
        elif plain is None or (row := ordinary(raw.offset, plain, dump)) is None:
            yield read_row_as(to_comment if of_comments else to_post, raw, plain, dump)
        else:
            rows.append(row)
            num_chars += len(row.text)
            if len(rows) >= max_rows or num_chars >= max_chars:
                yield _table(rows, dump, num_buckets)
                rows, num_chars = [], 0
    if rows:
        yield _table(rows, dump, num_buckets)


@lru_cache(maxsize=1024)
def _getter(names: tuple[str, ...], wanted: tuple[str, ...]) -> Callable[[Sequence[bytes]], tuple[bytes, ...]]:
    """Takes the wanted attributes out of the values of a row and one more, which stands for those it lacks."""
    return itemgetter(*(names.index(name) if name in names else len(names) for name in wanted))


def _post(offset: int, row: PlainRow, dump: Dump) -> _Post | None:
    """None for a row that is not ordinary."""
    values = _getter(row.names, _POST)([*row.values, b""])
    if not _ORDINARY_POST.fullmatch(b"\x02".join(values[:7])):
        return None
    number, _, question, score, created, edited, accepted = values[:7]
    body, headline, tag_list, licensed, owner, closed, community_owned = values[7:]
    if not body or (named := [] if question else tags(text(tag_list))) is None:
        return None
    markdown = to_markdown(text(body), repair, dump.strip_edit_labels)
    if is_blank(markdown.text):
        return None
    return _Post(
        offset,
        number,
        question,
        score,
        created,
        edited,
        b"" if question else accepted,
        markdown.text,
        FLATTENED if markdown.flattened else None,
        None if question else title(text(headline)),
        named,
        licence(text(licensed)),
        author_key(text(owner), dump) if dump.author_secret else None,
        flags(closed, community_owned) if closed or community_owned else (),
    )


def _comment(offset: int, row: PlainRow, dump: Dump) -> _Comment | None:
    values = _getter(row.names, _COMMENT)([*row.values, b""])
    if not _ORDINARY_COMMENT.fullmatch(b"\x02".join(values[:4])):
        return None
    number, post, score, created, words, licensed, author = values
    written = repair(text(words)).strip()
    if is_blank(written):
        return None
    key = author_key(text(author), dump) if dump.author_secret else None
    return _Comment(offset, number, post, score, created, written, licence(text(licensed)), key)


def _table(rows: Sequence[_Post | _Comment], dump: Dump, num_buckets: int) -> pa.Table:
    """PARSED rows of one kind."""
    columns = dict(zip(rows[0]._fields, zip(*rows, strict=True), strict=True))
    known = _of_comments(columns, dump) if dump.table is Table.COMMENTS else _of_posts(columns, dump)
    for name in ("offset", "text", "author_key"):
        known[name] = columns[name]
    known["score"] = _strings(columns["score"]).cast(pa.int64())
    known["created"] = _times(columns["created"])
    known["license"] = _strings(columns["license"])
    for name, value in (("source", SOURCE), ("site", dump.site), ("file", dump.file)):
        known[name] = pa.repeat(value, len(rows))
    known["bucket"] = buckets_of(known["thread_id"].to_pylist(), num_buckets)
    return parsed_table(known, len(rows))


def _of_posts(columns: Mapping[str, Sequence[Any]], dump: Dump) -> dict[str, Any]:
    prefix = id_prefix(dump.site)
    number, question = _strings(columns["number"]), _strings(columns["question"])
    is_answer = question.is_valid()
    parent = _joined(prefix, question)
    doc_id = _joined(prefix, number)
    before = pc.if_else(is_answer, url_before(dump.site, True), url_before(dump.site, False))
    return {
        "doc_id": doc_id,
        "thread_id": pc.coalesce(parent, doc_id),
        "parent_id": parent,
        "kind": pc.if_else(is_answer, PostKind.ANSWER.value, PostKind.QUESTION.value),
        "title": columns["title"],
        "tags": columns["tags"],
        "url": _joined(before, number),
        "edited": _times(columns["edited"]),
        "accepted_id": _joined(prefix, _strings(columns["accepted"])),
        "note": columns["note"],
        "flags": columns["flags"],
    }


def _of_comments(columns: Mapping[str, Sequence[Any]], dump: Dump) -> dict[str, Any]:
    number = _strings(columns["number"])
    parent = _joined(id_prefix(dump.site), _strings(columns["post"]))
    empty = [()] * len(number)
    return {
        "doc_id": pc.binary_join_element_wise(parent, number, "/c"),
        "thread_id": parent,
        "parent_id": parent,
        "kind": pa.repeat(PostKind.COMMENT.value, len(number)),
        "tags": empty,
        "url": _joined(f"https://{dump.site}/posts/comments/", number),
        "flags": empty,
    }


def _strings(values: Sequence[object]) -> pa.Array:
    """Values in text or UTF-8, null where one is empty."""
    return pa.array([value or None for value in values], pa.binary()).cast(pa.string())  # at once is far slower


def _joined(before: str | pa.Array, after: pa.Array) -> pa.Array:
    """Null where one of the two is."""
    return pc.binary_join_element_wise(before, after, "")


def _times(values: Sequence[object]) -> pa.Array:
    return _strings(values).cast(pa.timestamp("ms")).cast(TIME)
