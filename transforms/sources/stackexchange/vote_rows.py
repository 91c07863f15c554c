"""Votes.xml and PostLinks.xml: rows that say something of a post, read a block at a time, without an object for each.

Stack Overflow has 250 million votes. A block of complete rows is cut at its quotes and read column by column; a block
that holds anything unusual is read again row by row, strictly, so that both ways together accept exactly what the
grammar of `xml_rows` accepts (a test holds them against each other).

Types of votes and links: meta.stackexchange.com/q/2677.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.datasets.fates import Drop
from transforms.sources.fields import Notes
from transforms.sources.marks import ID_LIMIT, LINK, NO_TIME, Marks, Numbers
from transforms.sources.rows.row_values import to_time
from transforms.sources.source import Holds, Reading
from transforms.sources.stackexchange.post_rows import post_number, type_number
from transforms.sources.stackexchange.tables import read_rows
from transforms.sources.streams.pieces import read_chunk
from transforms.sources.streams.unpack import DamageError

_BLOCK_BYTES = 4 << 20
_BATCH_ROWS = 10_000


class _Row(NamedTuple):
    id: int
    post: int
    kind: int
    value: int


def read_marks(stream: IO[bytes], start: int, end: int | None, how: Reading) -> Iterator[Marks | Drop]:
    """The votes or links whose `<` lies in [start, end), in order. Memory: one block of 4 MiB, a few times over."""
    if start:
        stream.seek(start)
    ahead = _Ahead(stream)
    offset = start
    at_row = start == 0
    while True:
        data = ahead.fill(_BLOCK_BYTES)
        if not at_row:  # what lies before the first < belongs to the range before
            skipped = data.find(b"<")
            if not data:
                return
            ahead.skip(len(data) if skipped < 0 else skipped)
            offset += len(data) if skipped < 0 else skipped
            at_row = skipped >= 0
            continue
        limit = len(data) if end is None else min(len(data), end - offset)
        if limit <= 0 and end is not None:
            return
        first, last = data.find(b"<row ", 0, limit), data.rfind(b"<row ", 0, limit)
        if last <= first:  # no two rows in sight: the end, or something that is no table of marks
            yield from _strictly(ahead, None if end is None else end - offset, how, offset)
            return
        if first:
            yield from _block(data[:first], how, offset)
        columns = fast_marks(data[first:last], how.holds, how.max_record_bytes)
        if columns is None:
            yield from _block(data[first:last], how, offset + first)
        else:
            yield columns
        ahead.skip(last)
        offset += last


class _Ahead:
    """A stream of which some bytes have been read and not yet used."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._bytes = b""
        self._ended = False
        self._damage: DamageError | None = None

    def fill(self, num_bytes: int) -> bytes:
        """At least num_bytes of what comes next, or all there is; they stay."""
        parts = [self._bytes]
        have = len(self._bytes)
        while have < num_bytes and not self._ended:
            chunk, self._damage = read_chunk(self._stream)
            self._ended = not chunk
            parts.append(chunk)
            have += len(chunk)
        self._bytes = b"".join(parts)
        return self._bytes

    def skip(self, num_bytes: int) -> None:
        self._bytes = self._bytes[num_bytes:]

    def read1(self, num_bytes: int) -> bytes:
        if not self._bytes and not self._ended:
            self.fill(1)
        if not self._bytes and self._damage:
            raise self._damage
        data, self._bytes = self._bytes[:num_bytes], self._bytes[num_bytes:]
        return data


class _Bytes(_Ahead):
    def __init__(self, data: bytes) -> None:
        self._bytes, self._ended, self._damage = data, True, None


def _block(data: bytes, how: Reading, offset: int) -> Iterator[Marks | Drop]:
    """A block that ends before a `<`, strictly. The file goes on after it."""
    yield from _strictly(_Bytes(data + b"<"), len(data), how, offset)


def _strictly(stream: _Ahead, end: int | None, how: Reading, offset: int) -> Iterator[Marks | Drop]:
    read = _vote if how.holds is Holds.VOTES else _link
    rows: list[_Row] = []
    for item in read_rows(stream, 0, end, how, read, offset):  # type: ignore[arg-type]
        if isinstance(item, Drop):
            yield item
            continue
        rows.append(item)
        if len(rows) >= _BATCH_ROWS:
            yield _marks_of(rows)
            rows = []
    if rows:
        yield _marks_of(rows)


def _marks_of(rows: Sequence[_Row]) -> Marks:
    return Marks(*np.array(rows, np.int64).T)


def _vote(row: Mapping[str, str], offset: int, how: Reading) -> _Row:
    created = Notes().read("created", lambda: to_time(row.get("CreationDate"), "iso", "created"))
    kind, value = type_number(row, "VoteTypeId"), NO_TIME if created is None else created
    return _Row(post_number(row, "Id"), post_number(row, "PostId"), kind, value)


