"""Whether a file is the one that was written: nobody works on bytes that nobody checked.

A file is checked once a process, by its XXH3-128. `--trust` leaves
that out.
"""

from __future__ import annotations

import mmap
import os

import pyarrow as pa

from transforms.datasets import places
from transforms.datasets.manifest import ShardFile
from transforms.datasets.trust import is_trusting

Stamp = list[int]  # bytes, time of the last change in ns, inode: another one where a file was written to

_checked: set[tuple[str, str, tuple[int, ...]]] = set()  # place, hash, stamp


class DamagedError(ValueError):
    """Raised for a file that is not the one its dataset was committed with."""


def stamp(place: str) -> Stamp | None:
    """What tells a local file from one that was written to since; None for a remote one."""
    return _stamp_of(os.stat(places.local_path(place))) if places.is_local(place) else None


def _stamp_of(found: os.stat_result) -> Stamp:
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def check(folder: str, file: ShardFile) -> None:
    """Raises DamagedError unless the file below a folder has the bytes that its entry says. A local one is read once a
    process, and again when it was written to since."""
    place = places.join(folder, file.path)
    check_size(folder, file)
    if is_trusting():
        return
    if places.is_local(place):
        mapped(folder, file)
    else:
        check_hash(folder, file, places.xxh3(place))


def mapped(folder: str, file: ShardFile) -> pa.Buffer:
    """The bytes of a local file below a folder, checked as `check` does: what is checked is what is mapped, whatever
    takes the file's place meanwhile."""
    check_size(folder, file)
    place = places.join(folder, file.path)
    with open(places.local_path(place), "rb") as opened:
        now = _stamp_of(os.fstat(opened.fileno()))
        key = (place, file.xxh3, tuple(now))
        if not is_trusting() and key not in _checked:
            check_hash(folder, file, places.xxh3_in(opened))
            _checked.add(key)
        if not now[0]:
            return pa.py_buffer(b"")
        return pa.py_buffer(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))


def check_size(folder: str, file: ShardFile) -> None:
    """Raises DamagedError unless the file is there with its number of bytes."""
    place = places.join(folder, file.path)
    found = places.size(place) if places.exists(place) else None
    if found != file.bytes:
        got = "no file" if found is None else f"{found} bytes"
        raise DamagedError(f"{folder} is damaged: {file.path} should have {file.bytes} bytes, got {got}")


def check_hash(folder: str, file: ShardFile, found: str) -> None:
    """Raises DamagedError unless bytes that were read of a file below a folder have its hash."""
    if found != file.xxh3 and not is_trusting():
        raise DamagedError(
            f"{folder} is damaged: {file.path} has XXH3-128 {found}, its manifest "
            f"says {file.xxh3}: its bytes were changed since it was committed. Copy it again from where it is sound, "
            "build the dataset anew with --replace, or read it as it is with --trust"
        )


def is_whole(folder: str, file: ShardFile) -> bool:
    """Whether a file has the bytes its entry says: a local one by its hash, a remote one, which would have to be
    fetched and which the store itself checks, by its size."""
    try:
        check_size(folder, file) if not places.is_local(folder) else check(folder, file)
    except DamagedError:
        return False
    return True
