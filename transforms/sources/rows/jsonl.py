"""Rows as JSON lines, one object a line: plain documents, or posts of any set by a mapping file (mapped_rows.py).

Without a mapping a row is a document: {"text": …, "id"?, "title"?, "url"?, "created"?, "source"?, "license"?}. `text`
is required; keys beyond these are not read. `created` is ISO 8601 or seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from transforms.datasets.fates import Drop
from transforms.sources.records import Record
from transforms.sources.rows import json_rows
from transforms.sources.rows.mapped_rows import RowSet, to_posts
from transforms.sources.rows.mapping import RowMapping, plain_documents

SOURCE = "jsonl"
PLAIN: RowMapping = plain_documents(SOURCE)


def read_rows(stream: IO[bytes], start: int, end: int | None, rows: RowSet) -> Iterator[Record | Drop]:
    """The posts of the rows whose line begins in [start, end), in order, as Records and Drops. Blank lines are none."""
    for row in json_rows.read_rows(stream, start, end, rows.file, rows.max_record_bytes):
        if isinstance(row, Drop):
            yield row
        else:
            yield from to_posts(*row, rows)
