"""What the user pointed at, as files that can be read: found, recognised by their content, named without their path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from transforms import places
from transforms.fates import Reason
from transforms.sources import jsonl, stackexchange
from transforms.sources.pieces import is_gzip, open_unpacked, read_chunk

SOURCES = (stackexchange.SOURCE, jsonl.SOURCE)

_HEAD_BYTES = 1 << 16
_JSONL_ENDINGS = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
_XML_ENDINGS = (".xml", ".xml.gz")

# Formats that are recognised only to say what to do.
_PACKED = {
    b"7z\xbc\xaf\x27\x1c": ("a .7z archive", "unpack it (7z x FILE) and give the folder"),
    b"\x28\xb5\x2f\xfd": ("Zstandard", "unpack it (zstd -d --long=31 FILE) and give the result"),
    b"BZh": ("bzip2", "unpack it (bunzip2 FILE) and give the result"),
    b"\xfd7zXZ\x00": ("xz", "unpack it (unxz FILE) and give the result"),
    b"PK\x03\x04": ("a zip archive", "unpack it (unzip FILE) and give the folder"),
    b"PAR1": ("Parquet", "write it as JSONL, one document a line"),
}


@dataclass(frozen=True)
class Input:
    """A file or folder to read.

    source: one of SOURCES, or None to recognise it. site: the forum's host, or the corpus's name.
    """

    path: str
    source: str | None = None
    site: str | None = None

    def __post_init__(self) -> None:
        if self.source is not None and self.source not in SOURCES:
            raise ValueError(f"source {self.source!r} of {self.path} is not read; one of {', '.join(SOURCES)}")


@dataclass(frozen=True)
class InputFile:
    """One file to read. problem: what its first bytes already say is wrong with the whole file."""

    place: str
    name: str  # below the input the user gave: names the file in rejects and in the account
    source: str
    site: str | None
    bytes: int
    sha256: str
    packed: bool  # gzip: cannot be read from the middle
    problem: tuple[Reason, str] | None

    @property
    def readable(self) -> bool:
        return self.problem is None or self.problem[0] is Reason.DOCTYPE


def find_files(inputs: Sequence[Input]) -> list[InputFile]:
    """The files of all inputs, sorted by name and content, each with a name of its own.

    Raises ValueError for a path that is not there, a folder without anything to read, and a format that is not read.
    """
    if not inputs:
        raise ValueError("nothing to ingest: name a dump, a folder or a JSONL file")
    files = [_describe(item, place, name) for item in inputs for place, name in _places(item)]
    files.sort(key=lambda file: (file.name, file.sha256, file.site or ""))
    return _with_unique_names(files)


def _places(item: Input) -> Iterator[tuple[str, str]]:
    if places.is_folder(item.path):
        names = places.list_files(item.path)
        posts = [name for name in names if name.lower() in ("posts.xml", "posts.xml.gz")]
        found = posts if item.source != jsonl.SOURCE else []
        if not found and item.source != stackexchange.SOURCE:
            found = [name for name in names if name.lower().endswith(_JSONL_ENDINGS)]
        if not found:
            raise ValueError(
                f"{item.path} holds nothing to read: no Posts.xml (the folder of a Stack Exchange dump) and no .jsonl; "
                f"found {names[:5]}"
            )
        for name in found:
            yield places.join(item.path, name), name
    elif places.exists(item.path):
        yield item.path, places.name(item.path)
    else:
        raise ValueError(f"there is no file or folder {item.path}; check the path")


def _describe(item: Input, place: str, name: str) -> InputFile:
    with places.open_input(place) as file:
        magic = file.read(8)
    for start, (what, advice) in _PACKED.items():
        if magic.startswith(start):
            raise ValueError(f"{place} is {what}, which is not read; {advice}")
    head = _head(place)
    source = item.source or _recognised(head, place)
    if source == stackexchange.SOURCE:
        stackexchange.check_site(item.site, place)
        problem = stackexchange.check_head(head)
    else:
        jsonl.check_site(item.site, place)
        problem = jsonl.check_head(head)
    return InputFile(place, name, source, item.site, places.size(place), places.sha256(place), is_gzip(place), problem)


def _head(place: str) -> bytes:
    head = b""
    with open_unpacked(place) as file:
        while len(head) < _HEAD_BYTES:
            chunk, _ = read_chunk(file, _HEAD_BYTES - len(head))
            if not chunk:
                break
            head += chunk
    return head


def _recognised(head: bytes, place: str) -> str:
    content = head.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
    if content.startswith(b"<"):
        return stackexchange.SOURCE
    if content.startswith((b"{", b"[")):
        return jsonl.SOURCE
    if place.lower().endswith(_XML_ENDINGS):
        return stackexchange.SOURCE
    if place.lower().endswith(_JSONL_ENDINGS):
        return jsonl.SOURCE
    raise ValueError(
        f"cannot tell what {place} is: it begins with {head[:20]!r}, neither XML nor JSON. "
        f"Say it with --source, one of {', '.join(SOURCES)}"
    )


def _with_unique_names(files: list[InputFile]) -> list[InputFile]:
    """Files of one name get their site before it, then their content's hash behind it, then a number."""
    files = _renamed(files, [f"{file.site}/{file.name}" for file in files])
    files = _renamed(files, [f"{file.name}#{file.sha256[:8]}" for file in files])
    return _renamed(files, [f"{file.name}-{number}" for number, file in enumerate(files, 1)])


def _renamed(files: list[InputFile], names: list[str]) -> list[InputFile]:
    times = Counter(file.name for file in files)
    return [replace(file, name=name) if times[file.name] > 1 else file for file, name in zip(files, names, strict=True)]
