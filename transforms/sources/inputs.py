"""What the user pointed at, as files that can be read: found, recognised by their content, named in short."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from transforms.datasets import places, shown, strict_yaml
from transforms.datasets.fates import Reason
from transforms.sources import reddit
from transforms.sources.rows import jsonl, mapped_rows, parquet
from transforms.sources.rows.json_rows import check_head as check_json_head
from transforms.sources.rows.mapping import RowMapping
from transforms.sources.stackexchange import tables as stackexchange
from transforms.sources.streams import archives
from transforms.sources.streams.pieces import read_chunk
from transforms.sources.streams.unpack import NO_LIMITS, DamageError, Limits, is_packed, open_unpacked

SOURCES = (stackexchange.SOURCE, reddit.SOURCE, jsonl.SOURCE, parquet.SOURCE)

_HEAD_BYTES = 1 << 16
_PACKED = r"(?:\.gz|\.bz2|\.xz|\.zst)"
# Also what Reddit's dumps are called: RC_2023-03.zst, askscience_comments.zst, RS_2012-06.
_JSONL = re.compile(
    rf".*\.(?:jsonl|ndjson|json){_PACKED}?|.*(?<!\.tar|\.xml|\.csv|\.tsv)\.zst|R[CS]_\d{{4}}-\d{{2}}(?:-\d{{2}})?{_PACKED}?",
    re.IGNORECASE,
)
_TABLE = re.compile(rf"(?:{'|'.join(stackexchange.Table)})\.xml{_PACKED}?", re.IGNORECASE)
# Tables of a dump that hold nothing to read.
_OTHER_TABLE = re.compile(rf"(?:badges|posthistory|tags|users)\.xml{_PACKED}?", re.IGNORECASE)
# What looks like data. Whatever of it lies in a folder and is not read is an error, not left out.
_DATA = re.compile(
    rf".*\.(?:jsonl|ndjson|json|parquet|csv|tsv|xml|7z|zip|rar|tar|tgz|warc|\d{{3}}){_PACKED}?|.*{_PACKED}",
    re.IGNORECASE,
)
# What a file whose content says nothing is read as, so that it is an outcome of its own and not the end of the run.
_ENDINGS = {
    ".xml": stackexchange.SOURCE,
    ".xml.gz": stackexchange.SOURCE,
    ".7z": stackexchange.SOURCE,
    ".parquet": parquet.SOURCE,
}
_CSV = re.compile(rf".*\.[ct]sv{_PACKED}?", re.IGNORECASE)
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

    source: one of SOURCES, or None to recognise it. site: the forum's host, or the corpus's name. mapping: a file that
    says what the fields of its rows are (JSONL and Parquet).
    """

    path: str
    source: str | None = None
    site: str | None = None
    mapping: str | None = None

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("an input is empty text; check the variable that it comes from")
        if self.source is not None and self.source not in SOURCES:
            raise ValueError(f"source {self.source!r} of {self.path} is not read; one of {', '.join(SOURCES)}")


@dataclass(frozen=True)
class InputFile:
    """One file to read. problem: what its first bytes already say is wrong with the whole file."""

    place: str
    name: str  # names the file in rejects and in the account: below the input, with folders where it takes them
    source: str
    site: str | None
    bytes: int
    sha256: str
    packed: bool  # cannot be read from the middle
    problem: tuple[Reason, str] | None
    table: stackexchange.Table | None = None  # Stack Exchange only: which of a dump's tables it is
    member: int | None = None  # its number in the archive at `place`, for a file in an archive
    dictionary_bytes: int = 0  # what unpacking its archive holds in memory
    mapping: RowMapping | None = None  # JSONL and Parquet only, and where one was given for this input

    @property
    def told(self) -> str:
        """For messages: its name and where it is."""
        return f"{self.name} ({self.place})"

    @property
    def readable(self) -> bool:
        return self.problem is None or self.problem[0] is Reason.DOCTYPE


def find_files(inputs: Sequence[Input], limits: Limits = NO_LIMITS) -> list[InputFile]:
    """The files of all inputs, sorted by name and content, each with a name of its own.

    Raises ValueError for a path that is not there, a folder without anything to read, a format that is not read, and
    two dumps under one site.
    """
    if not inputs:
        raise ValueError("nothing to ingest: name a dump, a folder or a JSONL file")
    above = [(_folders_above(item), file) for item in inputs for file in _files_of(item, limits)]
    _refuse_twice([file for _, file in above])
    files = _told_apart(above)
    whole = [_TABLE.fullmatch(places.name(file.name)) for _, file in above]
    _refuse_two_dumps([file for file, is_whole in zip(files, whole, strict=True) if is_whole])
    return sorted(files, key=lambda file: (file.name, file.sha256, file.site or ""))


