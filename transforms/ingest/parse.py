"""Reads byte ranges of input files into Arrow tables of parsed posts and drops, each row with its bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import IO

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.fates import Drop, Reason
from transforms.datasets.ids import fingerprint
from transforms.datasets.step import library_versions
from transforms.ingest.accounts import Account
from transforms.ingest.join_marks import comments_table
from transforms.ingest.parse_cache import CachedPart, ParseCache, account_of, read_part
from transforms.ingest.removal import RemoveList, keep_out
from transforms.sources import reddit
from transforms.sources.inputs import InputFile
from transforms.sources.records import DAMAGE, FILE_REASONS, Record, to_table
from transforms.sources.rows import jsonl, parquet
from transforms.sources.rows.mapped_rows import RowSet
from transforms.sources.rows.mapping import RowMapping
from transforms.sources.stackexchange import marks, post_rows, post_tables
from transforms.sources.stackexchange import tables as stackexchange
from transforms.sources.streams.blocks import Blocks, open_blocks
from transforms.sources.streams.unpack import Limits, open_unpacked

BATCH_ROWS = 1000
LIBRARIES = ("ftfy", "html-to-markdown")  # that decide what becomes of a text

MARKS = "marks"
COMMENTS = "comments"
HALF_READ = "half-read"
ACCOUNT = "account"


@dataclass(frozen=True)
class ParseSpec:
    """How records are read. author_secret: the key of author keys (up to 64 bytes), or None to store no authors."""

    num_buckets: int
    max_record_bytes: int
    author_secret: bytes | None
    limits: Limits = field(default_factory=Limits)  # of what packed files may unpack to
    mapping: RowMapping | None = None  # of JSONL and Parquet rows whose file has none; None: plain documents
    remove: RemoveList = field(default_factory=RemoveList)
    num_posts_buckets: int = 1  # into which posts are divided to meet their votes, links and comments
    batch_chars: int = 8 << 20  # long posts make a table sooner
    spill_bytes: int = 64 << 20  # what a worker gathers before it writes
    strip_edit_labels: bool = False
    cache: str | None = None  # where parsed rows are kept for the next run

    @property
    def parse_cache(self) -> ParseCache | None:
        """Names everything that parsed rows depend on: all fields but those that say how many go where."""
        if self.cache is None:
            return None
        values = {known.name: getattr(self, known.name) for known in fields(self)}
        for name in ("num_buckets", "num_posts_buckets", "batch_chars", "spill_bytes", "cache"):
            del values[name]
        secret = hashlib.blake2b(self.author_secret or b"", person=b"agora-digest").hexdigest()
        settings = {**values, "author_secret": self.author_secret and secret, "remove": self.remove.digest()}
        settings["libraries"] = library_versions(LIBRARIES)
        return ParseCache(self.cache, fingerprint(settings))


@dataclass(frozen=True)
class FileRange:
    """Bytes [start, end) of a file; end None: to its end. number, site: which file and site of the inputs it is."""

    file: InputFile
    start: int
    end: int | None
    number: int = 0
    site: int = 0
    blocks: Blocks | None = None  # the unpacked file, where it was worth unpacking for several workers
    cached: CachedPart | None = None  # the rows that an earlier run parsed, to be read instead


def cut(files: Sequence[InputFile], range_bytes: int, cached: Sequence[CachedPart] = ()) -> list[FileRange]:
    """Every file in ranges of at most range_bytes; a packed or unreadable one is a single range.

    A file that was parsed before is its cached parts instead.
    """
    found: list[FileRange] = []
    numbers = {site: number for number, site in enumerate(sites_of(files))}
    parts: dict[str, list[CachedPart]] = {}
    for part in cached:
        parts.setdefault(part.file.name, []).append(part)
    for number, file in enumerate(files):
        site = numbers[file.site or ""]
        if file.name in parts:
            found += [FileRange(file, 0, None, number, site, cached=part) for part in parts[file.name]]
        elif file.packed or not file.readable or file.bytes <= range_bytes:
            found.append(FileRange(file, 0, None, number, site))
        else:
            starts = range(0, file.bytes, range_bytes)
            bounds = zip(starts, [*starts[1:], None], strict=True)
            found += [FileRange(file, start, end, number, site) for start, end in bounds]
    return found


def is_cached(file: InputFile) -> bool:
    """Whether the rows that parsing gives are worth keeping: votes and links are parsed as fast as they are read."""
    return file.readable and file.table not in marks.TABLES


def sites_of(files: Sequence[InputFile]) -> list[str]:
    """Every site of the inputs once; its place in the list is its number."""
    return sorted({file.site or "" for file in files})


def read_range(piece: FileRange, spec: ParseSpec) -> Iterator[pa.Table | Record | Drop]:
    """Every record that begins in the range, some in PARSED tables, and what is wrong with the file as a whole."""
    file = piece.file
    yield from _problem(piece)
    if not file.readable:
        return
    with _open_range(piece, spec) as stream:
        if file.source == stackexchange.SOURCE:
            yield from _read_posts(stream, piece, spec)
        elif file.source == reddit.SOURCE:
            months = reddit.Dump(file.name, spec.max_record_bytes, spec.author_secret)
            yield from reddit.read_posts(stream, piece.start, piece.end, months)
        else:
            kind = parquet if file.source == parquet.SOURCE else jsonl
            mapping = file.mapping or spec.mapping or kind.PLAIN
            rows = RowSet(file.name, file.site, spec.max_record_bytes, mapping, spec.author_secret, spec.limits)
            yield from kind.read_rows(stream, piece.start, piece.end, rows)


def _read_posts(stream: IO[bytes], piece: FileRange, spec: ParseSpec) -> Iterator[pa.Table | Record | Drop]:
    """Tables, unless there is a remove list: it is matched with each record's authors, which no table holds."""
    dump = _table_of(piece, spec)
    if spec.remove.num_entries:
        return post_rows.read_posts(stream, piece.start, piece.end, dump)
    return post_tables.read_tables(stream, piece.start, piece.end, dump, spec.num_buckets, BATCH_ROWS, spec.batch_chars)


