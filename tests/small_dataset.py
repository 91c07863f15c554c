"""Small datasets, for tests of how datasets are built, read and checked, and of those who read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from transforms.datasets import places, shards
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset
from transforms.datasets.manifest import Counts, DatasetSpec, Manifest, ShardFile, load_manifest
from transforms.datasets.names import MANIFEST
from transforms.datasets.opening import Opened, begin
from transforms.datasets.standing import Existing
from transforms.layers.split import SCHEMA as SPLIT

SPEC = DatasetSpec("split", {"holdout": 0.1}, {"documents": "abc"})
PATHS = ["data/00000-of-00002.arrow", "data/00001-of-00002.arrow"]


def rows(start: int, number: int) -> pa.Table:
    ids = [f"d{index:06d}" for index in range(start, start + number)]
    return pa.table({"doc_id": ids, "split": ["train"] * number}, schema=SPLIT)


def write(build: Build, path: str, start: int = 0, number: int = 10) -> ShardFile:
    return shards.write_shard(build, path, SPLIT, [rows(start, number)], "doc_id", {"split": {"train": number}})


def write_all(build: Build) -> None:
    """Both shards, unless they are finished."""
    for index, path in enumerate(PATHS):
        if not build.finished(path):
            write(build, path, index * 10)


def build(place: Path | str, spec: DatasetSpec = SPEC, existing: Existing = Existing.REFUSE) -> Manifest:
    begun = begin(str(place), spec, existing)
    if isinstance(begun, Manifest):
        return begun
    with begun:
        write_all(begun.build)
        return begun.commit(PATHS)


def opened(place: Path | str, spec: DatasetSpec = SPEC, existing: Existing = Existing.REFUSE) -> Opened:
    """The build of a dataset that does not stand yet."""
    begun = begin(str(place), spec, existing)
    assert isinstance(begun, Opened)
    return begun


def dataset_of(
    place: Path | str,
    spec: DatasetSpec,
    files: Mapping[str, pa.Table],
    id_column: str | None = "doc_id",
    counts: Counts | None = None,
) -> Manifest:
    """A dataset of these tables, a file each."""
    begun = begin(str(place), spec)
    if isinstance(begun, Manifest):
        return begun
    with begun:
        for path, table in files.items():
            shards.write_shard(begun.build, path, table.schema, [table], id_column)
        return begun.commit(list(files), counts)


def read_file(place: Path | str, path: str, columns: Sequence[str] | None = None) -> pa.Table:
    return shards.read_shard(Dataset.open(str(place)), path, columns)


def some_build(place: Path | str, kind: str = "split") -> Build:
    """A build that nobody has opened, for what is written into one."""
    return Build(str(place), kind, "f" * 16, "n" * 32)


def read_unfinished(build: Build, path: str) -> pa.Table:
    """A shard of a build that was not committed."""
    with pa.memory_map(build.at(path)) as file:
        return pa.ipc.open_file(file).read_all()


def with_content(folder: Path, path: str, data: bytes) -> None:
    """Gives a file of a dataset other bytes, and makes the manifest say that this is right."""
    (folder / path).write_bytes(data)
    sha256, xxh3 = places.digests(str(folder / path))
    manifest = load_manifest(str(folder))
    files = [
        replace(file, bytes=len(data), sha256=sha256, xxh3=xxh3) if file.path == path else file
        for file in manifest.files
    ]
    (folder / MANIFEST).write_bytes(replace(manifest, files=tuple(files)).to_json())


def switched_off_after(number: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ends a build after so many shards; gives the paths of those that were written."""
    written: list[str] = []
    write_shard = shards.write_shard

    def failing(build: Build, path: str, *rest: Any, **more: Any) -> ShardFile:
        if len(written) == number:
            raise OSError("the machine was switched off")
        written.append(path)
        return write_shard(build, path, *rest, **more)

    monkeypatch.setattr(shards, "write_shard", failing)
    return written
