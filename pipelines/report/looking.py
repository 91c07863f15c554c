"""How a report looks into shards: checked, column by column, a bounded part of a dataset, and never with an error.

What cannot be read is a trouble of the build, and the page is written of the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipelines.report.html import counted, number
from pipelines.report.reading import Trouble
from transforms.datasets import shards
from transforms.datasets.checks import DamagedError
from transforms.datasets.dataset import Dataset
from transforms.datasets.ids import keyed_hash
from transforms.datasets.manifest import ShardFile
from transforms.datasets.names import REJECTS, split_of

MOST_BYTES = 500_000_000  # of the shards of a dataset that are looked at, but at least one: a report takes seconds


@dataclass(frozen=True)
class Looked:
    """How much of a dataset was looked at."""

    shards: int
    of_shards: int
    rows: int
    of_rows: int

    def says(self, dataset: str) -> str:
        """A sentence for the page; nothing when all of it was."""
        if self.shards == self.of_shards:
            return ""
        return (
            f"Read for these figures: {number(self.rows)} of {counted(self.of_rows, 'row')} of {dataset}, those in "
            f"{number(self.shards)} of {counted(self.of_shards, 'shard')}, drawn by a keyed hash of their names."
        )


class Look:
    """A dataset of a build. name: below the build's folder. schemas: one of which each column has to be of."""

    def __init__(self, place: str, name: str, kind: str, schemas: Sequence[pa.Schema], troubles: list[Trouble]) -> None:
        self.name, self._schemas, self._troubles = name, schemas, troubles
        self._told: set[str] = set()
        self._dataset: Dataset | None = None
        try:
            self._dataset = Dataset.open(place, kind)
        except (ValueError, OSError) as error:
            self._tell("manifest.json", error)

    @property
    def files(self) -> Sequence[ShardFile]:
        """The shards of the dataset, in order."""
        return self._dataset.manifest.data_files if self._dataset else ()

    @property
    def rejects(self) -> list[str]:
        """The shards of what was rejected, as many as are looked at."""
        files = self._dataset.manifest.files if self._dataset else ()
        return _within(file for file in files if file.path.startswith(f"{REJECTS}/"))

    @property
    def drawn(self) -> list[str]:
        """The shards that are looked at, in order: those with the smallest keyed hashes of their names."""
        files = sorted(self.files, key=lambda file: keyed_hash("report-shards", file.path))
        return sorted(_within(files))

    def of(self, split: str) -> list[ShardFile]:
        """The shards of a split, in order."""
        return [file for file in self.files if split_of(file.path) == split]

    def first(self, split: str) -> list[str]:
        """The first shards of a split, as many as are looked at: for what has to be read in order."""
        return _within(self.of(split))

    def looked(self, paths: Sequence[str]) -> Looked:
        """How much of the dataset these shards are."""
        rows = {file.path: file.rows for file in self.files}
        return Looked(len(paths), len(rows), sum(rows[path] for path in paths), sum(rows.values()))

    def batches(self, path: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of a shard. It ends where they cannot be read, or are not of this kind of dataset."""
        if self._dataset is None or path in self._told:
            return
        try:
            for batch in shards.iter_batches(self._dataset, path, columns):
                self._check(batch, columns)
                yield batch
        except (ValueError, OSError, pa.ArrowException) as error:
            self._tell(path, error)

    def rows(self, path: str) -> int:
        """Of a shard, as the manifest says."""
        return next(file.rows for file in self.files if file.path == path)

    def table(self, path: str, columns: Sequence[str]) -> pa.Table | None:
        """A whole shard; None where some of it cannot be read."""
        batches = list(self.batches(path, columns))
        return pa.Table.from_batches(batches) if batches and path not in self._told else None

    def some(self, path: str, rows: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """The rows of these numbers, at least one and ascending; none where they cannot be read."""
        if self._dataset is not None and path not in self._told:
            try:
                (batch,) = shards.read_rows(self._dataset, path, rows, columns).combine_chunks().to_batches()
                self._check(batch, columns)
                return pa.Table.from_batches([batch])
            except (ValueError, OSError, pa.ArrowException) as error:
                self._tell(path, error)
        return pa.table({column: pa.array([], self._schemas[0].field(column).type) for column in columns})

    def tell(self, path: str, says: str) -> None:
        """Says once of a file what is wrong with it."""
        if path not in self._told:
            self._told.add(path)
            self._troubles.append(Trouble(f"{self.name}/{path}", says))

    def _tell(self, path: str, error: Exception) -> None:
        says = f"cannot be read: {error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)
        place = self._dataset.place if self._dataset else ""
        self.tell(path, says.removeprefix(f"{place} is damaged: ").removeprefix(f"{path} ").replace(f"{place}/", ""))

    def _check(self, batch: pa.RecordBatch, columns: Iterable[str]) -> None:
        """Raises DamagedError for a column of another type, or with gaps that its type does not allow."""
        for column in columns:
            found = batch.schema.field(column)
            fields = [schema.field(column) for schema in self._schemas]
            if found.type not in [field.type for field in fields]:
                raise DamagedError(f"has the column {column} of type {found.type}, and should have {fields[0].type}")
            if not fields[0].nullable and batch.column(column).null_count:
                raise DamagedError(f"has no value in some rows of {column}, and should have one in all")


def _within(files: Iterable[ShardFile]) -> list[str]:
    """The first files that are not more than MOST_BYTES together, and one in any case."""
    paths: list[str] = []
    total = 0
    for file in files:
        total += file.bytes
        if paths and total > MOST_BYTES:
            break
        paths.append(file.path)
    return paths
