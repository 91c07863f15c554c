"""Spills: files in scratch space that hold rows of many buckets, and a bucket of them as whoever reads it gets it.

A spill is an Arrow file with a record batch for each bucket that it has rows of; its schema says which these are. No
Beam here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.datasets import places

BUCKET = "bucket"
_HELD = b"agora.buckets"  # schema metadata of a spill: the numbers of its batches' buckets, ascending int32


@dataclass(frozen=True)
class Bucket:
    """All rows of one bucket: its batch in each of the spills that has one. `read` brings them into memory."""

    index: int
    place: str
    spills: tuple[str, ...]

    def read(self, schema: pa.Schema) -> pa.Table:
        """The bucket's rows, in no stated order; an empty table of `schema` when there are none."""
        batches = list(self._batches())
        return pa.Table.from_batches(batches).select(schema.names) if batches else schema.empty_table()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for name in self.spills:
            place = places.join(self.place, name)
            source = pa.memory_map(places.local_path(place)) if places.is_local(place) else places.open_input(place)
            reader = pa.ipc.open_file(source)
            held = np.frombuffer(reader.schema.metadata[_HELD], np.int32)
            batch = int(np.searchsorted(held, self.index))
            if batch < len(held) and held[batch] == self.index:
                yield reader.get_batch(batch).replace_schema_metadata(None)


def spill(tables: Sequence[pa.Table], place: str, num_buckets: int) -> str:
    """Writes the rows to one new file at `place`, a record batch per bucket; returns its name.

    Raises ValueError for a row of a bucket that nobody reads.
    """
    table = pa.concat_tables(tables).combine_chunks()
    buckets = table.column(BUCKET).to_numpy()
    order = np.argsort(buckets, kind="stable")
    numbers, starts = np.unique(buckets[order], return_index=True)
    if table.column(BUCKET).null_count or numbers[0] < 0 or numbers[-1] >= num_buckets:
        raise ValueError(
            f"rows go into buckets {numbers[0]} to {numbers[-1]}, of which only 0 to {num_buckets - 1} are read; this "
            "is a defect of Agora, please report it"
        )
    ends = np.append(starts[1:], len(order))
    schema = table.schema.with_metadata({_HELD: numbers.astype(np.int32).tobytes()})
    name = f"{uuid.uuid4().hex[:16]}.arrow"
    with places.open_scratch(places.join(place, name)) as file, pa.ipc.new_file(file, schema) as writer:
        for start, end in zip(starts, ends, strict=True):
            rows = table.take(pa.array(order[start:end])).combine_chunks().to_batches()[0]
            writer.write_batch(rows.replace_schema_metadata(schema.metadata))
    return name
