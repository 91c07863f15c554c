"""A shard on its way through a pipeline: the element of every collection of documents, layers, pairs and tokens.

No Beam here: transforms take it and yield it, and pure functions read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.datasets.manifest import Counts
from transforms.datasets.names import shard_index, shard_name
from transforms.datasets.schema import DOCUMENTS


@dataclass(frozen=True)
class Shard:
    """Rows that stand together, in order, and the layers beside them.

    path: its name in every dataset that has it, as names.shard_name spells it. rows: a table, or the dataset in which
    they lie at this path; then only its name travels, and they are read, checked, by whoever asks for them. layers: the
    same of each layer, by name. counts: what a manifest shall count of it.
    """

    path: str
    rows: Dataset | pa.Table
    layers: Mapping[str, Dataset | pa.Table] = field(default_factory=dict)
    counts: Counts = field(default_factory=dict)

    @property
    def index(self) -> int:
        """Its number among the shards of its dataset, from 0. Raises ValueError for a path that has none."""
        return shard_index(self.path)[0]

    @property
    def nbytes(self) -> int:
        """About how many bytes travel with it."""
        tables = (held for held in (self.rows, *self.layers.values()) if not isinstance(held, Dataset))
        return 1000 + sum(table.nbytes for table in tables)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows. Raises ValueError for a column that is not there, DamagedError for a damaged file."""
        return _read(self.rows, self.path, columns)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """`read` batch by batch, at most shards.BATCH_ROWS rows each; those of a dataset are not held."""
        if isinstance(self.rows, Dataset):
            return shards.iter_batches(self.rows, self.path, columns)
        return iter(self.read(columns).to_batches(max_chunksize=shards.BATCH_ROWS))

    def read_layer(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of a layer. Raises ValueError when it is not beside this shard, and as `read` does."""
        if name not in self.layers:
            raise ValueError(f"{self.path} has no {name} layer beside it, only {sorted(self.layers)}; join it first")
        return _read(self.layers[name], self.path, columns)


def _read(rows: Dataset | pa.Table, path: str, columns: Sequence[str] | None) -> pa.Table:
    if isinstance(rows, Dataset):
        return shards.read_shard(rows, path, columns)
    if columns is None:
        return rows
    if missing := [name for name in columns if name not in rows.column_names]:
        raise ValueError(f"{path} has no column {missing[0]!r}; it has {rows.column_names}")
    return rows.select(list(columns))


def document_shard(table: pa.Table, index: int = 0, num_shards: int = 1) -> Shard:
    """A table of one's own as a shard of documents: columns of schema.DOCUMENTS get their types there, and those that
    may be null are null where the table has none. Other columns stay as they are.

    Each step says which columns it needs: doc_id and text are enough to detect languages. Raises ValueError for a
    column that is not of its type, or lacks values that must be there.
    """
    columns = {name: table.column(name) for name in table.column_names}
    found = {entry.name: entry for entry in table.schema}
    for known in DOCUMENTS:
        if known.name in columns or known.nullable:
            column = columns.get(known.name, pa.nulls(table.num_rows, known.type))
            columns[known.name], found[known.name] = _cast(column, known), known
    return Shard(shard_name(index, num_shards), pa.table(columns, schema=pa.schema([found[name] for name in columns])))


def _cast(column: pa.ChunkedArray | pa.Array, known: pa.Field) -> pa.ChunkedArray | pa.Array:
    if not known.nullable and column.null_count:
        raise ValueError(
            f"column {known.name!r} of documents must have a value in every row; {column.null_count} lack it"
        )
    is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if is_number and (pa.types.is_timestamp(known.type) or pa.types.is_string(known.type)):
        # Arrow would take 1600000000 for milliseconds, and numbers for their digits
        raise ValueError(f"column {known.name!r} of documents must be {known.type}, not {column.type}; convert it")
    try:
        return column.cast(known.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"column {known.name!r} of documents must be {known.type}: {error}") from error
