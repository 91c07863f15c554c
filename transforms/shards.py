"""Datasets on disk: shards, part-records, the manifest, and the one commit that makes them a dataset.

A dataset is a folder with a `manifest.json`; without one it does not exist. A build writes each file atomically and
leaves a part-record beside it (`parts/`); `commit` gathers the records, publishes the manifest last and sweeps what is
not in it. So a killed build shows nothing, and the next run of the same build keeps the shards that were finished.

The manifest holds nothing that differs between two runs: no path, clock, host, runner or worker count (those are in
`run.json`). This module imports neither Beam nor torch.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from transforms import places
from transforms.fates import Tally
from transforms.ids import fingerprint, plain
from transforms.schema import SCHEMA_VERSION, stamped

MANIFEST = "manifest.json"
RUN = "run.json"
BUILDING = "building.json"
PARTS = "parts"
# Folders that only a build writes into: whatever else lies in them may be swept. Nothing else of a folder is touched.
OURS = ("data/", "rejects/", f"{PARTS}/", "scratch/")
BATCH_ROWS = 4096

# Token shards are read zero-copy from a memory map; everything else is text and is stored compressed.
_MAPPED_KINDS = frozenset({"tokens", "preference", "curriculum"})

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class ShardFile:
    """One file of a dataset: its entry in the manifest and, while building, its part-record."""

    path: str  # below the dataset's folder
    rows: int  # 0 for a file that is not Arrow
    bytes: int
    sha256: str
    ids_sha256: str = ""  # of the id column in row order: equal in a layer and the documents it describes
    counts: Counts = field(default_factory=dict)


def _input_digests(inputs: Sequence[Mapping[str, object]]) -> list[str]:
    """What decides whether inputs are the same: their content and what they were read as, not their names."""
    return sorted(":".join(str(item.get(key, "")) for key in ("sha256", "source", "site")) for item in inputs)


@dataclass(frozen=True)
class DatasetSpec:
    """What a dataset is made from: its fingerprint changes when, and only when, its bytes may change.

    parents maps a role ("documents", "layers/split") to the digest of that parent's manifest. inputs lists raw input
    files (name, bytes, sha256): they decide whether a build is up to date, but are not in the fingerprint, since the
    same records cut into other files give the same shards.
    """

    kind: str
    settings: Mapping[str, object]
    parents: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[Mapping[str, object]] = ()

    @property
    def fingerprint(self) -> str:
        return fingerprint([self.kind, SCHEMA_VERSION, self.settings, self.parents])

    @property
    def input_digests(self) -> list[str]:
        return _input_digests(self.inputs)


@dataclass(frozen=True)
class Manifest:
    """The description that makes a folder a dataset."""

    kind: str
    schema_version: int
    fingerprint: str
    settings: Mapping[str, Any]
    parents: Mapping[str, str]
    inputs: Sequence[Mapping[str, Any]]
    files: Sequence[ShardFile]
    counts: Counts

    @property
    def digest(self) -> str:
        """Names the content: fingerprint and kept files, without rejects and the account of inputs."""
        kept = [[file.path, file.rows, file.sha256] for file in self.files if not file.path.startswith("rejects/")]
        return hashlib.sha256(json.dumps([self.kind, self.fingerprint, kept]).encode()).hexdigest()

    @property
    def data_files(self) -> list[ShardFile]:
        """The kept shards in order."""
        return [file for file in self.files if file.path.startswith("data/")]

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.data_files)

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()

    @staticmethod
    def from_json(data: bytes) -> Manifest:
        values = json.loads(data)
        return Manifest(**{**values, "files": [ShardFile(**file) for file in values["files"]]})


# ---------------------------------------------------------------------------------------------- building


def begin(place: str, spec: DatasetSpec, replace: bool = False) -> Manifest | None:
    """Opens the build of a dataset.

    Returns its manifest when the dataset is there, made by the same settings from the same inputs: nothing is to be
    done. Returns None when it is to be built; then leftovers of another build are gone, and finished shards of an
    interrupted run of this same build are kept (`finished`).

    Raises ValueError when another dataset, or this one with damaged files, is at the place and `replace` is False; and
    when the folder holds files that are no dataset.
    """
    marker = {"fingerprint": spec.fingerprint, "inputs": spec.input_digests}
    if places.exists(places.join(place, MANIFEST)):
        manifest = load_manifest(place)
        same = manifest.fingerprint == spec.fingerprint and _input_digests(manifest.inputs) == spec.input_digests
        problem = _damage(place, manifest) if same else _other_dataset(place, manifest, spec)
        if problem is None:
            _sweep(place, manifest)
            return manifest
        if not replace:
            raise ValueError(problem)
        places.remove(places.join(place, MANIFEST))
        for file in manifest.files:
            places.remove(places.join(place, file.path))
    elif not places.exists(places.join(place, BUILDING)) and (foreign := places.list_files(place)):
        raise ValueError(
            f"{place} holds files but no {MANIFEST}: it is not a dataset of ours, and a build would delete them. "
            f"Found {foreign[:3]}; name an empty or new folder as --output"
        )
    _clean(place, keep_finished=_unfinished(place) == marker)
    if not places.exists(places.join(place, BUILDING)):
        places.write_atomically(
            places.join(place, BUILDING), json.dumps({**marker, "started": time.time()}, sort_keys=True).encode()
        )
    return None


def _unfinished(place: str) -> dict[str, object]:
    marker = places.join(place, BUILDING)
    if not places.exists(marker):
        return {}
    values = json.loads(places.read_bytes(marker))
    return {"fingerprint": values["fingerprint"], "inputs": values["inputs"]}


def _other_dataset(place: str, manifest: Manifest, spec: DatasetSpec) -> str:
    wanted = plain(spec.settings)
    assert isinstance(wanted, dict)
    changed = sorted(
        key for key in {*wanted, *manifest.settings} if wanted.get(key) != manifest.settings.get(key)
    ) + sorted(
        role for role in {*spec.parents, *manifest.parents} if spec.parents.get(role) != manifest.parents.get(role)
    )
    what = f"differs in {', '.join(changed)}" if changed else "was made from other input files"
    return (
        f"{place} already holds a {manifest.kind} dataset (fingerprint {manifest.fingerprint}) that {what}; wanted "
        f"fingerprint {spec.fingerprint}. Pass --replace to build it anew, or name another --output"
    )


def _damage(place: str, manifest: Manifest) -> str | None:
    """What is plainly wrong with a dataset's files, seen without reading them; None when nothing is."""
    for file in manifest.files:
        target = places.join(place, file.path)
        if not places.exists(target) or places.size(target) != file.bytes:
            found = f"{places.size(target)} bytes" if places.exists(target) else "no file"
            return (
                f"{place} is damaged: {file.path} should have {file.bytes} bytes, got {found}. "
                "Pass --replace to build it anew"
            )
    return None


