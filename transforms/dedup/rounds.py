"""Connected components over all edges: in one worker where they fit, in rounds over buckets of documents elsewhere.

Large-star and small-star of R. Kiveris, S. Lattanzi, V. Mirrokni, V. Rastogi and S. Vassilvitskii, "Connected
Components in MapReduce and Beyond" (2014). An edge is kept in the bucket of its greater end. In each round

* every edge is moved to the lowest neighbour of its lower end. A bucket asks once for each of its lower ends, and who
  keeps the edges of that one answers: a hot document, which a million edges lead to, is asked as often as there are
  buckets, and no worker gets its edges;
* the edges of a bucket are contracted to stars, which are sent to the buckets of their greater ends.

Neither parts what was joined or joins what was not. Components are found when no lower end has a lower neighbour and no
document two: each edge then leads from a document to the smallest of its component. A chain in ascending order takes as
many rounds as its length has binary digits; random graphs of 100,000 documents take seven at most.

    edges ─ by greater end ─┬─ answers ─ by who asked ─ moved, contracted ─┬─ … ─ members by shard
    asks ── by lower end ───┘                                              └─ asks
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.datasets import places
from transforms.dedup.components import Nodes, components, contracted
from transforms.dedup.search import ROW_BITS, Search, members_file, round_edges
from transforms.shuffle.regroup import LOSSY, Regroup, RegroupBeside
from transforms.shuffle.spills import BUCKET, Bucket
from transforms.text.hashing import mix

_ROUNDS = 16
_EDGES = pa.schema([(BUCKET, pa.int32()), ("lower", pa.int64()), ("node", pa.int64())])
_ASKS = pa.schema([(BUCKET, pa.int32()), ("asker", pa.int64()), ("node", pa.int64())])

_TO_ASK, _UNSETTLED, _FOUND = "asks", "unsettled", "found"


def find_components(bucket_edges: Iterable[int], search: Search) -> Iterator[int]:
    """Connected components over all edges: leaves their members by shard, yields every shard's number.

    Runs in one worker, which holds all edges. Raises ValueError as `Search.load_edges`.
    """
    counts = list(bucket_edges)
    nodes, component = components(np.concatenate([search.load_edges(name, counts) for name in search.edge_files]))
    starts = np.searchsorted(nodes, np.arange(search.num_shards + 1, dtype=np.int64) << ROW_BITS)
    for index in range(search.num_shards):
        part = slice(int(starts[index]), int(starts[index + 1]))
        _save_members(index, nodes[part], component[part], search)
        yield index


def _save_members(index: int, nodes: Nodes, component: Nodes, search: Search) -> None:
    search.save(members_file(index), np.stack([nodes & ((1 << ROW_BITS) - 1), component], axis=1))


def edges_and_asks(edges: Nodes, search: Search) -> tuple[pa.Table, pa.Table]:
    """Edges (E, 2), lower end first, to the buckets of their greater ends (_EDGES), and what these will ask those of
    their lower ends (_ASKS)."""
    keeper = _buckets_of(edges[:, 1], search)
    asks = _distinct(np.stack([keeper, edges[:, 0]], axis=1))
    return _table(_EDGES, keeper, edges), _table(_ASKS, _buckets_of(asks[:, 1], search), asks)


def answer(edges: Bucket, asks: Bucket, turn: int, search: Search) -> tuple[pa.Table, int]:
    """The lowest neighbour of each document that is asked for and has a lower one (_EDGES), to the buckets that asked;
    and how many things of this bucket are not settled: those, and edges of a document to more than one lower.

    Leaves the bucket's edges for `moved`. Memory: about 60 bytes an edge of the bucket, and an ask.
    """
    own = _distinct(_array(edges, _EDGES))
    search.save(round_edges(turn, edges.index), own)
    nodes, first = np.unique(own[:, 1], return_index=True)
    asked = _distinct(_array(asks, _ASKS))
    at, found = _places(nodes, asked[:, 1])
    lowest = own[first[at], 0]
    answers = np.stack([lowest, asked[found, 1]], axis=1)
    return _table(_EDGES, asked[found, 0], answers), len(answers) + len(own) - len(nodes)


def moved(answers: Bucket, turn: int, search: Search) -> Nodes:
    """(E, 2) the bucket's edges, moved to the lowest neighbours of their lower ends and contracted."""
    own = search.load(round_edges(turn, answers.index)).reshape(-1, 2).copy()
    lowest = _distinct(_array(answers, _EDGES))
    at, found = _places(lowest[:, 1], own[:, 0])
    own[found, 0] = lowest[at, 0]
    return contracted(own)


def members(bucket: Bucket, search: Search) -> int:
    """Leaves the members of a shard from the edges that lead to the smallest of each component; returns its number."""
    edges = _distinct(_array(bucket, _EDGES))
    _save_members(bucket.index, edges[:, 1], edges[:, 0], search)
    return bucket.index


def _of_shards(edges: Nodes) -> pa.Table:
    """The component of each document that such edges lead from, and of those that they lead to, to their shards."""
    smallest = np.unique(edges[:, 0])
    every = np.concatenate([edges, np.stack([smallest, smallest], axis=1)])
    return _table(_EDGES, every[:, 1] >> ROW_BITS, every)


def _buckets_of(nodes: Nodes, search: Search) -> Nodes:
    return (mix(nodes.astype(np.uint64)) % np.uint64(search.num_edge_buckets)).astype(np.int64)


