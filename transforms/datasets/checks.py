"""Whether a file is the one that was written: nobody works on bytes that nobody checked.

A file is checked once a process, by its XXH3-128. `--trust` leaves that out, and looks at sizes alone.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa

from transforms.datasets import places
from transforms.datasets.manifest import ShardFile
from transforms.datasets.trust import is_trusting

Stamp = list[int]  # bytes, time of the last change in ns, inode: another one where a file was written to

_ADVICE = "Copy it again from where it is sound, or build the dataset anew with --replace"

_checked: set[tuple[str, str, tuple[int, ...]]] = set()  # place, hash, stamp


class DamagedError(ValueError):
    """Raised for a file that is not the one its dataset was committed with."""


def stamp(place: str) -> Stamp | None:
    """What tells a local file from one that was written to since; None for a remote one."""
    return _stamp_of(os.stat(places.local_path(place))) if places.is_local(place) else None


def _stamp_of(found: os.stat_result) -> Stamp:
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def check(folder: str, file: ShardFile, known: object = None) -> None:
    """Raises DamagedError unless the file below a folder has the bytes that its entry says. A local one is read once a
    process, again when it was written to since, and not at all while it bears the stamp that is `known` to be right."""
    place = places.join(folder, file.path)
    if places.is_local(place):
        with _checked_file(folder, file, known):
            pass
    else:
        check_size(folder, file)
        if not is_trusting():
            check_hash(folder, file, places.xxh3(place))


def mapped(folder: str, file: ShardFile) -> pa.Buffer:
    """The bytes of a local file below a folder, checked as `check` does: what is checked is what is mapped, whatever
    takes the file's place meanwhile."""
    with _checked_file(folder, file) as opened:
        if not file.bytes:  # nothing that could be mapped
            return pa.py_buffer(b"")
        return pa.py_buffer(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))


@contextmanager
def _checked_file(folder: str, file: ShardFile, known: object = None) -> Iterator[BinaryIO]:
    """A local file, open for reading, after its check."""
    place = places.join(folder, file.path)
    try:
        opened = open(places.local_path(place), "rb")  # noqa: SIM115
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise _wrong_size(folder, file, None) from None
    with opened:
        now = _stamp_of(os.fstat(opened.fileno()))
        if now[0] != file.bytes:
            raise _wrong_size(folder, file, now[0])
        key = (place, file.xxh3, tuple(now))
        if not is_trusting() and now != known and key not in _checked:
            check_hash(folder, file, places.xxh3_in(opened))
            _checked.add(key)
        yield opened


def check_size(folder: str, file: ShardFile) -> None:
    """Raises DamagedError unless the file is there with its number of bytes."""
    try:
        found = places.size(places.join(folder, file.path))
    except (FileNotFoundError, NotADirectoryError):
        raise _wrong_size(folder, file, None) from None
    if found != file.bytes:
        raise _wrong_size(folder, file, found)


def _wrong_size(folder: str, file: ShardFile, found: int | None) -> DamagedError:
    got = "no file" if found is None else f"{found} bytes"
    return DamagedError(f"{folder} is damaged: {file.path} should have {file.bytes} bytes, got {got}. {_ADVICE}")


def check_hash(folder: str, file: ShardFile, found: str) -> None:
    """Raises DamagedError unless bytes that were read of a file below a folder have its hash."""
    if found != file.xxh3 and not is_trusting():
        raise DamagedError(
            f"{folder} is damaged: {file.path} has XXH3-128 {found}, its manifest says {file.xxh3}: its bytes were "
            f"changed since it was committed. {_ADVICE}, or read it as it is with --trust"
        )


def is_whole(folder: str, file: ShardFile) -> bool:
    """Whether a file has the bytes its entry says: a local one by its hash, a remote one, which would have to be
    fetched and which the store itself checks, by its size."""
    look = check if places.is_local(folder) else check_size
    try:
        look(folder, file)
    except DamagedError:
        return False
    return True