def _is_ours(path: str) -> bool:
    """Whether a path below a dataset can only be a build's: its folders, its marker, its temporary files."""
    folder, _, name = path.rpartition("/")
    return path.startswith(OURS) or path == BUILDING or (not folder and name.startswith(places.TEMPORARY))


def _clean(place: str, keep_finished: bool) -> None:
    """Removes what an earlier run left; keeps the shards it finished, with their records, when of this build."""
    paths = places.list_files(place)
    keep = {BUILDING} if keep_finished else set()
    written: set[str] = set()
    for record in (path for path in paths if path.startswith(f"{PARTS}/") and path.endswith(".json")):
        file = ShardFile(**json.loads(places.read_bytes(places.join(place, record))))
        written.add(file.path)
        if keep_finished and finished(place, file.path):
            keep |= {record, file.path}
    for path in paths:
        if path not in keep and (_is_ours(path) or path in written):
            places.remove(places.join(place, path))


def abandon(place: str) -> None:
    """Removes what a build wrote that shall not become a dataset; nothing when there is a manifest."""
    if not places.exists(places.join(place, MANIFEST)):
        _clean(place, keep_finished=False)
        for folder in OURS:
            places.remove_empty_folders(places.join(place, folder))


def _part_record(place: str, path: str) -> str:
    return places.join(place, PARTS, path.replace("/", "__") + ".json")


def finished(place: str, path: str) -> ShardFile | None:
    """The part-record of a shard that this build has finished, in this run or in an interrupted one; else None."""
    record = _part_record(place, path)
    if not places.exists(record):
        return None
    file = ShardFile(**json.loads(places.read_bytes(record)))
    target = places.join(place, path)
    return file if places.exists(target) and places.size(target) == file.bytes else None


def _leave_record(place: str, file: ShardFile) -> ShardFile:
    data = json.dumps(asdict(file), sort_keys=True, ensure_ascii=False).encode()
    places.write_atomically(_part_record(place, file.path), data)
    return file


