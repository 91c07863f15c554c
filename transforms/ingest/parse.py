"""Reads byte ranges of input files into Arrow tables of parsed posts and drops, each row with its bucket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import IO, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.fates import Drop
from transforms.datasets.ids import fingerprint
from transforms.datasets.step import library_versions
from transforms.ingest.accounts import Account
from transforms.ingest.find_threads import replies_table, steps_table
from transforms.ingest.join_marks import comments_table
from transforms.ingest.parse_cache import CachedPart, ParseCache, account_of, read_part
from transforms.ingest.removal import keep_out
from transforms.ingest.withheld import Opened, Withheld
from transforms.sources.kinds import SOURCES
from transforms.sources.marks import NO_TIME, Marks, marks_table, num_unused, posts_table
from transforms.sources.records import DAMAGE, FILE_REASONS, Record, to_table
from transforms.sources.source import Holds, InputFile, Reading
from transforms.sources.streams.blocks import Blocks, open_blocks
from transforms.sources.streams.unpack import Limits, open_unpacked

BATCH_ROWS = 1000
LIBRARIES = ("ftfy", "html-to-markdown")  # that decide what becomes of a text


@dataclass(frozen=True)
class ParseSpec:
    """How records are read. withheld: what every worker reads by itself; without an author secret no authors are
    stored."""

    num_buckets: int
    max_record_bytes: int
    withheld: Withheld = field(default_factory=Withheld)
    limits: Limits = field(default_factory=Limits)  # of what packed files may unpack to
    num_posts_buckets: int = 1  # into which posts are divided to meet what names them
    batch_chars: int = 8 << 20  # long posts make a table sooner
    spill_bytes: int = 64 << 20  # what a worker gathers before it writes
    strip_edit_labels: bool = False
    cache: str | None = None  # where parsed rows are kept for the next run

    def reading(self, file: InputFile, author_key: bytes | None = None) -> Reading:
        """How the rows of a file are read."""
        return Reading(
            file.name,
            file.site,
            self.max_record_bytes,
            author_key,
            file.holds,
            file.mapping,
            self.limits,
            self.strip_edit_labels,
        )

    @property
    def parse_cache(self) -> ParseCache | None:
        """Names everything that parsed rows depend on: all fields but those that say how many go where."""
        if self.cache is None:
            return None
        values = {known.name: getattr(self, known.name) for known in fields(self)}
        for name in ("num_buckets", "num_posts_buckets", "batch_chars", "spill_bytes", "cache", "withheld"):
            del values[name]
        settings = {**values, **self.withheld.digests, "libraries": library_versions(LIBRARIES)}
        return ParseCache(self.cache, fingerprint(settings))


@dataclass(frozen=True)
class FileRange:
    """Bytes [start, end) of a file; end None: to its end. number, forum: which file and forum of the inputs it is."""

    file: InputFile
    start: int
    end: int | None
    number: int = 0
    forum: int = 0
    blocks: Blocks | None = None  # the unpacked file, where it was worth unpacking for several workers
    cached: CachedPart | None = None  # the rows that an earlier run parsed, to be read instead


def cut(files: Sequence[InputFile], range_bytes: int, cached: Sequence[CachedPart] = ()) -> list[FileRange]:
    """Every file in ranges of at most range_bytes; a packed or unreadable one is a single range.

    A file that was parsed before is its cached parts instead.
    """
    found: list[FileRange] = []
    numbers = {forum: number for number, forum in enumerate(forums_of(files))}
    parts: dict[str, list[CachedPart]] = {}
    for part in cached:
        parts.setdefault(part.file.name, []).append(part)
    for number, file in enumerate(files):
        forum = numbers[file.forum]
        if file.name in parts:
            found += [FileRange(file, 0, None, number, forum, cached=part) for part in parts[file.name]]
        elif file.packed or not file.readable or file.bytes <= range_bytes:
            found.append(FileRange(file, 0, None, number, forum))
        else:
            starts = range(0, file.bytes, range_bytes)
            bounds = zip(starts, [*starts[1:], None], strict=True)
            found += [FileRange(file, start, end, number, forum) for start, end in bounds]
    return found


def is_cached(file: InputFile) -> bool:
    """Whether the rows that parsing gives are worth keeping: votes and links are parsed as fast as they are read."""
    return file.readable and not file.holds.is_marks


def forums_of(files: Sequence[InputFile]) -> list[str]:
    """Every forum of the inputs once; its place in the list is its number."""
    return sorted({file.forum for file in files})


def _read_range(piece: FileRange, spec: ParseSpec, author_key: bytes | None) -> Iterator[Record | Drop]:
    """Every record that begins in the range, and what is wrong with the file as a whole."""
    yield from _problem(piece)
    if piece.file.readable:
        with _open_range(piece, spec) as stream:
            reading = spec.reading(piece.file, author_key)
            yield from SOURCES[piece.file.source].read(stream, piece.start, piece.end, reading)


def _read_marks_range(piece: FileRange, spec: ParseSpec) -> Iterator[Marks | Drop]:
    """Every vote or link that begins in the range, and what is wrong with the file as a whole."""
    yield from _problem(piece)
    read = SOURCES[piece.file.source].read_marks
    if piece.file.readable and read:
        with _open_range(piece, spec) as stream:
            yield from read(stream, piece.start, piece.end, spec.reading(piece.file))


def _problem(piece: FileRange) -> Iterator[Drop]:
    if piece.file.problem and piece.start == 0:
        reason, detail = piece.file.problem
        yield Drop(piece.file.name, 0, None, reason, detail)


def _open_range(piece: FileRange, spec: ParseSpec) -> IO[bytes]:
    return open_blocks(piece.blocks) if piece.blocks else open_unpacked(piece.file.place, spec.limits)


def _batched(
    parsed: Iterable[Record | Drop], file: str, num_buckets: int, batch_chars: int = 8 << 20
) -> Iterator[pa.Table]:
    """PARSED tables of about BATCH_ROWS rows. Memory: one table, bounded."""
    records: list[Record] = []
    drops: list[Drop] = []
    num_chars = 0
    for item in parsed:
        if isinstance(item, Record):
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

    def setup(self) -> None:
        self._opened = self._spec.withheld.open()

    def process(self, piece: FileRange) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
        account = Account()
        spec = self._spec
        piece = _as_parsed_before(piece, spec)
        if piece.file.holds.is_marks:
            yield from _read_marks(piece, spec, account)
        else:
            for table in _read_tables(piece, spec, self._opened, account):
                yield from _on_its_way(table, piece, spec)
        yield beam.pvalue.TaggedOutput("accounts", account)


def _as_parsed_before(piece: FileRange, spec: ParseSpec) -> FileRange:
    """The range with the rows that a run parsed before it was killed, where there are any."""
    if not spec.parse_cache or piece.cached or not is_cached(piece.file):
        return piece
    return replace(piece, cached=spec.parse_cache.find_range(piece.file, piece.start, piece.end))


def _read_tables(piece: FileRange, spec: ParseSpec, opened: Opened, account: Account) -> Iterator[pa.Table]:
    """PARSED tables of a range, parsed now or before. `account` is complete when they end."""
    file = piece.file
    if piece.cached:
        account.merge(account_of(piece.cached))
        yield from read_part(piece.cached, spec.num_buckets)
        return
    read = _read_range(piece, spec, opened.author_key)
    parsed = _counted(keep_out(read, file.name, opened.remove, file.holds is Holds.REPLIES), file.name, account)
    tables = _batched(parsed, file.name, spec.num_buckets, spec.batch_chars)
    if spec.parse_cache:
        tables = spec.parse_cache.keep(tables, file, piece.start, piece.end, account)
    yield from tables


def _read_marks(piece: FileRange, spec: ParseSpec, account: Account) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
    """Votes or links by their post; those of other kinds are counted and stay behind."""
    file = piece.file.name
    drops: list[Drop] = []
    for item in _read_marks_range(piece, spec):
        if isinstance(item, Drop):
            drops.append(item)
            if item.reason in DAMAGE and piece.file.holds is Holds.VOTES:
                yield beam.pvalue.TaggedOutput("half_read", piece.file.forum)
            continue
        entry = account.of_file(file)
        entry.rows += len(item.id)
        if undated := int((item.value == NO_TIME).sum()):
            entry.noted["unreadable-created"] += undated
        entry.unused.update(num_unused(item))
        table = marks_table(item, piece.forum, piece.number, spec.num_posts_buckets)
        yield beam.pvalue.TaggedOutput("marks", table)
        if len(drops) >= BATCH_ROWS:
            yield from _batched(_counted(drops, file, account), file, spec.num_buckets)
            drops = []
    yield from _batched(_counted(drops, file, account), file, spec.num_buckets)


def _on_its_way(table: pa.Table, piece: FileRange, spec: ParseSpec) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
    """A PARSED table as it goes on: posts whose thread is known to it; others to where it will be found."""
    file, number = piece.file, spec.num_posts_buckets
    if file.holds is Holds.POSTS:
        yield table
        if SOURCES[file.source].numbered:
            posts = posts_table(table, piece.forum, f"{file.forum}:", number, piece.number)
            yield beam.pvalue.TaggedOutput("marks", posts)
        return
    is_drop = table.column("reason").is_valid()
    yield table.filter(is_drop)
    posts = table.filter(pc.invert(is_drop))
    if file.holds is Holds.COMMENTS:
        comments = comments_table(posts, piece.forum, f"{file.forum}:", number)
        yield beam.pvalue.TaggedOutput("comments", comments)
    else:
        yield beam.pvalue.TaggedOutput("steps", steps_table(table, number))
        yield beam.pvalue.TaggedOutput("replies", replies_table(posts, number))


def _counted(parsed: Iterable[Record | Drop], file: str, account: Account) -> Iterator[Record | Drop]:
    num_rows = 0
    for item in parsed:
        if isinstance(item, Record):
            num_rows += 1
        else:
            num_rows += item.reason not in FILE_REASONS
            if item.entry is not None:
                account.entries.add(item.entry)
        yield item
    account.of_file(file).rows += num_rows


class Parsed(NamedTuple):
    """What parsing yields. tables: PARSED, of posts whose thread is known, and drops; accounts: of the rows read.

    marks, comments: MARKS and COMMENTS, which meet at numbered posts (`JoinMarks`). steps, replies: STEPS and PARSED of
    posts that name only what they reply to (`FindThreads`). half_read: forums whose votes were not all read.
    """

    tables: beam.PCollection
    marks: beam.PCollection
    comments: beam.PCollection
    steps: beam.PCollection
    replies: beam.PCollection
    half_read: beam.PCollection
    accounts: beam.PCollection


class Parse(beam.PTransform):
    """FileRanges to Parsed. Memory: one table and one record a worker."""

    def __init__(self, spec: ParseSpec) -> None:
        super().__init__()
        self._spec = spec

    def expand(self, ranges: beam.PCollection) -> Parsed:
        main, *others = Parsed._fields
        outputs = ranges | beam.ParDo(_ParseFn(self._spec)).with_outputs(*others, main=main)
        return Parsed(*(outputs[name] for name in Parsed._fields))