def read_marks_range(piece: FileRange, spec: ParseSpec) -> Iterator[marks.Columns | Drop]:
    """Every vote or link that begins in the range, and what is wrong with the file as a whole."""
    yield from _problem(piece)
    if piece.file.readable:
        with _open_range(piece, spec) as stream:
            yield from marks.read_marks(stream, piece.start, piece.end, _table_of(piece, spec))


def _problem(piece: FileRange) -> Iterator[Drop]:
    if piece.file.problem and piece.start == 0:
        reason, detail = piece.file.problem
        yield Drop(piece.file.name, 0, None, reason, detail)


def _open_range(piece: FileRange, spec: ParseSpec) -> IO[bytes]:
    return open_blocks(piece.blocks) if piece.blocks else open_unpacked(piece.file.place, spec.limits)


def _table_of(piece: FileRange, spec: ParseSpec) -> stackexchange.Dump:
    file, table = piece.file, piece.file.table or stackexchange.Table.POSTS
    return stackexchange.Dump(
        file.name, file.site or "", spec.max_record_bytes, spec.author_secret, table, spec.strip_edit_labels
    )


def batched(
    parsed: Iterable[pa.Table | Record | Drop], file: str, num_buckets: int, batch_chars: int = 8 << 20
) -> Iterator[pa.Table]:
    """PARSED tables of about BATCH_ROWS rows, of the records and drops among them. Memory: one table, bounded."""
    records: list[Record] = []
    drops: list[Drop] = []
    num_chars = 0
    for item in parsed:
        if isinstance(item, pa.Table):
            yield item
        elif isinstance(item, Record):
            records.append(item)
            num_chars += len(item.text)
        else:
            drops.append(item)
        if len(records) + len(drops) >= BATCH_ROWS or num_chars >= batch_chars:
            yield to_table(file, records, drops, num_buckets)
            records, drops, num_chars = [], [], 0
    if records or drops:
        yield to_table(file, records, drops, num_buckets)