def write_shard(
    place: str,
    path: str,
    schema: pa.Schema,
    tables: Iterable[pa.Table],
    spec_fingerprint: str,
    kind: str,
    id_column: str | None = None,
    counts: Counts | None = None,
) -> ShardFile:
    """Writes one Arrow shard and its part-record, both atomically.

    The bytes depend on the rows and their order alone, not on how they were cut into tables. The caller sorts. Memory:
    one of `tables` and one batch of BATCH_ROWS rows.
    """
    rows = 0
    ids = hashlib.sha256()
    compression = None if kind in _MAPPED_KINDS else "zstd"
    options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
    target = stamped(schema, kind, spec_fingerprint)
    with places.AtomicFile(places.join(place, path)) as file:
        with pa.ipc.new_file(file, target, options=options) as writer:
            for batch in _rebatched(tables, schema):
                writer.write_batch(batch.replace_schema_metadata(target.metadata))
                rows += batch.num_rows
                if id_column is not None:
                    ids.update("".join(f"{value}\n" for value in batch.column(id_column).to_pylist()).encode())
        file.publish()
    return _leave_record(
        place,
        ShardFile(
            path=path,
            rows=rows,
            bytes=file.bytes_written,
            sha256=file.sha256,
            ids_sha256=ids.hexdigest() if id_column is not None else "",
            counts=Tally(counts).to_dict(),
        ),
    )


