"""Packed files as a stream of their bytes: gzip, bzip2, xz, Zstandard (long windows, many frames), in bounded memory.

A damaged or truncated file gives everything that was unpacked before the damage, and then says what is wrong: stock
readers end such a file as if it were whole (zstandard's do, at a missing block). So Zstandard frames are fed to the
decompressor block by block (RFC 8878, section 3.1.1): a block unpacks to at most 128 KiB, an error costs that block
alone, and a frame without its last block is seen. Small files that unpack to huge ones are stopped by `Limits`.

Memory: one block, and the window that the file was packed with: up to 2 GiB for the monthly Reddit dumps (--long=31), a
dictionary of up to as much for xz (64 MiB at its -9).
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

import zstandard

from transforms.datasets import places
from transforms.datasets.fates import Reason
from transforms.datasets.settings import SettingError

CHUNK_BYTES = 1 << 20
_MAX_WINDOW_BYTES = 1 << 31

_GZIP_MAGIC = b"\x1f\x8b"
_BZIP2_MAGIC = b"BZh"
_XZ_MAGIC = b"\xfd7zXZ\x00"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"  # behind a first byte of 0x50 to 0x5f
_RLE_BLOCK, _RESERVED_BLOCK = 1, 3
_XZ_HEAD_BYTES = 1024 + 12  # of its stream, and of the longest header of a block
_LZMA2 = 0x21
_LEAST_XZ_BYTES = 64
_WORTH_A_LOOK = 64 << 20  # below so many bytes no ratio is suspicious


class DamageError(EOFError):
    """A packed file that cannot be read on. What came before it is good."""

    def __init__(self, detail: str, reason: Reason = Reason.TRUNCATED_FILE) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """How much a packed file may unpack to: bytes, and bytes for each packed byte (looked at after 64 MiB).

    Reddit's dumps have ratios of 10 to 20, gzip cannot exceed 1,032, and a bomb in Zstandard reaches 30,000.
    """

    max_ratio: float = 1100.0
    max_unpacked_bytes: int = 8 << 40

    def __post_init__(self) -> None:
        for setting, flag in (("max_ratio", "--max-unpack-ratio"), ("max_unpacked_bytes", "--max-unpacked-bytes")):
            value = getattr(self, setting)
            if not value >= 1:  # NaN is none either
                raise SettingError(setting, f"must be at least 1, got {value}", flag)

    def check(self, num_packed: int, num_unpacked: int) -> None:
        """Raises DamageError when so many packed bytes gave too many unpacked ones."""
        if num_unpacked > self.max_unpacked_bytes:
            detail = f"unpacks to more than {self.max_unpacked_bytes} bytes"
        elif num_unpacked > _WORTH_A_LOOK and num_unpacked > self.max_ratio * num_packed:
            detail = f"unpacks to more than {self.max_ratio:g} times its size"
        else:
            return
        raise DamageError(f"{detail}, the limit; if it is no decompression bomb, raise the limit", Reason.BOMB)


USUAL_LIMITS = Limits()
NO_LIMITS = Limits(float("inf"), 1 << 62)


def is_packed(head: bytes) -> bool:
    """Whether a file that begins with these bytes (6 or more) is one that `open_unpacked` unpacks."""
    return head.startswith((_GZIP_MAGIC, _BZIP2_MAGIC, _XZ_MAGIC, _ZSTD_MAGIC)) or _is_skippable(head)


def window_bytes(place: str) -> int:
    """The memory that unpacking a file takes beside a block: the largest window of its frames, whose headers it reads.

    A frame that says how much it holds needs no more than that. Time: a pass over the packed bytes of Zstandard files.
    """
    largest = 0
    with (
        places.open_input(place) as file,
        contextlib.suppress(DamageError, zstandard.ZstdError),
    ):  # told when it is read
        head = file.read(_XZ_HEAD_BYTES)
        file.seek(0)
        if head.startswith(_XZ_MAGIC):
            with contextlib.suppress(IndexError):  # a damaged header leads behind its end
                largest = _xz_dictionary(head)
        elif head.startswith(_ZSTD_MAGIC) or _is_skippable(head):
            for is_header, unit in _frame_units(file):
                if is_header:
                    frame = zstandard.get_frame_parameters(unit)
                    sized = frame.content_size != zstandard.CONTENTSIZE_UNKNOWN
                    largest = max(largest, min(frame.window_size, frame.content_size) if sized else frame.window_size)
    return largest


def open_unpacked(place: str, limits: Limits = NO_LIMITS) -> IO[bytes]:
    """The file's bytes, unpacked on the way where it is packed. It raises DamageError where it cannot be read on.

    A seek back reads a packed file from its start again.
    """
    file = places.open_input(place)
    head = file.read(len(_XZ_MAGIC))
    file.seek(0)
    if not is_packed(head):
        return file
    unpackers = {_GZIP_MAGIC: _gunzip, _BZIP2_MAGIC: _bunzip2, _XZ_MAGIC: _unxz}
    unpack = next((unpack for magic, unpack in unpackers.items() if head.startswith(magic)), _unzstd)
    return io.BufferedReader(_Unpacked(file, unpack, limits), CHUNK_BYTES)


def _gunzip(file: IO[bytes]) -> Iterator[bytes]:
    reader = gzip.GzipFile(fileobj=file)
    try:
        # read1 makes one read of the underlying stream, so that nothing unpacked before an error is lost.
        while chunk := reader.read1(CHUNK_BYTES):
            yield chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamageError(f"gzip: {error}") from None


def _bunzip2(file: IO[bytes]) -> Iterator[bytes]:
    return _streams(file, bz2.BZ2Decompressor, "bzip2")


def _unxz(file: IO[bytes]) -> Iterator[bytes]:
    return _streams(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _MAX_WINDOW_BYTES), "xz")


def _streams(
    file: IO[bytes], new: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], name: str
) -> Iterator[bytes]:
    """The bytes of one stream after the other (parallel packers write many), a megabyte at a time at most."""
    data = file.read(CHUNK_BYTES)
    while data:
        decompressor = new()
        while not decompressor.eof:
            if decompressor.needs_input and not data:
                data = file.read(CHUNK_BYTES)
                if not data:
                    raise DamageError(f"{name}: the file ends inside a stream")
            try:
                chunk = decompressor.decompress(data, CHUNK_BYTES)
            except (OSError, ValueError, lzma.LZMAError) as error:
                raise DamageError(f"{name}: {error}") from None
            data = b""
            if chunk:
                yield chunk
        data = decompressor.unused_data or file.read(CHUNK_BYTES)
        while data and not data.strip(b"\0"):  # padding behind a stream
            data = file.read(CHUNK_BYTES)
        data = data.lstrip(b"\0")


def _xz_dictionary(head: bytes) -> int:
    """The bytes of the dictionary that the first block of an xz file names (xz file format, sections 3.1 and 5.3.1)."""
    if len(head) < _LEAST_XZ_BYTES:
        return 0
    at = len(_XZ_MAGIC) + 6  # behind the stream's header: the size of the block's, its flags, sizes, filters
    flags, at = head[at + 1], at + 2
    for size_given in (flags & 0x40, flags & 0x80):
        while size_given and head[at] & 0x80:
            at += 1
        at += bool(size_given)
    for _ in range((flags & 3) + 1):
        kind, num_properties = head[at], head[at + 1]
        if kind == _LZMA2:
            bits = head[at + 2] & 0x3F
            return min((2 | bits & 1) << (bits // 2 + 11), _MAX_WINDOW_BYTES)
        at += 2 + num_properties
    return 0


def _unzstd(file: IO[bytes]) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    for is_header, unit in _frame_units(file):
        if is_header:
            frame = decompressor.decompressobj()
        try:
            if data := frame.decompress(unit):
                yield data
        except zstandard.ZstdError as error:
            raise DamageError(f"Zstandard: {error}") from None


def _frame_units(file: IO[bytes]) -> Iterator[tuple[bool, bytes]]:
    """(True, header), then (False, unit) for each block and the checksum, of every frame that is not to be skipped."""
    while magic := file.read(4):
        if _is_skippable(magic):
            left = int.from_bytes(_exactly(file, 4), "little")
            while left:
                left -= len(_exactly(file, min(left, CHUNK_BYTES)))
            continue
        if magic != _ZSTD_MAGIC:
            raise DamageError("Zstandard: bytes behind a frame that begin no other")
        descriptor = _exactly(file, 1)
        flags = descriptor[0]
        single_segment = bool(flags & 0x20)
        size_bytes = (1 if single_segment else 0, 2, 4, 8)[flags >> 6]
        yield True, magic + descriptor + _exactly(file, (not single_segment) + (0, 1, 2, 4)[flags & 3] + size_bytes)
        last = False
        while not last:
            header = _exactly(file, 3)
            number = int.from_bytes(header, "little")
            last, kind, size = bool(number & 1), number >> 1 & 3, number >> 3
            if kind == _RESERVED_BLOCK or size > 128 << 10:
                raise DamageError("Zstandard: a damaged block")
            yield False, header + _exactly(file, 1 if kind == _RLE_BLOCK else size)
        if flags & 0x04:
            yield False, _exactly(file, 4)


def _is_skippable(magic: bytes) -> bool:
    return len(magic) >= 4 and magic[1:4] == _SKIPPABLE_MAGIC and 0x50 <= magic[0] <= 0x5F


def _exactly(file: IO[bytes], num_bytes: int) -> bytes:
    data = file.read(num_bytes)
    if len(data) < num_bytes:
        raise DamageError("Zstandard: the file ends inside a frame")
    return data


class _Unpacked(io.RawIOBase):
    """A seekable stream over chunks of bytes: forward by reading on, backward from the start again."""

    def __init__(self, file: IO[bytes], unpack: Callable[[IO[bytes]], Iterator[bytes]], limits: Limits) -> None:
        self._file = file
        self._unpack = unpack
        self._limits = limits
        self._restart()

    def _restart(self) -> None:
        self._file.seek(0)
        self._chunks = self._unpack(self._file)
        self._waiting = memoryview(b"")
        self._position = 0
        self._unpacked = 0
        self._damage: DamageError | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        if not self._waiting:
            self._next_chunk()
        number = min(len(view), len(self._waiting))
        view[:number] = self._waiting[:number]
        self._waiting = self._waiting[number:]
        self._position += number
        return number

    def _next_chunk(self) -> None:
        if self._damage:  # a generator that has raised is at its end: without this the file would seem whole
            raise self._damage
        try:
            chunk = next(self._chunks, b"")
            self._unpacked += len(chunk)
            self._limits.check(self._file.tell(), self._unpacked)
        except DamageError as error:
            self._damage = error
            raise
        self._waiting = memoryview(chunk)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence != io.SEEK_SET:
            raise io.UnsupportedOperation("a packed file does not know its end")
        if offset < self._position:
            self._restart()
        while self._position < offset:
            if not self._waiting:
                self._next_chunk()
            if not self._waiting:
                break
            number = min(offset - self._position, len(self._waiting))
            self._waiting = self._waiting[number:]
            self._position += number
        return self._position

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
