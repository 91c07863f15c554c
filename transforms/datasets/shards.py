"""One Arrow shard of a dataset: written with its part-record, read whole, batch by batch or row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

import pyarrow as pa

from transforms.datasets import places
from transforms.datasets.building import Build
from transforms.datasets.checks import DamagedError
from transforms.datasets.dataset import Dataset
from transforms.datasets.fates import Tally
from transforms.datasets.manifest import Counts, ShardFile
from transforms.datasets.schema import stamped

BATCH_ROWS = 4096

# Token shards are read zero-copy from a memory map; everything else is text and is stored compressed.
_MAPPED_KINDS = frozenset({"tokens", "preference", "curriculum"})


def write_shard(
    build: Build,
    path: str,
    schema: pa.Schema,
    tables: Iterable[pa.Table],
    id_column: str | None = None,
    counts: Counts | None = None,
) -> ShardFile:
    """Writes one Arrow shard and its part-record, both atomically.

    The bytes depend on the rows and their order alone, not on how they were cut into tables. The caller sorts. Memory:
    one of `tables` and one batch of BATCH_ROWS rows.
    """
    rows = 0
    ids = hashlib.sha256()
    kind = build.kind_of(path)
    compression = None if kind in _MAPPED_KINDS else "zstd"
    options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
    target = stamped(schema, kind, build.fingerprint)
    with places.AtomicFile(build.at(path)) as file:
        with pa.ipc.new_file(file, target, options=options) as writer:
            for batch in _rebatched(tables, schema):
                writer.write_batch(batch.replace_schema_metadata(target.metadata))
                rows += batch.num_rows
                if id_column is not None:
                    ids.update("".join(f"{value}\n" for value in batch.column(id_column).to_pylist()).encode())
        file.publish()
    return build.leave_record(
        ShardFile(
            path=path,
            rows=rows,
            bytes=file.bytes_written,
            sha256=file.sha256,
            xxh3=file.xxh3,
            ids_sha256=ids.hexdigest() if id_column is not None else "",
            counts=Tally(counts).to_dict(),
        ),
    )


def _rebatched(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows in batches of exactly BATCH_ROWS (the last one shorter), in buffers of their own.

    `take` copies: without it a batch could carry its table's bytes under null slots and past its ends.
    """
    waiting: list[pa.Table] = []
    num_waiting = 0
    for table in tables:
        waiting.append(table.select(schema.names).cast(schema))
        num_waiting += table.num_rows
        if num_waiting >= BATCH_ROWS:
            joined = pa.concat_tables(waiting)
            whole = num_waiting - num_waiting % BATCH_ROWS
            for start in range(0, whole, BATCH_ROWS):
                yield _own_buffers(joined.slice(start, BATCH_ROWS))
            waiting, num_waiting = [joined.slice(whole)], num_waiting - whole
    if num_waiting:
        yield _own_buffers(pa.concat_tables(waiting))


def _own_buffers(table: pa.Table) -> pa.RecordBatch:
    taken = table.combine_chunks().take(pa.array(range(table.num_rows), pa.int64()))
    return taken.combine_chunks().to_batches()[0]


def _open(dataset: Dataset, path: str, columns: Sequence[str] | None) -> tuple[pa.ipc.RecordBatchFileReader, list[int]]:
    """A shard's reader, and which columns to take of what it reads, in the file's order."""
    source = dataset.open_file(path)
    with _told(dataset, path):
        reader = pa.ipc.open_file(source)
    known = reader.schema.names
    if columns is None:
        return reader, list(range(len(known)))
    wanted = [reader.schema.get_field_index(column) for column in columns]
    if -1 in wanted:
        missing = columns[wanted.index(-1)]
        raise ValueError(f"{places.join(dataset.place, path)} has no column {missing!r}; it has {known}")
    if dataset.manifest.kind in _MAPPED_KINDS:  # `included_fields` would read them into memory of Arrow's own
        return reader, sorted(wanted)
    source.seek(0)
    options = pa.ipc.IpcReadOptions(included_fields=sorted(wanted))  # and nothing else is unpacked
    return pa.ipc.open_file(source, options=options), list(range(len(wanted)))


@contextmanager
def _told(dataset: Dataset, path: str) -> Iterator[None]:
    """What Arrow says of bytes that it cannot read, with the file's name."""
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise DamagedError(f"{dataset.place} is damaged: {path} is no sound Arrow file ({error})") from error


def read_shard(dataset: Dataset, path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A whole shard, checked (`checks`), every value of its columns valid for Arrow; memory-mapped when the place is
    local, without a copy when the kind is stored uncompressed. Raises DamagedError."""
    reader, taken = _open(dataset, path, columns)
    with _told(dataset, path):
        table = reader.read_all().select(taken)
        table.validate(full=True)
    return table


def iter_batches(dataset: Dataset, path: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """`read_shard` batch by batch, at most BATCH_ROWS rows each."""
    reader, taken = _open(dataset, path, columns)
    for index in range(reader.num_record_batches):
        with _told(dataset, path):
            batch = reader.get_batch(index).select(taken)
            batch.validate(full=True)
        yield batch


def read_rows(dataset: Dataset, path: str, rows: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of these numbers, at least one and ascending, of a shard; only the batches that hold them are unpacked.

    Raises ValueError for a row that the shard has not got, and as `read_shard` does.
    """
    if rows[-1] >= (number := dataset.file(path).rows):
        raise ValueError(f"{places.join(dataset.place, path)} has no row {rows[-1]:,}: it has {number:,} rows, from 0")
    reader, taken = _open(dataset, path, columns)
    found = []
    for index, wanted in groupby(rows, key=lambda row: row // BATCH_ROWS):
        with _told(dataset, path):
            batch = reader.get_batch(index).select(taken)
            batch.validate(full=True)
        found.append(pa.Table.from_batches([batch]).take([row % BATCH_ROWS for row in wanted]))
    return pa.concat_tables(found)