def _rebatched(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows in batches of exactly BATCH_ROWS (the last one shorter), in buffers of their own.

    `take` copies: without it a batch could carry its table's bytes under null slots and past its ends.
    """
    waiting: list[pa.Table] = []
    num_waiting = 0
    for table in tables:
        waiting.append(table.select(schema.names).cast(schema))
        num_waiting += table.num_rows
        if num_waiting >= BATCH_ROWS:
            joined = pa.concat_tables(waiting)
            whole = num_waiting - num_waiting % BATCH_ROWS
            for start in range(0, whole, BATCH_ROWS):
                yield _own_buffers(joined.slice(start, BATCH_ROWS))
            waiting, num_waiting = [joined.slice(whole)], num_waiting - whole
    if num_waiting:
        yield _own_buffers(pa.concat_tables(waiting))


def _own_buffers(table: pa.Table) -> pa.RecordBatch:
    taken = table.combine_chunks().take(pa.array(range(table.num_rows), pa.int64()))
    return taken.combine_chunks().to_batches()[0]


def record_file(place: str, path: str, counts: Counts | None = None) -> ShardFile:
    """The part-record of a file that is not Arrow (a model, a card) and already stands at its place."""
    target = places.join(place, path)
    file = ShardFile(path, 0, places.size(target), places.sha256(target), "", Tally(counts).to_dict())
    return _leave_record(place, file)


def commit(
    place: str,
    spec: DatasetSpec,
    expected: Iterable[str],
    inputs: Sequence[Mapping[str, object]] | None = None,
    counts: Counts | None = None,
    run: Mapping[str, object] | None = None,
) -> Manifest:
    """Makes the folder a dataset: gathers the part-records of `expected`, publishes the manifest, sweeps the rest.

    inputs: the account of the raw inputs, with what was counted in them; by default as the spec lists them. counts:
    what is known of the whole and of no one shard; added to the sum of the shards' counts. run: what else run.json
    shall say of this run.
    Raises ValueError when a part is missing. Running it again changes nothing.
    """
    files: list[ShardFile] = []
    missing: list[str] = []
    for path in sorted(expected):
        file = finished(place, path)
        if file is None:
            missing.append(path)
        else:
            files.append(file)
    if missing:
        raise ValueError(f"cannot commit {place}: {len(missing)} files were not written, such as {missing[0]}")
    tally = Tally(counts)
    for file in files:
        tally.merge(file.counts)
    account = spec.inputs if inputs is None else inputs
    manifest = Manifest(
        kind=spec.kind,
        schema_version=SCHEMA_VERSION,
        fingerprint=spec.fingerprint,
        settings=plain(spec.settings),  # type: ignore[arg-type]
        parents=dict(sorted(spec.parents.items())),
        inputs=sorted((plain(item) for item in account), key=lambda item: json.dumps(item, sort_keys=True)),  # type: ignore[misc]
        files=files,
        counts=tally.to_dict(),
    )
    _write_run(place, run or {})
    places.write_atomically(places.join(place, MANIFEST), manifest.to_json())
    _sweep(place, manifest)
    return manifest


def _write_run(place: str, more: Mapping[str, object]) -> None:
    marker = places.join(place, BUILDING)
    if places.exists(marker):
        started = float(json.loads(places.read_bytes(marker))["started"])
        host = {"host": platform.node(), "python": platform.python_version()}
        run = {**more, "started": started, "finished": time.time(), **host}
        places.write_atomically(places.join(place, RUN), json.dumps(run, sort_keys=True).encode())


def _sweep(place: str, manifest: Manifest) -> None:
    named = {file.path for file in manifest.files}
    swept = [path for path in places.list_files(place) if path not in named and _is_ours(path)]
    for path in swept:
        places.remove(places.join(place, path))
    if swept:
        for folder in OURS:
            places.remove_empty_folders(places.join(place, folder))


# ---------------------------------------------------------------------------------------------- reading


def load_manifest(place: str, kind: str | None = None) -> Manifest:
    """The manifest of the dataset at a place. Raises ValueError when there is none, or it is of another kind."""
    target = places.join(place, MANIFEST)
    if not places.exists(target):
        raise ValueError(f"no dataset at {place}: it has no {MANIFEST}; {_what_else(place)}")
    manifest = Manifest.from_json(places.read_bytes(target))
    if manifest.schema_version != SCHEMA_VERSION:
        raise ValueError(
            f"{place} has schema version {manifest.schema_version}, this Agora reads {SCHEMA_VERSION}; build it anew"
        )
    if kind is not None and manifest.kind != kind:
        raise ValueError(f"{place} is a {manifest.kind} dataset; a {kind} dataset is needed here")
    return manifest


def _what_else(place: str) -> str:
    if places.exists(places.join(place, BUILDING)):
        return "its build did not finish: run it again"
    inner = sorted(
        path.removesuffix(f"/{MANIFEST}") for path in places.list_files(place) if path.endswith(f"/{MANIFEST}")
    )
    return f"the datasets {', '.join(inner[:9])} are below it: name one" if inner else "check the path"


def _open(place: str, path: str, columns: Sequence[str] | None) -> pa.ipc.RecordBatchFileReader:
    target = places.join(place, path)
    source: Any = pa.memory_map(places.local_path(target)) if places.is_local(target) else places.open_input(target)
    reader = pa.ipc.open_file(source)
    if columns is None:
        return reader
    included = [reader.schema.get_field_index(column) for column in columns]
    if -1 in included:
        raise ValueError(f"{target} has no column {columns[included.index(-1)]!r}; it has {reader.schema.names}")
    source.seek(0)
    return pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=sorted(included)))


def read_shard(place: str, path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A whole shard; memory-mapped when the place is local, without a copy when the kind is stored uncompressed."""
    return _open(place, path, columns).read_all()


def iter_batches(place: str, path: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """A shard batch by batch, at most BATCH_ROWS rows each."""
    reader = _open(place, path, columns)
    for index in range(reader.num_record_batches):
        yield reader.get_batch(index)


def check_aligned(documents: Manifest, layer: Manifest, name: str) -> None:
    """Raises ValueError unless the layer has the documents' shards, row for row."""
    ours = [(file.path, file.rows, file.ids_sha256) for file in documents.data_files]
    theirs = [(file.path, file.rows, file.ids_sha256) for file in layer.data_files]
    if ours != theirs:
        raise ValueError(
            f"the {name} layer does not describe these documents: their shards or ids differ; annotate them anew"
        )


def verify(place: str) -> list[str]:
    """What is wrong with a dataset: a line each; [] when every file has the rows, bytes and SHA-256 of the manifest."""
    manifest = load_manifest(place)
    problems = [problem for file in manifest.files for problem in _file_problems(place, file)]
    named = {file.path for file in manifest.files}
    strays = [path for path in places.list_files(place) if path not in named and _is_ours(path)]
    return problems + [f"{path}: not in the manifest" for path in strays]


def verify_file(place: str, num_bytes: int, sha256: str) -> bool:
    """Whether a file is there with these bytes."""
    return places.exists(place) and places.size(place) == num_bytes and places.sha256(place) == sha256


def _file_problems(place: str, file: ShardFile) -> list[str]:
    target = places.join(place, file.path)
    if not places.exists(target):
        return [f"{file.path}: missing"]
    found_bytes = places.size(target)
    if found_bytes != file.bytes:
        return [f"{file.path}: {found_bytes} bytes, the manifest says {file.bytes}"]
    if places.sha256(target) != file.sha256:
        return [f"{file.path}: its SHA-256 is not the manifest's; its bytes were changed"]
    if file.path.endswith(".arrow"):
        rows = sum(batch.num_rows for batch in iter_batches(place, file.path))
        if rows != file.rows:
            return [f"{file.path}: {rows} rows, the manifest says {file.rows}"]
    return []
