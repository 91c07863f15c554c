"""Stack Exchange's own .7z archives, read from inside: no file of an archive is ever written under a name it chose.

An archive is one compressed stream for many members, so it is read once, from its start: `members` lists what is in
it, from the header at its end, and `read_members` gives the wanted ones as streams, in the archive's order. Only a
member's name says which table it is; names that lead elsewhere, links, passwords and sizes beyond the limits are
outcomes of that file, named before a byte is unpacked.

This is the only importer of py7zr. Its extraction to a folder is not used, nor its chunks of up to 128 MB.
"""

from __future__ import annotations

import io
import lzma
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import IO, Any

import py7zr
from py7zr.exceptions import ArchiveError, PasswordRequired

from transforms.datasets import places
from transforms.datasets.fates import Reason
from transforms.sources.streams.unpack import CHUNK_BYTES, DamageError, Limits

MAGIC = b"7z\xbc\xaf\x27\x1c"

_SIGNATURE_BYTES = 32
_MAX_HEADER_BYTES = 64 << 20
_MAX_DICTIONARY_BYTES = 1 << 30  # 7-Zip's ultra preset takes 64 MB; a decoder allocates what the header says
# What a damaged archive makes py7zr and the codecs below it raise.
_DAMAGE = (ArchiveError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError, TypeError, KeyError, IndexError,
           AttributeError, AssertionError, struct.error, OverflowError, MemoryError)  # fmt: skip
_LZMA, _LZMA2 = b"\x03\x01\x01", b"\x21"
# Its decoder (pyppmd 1.3.1) fails on sound archives and ends the process on others.
_PPMD = b"\x03\x04\x01"
_TABLES = "badges|comments|posthistory|postlinks|posts|tags|users|votes"
_HOST = re.compile(rf"(?P<site>(?:[a-z0-9-]+\.)+(?:com|net|org))(?:-(?:{_TABLES}))?\.7z", re.IGNORECASE)
_DECODED_BYTES = 1 << 18  # at a time: so much is lost before a damaged byte
_PACKED_BYTES = 1 << 16  # a decoder that ignores how much it shall give makes 64 MB of these at most


@dataclass(frozen=True)
class Member:
    """A file in an archive. index: its place there. problem: why it is not read.

    dictionary_bytes: the memory that its decoder takes.
    """

    index: int
    name: str
    bytes: int
    problem: tuple[Reason, str] | None = None
    dictionary_bytes: int = 0


def site_of(archive: str) -> str | None:
    """The site that an archive's own name states, as Stack Exchange publishes them: beer.stackexchange.com.7z,
    stackoverflow.com-Posts.7z. None for a name that is no host's."""
    found = _HOST.fullmatch(places.name(archive))
    return found["site"].lower() if found else None


def members(place: str, limits: Limits) -> list[Member]:
    """The files in an archive, in order; none is unpacked. Raises DamageError when none of it can be read."""
    size = places.size(place)
    with places.open_input(place) as file, closing(_open(file, size)) as archive:
        try:
            _starts(archive)
            found = [_member(index, entry, size, limits) for index, entry in enumerate(archive.files)]
        except _DAMAGE as error:
            raise _damaged_header(error) from None
        if archive.password_protected:
            found = [_refused(member, Reason.ENCRYPTED, "needs a password") for member in found]
        total = sum(member.bytes for member in found)
        if total > limits.max_unpacked_bytes:
            detail = f"the archive unpacks to {total} bytes, limit {limits.max_unpacked_bytes}"
            found = [_refused(member, Reason.BOMB, detail) for member in found]
        return [member for member, entry in zip(found, archive.files, strict=True) if not entry.is_directory]


def _refused(member: Member, reason: Reason, detail: str) -> Member:
    return replace(member, problem=member.problem or (reason, detail))


def _open(file: IO[bytes], size: int) -> Any:
    """An open archive, its header read. Raises DamageError."""
    start = file.read(_SIGNATURE_BYTES)
    if len(start) < _SIGNATURE_BYTES:
        raise DamageError("7z: the file ends inside its signature")
    offset, header_bytes = struct.unpack("<QQ", start[12:28])
    if _SIGNATURE_BYTES + offset + header_bytes > size:
        raise DamageError("7z: the file ends before its table of contents, so nothing in it can be read")
    if header_bytes > _MAX_HEADER_BYTES:
        raise DamageError(f"7z: a table of contents of {header_bytes} bytes", Reason.BOMB)
    file.seek(0)
    try:
        return py7zr.SevenZipFile(_Raw(file), "r")
    except PasswordRequired:
        raise DamageError("7z: needs a password", Reason.ENCRYPTED) from None
    except _DAMAGE as error:
        raise _damaged_header(error) from None


def _damaged_header(error: BaseException) -> DamageError:
    return DamageError(f"7z: its table of contents is damaged ({type(error).__name__})", Reason.DAMAGED_FILE)


