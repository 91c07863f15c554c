"""Near-duplicates over all documents: digests to buckets, buckets to edges, edges to components, components to a layer.

A document is a number, shard << 32 | row, until its cluster is known: what is shuffled is 20 bytes a digest, never
text. Each text is read once; each step keeps its arrays in scratch space, ids too, and passes on numbers of shards.
Documents that share a band digest are joined (their similarity is not verified); clusters are the connected components.
The result is a function of the texts and ids alone: not of order, shards, buckets or workers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets import places
from transforms.datasets.fates import Reason, Tally
from transforms.datasets.names import shard_name
from transforms.datasets.texts import TEXT_COLUMNS, iter_texts
from transforms.dedup.compared import compared
from transforms.dedup.components import Nodes, components, contracted, star_edges
from transforms.dedup.minhash import band_digests, signatures
from transforms.dedup.shingles import shingles
from transforms.dedup.spec import MinHashSpec
from transforms.io.shard import Shard
from transforms.layers.annotate import described, keeping_ids
from transforms.layers.duplicates import SCHEMA, size_class
from transforms.shuffle.regroup import BUCKET, Bucket, Regroup

_MAX_EDGES = 50_000_000  # 16 bytes each, about 60 while components are found: 3 GB in one worker
_DIGESTS_PER_BUCKET = 2_000_000  # 20 bytes each, about 100 MB while they are sorted

_ROW_BITS = 32
_DIGEST_ROWS = pa.schema([(BUCKET, pa.int32()), ("digest", pa.uint64()), ("node", pa.int64())])
_MEMBERS = pa.schema([("row", pa.int64()), ("cluster", pa.string()), ("size", pa.int64()), ("reason", pa.string())])


@dataclass(frozen=True)
class Search:
    """One search. num_shards: of the documents, numbered from 0 in their paths. num_documents: about how many there
    are; it bounds memory and changes no result. scratch: a folder that every worker sees, empty before.
    """

    spec: MinHashSpec
    scratch: str
    num_shards: int
    num_documents: int
    max_edges: int = _MAX_EDGES

    @property
    def num_buckets(self) -> int:
        """How many buckets the digests are spread over. It bounds memory and changes no result."""
        return max(1, self.num_shards, -(-self.num_documents * self.spec.bands // _DIGESTS_PER_BUCKET))

    def number_of(self, shard: Shard) -> int:
        """The number of a shard. Raises ValueError for one of another number of shards: its rows would be lost."""
        index = shard.index
        if shard.path != self.path_of(index) or index >= self.num_shards:
            raise ValueError(
                f"{shard.path} is none of the {self.num_shards} shards that near-duplicates are searched in, "
                f"{self.path_of(0)} to {self.path_of(self.num_shards - 1)}"
            )
        return index

    def path_of(self, index: int) -> str:
        """The path of the shard of a number."""
        return shard_name(index, self.num_shards)

    def save(self, name: str, values: npt.NDArray[np.int64] | npt.NDArray[np.uint64]) -> None:
        """Keeps an array in scratch space, as bytes."""
        places.write_atomically(places.join(self.scratch, name), np.ascontiguousarray(values).tobytes())

    def save_table(self, name: str, table: pa.Table) -> None:
        """Keeps a table in scratch space, as an Arrow file."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        places.write_atomically(places.join(self.scratch, name), sink.getvalue())

    def load_table(self, name: str) -> pa.Table:
        """What `save_table` kept."""
        return pa.ipc.open_file(pa.BufferReader(places.read_bytes(places.join(self.scratch, name)))).read_all()

    def load_ids(self, index: int) -> pa.Array:
        """[D] the ids of a shard's documents."""
        return pa.concat_arrays(
            self.load_table(_ids_file(index)).column("doc_id").chunks or [pa.array([], pa.string())]
        )

    def load_edges(self, name: str) -> Nodes:
        """(E, 2) the edges of one file."""
        return np.frombuffer(places.read_bytes(places.join(self.scratch, name)), dtype=np.int64).reshape(-1, 2)

    def load_digests(self, index: int) -> npt.NDArray[np.uint64]:
        """(D,) digests of the texts of a shard."""
        return np.frombuffer(places.read_bytes(places.join(self.scratch, _text_file(index))), dtype=np.uint64)

    @property
    def edge_files(self) -> list[str]:
        """Every edge file of the search: of each shard within itself, and of each bucket between shards."""
        within = [_shard_edges(index) for index in range(self.num_shards)]
        return within + [_bucket_edges(index) for index in range(self.num_buckets)]


