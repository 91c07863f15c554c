"""What a dataset is: the specification it is made from, and the manifest that makes a folder one.

A dataset is a folder with a `manifest.json`; without one it does not exist. The manifest holds nothing that differs
between two runs: no path, clock, host, runner or worker count (those are in `run.json`).
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from transforms.datasets import places, sealed, strict_yaml
from transforms.datasets.ids import fingerprint
from transforms.datasets.lease import is_begun
from transforms.datasets.names import DATA, MANIFEST, REJECTS, TAKEN, TAKEN_FOLDERS
from transforms.datasets.schema import SCHEMA_VERSION
from transforms.datasets.sealed import SEAL

STEP_VERSION = "step"  # the version of the step itself, among versions

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class ShardFile:
    """One file of a dataset: its entry in the manifest and, while building, its part-record."""

    path: str  # below the dataset's folder
    rows: int  # 0 for a file that is not Arrow
    bytes: int
    sha256: str
    xxh3: str  # XXH3-128: what readers check, since it costs a twelfth
    ids_sha256: str = ""  # of the id column in row order: equal in a layer and the documents it describes
    counts: Counts = field(default_factory=dict)


def _input_digests(inputs: Sequence[Mapping[str, object]]) -> list[str]:
    """What decides whether inputs are the same: their content and what they were read as, not their names."""
    return sorted(
        ":".join(str(item.get(key, "")) for key in ("sha256", "source", "site", "mapping")) for item in inputs
    )


@dataclass(frozen=True)
class DatasetSpec:
    """What a dataset is made from: its fingerprint changes when, and only when, its bytes may change.

    parents maps a role ("documents", "layers/split") to the digest of that parent's manifest. inputs lists raw input
    files (name, bytes, sha256): they decide whether a build is up to date, but are not in the fingerprint, since the
    same records cut into other files give the same shards. versions: of the step (STEP_VERSION) and of the libraries
    that decide content, by distribution.
    """

    kind: str
    settings: Mapping[str, object]
    parents: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[Mapping[str, object]] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Names everything that decides the content, but for the input files."""
        return fingerprint([self.kind, SCHEMA_VERSION, self.settings, self.versions, self.parents])

    @property
    def input_digests(self) -> list[str]:
        """Of the input files' content, sorted."""
        return _input_digests(self.inputs)


