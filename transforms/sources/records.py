"""What a source yields: parsed posts and drops, and the Arrow table that carries both to their bucket.

A source parses a byte range of a file into `Record`s (one per kept post or document) and `Drop`s (one per record that
could not be used, and one per damaged file). Every record that is found becomes exactly one of the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from transforms.datasets.fates import WITHDRAWN, Drop, Reason
from transforms.datasets.ids import bucket_of
from transforms.datasets.schema import ATTRIBUTES, TIME

# Outcomes of a whole file: rows of the reject shard, but no records, so conservation does not count them.
FILE_REASONS = frozenset(
    {
        Reason.EMPTY_FILE,
        Reason.TRUNCATED_FILE,
        Reason.WRONG_FORMAT,
        Reason.DOCTYPE,
        Reason.DAMAGED_FILE,
        Reason.BOMB,
        Reason.ENCRYPTED,
        Reason.UNSAFE_NAME,
    }
)

# Of those, what says that rows of the file may be missing; one that declares a document type is read whole.
DAMAGE = FILE_REASONS - {Reason.DOCTYPE}


class Record(NamedTuple):
    """One parsed post or document, before its thread is joined. Times are milliseconds since 1970 UTC."""

    offset: int  # of the record in the (unpacked) file
    doc_id: str
    thread_id: str | None  # None where the row does not say: ingest finds it by what the post replies to
    parent_id: str | None
    kind: str | None  # None: an answer where it replies to its thread's first post, else a comment
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
    ups: int | None = None  # as the row itself states them
    downs: int | None = None
    accepted: bool | None = None  # answers whose own row says whether the asker accepted them
    flags: Sequence[str] = ()  # sorted
    language: str | None = None  # as the source states it: a code of the table, or the tag of another one
    attributes: Sequence[Mapping[str, str]] = ()  # {"name": …, "value": …}, sorted by name
    authors: Sequence[str] = ()  # ids and names as the dump has them, for the remove list: never written anywhere


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
        ("ups", pa.int64()),
        ("downs", pa.int64()),
        ("accepted", pa.bool_()),
        ("flags", pa.list_(pa.string())),
        ("language", pa.string()),
        ("attributes", ATTRIBUTES),
        ("file", pa.string()),
        ("record_id", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("bucket", pa.int32()),
    ]
)
assert (*PARSED.names[: len(Record._fields) - 1], "authors") == Record._fields


def to_table(file: str, records: Sequence[Record], drops: Sequence[Drop], num_buckets: int) -> pa.Table:
    """PARSED rows of one file. A record's bucket is its thread's, a drop's that of its file and offset."""
    tables = []
    if records:
        columns = dict(zip(Record._fields, zip(*records, strict=True), strict=True))
        buckets = buckets_of(columns["thread_id"], num_buckets)
        tables.append(_parsed_table({**columns, "file": [file] * len(records), "bucket": buckets}, len(records)))
    if drops:
        tables.append(drops_table(drops, num_buckets))
    return pa.concat_tables(tables) if tables else PARSED.empty_table()


def drops_table(drops: Sequence[Drop], num_buckets: int) -> pa.Table:
    """PARSED rows of drops, of any files."""
    columns = {
        "offset": [drop.offset for drop in drops],
        "file": [drop.file for drop in drops],
        "record_id": [drop.record_id for drop in drops],
        "parent_id": [drop.parent_id for drop in drops],
        "reason": [drop.reason.value for drop in drops],
        "detail": [drop.detail for drop in drops],
        "bucket": [_bucket_of_drop(drop, num_buckets) for drop in drops],
    }
    return _parsed_table(columns, len(drops))


def buckets_of(thread_ids: Sequence[str | None], num_buckets: int) -> list[int | None]:
    """The bucket of each record by its thread; None for one whose thread is not known yet."""
    bucket = {thread: bucket_of("shard", thread, num_buckets) for thread in set(thread_ids) if thread is not None}
    return [bucket.get(thread) if thread is not None else None for thread in thread_ids]


def _bucket_of_drop(drop: Drop, num_buckets: int) -> int:
    """By file and offset, but a question that was withdrawn goes where its answers are: its id is its thread's."""
    if drop.reason in WITHDRAWN and drop.record_id:
        return bucket_of("shard", drop.record_id, num_buckets)
    return bucket_of("reject", f"{drop.file}:{drop.offset}", num_buckets)


def placed(rows: pa.Table, file: str, num_buckets: int) -> pa.Table:
    """PARSED rows without file and bucket, with them."""
    of_threads = buckets_of(rows.column("thread_id").to_pylist(), num_buckets)
    columns = (rows.column(name).to_pylist() for name in ("offset", "record_id", "reason"))
    buckets = [
        bucket if reason is None else _bucket_of_drop(Drop(file, offset, record_id, Reason(reason), ""), num_buckets)
        for bucket, offset, record_id, reason in zip(of_threads, *columns, strict=True)
    ]
    whole = rows.append_column("file", pa.array([file] * rows.num_rows, pa.string()))
    return whole.append_column("bucket", pa.array(buckets, pa.int32())).select(PARSED.names)


def _parsed_table(columns: Mapping[str, Sequence[object] | pa.Array], num_rows: int) -> pa.Table:
    """PARSED rows of these columns; the others are null."""
    return pa.Table.from_arrays(
        [_array(columns.get(field.name), field.type, num_rows) for field in PARSED], schema=PARSED
    )


def _array(values: Sequence[object] | pa.Array | None, kind: pa.DataType, num_rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(num_rows, kind)
    return values if isinstance(values, pa.Array) else pa.array(values, kind)
