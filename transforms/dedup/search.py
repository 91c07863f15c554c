"""One search for near-duplicates: what it is made with, and where its workers leave what others read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.datasets import places
from transforms.datasets.names import shard_name
from transforms.dedup.components import Nodes
from transforms.dedup.earlier import Earlier
from transforms.dedup.spec import MinHashSpec
from transforms.io.shard import Shard

ROW_BITS = 32  # a document is a number until its cluster is known: shard << 32 | row
_DIGESTS_PER_BUCKET = 1_000_000  # 76 bytes each, about 150 MB while they are sorted
_DOCUMENTS_PER_EDGE_BUCKET = 2_000_000  # with three edges each, and 60 bytes an edge while they are joined: 360 MB


@dataclass(frozen=True)
class Search:
    """num_shards: of the documents, numbered from 0 in their paths. num_documents: about how many there are; it bounds
    memory and changes no result. scratch: a folder that every worker sees, empty before. against: finished builds whose
    documents come first, the first of them before the others; shards and documents of these are among the numbers,
    behind those that are searched (`Search.of`).
    """

    spec: MinHashSpec
    scratch: str
    num_shards: int
    num_documents: int
    against: Sequence[Earlier] = ()

    @staticmethod
    def of(spec: MinHashSpec, scratch: str, num_shards: int, num_documents: int, against: Sequence[Earlier]) -> Search:
        """A search in so many shards and documents, that are held against those of finished builds as well."""
        shards = num_shards + sum(len(earlier.paths) for earlier in against)
        documents = num_documents + sum(earlier.num_documents for earlier in against)
        return Search(spec, scratch, shards, documents, against=tuple(against))

    @property
    def num_own(self) -> int:
        """Of the shards, those that are searched: the first ones."""
        return self.num_shards - sum(len(earlier.paths) for earlier in self.against)

    @property
    def num_buckets(self) -> int:
        """How many buckets the digests are spread over. It bounds memory and changes no result."""
        return max(1, self.num_shards, -(-self.num_documents * self.spec.bands // _DIGESTS_PER_BUCKET))

    @property
    def num_edge_buckets(self) -> int:
        """How many buckets the edges between documents are spread over while components are found. It bounds memory and
        changes no result."""
        return max(1, -(-self.num_documents // _DOCUMENTS_PER_EDGE_BUCKET))

    @property
    def edge_files(self) -> list[str]:
        """What `load_edges` reads: edges of each shard within itself, and of each bucket of digests between shards."""
        return [
            *(shard_edges(index) for index in range(self.num_shards)),
            *(bucket_edges_of(index) for index in range(self.num_buckets)),
        ]

    def number_of(self, shard: Shard) -> int:
        """The number of a shard. Raises ValueError for one of another number of shards: its rows would be lost."""
        index = shard.index
        if shard.path != self.path_of(index) or index >= self.num_own:
            raise ValueError(
                f"{shard.path} is none of the {self.num_own} shards that near-duplicates are searched in, "
                f"{self.path_of(0)} to {self.path_of(self.num_own - 1)}"
            )
        return index

    def path_of(self, index: int) -> str:
        """The path of the shard of a number."""
        return shard_name(index, self.num_own)

    def save(self, name: str, values: npt.NDArray[np.int64]) -> None:
        """Keeps an array in scratch space, as bytes."""
        places.write_atomically(places.join(self.scratch, name), np.ascontiguousarray(values).tobytes())

    def load(self, name: str) -> npt.NDArray[np.int64]:
        """What `save` kept, flat."""
        return np.frombuffer(places.read_bytes(places.join(self.scratch, name)), dtype=np.int64)

    def save_table(self, name: str, table: pa.Table) -> None:
        """Keeps a table in scratch space, as an Arrow file."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        places.write_atomically(places.join(self.scratch, name), sink.getvalue())

    def load_table(self, name: str) -> pa.Table:
        """What `save_table` kept."""
        return pa.ipc.open_file(pa.BufferReader(places.read_bytes(places.join(self.scratch, name)))).read_all()

    def load_rows(self, index: int) -> pa.Table:
        """What is known of each text of a shard: earlier.ROWS, and of those of finished builds earlier.KNOWN as well.

        Raises ValueError when a shard of the documents was not read.
        """
        place = index - self.num_own
        for number, earlier in enumerate(self.against):
            if 0 <= place < len(earlier.paths):
                return earlier.rows(earlier.paths[place], number - len(self.against))
            place -= len(earlier.paths)
        try:
            return self.load_table(rows_file(index))
        except FileNotFoundError as error:
            raise ValueError(
                f"{self.path_of(index)}, one of the {self.num_own} shards that near-duplicates are searched in, is "
                "missing, and another came twice: give every shard a number of its own"
            ) from error

    def load_edges(self, name: str, bucket_edges: Sequence[int]) -> Nodes:
        """(E, 2) the edges of one of `edge_files`.

        bucket_edges: how many each bucket of digests has, which says that all are written. Raises ValueError when a
        bucket is missing.
        """
        if len(bucket_edges) != self.num_buckets:
            raise ValueError(f"{len(bucket_edges)} of {self.num_buckets} buckets were searched; please report it")
        return self.load(name).reshape(-1, 2)


def rows_file(index: int) -> str:
    """What is compared of each document of a shard."""
    return f"rows/{index:05d}.arrow"


def origins_file(index: int) -> str:
    """The language and source of each document of a shard."""
    return f"origins/{index:05d}.arrow"


def best_file(index: int) -> str:
    """Of each document of a shard the row of the best one there that has its text."""
    return f"best/{index:05d}"


def sketch_file(index: int) -> str:
    """What is known of each document of a shard before it is compared with any."""
    return f"sketches/{index:05d}.arrow"


def shard_edges(index: int) -> str:
    """Edges within a shard."""
    return f"edges/shard-{index:05d}"


def bucket_edges_of(index: int) -> str:
    """Edges between shards, of one bucket of digests."""
    return f"edges/bucket-{index:05d}"


def members_file(index: int) -> str:
    """(row, component) of the documents of a shard that have a candidate."""
    return f"members/{index:05d}"


def round_edges(turn: int, index: int) -> str:
    """Edges of a bucket of documents, as they are in a round of finding components."""
    return f"rounds/{turn:02d}/{index:05d}"
