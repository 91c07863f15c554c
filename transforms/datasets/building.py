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

from transforms.datasets import places
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
    load_manifest,
)
from transforms.datasets.schema import SCHEMA_VERSION

PARTS = "parts"
# Folders that only a build writes into: whatever else lies in them may be swept. Nothing else of a folder is touched.
OURS = ("data/", "rejects/", f"{PARTS}/", "scratch/")


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
        same = manifest.fingerprint == spec.fingerprint and manifest.input_digests == spec.input_digests
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


def is_ours(path: str) -> bool:
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
        if path not in keep and (is_ours(path) or path in written):
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
    swept = [path for path in places.list_files(place) if path not in named and is_ours(path)]
    for path in swept:
        places.remove(places.join(place, path))
    if swept:
        for folder in OURS:
            places.remove_empty_folders(places.join(place, folder))
