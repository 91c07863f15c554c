"""Where files are: a place is a local path or a URL (gs://…, s3://…, memory://…), always a plain string.

The few file operations that datasets need, over fsspec, so that no other module asks whether a place is local. Writes
are atomic: a reader sees the old file, or the new one, never a part. Every look sees what other processes have written:
fsspec's listings are not kept. What object stores do otherwise is in stores.py.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import posixpath
import re
import threading
import uuid
from contextlib import suppress
from typing import IO, cast

import fsspec
import xxhash
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from transforms.datasets import disk, held, stores

_CHUNK_BYTES = 1 << 20
TEMPORARY = ".tmp-"  # begins the name of a file that is being written

_WRITER = re.compile(rf"{re.escape(TEMPORARY)}[0-9a-f]{{32}}-")
_MEMORY = threading.Lock()


def _filesystem(place: str) -> tuple[fsspec.AbstractFileSystem, str]:
    try:
        filesystem, path = fsspec.core.url_to_fs(place, use_listings_cache=False)
    except ImportError as error:
        raise stores.not_installed(place, error) from None
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
        else cast(str, filesystem.unstrip_protocol(path)).rstrip("/")
    )


def exists(place: str) -> bool:
    """Whether a file or a folder is there."""
    filesystem, path = _filesystem(place)
    return stores.info(filesystem, path) is not None if stores.is_store(filesystem) else bool(filesystem.exists(path))


def is_folder(place: str) -> bool:
    """Whether a folder is there; on an object store, any file below such a name."""
    filesystem, path = _filesystem(place)
    if not stores.is_store(filesystem):
        return bool(filesystem.isdir(path))
    found = stores.info(filesystem, path)
    return found is not None and found["type"] == "directory"


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


def _make_folder(filesystem: fsspec.AbstractFileSystem, path: str) -> None:
    if not stores.is_store(filesystem):  # which has none
        filesystem.makedirs(path, exist_ok=True)


def open_input(place: str) -> IO[bytes]:
    """The file, open for reading, seekable."""
    filesystem, path = _filesystem(place)
    return cast("IO[bytes]", filesystem.open(path, "rb"))


def open_scratch(place: str) -> IO[bytes]:
    """A new file, open for writing: neither atomic nor durable. For scratch space, where a file's name is passed on
    only once it is whole, and nothing outlives the run."""
    filesystem, path = _filesystem(place)
    _make_folder(filesystem, posixpath.dirname(path))
    return cast("IO[bytes]", filesystem.open(path, "wb"))


def read_bytes(place: str) -> bytes:
    """A whole file. Raises FileNotFoundError."""
    filesystem, path = _filesystem(place)
    return cast(bytes, filesystem.cat_file(path))


def list_files(place: str) -> list[str]:
    """Every file below a folder, relative to it, sorted. A missing folder has none.

    Raises PermissionError for a folder that may not be looked into: it is not as if it were empty.
    """
    filesystem, path = _filesystem(place)
    root = path.rstrip("/") + "/"
    if stores.is_store(filesystem):
        found = stores.below(filesystem, path)
        return sorted(name.removeprefix(root) for name in found if not name.endswith("/"))  # a mark of an empty folder
    if not filesystem.isdir(path):
        return []
    if isinstance(filesystem, LocalFileSystem):  # fsspec passes over what may not be read
        walked = os.walk(path, onerror=_refuse_forbidden)
        files = (os.path.relpath(os.path.join(folder, name), path) for folder, _, names in walked for name in names)
        return sorted(name.replace(os.sep, "/") for name in files)
    return sorted(found.removeprefix(root) for found in filesystem.find(path))


def _refuse_forbidden(error: OSError) -> None:
    """Of the errors of walking a folder only this one matters: files may go while another process is writing."""
    if isinstance(error, PermissionError):
        raise error


def remove(place: str) -> None:
    """Removes a file or a folder with all below it; no error when it is not there."""
    filesystem, path = _filesystem(place)
    if stores.is_store(filesystem):
        stores.remove(filesystem, path)
    elif filesystem.exists(path):
        filesystem.rm(path, recursive=True)


def move(source: str, target: str) -> None:
    """Gives a file another place, over what stands there. On one disk its bytes stay where they are; a store copies
    them within itself."""
    filesystem, path = _filesystem(source)
    _, goal = _filesystem(target)
    if not isinstance(filesystem, LocalFileSystem):
        filesystem.cp_file(path, goal)  # not mv, to which `[` and `*` in names are patterns
        filesystem.rm_file(path)
        return
    os.makedirs(os.path.dirname(goal), exist_ok=True)
    try:
        os.replace(path, goal)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with AtomicFile(target) as copy, open(path, "rb") as file:  # a folder of it is on another disk
            while chunk := file.read(_CHUNK_BYTES):
                copy.write(chunk)
        os.unlink(path)


def check_writable(place: str) -> None:
    """Raises PermissionError for a local folder, there or to be made, in which nothing may be written."""
    if not is_local(place):
        return
    folder = os.path.abspath(local_path(place))
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "nothing may be written into this folder", folder)


def remove_empty_folders(place: str) -> None:
    """Removes every empty folder below a local place (object stores have none)."""
    if not is_local(place):
        return
    for folder, _, _ in os.walk(local_path(place), topdown=False):
        if not os.listdir(folder) and not os.path.islink(folder):  # a link to another disk is a user's
            os.rmdir(folder)


class _Replacing:
    """Writes under a temporary name, which publishing exchanges for the file's own."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, path: str) -> None:
        self._filesystem, self._path = filesystem, path
        folder, file_name = posixpath.split(path)
        filesystem.makedirs(folder, exist_ok=True)
        while True:
            self._temporary = posixpath.join(folder, f"{TEMPORARY}{uuid.uuid4().hex}-{file_name}")
            self._file = filesystem.open(self._temporary, "wb")
            if not isinstance(filesystem, LocalFileSystem):
                return
            held.hold(self._file.fileno())
            if os.fstat(self._file.fileno()).st_nlink:  # nobody took it for left behind before it was held
                return
            self._file.close()

    def write(self, view: memoryview) -> None:
        self._file.write(view)

    def publish(self) -> None:
        if isinstance(self._filesystem, LocalFileSystem):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._temporary, self._path)
        else:
            self._file.close()
            self._filesystem.mv(self._temporary, self._path)

    def discard(self) -> None:
        with suppress(OSError):  # on a full disk the file cannot even be flushed, and still must go
            self._file.close()
        if self._filesystem.exists(self._temporary):
            self._filesystem.rm(self._temporary)


