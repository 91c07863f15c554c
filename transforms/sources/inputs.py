"""What the user pointed at, as files that can be read: found, recognised by their content, named in short."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from transforms.datasets import places, shown, strict_yaml
from transforms.datasets.settings import SettingError
from transforms.sources.kinds import SOURCES
from transforms.sources.mapping import RowMapping
from transforms.sources.source import PACKED, Found, InputFile, Source
from transforms.sources.streams import archives
from transforms.sources.streams.pieces import read_chunk
from transforms.sources.streams.unpack import NO_LIMITS, DamageError, Limits, is_packed, open_unpacked

_HEAD_BYTES = 1 << 16
# What looks like data. Whatever of it lies in a folder and is not read is an error, not left out.
_DATA = re.compile(
    rf".*\.(?:jsonl|ndjson|json|parquet|csv|tsv|xml|7z|zip|rar|tar|tgz|warc|\d{{3}}){PACKED}?|.*{PACKED}", re.IGNORECASE
)
_CSV = re.compile(rf".*\.[ct]sv{PACKED}?", re.IGNORECASE)
_CSV_ADVICE = (
    "CSV is not read, since its columns have no types and its rows no agreed form; write it as Parquet or JSON lines, "
    "such as with pyarrow: parquet.write_table(csv.read_csv(FILE), 'rows.parquet')"
)
_ZIP_MAGIC = b"PK\x03\x04"  # recognised only to say what to do

ONE_DUMP_A_SITE = (
    "Give each forum its own site (--input PATH=SITE; in a build file inputs: - {path: …, site: …}), and of two dumps "
    "of one forum name one"
)


@dataclass(frozen=True)
class Input:
    """A file or folder to read.

    source: the name of one, or None to recognise it. site: the forum's host, or the corpus's name. mapping: a file that
    says what the fields of its rows are, for sources whose rows have no agreed fields.
    """

    path: str
    source: str | None = None
    site: str | None = None
    mapping: str | None = None

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("an input is empty text; check the variable that it comes from")
        if self.source is not None and self.source not in SOURCES:
            raise SettingError("source", f"{self.source!r} of {self.path} is not read; one of {', '.join(SOURCES)}")

    @property
    def is_of(self) -> Source | None:
        """The source that it was said to be of."""
        return SOURCES[self.source] if self.source is not None else None


def find_files(inputs: Sequence[Input], limits: Limits = NO_LIMITS) -> list[InputFile]:
    """The files of all inputs, sorted by name and content, each with a name of its own.

    Raises ValueError for a path that is not there, a folder without anything to read, a source that there is not, a
    format that is not read, and two dumps under one site.
    """
    if not inputs:
        raise ValueError("nothing to ingest: name a dump, a folder or a JSONL file")
    above = [(_folders_above(item), file) for item in inputs for file in _files_of(item, limits)]
    _refuse_twice([file for _, file in above])
    files = _told_apart(above)
    _refuse_two_dumps(files)
    return sorted(files, key=lambda file: (file.name, file.sha256, file.site or ""))


def _refuse_two_dumps(files: Sequence[InputFile]) -> None:
    """A forum has one whole file of each kind. What has another name may be a part of one."""
    known: dict[tuple[str, str], InputFile] = {}
    for file in sorted(files, key=lambda file: file.name):
        if not (file.whole and file.readable):
            continue
        first = known.setdefault((file.forum, file.holds), file)
        if first.sha256 != file.sha256:
            raise ValueError(
                f"{first.told} and {file.told} are both the {file.holds} of {file.site}, and not the same file: dumps "
                f"of two forums, or two of one forum. {ONE_DUMP_A_SITE}. Parts of one table have names of their "
                f"own, such as {places.name(file.name).split('.')[0]}-1"
            )


def _refuse_twice(files: Sequence[InputFile]) -> None:
    """Every row of a file that is read twice would be its own duplicate."""
    times = Counter((file.site, places.absolute(file.place), file.member) for file in files)
    if twice := sorted(place for (_, place, _), number in times.items() if number > 1):
        raise ValueError(f"{twice[0]} is among the inputs twice; name it, or the folder that it is in, once")


def _places(item: Input) -> Iterator[tuple[str, str]]:
    if places.is_pipe(item.path):
        raise ValueError(f"{item.path} is a pipe or a device, and inputs are read more than once; write it to a file")
    if places.is_folder(item.path):
        for name in _in_folder(item, places.list_files(item.path)):
            yield places.join(item.path, name), name
    elif places.exists(item.path):
        yield item.path, places.name(item.path)
    else:
        raise ValueError(f"there is no file or folder {item.path}; check the path")


def _in_folder(item: Input, names: Sequence[str]) -> list[str]:
    """The files of a folder that are read: those of one dump, or else each that some source reads by itself."""
    dump, dumped = _dump_in(names, item.source)
    others = [name for name in names if name not in dumped]
    alone = [name for name in others if any(_reads_alone(source, name) for source in SOURCES.values())]
    if dump and alone and item.source is None:
        raise ValueError(
            f"{item.path} holds both a {dump.name} dump ({dumped[0]}) and other files to read ({alone[0]}); say with "
            f"--source {dump.name} that the dump is meant, or name what you mean"
        )
    found = dumped if dump or (item.is_of and item.is_of.dump) else alone
    if not found:
        raise ValueError(_nothing_in(item.path, names))
    _refuse_unread(item, [name for name in names if name not in found], dump)
    return found


def _dump_in(names: Sequence[str], source: str | None) -> tuple[Source | None, list[str]]:
    """The source whose dump a folder holds, and the files of that."""
    for known in SOURCES.values():
        if known.dump and source in (None, known.name) and (found := known.dump(names)):
            return known, found
    return None, []


def _reads_alone(source: Source, name: str) -> bool:
    return source.dump is None and source.names.fullmatch(places.name(name)) is not None


def _refuse_unread(item: Input, names: Sequence[str], dump: Source | None) -> None:
    """Raises ValueError for a file that looks like data and is not read.

    A dump has files that hold no posts, such as Users.xml. Where the source was said, files of another one are meant to
    be left out.
    """
    for name in names:
        own = places.name(name)
        of_another = item.source and any(
            source.names.fullmatch(own) for source in SOURCES.values() if source.name != item.source
        )
        of_the_dump = dump and dump.beside and dump.beside.fullmatch(name)
        if _DATA.fullmatch(own) and not (of_another or of_the_dump):
            csv = _CSV.fullmatch(own)
            advice = _CSV_ADVICE if csv else "Move it out of the folder, or name the files that you mean"
            raise ValueError(
                f"{shown.name(item.path)} holds {shown.name(name)}, which looks like data and would not be read. "
                f"{advice}"
            )


def _nothing_in(folder: str, names: Sequence[str]) -> str:
    below: dict[str, list[str]] = {}
    for name in names:
        parent, _, own = name.rpartition("/")
        below.setdefault(parent, []).append(own)
    if dumps := [parent for parent, own in below.items() if parent and _dump_in(own, None)[0]]:
        return (
            f"{folder} holds folders with dumps ({', '.join(dumps[:5])}), and a dump does not name its site: give one "
            f"of them with its --site, or each with its own, as in --input {places.join(folder, dumps[0])}=SITE (in a "
            "build file inputs: - {path: …, site: …})"
        )
    if any(_CSV.fullmatch(name) for name in names):
        return f"{folder} holds nothing to read but CSV, such as {names[0]}. {_CSV_ADVICE}"
    what = ", ".join(source.says for source in SOURCES.values())
    if not names:
        return f"{folder} is an empty folder; wanted in it: {what}"
    return f"{folder} holds nothing to read, which would be: {what}; found {list(names[:5])}"


def _files_of(item: Input, limits: Limits) -> list[InputFile]:
    """The files of one input. Its mapping is read once."""
    mapping = strict_yaml.load(RowMapping, item.mapping) if item.mapping else None
    found = (_look(item, place, name, limits, mapping) for place, name in _places(item))
    return [file for one in found for file in _described(item, one)]


def _look(item: Input, place: str, name: str, limits: Limits, mapping: RowMapping | None) -> Found:
    with places.open_input(place) as file:
        magic = file.read(18)
    if magic.startswith(_ZIP_MAGIC):
        raise ValueError(
            f"{shown.name(place)} is a zip archive, which is not read; unpack it (unzip FILE) and give the folder"
        )
    head, damage = _head(place)
    named = not places.is_folder(item.path)
    return Found(place, name, named, item.site, head, damage, is_packed(magic), limits, mapping)


def _described(item: Input, found: Found) -> Sequence[InputFile]:
    source = item.is_of or _recognised(found)
    if found.head.startswith(archives.MAGIC) and found.packed:
        raise ValueError(f"{shown.name(found.place)} is a .7z archive that was packed once more; unpack it once")
    if found.head.startswith(archives.MAGIC) and not source.check_member:
        of = ", ".join(known.name for known in SOURCES.values() if known.check_member)
        raise ValueError(f"{shown.name(found.place)} is a .7z archive, which is read for {of} only, not {source.name}")
    if found.mapping and not source.mapped:
        of = ", ".join(known.name for known in SOURCES.values() if known.mapped)
        raise ValueError(
            f"the mapping {item.mapping} is for {of}, and {found.place} was recognised as {source.name}; leave "
            "the mapping out, say the source, or give it to the input that it is for as --input PATH,mapping=FILE"
        )
    try:
        return source.describe(found)
    except DamageError as error:
        return [found.file(source.name, found.site, (error.reason, str(error)))]


def _head(place: str) -> tuple[bytes, DamageError | None]:
    """(The file's first bytes, unpacked; what keeps it from giving more)."""
    head, damage = b"", None
    with open_unpacked(place) as file:
        while len(head) < _HEAD_BYTES:
            chunk, damage = read_chunk(file, _HEAD_BYTES - len(head))
            if not chunk:
                break
            head += chunk
    return head, damage


def _recognised(found: Found) -> Source:
    """By its content; where that says nothing by its name: it is an outcome of its own then, not the end of the run."""
    place = found.place
    for source in SOURCES.values():
        if source.recognise(found.head):
            return source
    for source in SOURCES.values():
        if source.names.fullmatch(places.name(place)):
            return source
    if _CSV.fullmatch(places.name(place)):
        raise ValueError(f"{shown.name(place)} is CSV. {_CSV_ADVICE}")
    if not found.head:
        what = f"cannot be read ({found.damage})" if found.damage else "is empty"
        raise ValueError(f"{shown.name(place)} {what}; check the path, or get the file again")
    raise ValueError(
        f"cannot tell what {shown.name(place)} is: it begins with {found.head[:20]!r}, as none of the sources does. "
        f"Say it with --source, one of {', '.join(SOURCES)}"
    )


def _folders_above(item: Input) -> list[str]:
    """The names of the folders that an input's files are named without, the nearest last."""
    folders = places.parts(item.path)
    return folders if places.is_folder(item.path) else folders[:-1]


def _told_apart(found: Sequence[tuple[Sequence[str], InputFile]]) -> list[InputFile]:
    """Files of one name get as many of the folders above before it as it takes: so the names say nothing of where all
    of it lies. One file that is read for several sites gets its site before it; what is then left, its content's hash.
    """
    depths, ways = [0] * len(found), ["/".join(places.parts(file.place)) for _, file in found]
    while True:
        names = [
            "/".join([*above[len(above) - depth :], file.name])
            for (above, file), depth in zip(found, depths, strict=True)
        ]
        named: dict[str, set[str]] = {}
        for name, way in zip(names, ways, strict=True):
            named.setdefault(name, set()).add(way)
        deeper = [
            len(named[name]) > 1 and depth < len(above)
            for name, (above, _), depth in zip(names, found, depths, strict=True)
        ]
        if not any(deeper):
            break
        depths = [depth + goes for depth, goes in zip(depths, deeper, strict=True)]
    files = [replace(file, name=name) for name, (_, file) in zip(names, found, strict=True)]
    files = _renamed(files, [f"{file.site}/{file.name}" if file.site else file.name for file in files])
    return _renamed(files, [f"{file.name}#{file.sha256[:8]}" for file in files])


def _renamed(files: list[InputFile], names: list[str]) -> list[InputFile]:
    times = Counter(file.name for file in files)
    return [replace(file, name=name) if times[file.name] > 1 else file for file, name in zip(files, names, strict=True)]
