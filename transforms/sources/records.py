"""What a source yields: parsed posts and drops, and the Arrow table that carries both to their bucket.

A source parses a byte range of a file into `Record`s (one per kept post or document) and `Drop`s (one per record that
could not be used, and one per damaged file). Every record that is found becomes exactly one of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from transforms.fates import Drop, Reason
from transforms.ids import bucket_of
from transforms.schema import TIME

# Outcomes of a whole file: rows of the reject shard, but no records, so conservation does not count them.
FILE_REASONS = frozenset({Reason.EMPTY_FILE, Reason.TRUNCATED_FILE, Reason.WRONG_FORMAT, Reason.DOCTYPE})


class Record(NamedTuple):
    """One parsed post or document, before its thread is joined. Times are milliseconds since 1970 UTC."""

    offset: int  # of the record in the (unpacked) file
    doc_id: str
    thread_id: str
    parent_id: str | None
    kind: str
    text: str
    title: str | None
    tags: Sequence[str]
    source: str
    site: str
    url: str | None
    created: int | None
    edited: int | None
    license: str | None
    author_key: str | None
    score: int | None
    accepted_id: str | None  # questions: the answer that the asker accepted
    note: str | None  # something worth counting that happened on the way, such as "flattened"


# Records and drops on their way to a bucket. A row with a reason is a drop.
PARSED = pa.schema(
    [
        ("offset", pa.int64()),
        ("doc_id", pa.string()),
        ("thread_id", pa.string()),
        ("parent_id", pa.string()),
        ("kind", pa.string()),
        ("text", pa.string()),
        ("title", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("source", pa.string()),
        ("site", pa.string()),
        ("url", pa.string()),
        ("created", TIME),
        ("edited", TIME),
        ("license", pa.string()),
        ("author_key", pa.string()),
        ("score", pa.int64()),
        ("accepted_id", pa.string()),
        ("note", pa.string()),
        ("file", pa.string()),
        ("record_id", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("bucket", pa.int32()),
    ]
)
assert tuple(PARSED.names[: len(Record._fields)]) == Record._fields


def to_table(file: str, records: Sequence[Record], drops: Sequence[Drop], num_buckets: int) -> pa.Table:
    """PARSED rows of one file. A record's bucket is its thread's, a drop's that of its file and offset."""
    tables = []
    if records:
        columns = dict(zip(Record._fields, zip(*records, strict=True), strict=True))
        buckets = [bucket_of("shard", thread, num_buckets) for thread in columns["thread_id"]]
        tables.append(_table({**columns, "file": [file] * len(records), "bucket": buckets}, len(records)))
    if drops:
        tables.append(
            _table(
                {
                    "offset": [drop.offset for drop in drops],
                    "file": [drop.file for drop in drops],
                    "record_id": [drop.record_id for drop in drops],
                    "reason": [drop.reason.value for drop in drops],
                    "detail": [drop.detail for drop in drops],
                    "bucket": [bucket_of("reject", f"{drop.file}:{drop.offset}", num_buckets) for drop in drops],
                },
                len(drops),
            )
        )
    return pa.concat_tables(tables) if tables else PARSED.empty_table()


def _table(columns: dict[str, Sequence[object]], num_rows: int) -> pa.Table:
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(num_rows, field.type)
        for field in PARSED
    ]
    return pa.Table.from_arrays(arrays, schema=PARSED)
