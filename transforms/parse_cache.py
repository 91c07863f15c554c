"""Parsed rows of files that were read before: what makes a rerun after a new dump read the new files only.

A cache is a folder that several ingestions may share. It holds, for each input file by the hash of its content and by
all settings that parsing depends on, the rows and drops that parsing gave, before threads are joined. So a build from
the cache is a build from the files, byte for byte: duplicates, orphans and votes are decided on the same rows, whatever
files are new. (Taking rows out of the previous documents instead would lose what is not in them: the answers whose
question came with a later file, the other copies of a post, which file a row is from.)

    CACHE/<settings>/<file>/<start>.arrow + .json    the rows of one byte range, and their count and SHA-256
    CACHE/<settings>/<file>/complete.json            the ranges; written last, without it the file is parsed again

A cache is never needed and may be deleted at any time but during a run. One run at a time may use it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

from transforms import places
from transforms.accounts import Account
from transforms.ids import fingerprint
from transforms.shards import verify_file
from transforms.sources.inputs import InputFile
from transforms.sources.records import PARSED, placed

# Raised when parsing may give other rows though no setting did: it is part of the folder's name.
_VERSION = 2
_COMPLETE = "complete.json"

# What is known only where rows are used: the file's name and the number of buckets.
_STORED = pa.schema([field for field in PARSED if field.name not in ("file", "bucket")])


@dataclass(frozen=True)
class Part:
    """The parsed rows of one byte range of a file. entries: of the remove list, that matched in it."""

    path: str  # below the file's folder in the cache
    rows: int  # read, as the account counts them
    bytes: int
    sha256: str
    entries: tuple[int, ...]


@dataclass(frozen=True)
class CachedPart:
    """A part to be read instead of a byte range."""

    file: InputFile
    place: str
    part: Part


@dataclass(frozen=True)
class ParseCache:
    """place: of the cache; settings: fingerprint of all that parsing depends on."""

    place: str
    settings: str

    def folder(self, file: InputFile) -> str:
        """Of a file: its content, and what it is read as. Its name and place do not matter."""
        problem = [str(part) for part in file.problem] if file.problem else None
        identity = fingerprint([_VERSION, file.sha256, file.source, file.site, file.table, problem])
        return places.join(self.place, self.settings, identity)

    def find(self, file: InputFile) -> tuple[list[CachedPart], str]:
        """(a file's parts, "") when the cache holds all of them undamaged, else ([], why not)."""
        folder = self.folder(file)
        index = places.join(folder, _COMPLETE)
        if not places.exists(index):
            return [], "not read before with these settings"
        parts = [_part(values) for values in json.loads(places.read_bytes(index))]
        if any(not verify_file(places.join(folder, part.path), part.bytes, part.sha256) for part in parts):
            return [], "its rows in the cache are damaged"
        return [CachedPart(file, places.join(folder, part.path), part) for part in parts], ""

    def begin(self, file: InputFile) -> None:
        """Makes way for the parts of a file that is about to be parsed."""
        places.remove(self.folder(file))

    def keep(self, tables: Iterable[pa.Table], file: InputFile, start: int, account: Account) -> Iterator[pa.Table]:
        """Passes the tables of a byte range on and writes them down. `account` must be complete when they end."""
        path = f"{start:016d}.arrow"
        folder = self.folder(file)
        options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
        with places.AtomicFile(places.join(folder, path)) as written:
            with pa.ipc.new_stream(written, _STORED, options=options) as writer:
                for table in tables:
                    writer.write_table(table.select(_STORED.names).cast(_STORED))
                    yield table
            written.publish()
        part = Part(path, account.num_read, written.bytes_written, written.sha256, tuple(sorted(account.entries)))
        places.write_atomically(places.join(folder, path + ".json"), json.dumps(asdict(part), sort_keys=True).encode())

    def complete(self, file: InputFile) -> None:
        """Says that all byte ranges of a file are in the cache."""
        folder = self.folder(file)
        names = [name for name in places.list_files(folder) if name.endswith(".arrow.json")]
        parts = [json.loads(places.read_bytes(places.join(folder, name))) for name in names]
        places.write_atomically(places.join(folder, _COMPLETE), json.dumps(parts).encode())

    def drop_others(self) -> int:
        """Removes what was parsed with other settings; returns how many files' rows that were.

        For a remove list: what it names must not live on in the rows of an earlier run.
        """
        others = [name for name in places.list_files(self.place) if not name.startswith(f"{self.settings}/")]
        for folder in sorted({name.split("/")[0] for name in others}):
            places.remove(places.join(self.place, folder))
        return sum(name.endswith(f"/{_COMPLETE}") for name in others)


def read_part(cached: CachedPart, num_buckets: int) -> Iterator[pa.Table]:
    """PARSED tables of a part, with the file's name of today. Memory: one table."""
    with places.open_input(cached.place) as stream, pa.ipc.open_stream(stream) as reader:
        for batch in reader:
            yield placed(pa.Table.from_batches([batch]), cached.file.name, num_buckets)


def account_of(cached: CachedPart) -> Account:
    account = Account()
    account.read(cached.file.name, cached.part.rows)
    for entry in cached.part.entries:
        account.removed(entry)
    return account


def _part(values: Mapping[str, object]) -> Part:
    return Part(**{**values, "entries": tuple(values["entries"])})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Reuse:
    """Which files of a run came from the cache, and why the others did not."""

    parts: Sequence[CachedPart] = ()
    reused: tuple[str, ...] = ()
    read: tuple[tuple[str, str], ...] = ()  # (file, why)

    def to_dict(self) -> dict[str, object]:
        return {"reused": list(self.reused), "read": dict(self.read)}


def reuse(cache: ParseCache, files: Sequence[InputFile]) -> Reuse:
    """Looks every file up, and makes way for those that must be read."""
    parts: list[CachedPart] = []
    reused: list[str] = []
    read: list[tuple[str, str]] = []
    for file in files:
        found, why = cache.find(file)
        if why:
            cache.begin(file)
            read.append((file.name, why))
        else:
            parts += found
            reused.append(file.name)
    return Reuse(parts, tuple(reused), tuple(read))
