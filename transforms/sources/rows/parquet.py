"""Rows as Parquet files: the same rows, and the same mappings, as JSON lines.

A row group belongs to the byte range in which its first page begins, so any cut of a file into ranges reads each once.
A record's offset is its row number. What cannot be read of a row group is an outcome of the file, with the number of
its rows in the detail; the other row groups are read. Damage is seen where Parquet can show it: it has no checksum of
its own unless its writer added them, and those are verified. Small files that unpack to huge ones are stopped by
`Limits`: by what the footer says before a byte is unpacked, and where a dictionary multiplies values, as they are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.datasets import places
from transforms.datasets.fates import Drop, Reason
from transforms.sources.mapping import RowMapping, plain_documents
from transforms.sources.records import Record
from transforms.sources.rows.mapped_rows import describe, to_posts
from transforms.sources.rows.row_values import Unreadable
from transforms.sources.source import Found, InputFile, Reading, Source
from transforms.sources.streams.unpack import NO_LIMITS, DamageError, Limits

NAME = "parquet"
MAGIC = b"PAR1"

_ENCRYPTED = b"PARE"
_BATCH_ROWS = 256
_READ_BYTES = 1 << 20
_FOOTER_BYTES = 12  # the smallest file: magic, length of an empty footer, magic
_DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)

_PLAIN: RowMapping = plain_documents(NAME)


def check_file(stream: IO[bytes], limits: Limits = NO_LIMITS) -> tuple[Reason, str] | None:
    """What is wrong with the whole file, or None when its footer can be read and promises no more than the limits."""
    num_bytes = stream.seek(0, 2)
    if not num_bytes:
        return Reason.EMPTY_FILE, "no content"
    stream.seek(max(0, num_bytes - 4))
    end = stream.read(4)
    if end == _ENCRYPTED:
        return Reason.WRONG_FORMAT, "an encrypted Parquet file: decrypt it first"
    if end != MAGIC or num_bytes < _FOOTER_BYTES:
        return Reason.TRUNCATED_FILE, "the file ends without a Parquet footer, so none of it is readable"
    try:
        metadata = _open(stream).metadata
        limits.check(num_bytes, sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups)))
    except DamageError as error:
        return error.reason, str(error)
    except _DAMAGE as error:
        return Reason.DAMAGED_FILE, f"its footer cannot be read ({type(error).__name__})"
    return None if metadata.num_rows else (Reason.EMPTY_FILE, "no rows")


def _open(stream: IO[bytes]) -> pq.ParquetFile:
    stream.seek(0)
    return pq.ParquetFile(stream, buffer_size=_READ_BYTES, pre_buffer=False, page_checksum_verification=True)


def read_rows(stream: IO[bytes], start: int, end: int | None, how: Reading) -> Iterator[Record | Drop]:
    """The posts of the row groups that begin in [start, end), in order, as Records and Drops.

    Memory: one page of each column and a batch of rows.
    """
    mapping = how.mapping or _PLAIN
    file = _open(stream)
    num_bytes = stream.seek(0, 2)
    first_row = 0
    for index in range(file.metadata.num_row_groups):
        num_rows = file.metadata.row_group(index).num_rows
        position = _position(file.metadata.row_group(index), num_bytes)
        if start <= position and (end is None or position < end):
            yield from _read_group(file, num_bytes, index, first_row, how, mapping)
        first_row += num_rows


def _position(group: pq.RowGroupMetaData, num_bytes: int) -> int:
    """Where a row group begins; inside the file whatever a damaged footer says, so that some range reads it."""
    starts = [0]
    for index in range(min(group.num_columns, 1)):
        column = group.column(index)
        starts = [column.data_page_offset if column.dictionary_page_offset is None else column.dictionary_page_offset]
    return max(0, min(starts[0], num_bytes - 1))


def _read_group(
    file: pq.ParquetFile, num_bytes: int, index: int, first_row: int, how: Reading, mapping: RowMapping
) -> Iterator[Record | Drop]:
    known = [name for name in _columns(mapping) if name in file.schema_arrow.names]
    num_rows = file.metadata.row_group(index).num_rows
    num_read = num_unpacked = 0
    try:
        batches = file.iter_batches(_BATCH_ROWS, row_groups=[index], columns=known, use_threads=False)
        for batch in batches:
            for row, row_bytes in _rows(batch, how.max_record_bytes):
                num_unpacked += row_bytes
                how.limits.check(num_bytes, num_unpacked)
                yield from _read_row(row, row_bytes, first_row + num_read, how, mapping)
                num_read += 1
    except DamageError as error:
        lost = f"{num_rows - num_read} of {num_rows} rows of row group {index} are not read: it {error}"
        yield Drop(how.file, first_row + num_read, None, error.reason, lost)
    except _DAMAGE as error:
        lost = f"{num_rows - num_read} of {num_rows} rows of row group {index} cannot be read ({type(error).__name__})"
        yield Drop(how.file, first_row + num_read, None, Reason.DAMAGED_FILE, lost)


def _rows(batch: pa.RecordBatch, max_bytes: int) -> Iterator[tuple[pa.RecordBatch, int]]:
    """(row, its bytes) one by one, values looked up in their dictionaries: a slice has a whole one, a batch repeats it.

    Where all rows together are within max_bytes, the bytes of each are the mean: to ask each takes a fifth of the time.
    """
    coded = [number for number, field in enumerate(batch.schema) if pa.types.is_dictionary(field.type)]
    mean = None if coded or batch.nbytes > max_bytes else batch.nbytes // max(1, batch.num_rows)
    for index in range(batch.num_rows):
        row = batch.slice(index, 1)
        for number in coded:
            row = row.set_column(number, batch.schema.names[number], row.column(number).dictionary_decode())
        yield row, row.nbytes if mean is None else mean


def _read_row(
    row: pa.RecordBatch, row_bytes: int, offset: int, how: Reading, mapping: RowMapping
) -> Iterator[Record | Drop]:
    if row_bytes > how.max_record_bytes:
        yield Drop(how.file, offset, None, Reason.OVERSIZED, f"{row_bytes} bytes, limit {how.max_record_bytes}")
        return
    try:
        values = {name: _plain(row.column(number)[0]) for number, name in enumerate(row.schema.names)}
    except UnicodeDecodeError:
        yield Drop(how.file, offset, None, Reason.BAD_ENCODING, "a value that is not UTF-8")
    else:
        yield from to_posts(values, offset, how, mapping)


def _plain(value: pa.Scalar) -> object:
    """The value in Python's own types; bytes as text, since many writers store text in binary columns."""
    try:
        plain = value.as_py()
        return plain.decode() if isinstance(plain, bytes) else plain
    except UnicodeDecodeError:
        raise
    except (ValueError, OverflowError, pa.ArrowException):
        return Unreadable()