def _table(schema: pa.Schema, buckets: Nodes, rows: Nodes) -> pa.Table:
    return pa.table([pa.array(buckets.astype(np.int32)), pa.array(rows[:, 0]), pa.array(rows[:, 1])], schema=schema)


def _array(bucket: Bucket, schema: pa.Schema) -> Nodes:
    """(R, 2) the rows of a bucket."""
    table = bucket.read(schema)
    return np.stack([table.column(1).to_numpy(), table.column(2).to_numpy()], axis=1)


def _distinct(rows: Nodes) -> Nodes:
    """(R, 2) each row once, by its second number, then its first."""
    ordered = rows[np.lexsort((rows[:, 0], rows[:, 1]))]
    return ordered[np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))[: len(ordered)]]


def _places(ascending: Nodes, wanted: Nodes) -> tuple[Nodes, npt.NDArray[np.bool_]]:
    """Where those of the wanted stand that are there, and which of them are."""
    at = np.searchsorted(ascending, wanted)
    found = at < len(ascending)
    found[found] = ascending[at[found]] == wanted[found]
    return at[found], found


_Yields = Iterator[pa.Table | beam.pvalue.TaggedOutput]


def _begin(name: str, bucket_edges: Sequence[int], search: Search) -> _Yields:
    edges, asks = edges_and_asks(search.load_edges(name, bucket_edges), search)
    yield edges
    yield beam.pvalue.TaggedOutput(_TO_ASK, asks)


def _answer(buckets: tuple[Bucket, Bucket], turn: int, search: Search) -> _Yields:
    answers, unsettled = answer(*buckets, turn, search)
    yield answers
    yield beam.pvalue.TaggedOutput(_UNSETTLED, unsettled)


def _move(answers: Bucket, unsettled: Sequence[int], turn: int, search: Search) -> _Yields:
    """One round's edges, and what they ask; or, when all is settled, those of all components, and nothing from then on.

    Raises ValueError when the last round leaves something unsettled, or a runner has lost what a bucket says of itself.
    """
    if len(unsettled) != search.num_edge_buckets:
        raise ValueError(
            f"the Beam runner has lost or doubled rows while components were found: {len(unsettled)} of "
            f"{search.num_edge_buckets} buckets said what they have left to do. {LOSSY}"
        )
    if left := sum(unsettled):
        if turn == _ROUNDS:
            raise ValueError(
                f"near-duplicate search has not found which documents are candidates of each other in {_ROUNDS} "
                f"rounds: {left} edges lead on where none should. More than {1 << _ROUNDS} documents are a chain, each "
                f"a candidate of the next, with {search.spec.bands} bands of {search.spec.rows} rows. Use more rows or "
                "fewer bands (fewer chance candidates), or annotate parts of the documents one by one"
            )
        edges = moved(answers, turn, search)
        settled = edges[:0]
    else:
        settled = search.load(round_edges(turn, answers.index)).reshape(-1, 2)
        edges = settled[:0]
    kept, asks = edges_and_asks(edges, search)
    yield beam.pvalue.TaggedOutput(_FOUND, _of_shards(settled))
    yield kept
    yield beam.pvalue.TaggedOutput(_TO_ASK, asks)


class Components(beam.PTransform):
    """How many edges each bucket of digests has (`edges_between`) to the number of every shard, whose members are then
    in scratch space: the documents that have a candidate, and the component of each.

    Memory: about 60 bytes an edge of a bucket of documents. Raises ValueError when a bucket is missing, and
    when components are not found in 16 rounds.
    """

    def __init__(self, search: Search) -> None:
        super().__init__()
        self._search = search

    def expand(self, bucket_edges: beam.PCollection) -> beam.PCollection:
        search = self._search
        if search.num_edge_buckets > 1:
            return self._in_rounds(bucket_edges)
        return (
            bucket_edges
            | "OneKey" >> beam.Map(lambda num_edges: (0, num_edges))
            | "GatherEdges" >> beam.GroupByKey()  # group: one whole number per bucket
            | "FindComponents" >> beam.FlatMap(lambda item: find_components(item[1], search))
            | "SpreadShards" >> beam.Reshuffle()  # shard numbers only: else one worker would read all members
        )

    def _in_rounds(self, bucket_edges: beam.PCollection) -> beam.PCollection:
        search, place = self._search, places.join(self._search.scratch, "rounds")
        number, names = search.num_edge_buckets, search.edge_files
        going = (
            bucket_edges.pipeline
            | "EdgeFiles" >> beam.Create(names, reshuffle=True)
            | "Begin"
            >> beam.FlatMap(_begin, beam.pvalue.AsList(bucket_edges), search).with_outputs(_TO_ASK, main="edges")
        )
        num_tables = len(names)
        found = []
        for turn in range(1, _ROUNDS + 1):
            answers = (
                (going["edges"], going[_TO_ASK])
                | f"Meet{turn}" >> RegroupBeside(place, number, num_tables=num_tables)
                | f"Answer{turn}" >> beam.FlatMap(_answer, turn, search).with_outputs(_UNSETTLED, main="answers")
            )
            num_tables = number
            unsettled = beam.pvalue.AsList(answers[_UNSETTLED])
            going = (
                answers["answers"]
                | f"BackToAsker{turn}" >> Regroup(place, number, num_tables=number)
                | f"Move{turn}"
                >> beam.FlatMap(_move, unsettled, turn, search).with_outputs(_TO_ASK, _FOUND, main="edges")
            )
            found.append(going[_FOUND])
        return tuple(found) | "ByShard" >> Regroup(place, search.num_shards) | "Members" >> beam.Map(members, search)