def _link(row: Mapping[str, str], offset: int, how: Reading) -> _Row:
    kind = LINK + type_number(row, "LinkTypeId")
    return _Row(post_number(row, "Id"), post_number(row, "PostId"), kind, post_number(row, "RelatedPostId"))


# ------------------------------------------------------------------------------------------ the fast way

_PLAIN = bytes([9, 10, 13, *range(0x20, 0x7F)])
_NAME = r"([A-Za-z_:][\w:.-]*)\s*=\s*"
_FIRST = re.compile(rf"<row\s+{_NAME}", re.ASCII)
_START = re.compile(rf"\s*/>\s*<row\s+{_NAME}", re.ASCII)
_MIDDLE = re.compile(rf"\s+{_NAME}", re.ASCII)
_END = re.compile(r"\s*/>\s*", re.ASCII)
_WANTED = {
    Holds.VOTES: ("Id", "PostId", "VoteTypeId", "CreationDate"),
    Holds.LINKS: ("Id", "PostId", "LinkTypeId", "RelatedPostId"),
}
_UNUSUAL = (b"&", b"'", b"+", b"x", b"X")  # references, other quotes, signs; Arrow reads 0x10 as a number


def fast_marks(data: bytes, holds: Holds, max_record_bytes: int = 1 << 30) -> Marks | None:
    """The rows of a block that begins at a row and ends where one ends; None when one of them needs a closer look."""
    if data.translate(None, _PLAIN) or any(character in data for character in _UNUSUAL):
        return None
    characters = np.frombuffer(data, np.uint8)
    quotes, begins = np.flatnonzero(characters == ord('"')), np.flatnonzero(characters == ord("<"))
    if len(quotes) == 0 or len(quotes) % 2 or np.diff(begins, append=len(data)).max() - 1 > max_record_bytes:
        return None
    # Without its quotes, the block is what stood between them, end to end: names at even places, values at odd ones.
    bare = data.translate(None, b'"')
    bounds = np.concatenate(([0], quotes - np.arange(len(quotes)), [len(bare)])).astype(np.int32)
    parts = pa.StringArray.from_buffers(len(quotes) + 1, pa.py_buffer(bounds.tobytes()), pa.py_buffer(bare))
    spelled = parts.take(pa.array(np.arange(0, len(quotes), 2))).dictionary_encode()
    layout = _layout(spelled.dictionary.to_pylist())
    if layout is None or not _END.fullmatch(parts[-1].as_py()):
        return None
    codes = spelled.indices.to_numpy()  # code 0 is the first row's beginning, and of no other
    rows = np.cumsum(layout.starts[codes]) - 1
    if (codes == 0).sum() != 1 or len(begins) != rows[-1] + 1:
        return None
    columns: dict[str, pa.Array] = {}
    for number, name in enumerate(layout.names):
        places = np.flatnonzero(layout.attribute_of[codes] == number)
        if (np.diff(rows[places]) == 0).any():  # stands twice in a row
            return None
        if len(places) == len(begins):
            columns[name] = parts.take(pa.array(places * 2 + 1))
    return _typed(columns, holds)


class _Layout(NamedTuple):
    """What stands between values, by its code: whether it begins a row, and which attribute it names."""

    starts: npt.NDArray[np.bool_]
    attribute_of: Numbers
    names: list[str]


def _layout(spelled: Sequence[str]) -> _Layout | None:
    """None when one of them is not what stands between two values of a row, or between two rows."""
    starts = [(_FIRST if code == 0 else _START).fullmatch(text) for code, text in enumerate(spelled)]
    found = [start or _MIDDLE.fullmatch(text) for start, text in zip(starts, spelled, strict=True)]
    if starts[0] is None or any(match is None for match in found):
        return None
    of_code = [match[1] for match in found if match]
    names = sorted(set(of_code))
    begins_row = np.array([start is not None for start in starts])
    return _Layout(begins_row, np.array([names.index(name) for name in of_code]), names)


def _typed(columns: Mapping[str, pa.Array], holds: Holds) -> Marks | None:
    wanted = _WANTED[holds]
    if not columns.keys() >= set(wanted):
        return None
    try:
        own, post, kind = (columns[name].cast(pa.int64()).to_numpy() for name in wanted[:3])
        if holds is Holds.VOTES:
            value = columns[wanted[3]].cast(pa.timestamp("ms")).cast(pa.int64()).to_numpy()
        else:
            value = columns[wanted[3]].cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    if kind.min() < 0 or kind.max() >= LINK:
        return None
    numbers = (own, post) if holds is Holds.VOTES else (own, post, value)
    if any(((column < 0) | (column >= ID_LIMIT)).any() for column in numbers):
        return None
    return Marks(own, post, kind if holds is Holds.VOTES else kind + LINK, value)