class _ParseFn(beam.DoFn):
    def __init__(self, spec: ParseSpec) -> None:
        self._spec = spec

    def process(self, piece: FileRange) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
        account = Account()
        spec, file = self._spec, piece.file.name
        piece = _as_parsed_before(piece, spec)
        if piece.file.table in marks.TABLES:
            yield from _read_marks(piece, spec, account)
        elif piece.cached:
            account.merge(account_of(piece.cached))
            for table in read_part(piece.cached, spec.num_buckets):
                yield from _tables(table, piece, spec)
        else:
            parsed = _counted(keep_out(read_range(piece, spec), file, spec.remove), file, account)
            tables = batched(parsed, file, spec.num_buckets, spec.batch_chars)
            if spec.parse_cache:
                tables = spec.parse_cache.keep(tables, piece.file, piece.start, piece.end, account)
            for table in tables:
                yield from _tables(table, piece, spec)
        yield beam.pvalue.TaggedOutput(ACCOUNT, account)


def _as_parsed_before(piece: FileRange, spec: ParseSpec) -> FileRange:
    """The range with the rows that a run parsed before it was killed, where there are any."""
    if not spec.parse_cache or piece.cached or not is_cached(piece.file):
        return piece
    return replace(piece, cached=spec.parse_cache.find_range(piece.file, piece.start, piece.end))


def _read_marks(piece: FileRange, spec: ParseSpec, account: Account) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
    """Votes or links by their post; those of other kinds are counted and stay behind."""
    file = piece.file.name
    drops: list[Drop] = []
    for item in read_marks_range(piece, spec):
        if isinstance(item, Drop):
            drops.append(item)
            if item.reason in DAMAGE and piece.file.table is stackexchange.Table.VOTES:
                yield beam.pvalue.TaggedOutput(HALF_READ, piece.file.site)
            continue
        account.read(file, len(item.id))
        if undated := int((item.value == marks.NO_TIME).sum()):
            account.noted(file, "unreadable-created", undated)
        reason = Reason.OTHER_VOTE if piece.file.table is stackexchange.Table.VOTES else Reason.OTHER_LINK
        if others := marks.num_others(item):
            account.unused(file, reason, others)
        table = marks.marks_table(item, piece.site, piece.number, spec.num_posts_buckets)
        yield beam.pvalue.TaggedOutput(MARKS, table)
        if len(drops) >= BATCH_ROWS:
            yield from batched(_counted(drops, file, account), file, spec.num_buckets)
            drops = []
    yield from batched(_counted(drops, file, account), file, spec.num_buckets)


def _tables(table: pa.Table, piece: FileRange, spec: ParseSpec) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
    """A table as it goes on: posts with marks that say in which thread they stand, comments by their post."""
    file = piece.file
    if file.source != stackexchange.SOURCE:
        yield table
    elif file.table is stackexchange.Table.COMMENTS:
        is_drop = table.column("reason").is_valid()
        yield table.filter(is_drop)
        prefix = stackexchange.id_prefix(file.site or "")
        comments = comments_table(table.filter(pc.invert(is_drop)), piece.site, prefix, spec.num_posts_buckets)
        yield beam.pvalue.TaggedOutput(COMMENTS, comments)
    else:
        yield table
        prefix = stackexchange.id_prefix(file.site or "")
        posts = marks.posts_table(table, piece.site, prefix, spec.num_posts_buckets, piece.number)
        yield beam.pvalue.TaggedOutput(MARKS, posts)


def _counted(
    parsed: Iterable[pa.Table | Record | Drop], file: str, account: Account
) -> Iterator[pa.Table | Record | Drop]:
    num_rows = 0
    for item in parsed:
        if isinstance(item, pa.Table):
            num_rows += item.num_rows
        elif isinstance(item, Record):
            num_rows += 1
        else:
            num_rows += item.reason not in FILE_REASONS
            if item.entry is not None:
                account.removed(item.entry)
        yield item
    account.read(file, num_rows)


class Parse(beam.PTransform):
    """FileRanges to (tables, marks, comments, sites whose votes were not all read, accounts of the rows read).

    Memory: one table and one record a worker.

    Only Stack Exchange has marks and comments that must meet their post first: see `join_marks`.
    """

    def __init__(self, spec: ParseSpec) -> None:
        super().__init__()
        self._spec = spec

    def expand(self, ranges: beam.PCollection) -> tuple[beam.PCollection, ...]:
        outputs = ranges | beam.ParDo(_ParseFn(self._spec)).with_outputs(
            MARKS, COMMENTS, HALF_READ, ACCOUNT, main="tables"
        )
        return outputs["tables"], outputs[MARKS], outputs[COMMENTS], outputs[HALF_READ], outputs[ACCOUNT]
