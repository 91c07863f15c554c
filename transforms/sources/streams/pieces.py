"""Splits a byte stream at a one-byte separator, in bounded memory, so that several workers can share one file.

A piece belongs to the range in which its first byte lies. So the pieces of any cut of a file into ranges are together
exactly the pieces of the whole file: each once, with the same offset.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

from transforms.datasets.fates import Reason
from transforms.sources.streams.unpack import CHUNK_BYTES, DamageError


class Piece(NamedTuple):
    """The bytes between two separators, without them."""

    offset: int  # of its first byte in the (unpacked) file
    data: bytes | None  # None when it is longer than the limit
    num_bytes: int
    last: bool  # the file ended here, so no separator follows
    damage: str = ""  # last piece only: what went wrong, when the file could not be read to its end
    damage_reason: Reason = Reason.TRUNCATED_FILE  # the outcome of a file with damage


def read_chunk(stream: IO[bytes], num_bytes: int = CHUNK_BYTES) -> tuple[bytes, DamageError | None]:
    """(bytes, damage). A damaged packed file gives what was unpacked before the damage, then b"" and what is wrong."""
    try:
        # read1 makes one read of the underlying stream, so that nothing unpacked before an error is lost.
        return (stream.read1(num_bytes) if hasattr(stream, "read1") else stream.read(num_bytes)), None
    except DamageError as error:
        return b"", error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return b"", DamageError(f"{type(error).__name__}: {error}")


def pieces(stream: IO[bytes], start: int, end: int | None, separator: bytes, max_bytes: int) -> Iterator[Piece]:
    """The pieces that begin in [start, end) of a seekable stream (end None: until the file's end).

    A piece that begins in the range is read to its end, beyond the range. Memory: one chunk and one piece of at most
    max_bytes; a longer piece comes without its bytes.
    """
    skipping = start > 0  # the piece that runs into the range belongs to the range before
    position = start - 1 if skipping else 0  # of the next byte to read
    if skipping:
        stream.seek(position)
    offset = position  # of the current piece
    waiting: list[bytes] = []  # the current piece's chunks so far
    num_waiting = 0
    while True:
        chunk, damage = read_chunk(stream)
        if not chunk:
            break
        *complete, rest = chunk.split(separator)
        for data in complete:
            num_bytes = num_waiting + len(data)
            if skipping:
                skipping = False
            elif num_bytes > max_bytes:
                yield Piece(offset, None, num_bytes, False)
            else:
                yield Piece(offset, b"".join((*waiting, data)) if waiting else data, num_bytes, False)
            waiting, num_waiting = [], 0
            position += len(data) + 1
            offset = offset + num_bytes + 1
            if end is not None and offset >= end:
                return
        position += len(rest)
        num_waiting += len(rest)
        if skipping or num_waiting > max_bytes:
            waiting.clear()
        elif rest:
            waiting.append(rest)
        if skipping and end is not None and position >= end:
            return
    if not skipping:
        whole = None if num_waiting > max_bytes else b"".join(waiting)
        if damage:
            yield Piece(offset, whole, num_waiting, True, str(damage), damage.reason)
        else:
            yield Piece(offset, whole, num_waiting, True)