@dataclass(frozen=True)
class Manifest:
    """The description that makes a folder a dataset.

    kept_with: other versions than those it was made with, under each of which somebody told us to go on with it. They
    are not in the digest, since no file changed. counts: of all files together and of the whole; whole: what of them
    is known of the whole and of no one file.
    """

    kind: str
    schema_version: int
    fingerprint: str
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    kept_with: Sequence[Mapping[str, str]]
    parents: Mapping[str, str]
    inputs: Sequence[Mapping[str, Any]]
    files: Sequence[ShardFile]
    counts: Counts
    whole: Counts = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Names the content: fingerprint and kept files, without rejects and the account of inputs."""
        kept = [[file.path, file.rows, file.sha256] for file in self.files if not file.path.startswith(f"{REJECTS}/")]
        return hashlib.sha256(json.dumps([self.kind, self.fingerprint, kept]).encode()).hexdigest()

    @property
    def input_digests(self) -> list[str]:
        """Of the input files' content, sorted."""
        return _input_digests(self.inputs)

    @property
    def outdated(self) -> Mapping[str, str]:
        """The versions it was made with, of those that were others when it was kept."""
        return {
            name: number
            for name, number in self.versions.items()
            if any(kept.get(name, number) != number for kept in self.kept_with)
        }

    @property
    def data_files(self) -> list[ShardFile]:
        """The kept shards in order."""
        return [file for file in self.files if file.path.startswith(f"{DATA}/")]

    @property
    def rows(self) -> int:
        """In the data files."""
        return sum(file.rows for file in self.data_files)

    def to_json(self) -> bytes:
        """The manifest's file, with a digest of itself."""
        return sealed.seal(asdict(self))

    @staticmethod
    def from_json(data: bytes) -> Manifest:
        """Raises UnreadableError for what is no manifest, one of another schema version, or one that was edited."""
        try:
            values = json.loads(data)
            version, paths = values["schema_version"], [str(file["path"]) for file in values["files"]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UnreadableError(f"is no manifest ({type(error).__name__}: {error})") from error
        if outside := [path for path in paths if not is_below(path)]:
            raise UnreadableError(f"names a file outside its folder: {outside[0]!r}")
        if version != SCHEMA_VERSION:
            raise UnreadableError(f"has schema version {version}, this Agora reads and writes {SCHEMA_VERSION}", paths)
        if not sealed.is_intact(data, values):
            raise UnreadableError(f"was changed after it was written: its {SEAL} is another", paths)
        if taken := [path for path in paths if path in TAKEN or path.startswith(TAKEN_FOLDERS)]:
            raise UnreadableError(f"names a file of its build: {taken[0]!r}")
        try:
            files = tuple(_file_of(file) for file in values["files"])
            others = {name: value for name, value in values.items() if name != SEAL} | {"files": []}
            return replace(strict_yaml.convert(Manifest, others, MANIFEST), files=files)
        except ValueError as error:
            raise UnreadableError(f"is no manifest of schema version {version} ({error})", paths) from error


_FILE_TYPES = {field.name: {"str": str, "int": int}.get(str(field.type), dict) for field in fields(ShardFile)}


def _file_of(values: object) -> ShardFile:
    """As strict_yaml would, of which a manifest of many files has no time. Raises ValueError."""
    if not isinstance(values, dict) or values.keys() != _FILE_TYPES.keys():
        raise ValueError(f"a file has other keys than {', '.join(_FILE_TYPES)}")
    for name, kind in _FILE_TYPES.items():
        if type(values[name]) is not kind:
            raise ValueError(f"{name} of a file is {values[name]!r}")
    for counts in values["counts"].values():
        if type(counts) is not dict or not all(type(number) is int for number in counts.values()):
            raise ValueError(f"counts of a file are {counts!r}")
    return ShardFile(**values)


def is_below(path: str) -> bool:
    """Whether a path names a file below its folder, and in one way only."""
    return posixpath.normpath(path) == path and path != "." and not path.startswith(("/", "../")) and path != ".."


class NoDatasetError(ValueError):
    """There is no manifest at a place."""


class UnreadableError(ValueError):
    """What stands as a manifest is not one that this Agora reads. paths: the files it names, as far as it says them."""

    def __init__(self, message: str, paths: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.paths = paths


def load_manifest(place: str, kind: str | None = None) -> Manifest:
    """The manifest of the dataset at a place. Raises NoDatasetError when there is none, UnreadableError for one that
    cannot be used, ValueError when it is of another kind."""
    target = places.join(place, MANIFEST)
    try:
        manifest = Manifest.from_json(places.read_bytes(target))
    except (FileNotFoundError, NotADirectoryError):
        raise NoDatasetError(f"no dataset at {place}: it has no {MANIFEST}; {_what_else(place)}") from None
    except UnreadableError as error:
        raise UnreadableError(f"{target} {error}; build it anew with --replace", error.paths) from error
    if kind is not None and manifest.kind != kind:
        raise ValueError(f"{place} is a {manifest.kind} dataset; a {kind} dataset is needed here")
    return manifest


def _what_else(place: str) -> str:
    if is_begun(place):
        return "its build did not finish: run it again"
    inner = sorted(
        path.removesuffix(f"/{MANIFEST}") for path in places.list_files(place) if path.endswith(f"/{MANIFEST}")
    )
    return f"the datasets {', '.join(inner[:9])} are below it: name one" if inner else "check the path"