def _ids_file(index: int) -> str:
    return f"ids/{index:05d}.arrow"


def _text_file(index: int) -> str:
    return f"texts/{index:05d}"


def _shard_edges(index: int) -> str:
    return f"edges/shard-{index:05d}"


def _bucket_edges(index: int) -> str:
    return f"edges/bucket-{index:05d}"


def _members_file(index: int) -> str:
    return f"members/{index:05d}.arrow"


# ------------------------------------------------------------------------------------------------ the steps


def sketch(shard: Shard, search: Search) -> pa.Table:
    """The band digests of a shard's documents (bucket, digest, node), each digest once.

    Documents of one shard that share a digest are joined here, and only the smallest goes on: so no digest, however
    hot, has more rows in its bucket than there are shards. Memory: one batch of text, the ids, and 16 bytes a digest.
    Raises ValueError for a shard of another search.
    """
    index = search.number_of(shard)
    ids: list[pa.Array] = []
    digests: list[npt.NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    nodes: list[Nodes] = [np.zeros(0, np.int64)]
    texts: list[npt.NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    row = index << _ROW_BITS
    for _, batch in iter_texts(keeping_ids(shard.batches(TEXT_COLUMNS), ids)):
        hashed = shingles(compared(batch), search.spec.ngram)
        found, rows_in_batch = band_digests(signatures(hashed, search.spec), hashed, search.spec)
        digests.append(found)
        nodes.append(rows_in_batch + row)
        texts.append(hashed.digests)
        row += len(batch)
    search.save_table(_ids_file(index), pa.table({"doc_id": pa.chunked_array(ids, pa.string())}))
    search.save(_text_file(index), np.concatenate(texts))
    all_digests, all_nodes = np.concatenate(digests), np.concatenate(nodes)
    edges, first = star_edges(all_digests, all_nodes)
    search.save(_shard_edges(index), contracted(edges))
    kept = all_digests[first]
    buckets = ((kept >> np.uint64(32)) % np.uint64(search.num_buckets)).astype(np.int32)
    return pa.table([pa.array(buckets), pa.array(kept), pa.array(all_nodes[first])], schema=_DIGEST_ROWS)


def edges_between(bucket: Bucket, search: Search) -> int:
    """Joins the documents of different shards that share a digest of this bucket; returns the number of edges."""
    table = bucket.read(_DIGEST_ROWS)
    edges, _ = star_edges(table.column("digest").to_numpy(), table.column("node").to_numpy())
    edges = contracted(edges)  # documents meet in many bands: one edge a document is enough
    search.save(_bucket_edges(bucket.index), edges)
    return len(edges)


def find_clusters(bucket_edges: Iterable[int], search: Search) -> Iterator[int]:
    """Connected components over all edges: leaves the members of clusters by shard, yields every shard's number.

    bucket_edges, the number of edges of every bucket, says that all of them are written. Runs in one worker; memory is
    bounded by max_edges, and for members of clusters by about 150 bytes each.
    Raises ValueError for more than max_edges.
    """
    edges = _gather_edges(list(bucket_edges), search)
    nodes, component = components(edges)
    members = _describe(nodes, component, search)
    starts = np.searchsorted(nodes, np.arange(search.num_shards + 1, dtype=np.int64) << _ROW_BITS)
    for index in range(search.num_shards):
        part = members.slice(int(starts[index]), int(starts[index + 1] - starts[index]))
        search.save_table(_members_file(index), part)
        yield index


def _gather_edges(bucket_edges: list[int], search: Search) -> Nodes:
    if len(bucket_edges) != search.num_buckets:
        raise ValueError(f"{len(bucket_edges)} of {search.num_buckets} buckets were searched; please report it")
    try:
        sizes = [places.size(places.join(search.scratch, name)) // 16 for name in search.edge_files]
    except FileNotFoundError as error:
        raise ValueError(
            f"one of the {search.num_shards} shards that near-duplicates are searched in is missing, and another came "
            "twice: give every shard a number of its own"
        ) from error
    if sum(sizes) > search.max_edges:
        spec = search.spec
        raise ValueError(
            f"near-duplicate search found {sum(sizes)} edges between documents, more than the {search.max_edges} that "
            f"one worker can join, with {spec.bands} bands of {spec.rows} rows. Use more rows or fewer bands (fewer "
            "chance candidates), or annotate parts of the documents one by one"
        )
    return np.concatenate([search.load_edges(name) for name in search.edge_files])


def _describe(nodes: Nodes, component: Nodes, search: Search) -> pa.Table:
    """A row of _MEMBERS for each node: its cluster (smallest id), the cluster's size, why it is dropped if it is."""
    ids, digests = _read_members(nodes, search)
    _, number, sizes = np.unique(component, return_inverse=True, return_counts=True)
    order = pc.sort_indices(
        pa.table({"number": number, "id": ids}), sort_keys=[("number", "ascending"), ("id", "ascending")]
    ).to_numpy()
    starts = np.cumsum(sizes) - sizes
    representative = order[starts][number] if len(nodes) else number
    reason = np.where(digests == digests[representative], Reason.DUPLICATE.value, Reason.NEAR_DUPLICATE.value).astype(
        object
    )
    reason[representative] = None
    return pa.table(
        {
            "row": nodes & ((1 << _ROW_BITS) - 1),
            "cluster": ids.take(pa.array(representative)),
            "size": sizes[number],
            "reason": pa.array(reason, pa.string()),
        },
        schema=_MEMBERS,
    )


def _read_members(nodes: Nodes, search: Search) -> tuple[pa.ChunkedArray, npt.NDArray[np.uint64]]:
    """Ids and text digests of nodes (ascending), from the shards that have some."""
    ids: list[pa.Array] = []
    digests = [np.zeros(0, np.uint64)]
    owners = nodes >> _ROW_BITS
    for index in np.unique(owners).tolist():
        rows = nodes[owners == index] & ((1 << _ROW_BITS) - 1)
        ids.append(search.load_ids(index).take(pa.array(rows)))
        digests.append(search.load_digests(index)[rows])
    return pa.chunked_array(ids, pa.string()), np.concatenate(digests)


def duplicates_of_shard(index: int, search: Search) -> Shard:
    """The rows of the duplicates layer of one shard, and their counts. Memory: the ids of the shard."""
    ids, members = search.load_ids(index), search.load_table(_members_file(index))
    mask = np.zeros(len(ids), dtype=np.bool_)
    mask[members.column("row").to_numpy()] = True
    sizes = np.ones(len(ids), dtype=np.int64)
    sizes[mask] = members.column("size").to_numpy()
    reasons = pa.nulls(len(ids), pa.string())
    reasons = pc.replace_with_mask(reasons, pa.array(mask), members.column("reason").combine_chunks())
    layer = pa.table(
        {
            "doc_id": ids,
            "cluster": pc.replace_with_mask(ids, pa.array(mask), members.column("cluster").combine_chunks()),
            "cluster_size": sizes,
            "keep": pc.is_null(reasons),
            "reason": reasons,
        },
        schema=SCHEMA,
    )
    return described(search.path_of(index), layer, _count_clusters(layer))


def _count_clusters(layer: pa.Table) -> Tally:
    """Clusters by size, counted where their representative is: 1, 2, 3-4, 5-8, 9-16 and so on."""
    counts = Tally()
    for entry in pc.value_counts(layer.filter(layer.column("keep")).column("cluster_size")).to_pylist():
        counts.add("cluster_size", size_class(entry["values"]), entry["counts"])
    return counts


# ------------------------------------------------------------------------------------------------ the graph


class Deduplicate(beam.PTransform):
    """All shards of documents (Shard; doc_id, title, text) to those of their duplicates layer.

    Rows may come as tables of one's own: each shard is told from the others by the number in its path. but_for: paths
    of shards whose layer is not asked for again. Raises ValueError when a shard is missing or of another search, or
    for more edges than one worker can join.
    """

    def __init__(self, search: Search, but_for: Collection[str] = ()) -> None:
        super().__init__()
        self._search = search
        self._but_for = frozenset(but_for)

    def expand(self, documents: beam.PCollection) -> beam.PCollection:
        search, but_for = self._search, self._but_for
        return (
            documents
            | "Sketch" >> beam.Map(sketch, search)
            | "RegroupDigests"
            >> Regroup(places.join(search.scratch, "spill"), search.num_buckets, num_tables=search.num_shards)
            | "EdgesBetween" >> beam.Map(edges_between, search)
            | "OneKey" >> beam.Map(lambda num_edges: (0, num_edges))
            | "GatherEdges" >> beam.GroupByKey()  # group: one whole number per bucket
            | "FindClusters" >> beam.FlatMap(lambda item: find_clusters(item[1], search))
            | "Wanted" >> beam.Filter(lambda index: search.path_of(index) not in but_for)
            | "SpreadShards" >> beam.Reshuffle()  # shard numbers only: else one worker would make every layer
            | "DuplicatesOfShard" >> beam.Map(duplicates_of_shard, search).with_output_types(Shard)
        )
