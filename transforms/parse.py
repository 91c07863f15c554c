"""Reads byte ranges of input files into Arrow tables of parsed posts and drops, each row with its bucket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa

from transforms.accounts import Account
from transforms.fates import Drop
from transforms.sources import jsonl, stackexchange
from transforms.sources.inputs import InputFile
from transforms.sources.pieces import open_unpacked
from transforms.sources.records import FILE_REASONS, Record, to_table

BATCH_ROWS = 1000
_BATCH_CHARS = 8 << 20  # long posts make a table sooner

ACCOUNT = "account"


@dataclass(frozen=True)
class ParseSpec:
    """How records are read. author_secret: the key of author keys (up to 64 bytes), or None to store no authors."""

    num_buckets: int
    max_record_bytes: int
    author_secret: bytes | None


@dataclass(frozen=True)
class FileRange:
    """Bytes [start, end) of a file; end None: to its end."""

    file: InputFile
    start: int
    end: int | None


def cut(files: Sequence[InputFile], range_bytes: int) -> list[FileRange]:
    """Every file in ranges of at most range_bytes; a packed or unreadable one is a single range."""
    found: list[FileRange] = []
    for file in files:
        if file.packed or not file.readable or file.bytes <= range_bytes:
            found.append(FileRange(file, 0, None))
        else:
            starts = range(0, file.bytes, range_bytes)
            found += [FileRange(file, start, start + range_bytes) for start in starts]
    return found


def read_range(piece: FileRange, spec: ParseSpec) -> Iterator[Record | Drop]:
    """Every record that begins in the range, and what is wrong with the file as a whole."""
    file = piece.file
    if file.problem and piece.start == 0:
        reason, detail = file.problem
        yield Drop(file.name, 0, None, reason, detail)
    if not file.readable:
        return
    with open_unpacked(file.place) as stream:
        if file.source == stackexchange.SOURCE:
            dump = stackexchange.Dump(file.name, file.site or "", spec.max_record_bytes, spec.author_secret)
            yield from stackexchange.read_posts(stream, piece.start, piece.end, dump)
        else:
            corpus = jsonl.Corpus(file.name, file.site, spec.max_record_bytes)
            yield from jsonl.read_documents(stream, piece.start, piece.end, corpus)


def batched(parsed: Iterable[Record | Drop], file: str, num_buckets: int) -> Iterator[pa.Table]:
    """PARSED tables of about BATCH_ROWS rows. Memory: one table, its text bounded."""
    records: list[Record] = []
    drops: list[Drop] = []
    num_chars = 0
    for item in parsed:
        if isinstance(item, Record):
            records.append(item)
            num_chars += len(item.text)
        else:
            drops.append(item)
        if len(records) + len(drops) >= BATCH_ROWS or num_chars >= _BATCH_CHARS:
            yield to_table(file, records, drops, num_buckets)
            records, drops, num_chars = [], [], 0
    if records or drops:
        yield to_table(file, records, drops, num_buckets)


class _ParseFn(beam.DoFn):
    def __init__(self, spec: ParseSpec) -> None:
        self._spec = spec

    def process(self, piece: FileRange) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
        account = Account()
        parsed = _counted(read_range(piece, self._spec), piece.file.name, account)
        yield from batched(parsed, piece.file.name, self._spec.num_buckets)
        yield beam.pvalue.TaggedOutput(ACCOUNT, account)


def _counted(parsed: Iterable[Record | Drop], file: str, account: Account) -> Iterator[Record | Drop]:
    num_rows = 0
    for item in parsed:
        num_rows += isinstance(item, Record) or item.reason not in FILE_REASONS
        yield item
    account.read(file, num_rows)


class Parse(beam.PTransform):
    """FileRanges to (tables, accounts of the rows read). Memory: one table and one record a worker."""

    def __init__(self, spec: ParseSpec) -> None:
        super().__init__()
        self._spec = spec

    def expand(self, ranges: beam.PCollection) -> tuple[beam.PCollection, beam.PCollection]:
        outputs = ranges | beam.ParDo(_ParseFn(self._spec)).with_outputs(ACCOUNT, main="tables")
        return outputs["tables"], outputs[ACCOUNT]
