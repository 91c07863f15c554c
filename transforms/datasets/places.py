"""Where files are: a place is a local path or a URL (gs://…, s3://…, memory://…), always a plain string.

The few file operations that datasets need, over fsspec, so that no other module asks whether a place is local. Writes
are atomic: a reader sees the old file, or the new one, never a part.
"""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import uuid
from contextlib import suppress
from typing import IO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

_CHUNK_BYTES = 1 << 20
TEMPORARY = ".tmp-"  # begins the name of a file that is being written


def _filesystem(place: str) -> tuple[fsspec.AbstractFileSystem, str]:
    try:
        filesystem, path = fsspec.core.url_to_fs(place)
    except ImportError as error:
        raise ValueError(f"{place} cannot be reached: {error}") from None
    return filesystem, cast(str, path)


def is_local(place: str) -> bool:
    """True when the place is on a local file system, so that it can be memory-mapped."""
    return isinstance(_filesystem(place)[0], LocalFileSystem)


def local_path(place: str) -> str:
    """The operating system's path of a local place. Raises ValueError for a remote one."""
    filesystem, path = _filesystem(place)
    if not isinstance(filesystem, LocalFileSystem):
        raise ValueError(f"{place} is not on a local file system; this step needs a local path")
    return path


def join(place: str, *names: str) -> str:
    """The place below `place`; `names` may hold slashes."""
    return posixpath.join(place, *names) if names else place


def name(place: str) -> str:
    """The last part of a place: a file's or folder's own name."""
    return posixpath.basename(place.rstrip("/"))


def parts(place: str) -> list[str]:
    """The names on the way to a place, its own last, however the place is written; links stay as they are."""
    path = posixpath.normpath(_filesystem(place)[1])
    return [part for part in path.split("/") if part]


def absolute(place: str) -> str:
    """The same for every way to write one place."""
    filesystem, path = _filesystem(place)
    return (
        os.path.realpath(path)
        if isinstance(filesystem, LocalFileSystem)
        else cast(str, filesystem.unstrip_protocol(path))
    )


def exists(place: str) -> bool:
    filesystem, path = _filesystem(place)
    return bool(filesystem.exists(path))


def is_folder(place: str) -> bool:
    filesystem, path = _filesystem(place)
    return bool(filesystem.isdir(path))


def is_pipe(place: str) -> bool:
    """Whether a local place is a pipe, a socket or a device: something that can be read once, if at all."""
    filesystem, path = _filesystem(place)
    if not isinstance(filesystem, LocalFileSystem) or not os.path.exists(path):
        return False
    return not (os.path.isfile(path) or os.path.isdir(path))


def size(place: str) -> int:
    """Bytes of a file."""
    filesystem, path = _filesystem(place)
    return int(filesystem.size(path))


def make_folder(place: str) -> None:
    filesystem, path = _filesystem(place)
    filesystem.makedirs(path, exist_ok=True)


def open_input(place: str) -> IO[bytes]:
    """The file, open for reading, seekable."""
    filesystem, path = _filesystem(place)
    return cast("IO[bytes]", filesystem.open(path, "rb"))


def open_scratch(place: str) -> IO[bytes]:
    """A new file, open for writing: neither atomic nor durable. For scratch space, where a file's name is passed on
    only once it is whole, and nothing outlives the run."""
    filesystem, path = _filesystem(place)
    filesystem.makedirs(posixpath.dirname(path), exist_ok=True)
    return cast("IO[bytes]", filesystem.open(path, "wb"))


def read_bytes(place: str) -> bytes:
    filesystem, path = _filesystem(place)
    return cast(bytes, filesystem.cat_file(path))


def list_files(place: str) -> list[str]:
    """Every file below a folder, relative to it, sorted. A missing folder has none.

    Raises PermissionError for a folder that may not be looked into: it is not as if it were empty.
    """
    filesystem, path = _filesystem(place)
    if not filesystem.isdir(path):
        return []
    if isinstance(filesystem, LocalFileSystem):  # fsspec passes over what may not be read
        walked = os.walk(path, onerror=_refuse_forbidden)
        found = (os.path.relpath(os.path.join(folder, name), path) for folder, _, names in walked for name in names)
        return sorted(name.replace(os.sep, "/") for name in found)
    root = path.rstrip("/") + "/"
    return sorted(found.removeprefix(root) for found in filesystem.find(path))


def _refuse_forbidden(error: OSError) -> None:
    """Of the errors of walking a folder only this one matters: files may go while another process is writing."""
    if isinstance(error, PermissionError):
        raise error


def remove(place: str) -> None:
    """Removes a file or a folder with all below it; no error when it is not there."""
    filesystem, path = _filesystem(place)
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


def remove_empty_folders(place: str) -> None:
    """Removes every empty folder below a local place (object stores have none)."""
    if not is_local(place):
        return
    for folder, _, _ in os.walk(local_path(place), topdown=False):
        if not os.listdir(folder):
            os.rmdir(folder)


class AtomicFile(io.RawIOBase):
    """A file that appears whole or not at all: written under a temporary name, published by `close`.

    Counts its bytes and hashes them on the way, so that no written file is read a second time. Leaving a `with` block
    by an exception publishes nothing.
    """

    def __init__(self, place: str) -> None:
        self._filesystem, self._path = _filesystem(place)
        folder, file_name = posixpath.split(self._path)
        self._filesystem.makedirs(folder, exist_ok=True)
        self._temporary = posixpath.join(folder, f"{TEMPORARY}{uuid.uuid4().hex}-{file_name}")
        self._file = self._filesystem.open(self._temporary, "wb")
        self._hash = hashlib.sha256()
        self._finished = False
        self.bytes_written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._file.write(view)
        self._hash.update(view)
        self.bytes_written += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.bytes_written

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def publish(self) -> None:
        """Flushes to disk and gives the file its name, in one step."""
        if isinstance(self._filesystem, LocalFileSystem):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._temporary, self._path)
        else:
            self._file.close()
            self._filesystem.mv(self._temporary, self._path)
        self._finished = True

    def discard(self) -> None:
        with suppress(OSError):  # on a full disk the file cannot even be flushed, and still must go
            self._file.close()
        if self._filesystem.exists(self._temporary):
            self._filesystem.rm(self._temporary)
        self._finished = True

    def __exit__(self, exception_type: object, *_: object) -> None:
        if self._finished:
            return
        if exception_type is None:
            self.publish()
        else:
            self.discard()


def write_atomically(place: str, data: bytes) -> None:
    """Writes a whole file: readers see the old content or the new, never a part."""
    with AtomicFile(place) as file:
        file.write(data)


def sha256(place: str) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open_input(place) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
