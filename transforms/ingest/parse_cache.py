"""Parsed rows of files that were read before: what makes a rerun after a new dump read the new files only.

A cache is a folder that several ingestions may share. It holds, for each input file by the hash of its content and by
all settings that parsing depends on, the rows and drops that parsing gave, before threads are joined. So a build from
the cache is a build from the files, byte for byte: duplicates, orphans and votes are decided on the same rows, whatever
files are new. (Taking rows out of the previous documents instead would lose what is not in them: the answers whose
question came with a later file, the other copies of a post, which file a row is from.)

    CACHE/<settings>/<file>/<start>-<end>.arrow + .json    the rows of a byte range, and their count and SHA-256
    CACHE/<settings>/<file>/complete.json                  the ranges; written last

Where a run was killed there is no complete.json, and the next run reads the ranges that are missing.
A cache is never needed and may be deleted at any time but during a run. One run at a time may use it. A folder that
holds anything else is refused, since what is old in a cache is removed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

from transforms.datasets import places, strict_json
from transforms.datasets.ids import fingerprint
from transforms.datasets.settings import SettingError
from transforms.datasets.verify import verify_file
from transforms.ingest.accounts import Account
from transforms.sources.records import PARSED, placed
from transforms.sources.source import InputFile

# Raised when parsing may give other rows though no setting did: it is part of the folder's name.
_VERSION = 7
_COMPLETE = "complete.json"
_OURS = re.compile(
    rf"[0-9a-f]{{16}}/[0-9a-f]{{16}}/(?:{re.escape(places.TEMPORARY)}.*|\d{{16}}(?:-(?:\d{{16}}|end))?\.arrow(?:\.json)?|complete\.json)"
)

# What is known only where rows are used: the file's name and the number of buckets.
_STORED = pa.schema([field for field in PARSED if field.name not in ("file", "bucket")])


@dataclass(frozen=True)
class Part:
    """The parsed rows of bytes [start, end) of a file. entries: of the remove list, that matched in it."""

    start: int
    end: int | None
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
        identity = fingerprint([_VERSION, file.sha256, file.source, file.site, file.holds, file.mapping])
        return places.join(self.place, self.settings, identity)

    def find(self, file: InputFile) -> tuple[list[CachedPart], str]:
        """(a file's parts, "") when the cache holds all of them undamaged, else ([], why not)."""
        folder = self.folder(file)
        index = places.join(folder, _COMPLETE)
        if not places.exists(index):
            number = sum(name.endswith(".arrow.json") for name in places.list_files(folder))
            return [], f"{number} of its ranges were read before" if number else "not read before with these settings"
        parts = _read_parts(index)
        if not parts or not all(_is_sound(places.join(folder, part.path), part) for part in parts):
            places.remove(folder)
            return [], "its rows in the cache are damaged"
        return [CachedPart(file, places.join(folder, part.path), part) for part in parts], ""

    def find_range(self, file: InputFile, start: int, end: int | None) -> CachedPart | None:
        """The rows of a byte range that a run parsed before it was killed, or None."""
        place = places.join(self.folder(file), _path(start, end))
        sound = (part for part in _read_parts(f"{place}.json") if _is_sound(place, part))
        return next((CachedPart(file, place, part) for part in sound), None)

    def keep(
        self, tables: Iterable[pa.Table], file: InputFile, start: int, end: int | None, account: Account
    ) -> Iterator[pa.Table]:
        """Passes the tables of a byte range on and writes them down. `account` must be complete when they end."""
        path = _path(start, end)
        folder = self.folder(file)
        options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
        with places.AtomicFile(places.join(folder, path)) as written:
            with pa.ipc.new_stream(written, _STORED, options=options) as writer:
                for table in tables:
                    writer.write_table(table.select(_STORED.names).cast(_STORED))
                    yield table
            written.publish()
        size, digest = written.bytes_written, written.sha256
        part = Part(start, end, path, account.num_rows, size, digest, tuple(sorted(account.entries)))
        places.write_atomically(places.join(folder, path + ".json"), json.dumps(asdict(part), sort_keys=True).encode())

    def complete(self, file: InputFile, ranges: Sequence[tuple[int, int | None]]) -> None:
        """Says that a file is in the cache as these byte ranges, which make it up once, and removes all else of it:
        what killed runs have left, and their ranges where they cut in another way.

        Nothing is said of a file that could not be read, or while one of the ranges is missing.
        """
        folder = self.folder(file)
        found = [_read_parts(places.join(folder, f"{_path(start, end)}.json")) for start, end in ranges]
        if not all(found):
            return
        whole = [part for parts in found for part in parts]
        places.write_atomically(places.join(folder, _COMPLETE), json.dumps([asdict(part) for part in whole]).encode())
        named = {_COMPLETE, *(part.path for part in whole), *(f"{part.path}.json" for part in whole)}
        for name in set(places.list_files(folder)) - named:
            places.remove(places.join(folder, name))

    def check(self) -> None:
        """Raises SettingError when the place is not a folder that is empty, missing or a cache."""
        if places.exists(self.place) and not places.is_folder(self.place):
            raise SettingError("reuse", f"{self.place} is a file; name a new folder, which will keep parsed rows")
        foreign = [name for name in places.list_files(self.place) if not _OURS.fullmatch(name)]
        if foreign:
            raise SettingError(
                "reuse",
                f"{self.place} is not a folder of parsed rows: it holds {foreign[:3]}, which might be removed; name an "
                "empty or new folder",
            )

    def drop_others(self) -> int:
        """Removes what was parsed with other settings; returns how many files' rows that were.

        For a remove list: what it names must not live on in the rows of an earlier run. Raises ValueError where the
        place is no cache.
        """
        self.check()
        others = [name for name in places.list_files(self.place) if not name.startswith(f"{self.settings}/")]
        for folder in sorted({name.split("/")[0] for name in others}):
            places.remove(places.join(self.place, folder))
        return sum(name.endswith(f"/{_COMPLETE}") for name in others)


def _path(start: int, end: int | None) -> str:
    return f"{start:016d}-{'end' if end is None else f'{end:016d}'}.arrow"


def _is_sound(place: str, part: Part) -> bool:
    return verify_file(place, part.bytes, part.sha256)


def read_part(cached: CachedPart, num_buckets: int) -> Iterator[pa.Table]:
    """PARSED tables of a part, with the file's name of today. Memory: one table."""
    with places.open_input(cached.place) as stream, pa.ipc.open_stream(stream) as reader:
        for batch in reader:
            yield placed(pa.Table.from_batches([batch]), cached.file.name, num_buckets)


def account_of(cached: CachedPart) -> Account:
    """What a part's rows add to the account where they are parsed."""
    account = Account(entries=set(cached.part.entries))
    account.of_file(cached.file.name).rows += cached.part.rows
    return account


def _read_parts(place: str) -> list[Part]:
    """The parts that a file of the cache tells of, one or several; none where it is missing or cannot be read: what it
    would tell of is parsed anew."""
    try:
        values = strict_json.load(place)
        return [_part(part) for part in (values if isinstance(values, list) else [values])]
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return []


def _part(values: Mapping[str, object]) -> Part:
    return Part(**{**values, "entries": tuple(values["entries"])})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Reuse:
    """Which files of a run came from the cache, and why the others did not."""

    parts: Sequence[CachedPart] = ()
    reused: tuple[str, ...] = ()
    read: tuple[tuple[str, str], ...] = ()  # (file, why)

    def to_dict(self) -> dict[str, object]:
        """For the account of the run."""
        return {"reused": list(self.reused), "read": dict(self.read)}


def reuse(cache: ParseCache, files: Sequence[InputFile]) -> Reuse:
    """Looks every file up. Raises ValueError where the place is no cache."""
    cache.check()
    parts: list[CachedPart] = []
    reused: list[str] = []
    read: list[tuple[str, str]] = []
    for file in files:
        found, why = cache.find(file)
        if why:
            read.append((file.name, why))
        else:
            parts += found
            reused.append(file.name)
    return Reuse(parts, tuple(reused), tuple(read))
