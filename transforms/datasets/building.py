"""Building a dataset: begun, left half-done and taken up again, and made visible by one commit.

A build writes each file atomically and leaves a part-record beside it (`parts/`); `commit` gathers the records,
publishes the manifest last and sweeps what is not in it. So a killed build shows nothing, and the next run of the same
build keeps the shards that were finished.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from transforms.datasets import places, strict_json
from transforms.datasets.fates import Tally
from transforms.datasets.ids import plain
from transforms.datasets.manifest import (
    BUILDING,
    MANIFEST,
    RUN,
    Counts,
    DatasetSpec,
    Manifest,
    ShardFile,
    UnreadableError,
    load_manifest,
)
from transforms.datasets.schema import SCHEMA_VERSION
from transforms.datasets.standing import Existing, find

PARTS = "parts"
# Folders that only a build writes into: whatever else lies in them may be swept. Nothing else of a folder is touched.
OURS = ("data/", "rejects/", f"{PARTS}/", "scratch/")


def begin(place: str, spec: DatasetSpec, existing: Existing = Existing.REFUSE) -> Manifest | None:
    """The dataset that the spec describes, when it stands (`standing.find`); else its build is opened (`clear`)."""
    manifest = find(place, spec, existing)
    if manifest is None:
        clear(place, spec)
        return None
    if existing is Existing.KEEP and manifest != load_manifest(place):  # it is kept with other versions from now on
        places.write_atomically(places.join(place, MANIFEST), manifest.to_json())
    sweep(place, manifest)
    return manifest


def clear(place: str, spec: DatasetSpec) -> None:
    """Opens a build: a dataset that stands at the place is removed, and so are leftovers of another build. Finished
    files of an interrupted run of this same build stay (`finished`).

    The marker is written first and stays: a run that is killed in here leaves a build, whatever is gone by then.
    """
    marker = {"fingerprint": spec.fingerprint, "inputs": spec.input_digests}
    taken_up = _unfinished(place) == marker
    if not taken_up:
        data = json.dumps({**marker, "started": time.time()}, sort_keys=True).encode()
        places.write_atomically(places.join(place, BUILDING), data)
    if places.exists(places.join(place, MANIFEST)):
        paths = _paths(place)
        places.remove(places.join(place, MANIFEST))  # before its files: what loses them is no dataset any more
        for path in paths:
            places.remove(places.join(place, path))
    _clean(place, keep_finished=taken_up)


def _paths(place: str) -> Sequence[str]:
    """The files that the manifest at a place names, as far as it can be read."""
    try:
        return [file.path for file in Manifest.from_json(places.read_bytes(places.join(place, MANIFEST))).files]
    except UnreadableError as error:
        return error.paths


def _unfinished(place: str) -> dict[str, object]:
    """What the marker says of the build under way; {} when there is none, or it cannot be read."""
    marker = places.join(place, BUILDING)
    if not places.exists(marker):
        return {}
    try:
        values = strict_json.load(marker)
        return {"fingerprint": values["fingerprint"], "inputs": values["inputs"]}
    except (ValueError, KeyError, TypeError):
        return {}


def is_ours(path: str) -> bool:
    """Whether a path below a dataset can only be a build's: its folders, its marker, its temporary files."""
    folder, _, name = path.rpartition("/")
    return path.startswith(OURS) or path == BUILDING or (not folder and name.startswith(places.TEMPORARY))


def _clean(place: str, keep_finished: bool) -> None:
    """Removes what an earlier run left, but the marker; keeps the shards it finished, with their records, when of this
    build."""
    paths = places.list_files(place)
    keep = {BUILDING}
    written: set[str] = set()
    for record in (path for path in paths if path.startswith(f"{PARTS}/") and path.endswith(".json")):
        file = _read_record(places.join(place, record))
        if file is None:
            continue
        written.add(file.path)
        if keep_finished and finished(place, file.path):
            keep |= {record, file.path}
    for path in paths:
        if path not in keep and (is_ours(path) or path in written):
            places.remove(places.join(place, path))