class _Raw(io.BufferedReader):
    """py7zr takes streams of the io module only; fsspec's are others."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(_Forward(file), CHUNK_BYTES)


class _Forward(io.RawIOBase):
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._file.read(len(view))
        view[: len(data)] = data
        return len(data)


def _member(index: int, entry: Any, size: int, limits: Limits) -> Member:
    """What the header says of a member, and whether it may be read."""
    name = entry.filename.replace("\\", "/")
    num_bytes = int(entry.uncompressed or 0)
    problem = None
    if entry.is_symlink or entry.is_junction or entry.is_socket:
        problem = Reason.UNSAFE_NAME, "a link, not a file"
    elif name.startswith("/") or ":" in name or ".." in name.split("/") or "\0" in name:
        problem = Reason.UNSAFE_NAME, "its name leads out of the archive"
    elif any(coder["method"] == _PPMD for coder in _coders(entry)):
        problem = Reason.WRONG_FORMAT, "packed with PPMd, which is not read; unpack it with 7z and give the folder"
    elif _dictionary_bytes(entry) > _MAX_DICTIONARY_BYTES:
        problem = Reason.BOMB, f"wants a dictionary of {_dictionary_bytes(entry)} bytes, limit {_MAX_DICTIONARY_BYTES}"
    else:
        try:
            limits.check(size, num_bytes)
        except DamageError as error:
            problem = error.reason, str(error)
    return Member(index, name, num_bytes, problem, _dictionary_bytes(entry))


def _dictionary_bytes(entry: Any) -> int:
    """The memory that a decoder of this member would allocate, by its coders' properties."""
    largest = 0
    for coder in _coders(entry):
        properties = coder.get("properties") or b""
        if coder["method"] == _LZMA and len(properties) >= 5:
            largest = max(largest, int.from_bytes(properties[1:5], "little"))
        elif coder["method"] == _LZMA2 and properties:
            bits = properties[0]
            largest = max(largest, (2 | bits & 1) << (bits // 2 + 11))
    return largest


def _coders(entry: Any) -> list[dict[str, Any]]:
    return entry.folder.coders if entry.folder else []


def read_members(place: str, wanted: Sequence[int]) -> Iterator[tuple[int, IO[bytes]]]:
    """(index, stream) of the wanted members, in the archive's order; one pass over it.

    Each stream must be read before the next is asked for. It raises DamageError where its member cannot be read on, or
    at its end when the checksum does not match. Memory: a chunk, and the dictionary that the archive was packed with.
    """
    size = places.size(place)
    with places.open_input(place) as file, closing(_open(file, size)) as archive:
        last = max(wanted, default=-1)
        positions = _starts(archive)
        current, broken, packed = None, None, _Fed(archive.fp)
        for index, entry in enumerate(archive.files):
            if index > last:
                return
            if entry.emptystream or entry.folder is None:
                if index in wanted:
                    yield index, io.BytesIO()
                continue
            if entry.folder is not current:
                current, broken = entry.folder, None
                archive.fp.seek(positions[id(current)])
                packed = _Fed(archive.fp)
            stream = _MemberStream(packed, entry, broken)
            if index in wanted:
                yield index, io.BufferedReader(stream, CHUNK_BYTES)
            broken = stream.finish()


def _starts(archive: Any) -> dict[int, int]:
    """Where the packed bytes of each folder (a run of members in one stream) begin."""
    streams = archive.header.main_streams
    if streams is None:
        return {}
    starts: dict[int, int] = {}
    number = 0
    for folder in streams.unpackinfo.folders:
        starts[id(folder)] = archive.afterheader + streams.packinfo.packpos + streams.packinfo.packpositions[number]
        number += len(folder.packed_indices) or 1
    return starts


class _Fed:
    """The packed bytes of a folder, handed to its decoder a little at a time and only when it needs more.

    py7zr's decoder reads a megabyte at every call, however little of it was asked to come out, and keeps the rest: in
    the end the whole archive.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hungry = True
        self.handed_bytes = 0

    def read(self, num_bytes: int) -> bytes:
        data = self._file.read(min(num_bytes, _PACKED_BYTES)) if self.hungry else b""
        self.handed_bytes += len(data)
        return data


class _MemberStream(io.RawIOBase):
    """The bytes of one member, from a decoder that all members of its folder share."""

    def __init__(self, packed: _Fed, entry: Any, broken: DamageError | None) -> None:
        self._packed = packed
        self._entry = entry
        self._left = int(entry.uncompressed)
        self._checksum = 0
        self._waiting = memoryview(b"")
        self._damage = broken

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        if not self._waiting:
            self._next()
        number = min(len(view), len(self._waiting))
        view[:number] = self._waiting[:number]
        self._waiting = self._waiting[number:]
        return number

    def _next(self) -> None:
        if self._damage:
            raise self._damage
        if not self._left:
            return
        try:
            self._waiting = memoryview(self._decode())
        except _DAMAGE as error:
            self._damage = DamageError(f"7z: {type(error).__name__} in its packed bytes", Reason.DAMAGED_FILE)
            raise self._damage from None
        self._checksum = zlib.crc32(self._waiting, self._checksum)
        self._left -= len(self._waiting)
        if not self._left and self._entry.crc32 is not None and self._checksum != self._entry.crc32:
            detail = "7z: its checksum does not match: some of its bytes are wrong"
            self._damage = DamageError(detail, Reason.DAMAGED_FILE)  # raised after the bytes that were just read

    def _decode(self) -> bytes:
        decoder = self._entry.folder.get_decompressor(self._entry.compressed)
        wanted = min(self._left, _DECODED_BYTES)
        while True:
            fed, before = self._packed.hungry, self._packed.handed_bytes
            data = decoder.decompress(self._packed, wanted)
            self._packed.hungry = getattr(decoder.chain[0], "needs_input", len(data) < wanted)
            if data:
                return bytes(data)
            if fed and self._packed.handed_bytes == before:
                raise EOFError("no more bytes")
            self._packed.hungry = True

    def finish(self) -> DamageError | None:
        """Reads what was not asked for, so that the next member begins where it should.

        Returns what is wrong with all members that follow in this folder, or None.
        """
        try:
            while self._left:
                self._next()
        except DamageError:
            pass
        if self._left:
            return DamageError("7z: a member before it is damaged, and all after it with it", Reason.DAMAGED_FILE)
        return None
