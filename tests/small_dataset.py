"""A dataset of two small shards, for tests of how datasets are built, read and checked."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from transforms.datasets import building, shards
from transforms.datasets.manifest import DatasetSpec, Manifest, ShardFile
from transforms.datasets.standing import Existing
from transforms.layers.split import SCHEMA as SPLIT

SPEC = DatasetSpec("split", {"holdout": 0.1}, {"documents": "abc"})
PATHS = ["data/00000-of-00002.arrow", "data/00001-of-00002.arrow"]


def rows(start: int, number: int) -> pa.Table:
    ids = [f"d{index:06d}" for index in range(start, start + number)]
    return pa.table({"doc_id": ids, "split": ["train"] * number}, schema=SPLIT)


def write(place: Path, path: str, start: int = 0, number: int = 10, spec: DatasetSpec = SPEC) -> ShardFile:
    table = rows(start, number)
    counts = {"split": {"train": number}}
    return shards.write_shard(str(place), path, SPLIT, [table], spec.fingerprint, "split", "doc_id", counts)


def build(place: Path, spec: DatasetSpec = SPEC, existing: Existing = Existing.REFUSE) -> Manifest:
    manifest = building.begin(str(place), spec, existing)
    if manifest is None:
        for index, path in enumerate(PATHS):
            write(place, path, index * 10, spec=spec)
        manifest = building.commit(str(place), spec, PATHS)
    return manifest