def abandon(place: str) -> None:
    """Removes what a build wrote that shall not become a dataset; nothing when there is a manifest."""
    if not places.exists(places.join(place, MANIFEST)):
        _clean(place, keep_finished=False)
        for name in (RUN, BUILDING):  # run.json is that of a dataset that this build replaced; the marker goes last
            places.remove(places.join(place, name))
        for folder in OURS:
            places.remove_empty_folders(places.join(place, folder))


def _part_record(place: str, path: str) -> str:
    return places.join(place, PARTS, path.replace("/", "__") + ".json")


def finished(place: str, path: str) -> ShardFile | None:
    """The part-record of a shard that this build has finished, in this run or in an interrupted one; else None."""
    record = _part_record(place, path)
    file = _read_record(record) if places.exists(record) else None
    target = places.join(place, path)
    return file if file and places.exists(target) and places.size(target) == file.bytes else None


def _read_record(record: str) -> ShardFile | None:
    """A part-record; None when it cannot be read: its file is unfinished work then."""
    try:
        return ShardFile(**strict_json.load(record))
    except (ValueError, TypeError):
        return None


def leave_record(place: str, file: ShardFile) -> ShardFile:
    """Writes the part-record of a file that stands whole at its place."""
    data = json.dumps(asdict(file), sort_keys=True, ensure_ascii=False).encode()
    places.write_atomically(_part_record(place, file.path), data)
    return file


def record_file(place: str, path: str, counts: Counts | None = None) -> ShardFile:
    """The part-record of a file that is not Arrow (a model, a card) and already stands at its place."""
    target = places.join(place, path)
    file = ShardFile(path, 0, places.size(target), places.sha256(target), "", Tally(counts).to_dict())
    return leave_record(place, file)


def commit(place: str, spec: DatasetSpec, expected: Iterable[str], counts: Counts | None = None) -> Manifest:
    """Makes the folder a dataset: `gather`, then `publish`. Running it again changes nothing."""
    manifest = gather(place, spec, expected, counts=counts)
    publish(place, manifest)
    return manifest


def gather(
    place: str,
    spec: DatasetSpec,
    expected: Iterable[str],
    inputs: Sequence[Mapping[str, object]] | None = None,
    counts: Counts | None = None,
) -> Manifest:
    """The manifest of a build whose files are written, out of the part-records of `expected`; nobody sees it yet.

    inputs: the account of the raw inputs, with what was counted in them; by default as the spec lists them. counts:
    what is known of the whole and of no one shard; added to the sum of the shards' counts.
    Raises ValueError when a part is missing.
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
    return Manifest(
        kind=spec.kind,
        schema_version=SCHEMA_VERSION,
        fingerprint=spec.fingerprint,
        settings=plain(spec.settings),  # type: ignore[arg-type]
        versions=dict(sorted(spec.versions.items())),
        kept_with=[],
        parents=dict(sorted(spec.parents.items())),
        inputs=sorted((plain(item) for item in account), key=lambda item: json.dumps(item, sort_keys=True)),  # type: ignore[misc]
        files=files,
        counts=tally.to_dict(),
    )


def publish(place: str, manifest: Manifest, run: Mapping[str, object] | None = None) -> None:
    """Makes the folder a dataset: the manifest is written last, and what is not in it is swept. run: what else run.json
    shall say of this run."""
    _write_run(place, run or {})
    places.write_atomically(places.join(place, MANIFEST), manifest.to_json())
    sweep(place, manifest)


def _write_run(place: str, more: Mapping[str, object]) -> None:
    marker = places.join(place, BUILDING)
    if places.exists(marker):
        started = float(strict_json.load(marker)["started"])
        host = {"host": platform.node(), "python": platform.python_version()}
        run = {**more, "started": started, "finished": time.time(), **host}
        places.write_atomically(places.join(place, RUN), json.dumps(run, sort_keys=True).encode())


def sweep(place: str, manifest: Manifest) -> None:
    """Removes what a build left that is not in the manifest."""
    named = {file.path for file in manifest.files}
    swept = [path for path in places.list_files(place) if path not in named and is_ours(path)]
    for path in swept:
        places.remove(places.join(place, path))
    if swept:
        for folder in OURS:
            places.remove_empty_folders(places.join(place, folder))
