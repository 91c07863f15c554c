"""A forum of a user's own, as docs/adding_a_source.md shows it: items with kind, parent and points, one a line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import IO

from transforms.datasets.fates import Drop, Reason
from transforms.sources.fields import Notes, UnusableError
from transforms.sources.records import Record
from transforms.sources.rows.json_rows import Row, check_head, read_posts
from transforms.sources.rows.row_values import count_at, id_of, to_time, value_at
from transforms.sources.sites import SiteRule
from transforms.sources.source import Addresses, Found, Holds, InputFile, Reading, Source
from transforms.text.clean import is_blank, repair

NAME = "village"
_PREFIX = f"{NAME}:village.example:"
_ADDRESS = re.compile(r"/(?:item|i)/(\d++)(?:[/?#].*+)?", re.DOTALL)


def read(stream: IO[bytes], start: int, end: int | None, how: Reading) -> Iterator[Record | Drop]:
    """The items whose line begins in [start, end), in order, each as a Record or a Drop."""
    return read_posts(stream, start, end, how, _post, lambda row: (_id(row, "item"), _id(row, "parent")))


def _post(row: Row, offset: int, how: Reading) -> Record:
    doc_id, parent_id = _id(row, "item"), _id(row, "parent")
    if doc_id is None:
        raise UnusableError(Reason.MISSING_FIELD, "item is absent")
    if row.get("kind") not in ("topic", "reply"):
        raise UnusableError(Reason.NOT_A_POST, "kind is neither topic nor reply")
    if row.get("gone") is True:
        raise UnusableError(Reason.DELETED, "gone is true")
    text = repair(str(row.get("words") or "")).strip()
    if is_blank(text):
        raise UnusableError(Reason.EMPTY, "no words")
    notes, author = Notes(), value_at(row, "by")
    return Record(
        offset=offset,
        doc_id=doc_id,
        thread_id=None,
        parent_id=parent_id,
        kind=None,
        text=text,
        title=None,
        tags=(),
        source=NAME,
        site="village.example",
        url=f"https://village.example/item/{row['item']}",
        created=notes.expect("created", lambda: to_time(value_at(row, "when"), "seconds", "created")),
        edited=None,
        license=None,
        author_key=how.author_key(f"{NAME}:", author if isinstance(author, str) else None),
        score=notes.expect("score", lambda: count_at(row, "points", "score")),
        accepted_id=None,
        note=" ".join(notes) or None,
        authors=(author,) if isinstance(author, str) else (),
    )


def _id(row: Row, name: str) -> str | None:
    try:
        number = id_of(value_at(row, name), name)
    except UnusableError:
        return None
    return f"{_PREFIX}{number}" if number else None


def _describe(found: Found) -> Sequence[InputFile]:
    SiteRule.IN_ROWS.check(found.site, found.place)
    return [found.file(NAME, None, check_head(found.head), Holds.REPLIES)]


def _posts(host: str, rest: str) -> Sequence[str]:
    item = _ADDRESS.fullmatch(rest) if host == "village.example" else None
    return [f"{host}/item/{item[1]}"] if item else ()


SOURCE = Source(
    name=NAME,
    says="the village's items",
    recognise=lambda head: b'"item"' in head and b'"points"' in head,
    names=re.compile(r"village-\d{4}\.jsonl"),
    describe=_describe,
    read=read,
    addresses=Addresses(posts=_posts),
)
