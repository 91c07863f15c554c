"""Where collections of shards end: the files of a dataset that is being built."""

from __future__ import annotations

from collections.abc import Iterable

import apache_beam as beam
import pyarrow as pa

from transforms.datasets import places, shards
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset
from transforms.datasets.manifest import ShardFile
from transforms.datasets.names import PARTS, part_name
from transforms.io import coder  # noqa: F401  registers how a shard is carried
from transforms.io.shard import Shard


def unfinished(build: Build, paths: Iterable[str]) -> list[str]:
    """The shards that an interrupted run of this build has not written yet, in order."""
    # one look for all of them, where an object store would be asked for each
    records = {f"{PARTS}/{name}" for name in places.list_files(build.at(PARTS))}
    return [path for path in paths if part_name(path) not in records or build.finished(path) is None]


def write(shard: Shard, build: Build, schema: pa.Schema, id_column: str | None, beside: Dataset | None) -> ShardFile:
    """Writes a shard and its part-record, both atomically; `WriteShards` says what is what.

    Raises ValueError when rows or ids are not those of `beside`: the part-record then stands, but nothing is committed.
    """
    written = shards.write_shard(build, shard.path, schema, [shard.read()], id_column, shard.counts)
    if beside is not None:
        file = beside.file(shard.path)
        if (written.rows, written.ids_sha256) != (file.rows, file.ids_sha256):
            raise ValueError(
                f"{shard.path} of the {build.kind} has {written.rows} rows with ids {written.ids_sha256[:16]}, that of "
                f"{beside.place} has {file.rows} with {file.ids_sha256[:16]}: these changed while they were read; "
                "run it again"
            )
    return written


class WriteShards(beam.PTransform):
    """Shards of rows (Shard) to their files in a build; yields their part-records (ShardFile).

    schema: of the file; rows may have more columns. id_column: the column whose values, in order, name the rows.
    beside: the dataset that these rows describe, row for row: raises ValueError when rows or ids are others than there.
    Raises ValueError as well when two shards have one path, since one of them would be lost.
    """

    def __init__(
        self, build: Build, schema: pa.Schema, id_column: str | None = None, beside: Dataset | None = None
    ) -> None:
        super().__init__()
        self._arguments = build, schema, id_column, beside

    def expand(self, shards_of_rows: beam.PCollection) -> beam.PCollection:
        written = shards_of_rows | beam.Map(write, *self._arguments)
        _ = (
            written
            | "OnePath" >> beam.Map(_counted)
            | "Times" >> beam.CombinePerKey(sum)  # group: how often a path was written, once
            | "Once" >> beam.MapTuple(_check_once)
        )
        return written


def _counted(file: ShardFile) -> tuple[str, int]:
    return file.path, 1


def _check_once(path: str, times: int) -> None:
    if times > 1:
        raise ValueError(
            f"{times} shards are called {path}, and each was written over the other; give every shard a number of its "
            "own, as in document_shard(table, number, num_shards)"
        )