def _columns(mapping: RowMapping) -> list[str]:
    """The columns that the mapping reads: the first step of each path. Other columns are not even unpacked."""
    items = (mapping.answer, mapping.comment) if mapping.nested else ()  # their fields are steps inside of a list
    posts = (mapping.document, mapping.question, mapping.answer, mapping.comment, mapping.reply)
    sections = [fields for fields in posts if fields and fields not in items]
    paths = [path for fields in sections for path in (*vars(fields).values(), *fields.attributes.values())]
    paths += [fields.list for fields in items if fields]
    paths += [mapping.site, mapping.language, *mapping.attributes.values()]
    paths += [mapping.kind and mapping.kind.path, *mapping.withdrawn]
    return sorted({path.split(".")[0] for path in paths if isinstance(path, str)})


def _describe(found: Found) -> Sequence[InputFile]:
    with places.open_input(found.place) as file:
        return [describe(found, NAME, check_file(file, found.limits))]


SOURCE = Source(
    name=NAME,
    says="Parquet",
    recognise=lambda head: head.startswith(MAGIC),
    names=re.compile(r".*\.parquet", re.IGNORECASE),
    describe=_describe,
    read=read_rows,
    mapped=True,
    questions_of=lambda file: "the rows that the mapping reads as questions",
)
