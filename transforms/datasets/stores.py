"""Object stores (gs://, s3://) over fsspec, where they are not like file systems.

They have no folders, and what others wrote is seen at once. A file of theirs appears when its upload completes, so it
is written under its own name: a move would copy it. A conditional request lets one of several writers win. Nothing
makes a bucket: a mistyped one is an error. Each function makes one to three requests, but for listings (one for a
thousand files), removal (one for each file) and large files (one for each part).
"""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

# The protocols, and the extra that installs what reaches them.
_EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3", "s3a": "s3"}
PART_BYTES = 16 << 20  # of an upload: a multiple of 256 KiB (GCS), and at most 10,000 of them (S3)
_AT_ONCE = 16  # requests, to remove many files
_LONGEST_WAIT_S = 2


def is_store(filesystem: fsspec.AbstractFileSystem) -> bool:
    """Whether the rules of this file hold for a file system."""
    protocol = filesystem.protocol
    return not _EXTRAS.keys().isdisjoint([protocol] if isinstance(protocol, str) else protocol)


def not_installed(place: str, error: ImportError) -> ValueError:
    """What to say of a place whose library is missing."""
    extra = _EXTRAS.get(place.partition("://")[0])
    advice = f"; pip install 'agora-forum[{extra}]'" if extra else ""
    return ValueError(f"{place} cannot be reached: {error}{advice}")


def is_seen_elsewhere(place: str) -> bool:
    """Whether other machines see a place. Asks no store. Raises ValueError when its library is not installed."""
    try:
        kind = fsspec.get_filesystem_class(fsspec.utils.get_protocol(place))
    except ImportError as error:
        raise not_installed(place, error) from None
    return not issubclass(kind, LocalFileSystem | MemoryFileSystem)


def info(filesystem: fsspec.AbstractFileSystem, path: str) -> dict[str, Any] | None:
    """What fsspec says of a file or a folder; None where nothing is."""
    try:
        return cast("dict[str, Any]", filesystem.info(path))
    except FileNotFoundError:
        return None


def below(filesystem: fsspec.AbstractFileSystem, path: str) -> list[str]:
    """The paths of all objects below a folder, which need not be there; those that end with a slash mark folders."""
    folder, _, own_name = path.rstrip("/").rpartition("/")
    # By prefix: where nothing lies below, a listing of the path itself would go on to all names that begin like it.
    found = filesystem.find(folder, prefix=f"{own_name}/") if folder else filesystem.find(path)
    return cast("list[str]", found)


def remove(filesystem: fsspec.AbstractFileSystem, path: str) -> None:
    """Removes a file, or all files of a folder; no error when there are none.

    One by one, since fsspec's removal of many takes `[` and `*` in their names for patterns.
    """

    def remove_one(file: str) -> None:
        with suppress(FileNotFoundError):
            filesystem.rm_file(file)

    files = [*below(filesystem, path), path]
    with ThreadPoolExecutor(min(_AT_ONCE, len(files))) as pool:
        for _ in pool.map(remove_one, files):
            pass


class Upload:
    """Writes to an object store: nothing is there until publishing completes the upload. A file of less than
    PART_BYTES is one request."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, path: str) -> None:
        self._filesystem, self._path = filesystem, path
        self._first = io.BytesIO()
        self._file: Any = None  # fsspec's, once there is more than one part

    def write(self, view: memoryview) -> None:
        """Sends full parts on the way. Memory: PART_BYTES."""
        if self._file is None and self._first.tell() + view.nbytes <= PART_BYTES:
            self._first.write(view)
            return
        if self._file is None:
            # Not committed by closing it, so that what is dropped on the way is not published by the collector.
            self._file = self._filesystem.open(self._path, "wb", block_size=PART_BYTES, autocommit=False)
            self._file.write(self._first.getvalue())
            self._first = io.BytesIO()
        self._file.write(view)

    def publish(self) -> None:
        """Completes the upload, so that the file is there."""
        if self._file is None:
            self._filesystem.pipe_file(self._path, self._first.getvalue())
        else:
            self._file.close()
            self._file.commit()

    def discard(self) -> None:
        """Gives the upload up, as far as that can be done."""
        if self._file is not None:
            with suppress(Exception):  # an upload that cannot be given up is not seen either
                self._file.discard()
            self._file.closed = True  # the collector shall not close it once more


def create(filesystem: fsspec.AbstractFileSystem, path: str, data: bytes) -> bool:
    """Writes a small file, unless one is there; says whether it did. For memory:// as well, which is one process's."""
    wait_s = 0.1
    while True:
        try:
            filesystem.pipe_file(path, data, mode="create")
            return True
        except FileExistsError:
            return False
        except OSError as error:
            code = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code")
            if code == "PreconditionFailed":  # of a store that speaks S3 and does not name the condition
                return False
            if code != "ConditionalRequestConflict" or wait_s > _LONGEST_WAIT_S:  # S3: another's request is at work
                raise
        time.sleep(wait_s)
        wait_s *= 2