class AtomicFile(io.RawIOBase):
    """A file that appears whole or not at all, when it is published; it takes the place of one that stands there.

    Counts its bytes and hashes them on the way, so that no written file is read a second time. Leaving a `with` block
    publishes it, by an exception nothing. Of a process that is killed a temporary file stays, or in an object store an
    unfinished upload, which nobody sees and the bucket's lifecycle rules remove.
    """

    def __init__(self, place: str) -> None:
        filesystem, path = _filesystem(place)
        self._place = place
        self._file = (stores.Upload if stores.is_store(filesystem) else _Replacing)(filesystem, path)
        self._sha256, self._xxh3 = hashlib.sha256(), xxhash.xxh3_128()
        self._finished = False
        self.bytes_written = 0

    def writable(self) -> bool:
        """As pyarrow asks of a file."""
        return True

    def write(self, data: object) -> int:
        """Takes anything with a buffer; returns its bytes."""
        view = memoryview(data)  # type: ignore[arg-type]
        with disk.naming(self._place):
            self._file.write(view)
        self._sha256.update(view)
        self._xxh3.update(view)
        self.bytes_written += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """Bytes written so far."""
        return self.bytes_written

    @property
    def sha256(self) -> str:
        """Of what was written, in hexadecimal."""
        return self._sha256.hexdigest()

    @property
    def xxh3(self) -> str:
        """XXH3-128 of what was written, in hexadecimal."""
        return self._xxh3.hexdigest()

    def publish(self) -> None:
        """Writes everything out and gives the file its name, in one step."""
        with disk.naming(self._place):
            self._file.publish()
        self._finished = True

    def discard(self) -> None:
        """Gives the file up: nothing appears."""
        self._file.discard()
        self._finished = True

    def __exit__(self, exception_type: object, *_: object) -> None:
        if self._finished:
            return
        try:
            if exception_type is None:
                self.publish()
        finally:
            if not self._finished:
                self.discard()


def write_atomically(place: str, data: bytes) -> None:
    """Writes a whole file: readers see the old content or the new, never a part."""
    with AtomicFile(place) as file:
        file.write(data)


def write_alone(place: str, data: bytes) -> None:
    """`write_atomically` of a file that no build clears up after: what killed writers of it have left is removed."""
    filesystem, path = _filesystem(place)
    folder, file_name = posixpath.split(path)
    if isinstance(filesystem, LocalFileSystem) and os.path.isdir(folder):
        for other in os.listdir(folder):
            if _WRITER.fullmatch(other.removesuffix(file_name)):
                held.remove_left(posixpath.join(folder, other), os.unlink)
    write_atomically(place, data)


def create(place: str, data: bytes, mode: int = 0o666) -> bool:
    """Writes a small file, unless one stands at the place; says whether it did. Of several callers at once one does.
    mode: of a local file, as far as the process's umask lets it.

    A local reader may see it empty for a moment (a hard link would not, but not every file system has them). An object
    store's answer may be lost on the way, and the request made again: False is then said of what this call has written,
    so whoever has to know writes what only he would, and reads it.
    Raises ValueError for a place that has no such operation: local files, memory://, gs:// and s3:// have.
    """
    filesystem, path = _filesystem(place)
    if isinstance(filesystem, LocalFileSystem):
        return _create_local(path, data, mode)
    if isinstance(filesystem, MemoryFileSystem):
        with _MEMORY:  # fsspec looks first, and then writes
            return stores.create(filesystem, path, data)
    if not stores.is_store(filesystem):
        raise ValueError(
            f"{place} cannot be created by one of several writers: of the places that fsspec knows only local files, "
            "gs:// and s3:// are known to let one win; use one of these"
        )
    return stores.create(filesystem, path, data)


def _create_local(path: str, data: bytes, mode: int) -> bool:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        file = open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode))  # noqa: SIM115
    except FileExistsError:
        return False
    try:
        with file:
            file.write(data)
    except OSError:
        os.remove(path)
        raise
    return True


def sha256(place: str) -> str:
    """Hex SHA-256 of a file's bytes."""
    return digests(place)[0]


def xxh3(place: str) -> str:
    """Hex XXH3-128 of a file's bytes: not against forgers, but twelve times as fast as SHA-256."""
    with open_input(place) as file:
        return xxh3_in(file)


def xxh3_in(file: IO[bytes]) -> str:
    """`xxh3` of an open file, read from where it stands."""
    digest = xxhash.xxh3_128()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def xxh3_of(data: bytes) -> str:
    """`xxh3` of bytes that were read."""
    return xxhash.xxh3_128_hexdigest(data)


def digests(place: str) -> tuple[str, str]:
    """Hex SHA-256 and XXH3-128 of a file's bytes, read once."""
    digest, fast = hashlib.sha256(), xxhash.xxh3_128()
    with open_input(place) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            fast.update(chunk)
    return digest.hexdigest(), fast.hexdigest()
