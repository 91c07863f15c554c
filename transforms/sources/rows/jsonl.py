"""Rows as JSON lines, one object a line: plain documents, or posts of any set by a mapping file (mapped_rows.py).

Without a mapping a row is a document: {"text": …, "id"?, "title"?, "url"?, "created"?, "source"?, "license"?}. `text`
is required; keys beyond these are not read. `created` is ISO 8601 or seconds since 1970.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import IO

from transforms.datasets.fates import Drop
from transforms.sources.mapping import RowMapping, plain_documents
from transforms.sources.records import Record
from transforms.sources.rows import json_rows
from transforms.sources.rows.mapped_rows import describe, to_posts
from transforms.sources.source import PACKED, Found, InputFile, Reading, Source

NAME = "jsonl"
_PLAIN: RowMapping = plain_documents(NAME)


def read_rows(stream: IO[bytes], start: int, end: int | None, how: Reading) -> Iterator[Record | Drop]:
    """The posts of the rows whose line begins in [start, end), in order, as Records and Drops. Blank lines are none."""
    mapping = how.mapping or _PLAIN
    for row in json_rows.read_rows(stream, start, end, how.file, how.max_record_bytes):
        if isinstance(row, Drop):
            yield row
        else:
            yield from to_posts(*row, how, mapping)


def _recognise(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n").startswith((b"{", b"["))


def _describe(found: Found) -> Sequence[InputFile]:
    return [describe(found, NAME, json_rows.check_head(found.head))]


SOURCE = Source(
    name=NAME,
    says="JSONL",
    recognise=_recognise,
    # Also what Reddit's dumps are called: RC_2023-03.zst, askscience_comments.zst, RS_2012-06.
    names=re.compile(
        rf".*\.(?:jsonl|ndjson|json){PACKED}?|.*(?<!\.tar|\.xml|\.csv|\.tsv)\.zst"
        rf"|R[CS]_\d{{4}}-\d{{2}}(?:-\d{{2}})?{PACKED}?",
        re.IGNORECASE,
    ),
    describe=_describe,
    read=read_rows,
    mapped=True,
    questions_of=lambda file: "the rows that the mapping reads as questions",
)