def _refuse_two_dumps(tables: Sequence[InputFile]) -> None:
    """A site has one table of each kind. What has another name than a whole table may be a part of one."""
    by_name = sorted(tables, key=lambda file: file.name)
    for table in stackexchange.Table:
        of_site: dict[str | None, InputFile] = {}
        for file in by_name:
            if file.table is not table or not file.readable:
                continue
            first = of_site.setdefault(file.site, file)
            if first.sha256 != file.sha256:
                raise ValueError(
                    f"{first.told} and {file.told} are both the {table} of {file.site}, and not the same file: dumps "
                    f"of two forums, or two of one forum. {ONE_DUMP_A_SITE}. Parts of one table have names of their "
                    f"own, such as {table}-1.xml"
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
    """The files of a folder that are read: a dump's tables, or else archives, or else files of rows."""
    tables = [name for name in names if _TABLE.fullmatch(name)]
    has_posts = any(name.lower().startswith("posts.") for name in tables)
    dumps = tables if has_posts else [name for name in names if name.lower().endswith(".7z")]
    rows = [name for name in names if _JSONL.fullmatch(places.name(name)) or name.lower().endswith(".parquet")]
    if dumps and rows and item.source is None:
        raise ValueError(
            f"{item.path} holds both a Stack Exchange dump ({dumps[0]}) and other files to read ({rows[0]}); say with "
            f"--source {stackexchange.SOURCE} that the dump is meant, or name what you mean"
        )
    found = dumps if item.source in (None, stackexchange.SOURCE) else []
    if not found and item.source != stackexchange.SOURCE:
        found = rows
    if not found:
        raise ValueError(_nothing_in(item.path, names))
    _refuse_unread(item, [name for name in names if name not in found], of_a_dump=found == tables)
    return found


def _refuse_unread(item: Input, names: Sequence[str], of_a_dump: bool) -> None:
    """Raises ValueError for a file that looks like data and is not read.

    A dump has tables that hold no posts, such as Users.xml. Where the source was said, files of another one are meant
    to be left out.
    """
    for name in names:
        own = places.name(name)
        is_dump = own.lower().endswith((".7z", ".xml"))
        is_rows = _JSONL.fullmatch(own) or own.lower().endswith(".parquet")
        of_another = is_rows if item.source == stackexchange.SOURCE else is_dump or is_rows
        meant = (item.source is not None and of_another) or (of_a_dump and _OTHER_TABLE.fullmatch(name))
        if _DATA.fullmatch(own) and not meant:
            csv = _CSV.fullmatch(own)
            advice = _CSV_ADVICE if csv else "Move it out of the folder, or name the files that you mean"
            raise ValueError(
                f"{shown.name(item.path)} holds {shown.name(name)}, which looks like data and would not be read. "
                f"{advice}"
            )


def _nothing_in(folder: str, names: Sequence[str]) -> str:
    parted = (name.rpartition("/") for name in names)
    if dumps := [
        parent for parent, _, name in parted if parent and _TABLE.fullmatch(name) and name[:5].lower() == "posts"
    ]:
        return (
            f"{folder} holds folders with dumps ({', '.join(dumps[:5])}), and a dump does not name its site: give one "
            f"of them with its --site, or each with its own, as in --input {places.join(folder, dumps[0])}=SITE (in a "
            "build file inputs: - {path: …, site: …})"
        )
    if any(_CSV.fullmatch(name) for name in names):
        return f"{folder} holds nothing to read but CSV, such as {names[0]}. {_CSV_ADVICE}"
    return (
        f"{folder} holds nothing to read: no Posts.xml or .7z (the folder of a Stack Exchange dump) and "
        f"no .jsonl or .parquet; found {list(names[:5])}"
    )


def _files_of(item: Input, limits: Limits) -> list[InputFile]:
    """The files of one input, with its mapping."""
    files = [file for place, name in _places(item) for file in _files(item, place, name, limits)]
    if item.mapping is None:
        return files
    if others := [file for file in files if file.source not in (jsonl.SOURCE, parquet.SOURCE)]:
        raise ValueError(
            f"the mapping {item.mapping} is for JSONL and Parquet, and {others[0].place} was recognised as "
            f"{others[0].source}; leave the mapping out, or say the source"
        )
    mapping = strict_yaml.load(RowMapping, item.mapping)
    return [replace(file, mapping=mapping) for file in files]


def _files(item: Input, place: str, name: str, limits: Limits) -> list[InputFile]:
    """The one file at a place, or the tables in the archive there."""
    with places.open_input(place) as file:
        is_archive = file.read(len(archives.MAGIC)) == archives.MAGIC
    return _tables_in(item, place, name, limits) if is_archive else [_describe(item, place, name, limits)]


def _tables_in(item: Input, place: str, name: str, limits: Limits) -> list[InputFile]:
    """The tables of an archive, or where it cannot be read at all, the archive itself with what is wrong with it.

    Its site is the one given, else the folder in it that the table lies in where that is a host's name, else the one
    that its own name states, as Stack Exchange publishes them.
    """
    if item.source not in (None, stackexchange.SOURCE):
        raise ValueError(
            f"{shown.name(place)} is a .7z archive, which is read for {stackexchange.SOURCE} only, not {item.source}"
        )
    digest = places.sha256(place)
    site = _host(item, place)
    try:
        members = archives.members(place, limits)
    except DamageError as error:
        stackexchange.check_site(site, place)
        source, size, table = stackexchange.SOURCE, places.size(place), stackexchange.Table.POSTS
        return [InputFile(place, name, source, site, size, digest, True, (error.reason, str(error)), table)]
    found: list[InputFile] = []
    for member in members:
        folder, _, file_name = member.name.rpartition("/")
        if not _TABLE.fullmatch(file_name):
            continue
        own_site = _host(item, f"{places.name(folder)}.7z") or site
        stackexchange.check_site(own_site, shown.name(f"{member.name} in {place}"))
        label = "".join(letter if letter.isprintable() else "?" for letter in f"{name}/{member.name}")
        identity = hashlib.sha256(f"{digest}\n{member.index}".encode()).hexdigest()
        problem = member.problem or (None if member.bytes else (Reason.EMPTY_FILE, "no content"))
        table = stackexchange.table_of(b"", file_name)
        source, size = stackexchange.SOURCE, member.bytes
        number, dictionary = member.index, member.dictionary_bytes
        found.append(
            InputFile(place, label, source, own_site, size, identity, True, problem, table, number, dictionary)
        )
    if not found and not places.is_folder(item.path):
        names = [member.name for member in members[:5]]
        tables = ", ".join(stackexchange.Table)
        raise ValueError(f"{shown.name(place)} holds none of {tables} (.xml), which are read; found {names}")
    return found


def _describe(item: Input, place: str, name: str, limits: Limits) -> InputFile:
    with places.open_input(place) as file:
        magic = file.read(18)
    if magic.startswith(_ZIP_MAGIC):
        raise ValueError(
            f"{shown.name(place)} is a zip archive, which is not read; unpack it (unzip FILE) and give the folder"
        )
    head, damage = _head(place)
    source, site, table = item.source or _recognised(head, damage, place), item.site, None
    if source == stackexchange.SOURCE:
        site = _host(item, place)
        stackexchange.check_site(site, place)
        table = stackexchange.table_of(head, name)
        problem = stackexchange.check_head(head, table)
        if problem and problem[0] is Reason.WRONG_FORMAT and name.lower().endswith(".7z"):
            problem = Reason.WRONG_FORMAT, "neither a 7z archive nor a table of a dump"
    elif source == reddit.SOURCE:
        reddit.check_site(item.site, place)
        problem = check_json_head(head)
    else:
        mapped_rows.check_site(item.site, place)
        problem = _parquet_problem(place, limits) if source == parquet.SOURCE else check_json_head(head)
    if damage and not head.strip():
        problem = damage.reason, str(damage)
    size, digest = places.size(place), places.sha256(place)
    return InputFile(place, name, source, site, size, digest, is_packed(magic), problem, table)


def _host(item: Input, archive: str) -> str | None:
    """The site of a dump: as given, else as an archive's name states it. Hosts are the same in capitals."""
    site = item.site or archives.site_of(archive)
    return site.lower() if site else None


def _parquet_problem(place: str, limits: Limits) -> tuple[Reason, str] | None:
    with places.open_input(place) as file:
        return parquet.check_file(file, limits)


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


def _recognised(head: bytes, damage: DamageError | None, place: str) -> str:
    if head.startswith(parquet.MAGIC):
        return parquet.SOURCE
    content = head.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
    if content.startswith(b"<"):
        return stackexchange.SOURCE
    if reddit.is_reddit(head):
        return reddit.SOURCE
    if content.startswith((b"{", b"[")):
        return jsonl.SOURCE
    for ending, source in _ENDINGS.items():
        if place.lower().endswith(ending):
            return source
    if _JSONL.fullmatch(places.name(place)):
        return jsonl.SOURCE
    if _CSV.fullmatch(places.name(place)):
        raise ValueError(f"{shown.name(place)} is CSV. {_CSV_ADVICE}")
    if not head:
        what = f"cannot be read ({damage})" if damage else "is empty"
        raise ValueError(f"{shown.name(place)} {what}; check the path, or get the file again")
    raise ValueError(
        f"cannot tell what {shown.name(place)} is: it begins with {head[:20]!r}, neither XML nor JSON. "
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
