"""Sorted runs: what lets a shard be larger than memory.

A shard's rows come in `parts` buckets, each small enough to be sorted in memory. Every sorted bucket is a run in
scratch space; a shard is written by merging its runs, a batch of each at a time. A thread lies in one run, so runs are
merged by thread alone. Shards that fit have one part and no runs: their text moves once.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets import places

_MAX_BATCH_ROWS = 1024


class Run(NamedTuple):
    """Two sorted files of one bucket, and the counts of their rows."""

    bucket: int
    data: str
    rejects: str
    kept: dict[str, dict[str, int]]
    dropped: dict[str, dict[str, int]]


def write_run(table: pa.Table, place: str, batch_bytes: int) -> str:
    """Writes a sorted table in batches of about batch_bytes; returns its place."""
    target = places.join(place, f"run-{uuid.uuid4().hex}.arrow")
    rows = max(1, min(_MAX_BATCH_ROWS, table.num_rows * batch_bytes // max(1, table.nbytes)))
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with places.open_scratch(target) as file, pa.ipc.new_file(file, table.schema, options=options) as writer:
        for batch in table.to_batches(max_chunksize=rows):
            writer.write_batch(batch)
    return target


def _batches(place: str) -> Iterator[pa.RecordBatch]:
    """Read, not mapped, so that what was given out is not counted as this process's memory."""
    with places.open_input(place) as file:
        reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(use_threads=False))
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)


def merge(runs: Sequence[str], schema: pa.Schema, keys: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of sorted runs as sorted tables. Memory: about two batches of each run.

    keys: text and number columns that the runs are sorted by, nulls as empty text. Rows of one run with equal keys keep
    their order; rows of different runs must be equal where their keys are.
    """
    streams = {number: _batches(place) for number, place in enumerate(runs)}
    waiting: dict[int, pa.Table] = {}
    while streams or waiting:
        for number in [number for number in streams if number not in waiting]:
            batch = next(streams[number], None)
            if batch is None:
                del streams[number]
            elif batch.num_rows:
                waiting[number] = pa.Table.from_batches([batch], schema)
        if any(number not in waiting for number in streams):
            continue
        # What sorts up to the end of every batch that may have another behind it can be given out.
        ends = [_key(waiting[number], keys, waiting[number].num_rows - 1) for number in streams]
        ready: list[pa.Table] = []
        for number, table in list(waiting.items()):
            cut = _rows_up_to(table, keys, min(ends)) if ends else table.num_rows
            if cut:
                ready.append(table.slice(0, cut))
            if cut < table.num_rows:
                waiting[number] = table.slice(cut)
            else:
                del waiting[number]
        if ready:
            yield _sorted(pa.concat_tables(ready), keys)


def _sorted(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    columns = {name: table.column(name) for name in keys}
    known = {name: pc.fill_null(column, "") if column.null_count else column for name, column in columns.items()}
    return table.take(pc.sort_indices(pa.table(known), sort_keys=[(name, "ascending") for name in keys]))  # stable


def _key(table: pa.Table, keys: Sequence[str], row: int) -> tuple[Any, ...]:
    """Python compares text by code points and Arrow by UTF-8 bytes, which is the same order."""
    values = (table.column(name)[row].as_py() for name in keys)
    return tuple("" if value is None else value for value in values)


def _rows_up_to(table: pa.Table, keys: Sequence[str], end: tuple[Any, ...]) -> int:
    """How many first rows of a sorted table have a key of at most `end`."""
    low, high = 0, table.num_rows
    while low < high:
        middle = (low + high) // 2
        if _key(table, keys, middle) <= end:
            low = middle + 1
        else:
            high = middle
    return low
