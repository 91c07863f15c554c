"""One search for repeated lines: what it is made with, and what its workers leave for others."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from transforms.datasets import places
from transforms.datasets.names import shard_name
from transforms.datasets.schema import TIME
from transforms.dedup.line_spec import LineSettings
from transforms.dedup.lines import Lines
from transforms.io.shard import Shard

# The documents of a shard. length: characters of the text.
DOCUMENTS = pa.schema([("doc_id", pa.string()), ("created", TIME), ("length", pa.int32()), ("language", pa.string())])


@dataclass(frozen=True)
class LineSearch:
    """num_shards: of the documents, numbered from 0 in their paths. scratch: a folder that every worker sees, empty
    before."""

    settings: LineSettings
    scratch: str
    num_shards: int

    def number_of(self, shard: Shard) -> int:
        """The number of a shard. Raises ValueError for one of another number of shards: its rows would be lost."""
        index = shard.index
        if shard.path != self.path_of(index) or index >= self.num_shards:
            raise ValueError(
                f"{shard.path} is none of the {self.num_shards} shards that repeated lines are searched in, "
                f"{self.path_of(0)} to {self.path_of(self.num_shards - 1)}"
            )
        return index

    def path_of(self, index: int) -> str:
        """The path of the shard of a number."""
        return shard_name(index, self.num_shards)

    def save(self, index: int, documents: pa.Table, lines: Lines) -> None:
        """Keeps what is known of a shard: DOCUMENTS, and the lines of these rows."""
        self._save(f"documents/{index:05d}.arrow", documents)
        self._save(f"lines/{index:05d}.arrow", pa.table(lines._asdict()))

    def documents(self, index: int) -> pa.Table:
        """DOCUMENTS of a shard."""
        return self._load(f"documents/{index:05d}.arrow")

    def lines(self, index: int) -> Lines:
        """The lines of these rows."""
        table = self._load(f"lines/{index:05d}.arrow")
        return Lines(**{name: table.column(name).to_numpy() for name in Lines._fields})

    def _save(self, name: str, table: pa.Table) -> None:
        """Keeps a table in scratch space, as an Arrow file."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        places.write_atomically(places.join(self.scratch, name), sink.getvalue())

    def _load(self, name: str) -> pa.Table:
        """What `_save` kept. Raises ValueError when a shard has not left it."""
        try:
            data = places.read_bytes(places.join(self.scratch, name))
        except FileNotFoundError as error:
            raise ValueError(
                f"one of the {self.num_shards} shards that repeated lines are searched in is missing, and another "
                "came twice: give every shard a number of its own"
            ) from error
        return pa.ipc.open_file(pa.BufferReader(data)).read_all()
