"""Components in rounds against networkx, for graphs of all shapes at once and any number of buckets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import networkx as nx
import numpy as np
import pytest

from pipelines.local.options import beam_pipeline
from transforms.dedup import rounds
from transforms.dedup.rounds import Components
from transforms.dedup.search import ROW_BITS, Search, members_file
from transforms.dedup.spec import MinHashSpec
from transforms.shuffle.spills import Bucket

SHARDS = 3
Edges = list[tuple[int, int]]


def shapes() -> Iterator[Edges]:
    """Graphs of nodes from 0, which need few rounds and many."""
    chance = np.random.default_rng(0)
    number = 120
    path = [(node, node + 1) for node in range(number)]
    mixed = chance.permutation(number + 1).tolist()
    zigzag = [node // 2 if node % 2 else number - node // 2 for node in range(number + 1)]
    yield path
    yield [(number - low, number - high) for low, high in path]
    yield [(mixed[low], mixed[high]) for low, high in path]
    yield [(zigzag[low], zigzag[high]) for low, high in path]
    yield [*path, (0, number)]
    yield [(0, node) for node in range(1, number)]
    yield [(node, number) for node in range(number)]
    yield [(number // 2, node) for node in range(number) if node != number // 2]
    yield [(low, high) for low in range(25) for high in range(low)]
    yield [((node - 1) // 2, node) for node in range(1, number)]
    for num_edges in (number // 3, number // 2, number):
        ends = chance.integers(0, number, (num_edges, 2)).tolist()
        yield [(low, high) for low, high in ends if low != high]


def side_by_side() -> Edges:
    """All shapes, each with nodes of its own, spread over the shards."""
    edges: Edges = []
    begin = 0
    for shape in shapes():
        edges += [(begin + low, begin + high) for low, high in shape]
        begin += 1 + max(max(edge) for edge in shape)
    return [tuple((node % SHARDS) << ROW_BITS | node // SHARDS for node in edge) for edge in edges]


def search_in(tmp_path: Path, edges: Edges, num_edge_buckets: int) -> Search:
    """A search that has found these edges, some of them within shards and more than once."""
    search = Search(MinHashSpec(bands=1), str(tmp_path), SHARDS, num_edge_buckets * 2_000_000)
    assert search.num_edge_buckets == num_edge_buckets
    files = search.edge_files
    for number, name in enumerate(files):
        part = [sorted(edge) for edge in [*edges[number :: len(files)], *edges[number :: 2 * len(files)]]]
        search.save(name, np.array(part, np.int64).reshape(-1, 2))
    return search


def members_of(search: Search, workers: int = 1) -> dict[int, int]:
    """Node to component, as the transform leaves them."""
    with beam_pipeline(workers) as p:
        _ = p | beam.Create([1] * search.num_buckets) | Components(search)
    found = {}
    for shard in range(SHARDS):
        rows = search.load(members_file(shard)).reshape(-1, 2).tolist()
        assert [row for row, _ in rows] == sorted({row for row, _ in rows})
        found |= {shard << ROW_BITS | row: component for row, component in rows}
    return found


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the shapes need: a chain of 121 in ascending order needs seven. Each takes half a second to set up."""
    monkeypatch.setattr(rounds, "_ROUNDS", 8)


@pytest.mark.parametrize(("num_edge_buckets", "workers"), [(1, 1), (3, 2), (40, 1)])
def test_components_are_those_of_networkx(tmp_path: Path, num_edge_buckets: int, workers: int) -> None:
    edges = side_by_side()
    wanted = {node: min(some) for some in nx.connected_components(nx.Graph(edges)) for node in some}
    assert members_of(search_in(tmp_path, edges, num_edge_buckets), workers) == wanted


@pytest.mark.parametrize(("edges", "wanted"), [([], {}), ([(0, 2), (1, 2)], {0: 0, 1: 0, 2: 0})])
def test_few_edges(tmp_path: Path, edges: Edges, wanted: dict[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """None at all, and two that lead to different ends, of which neither leads further."""
    monkeypatch.setattr(rounds, "_ROUNDS", 2)
    assert members_of(search_in(tmp_path, edges, 2)) == wanted


def test_too_few_rounds_fail_and_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_ROUNDS", 3)
    chain = [(node, node + 1) for node in range(500)]
    with pytest.raises(Exception, match=r"in 3 rounds: \d+ edges lead on .* 1 bands of 8 rows\. Use more rows"):
        members_of(search_in(tmp_path, chain, 20))
    assert len(members_of(search_in(tmp_path, chain[:3], 20))) == 4


def test_a_hot_document_is_asked_once_by_each_bucket(tmp_path: Path) -> None:
    """No worker gets all edges of a document: its neighbours' buckets ask for it, however many neighbours there are."""
    search = search_in(tmp_path, [], 4)
    edges, asks = rounds.edges_and_asks(np.stack([np.zeros(999, np.int64), np.arange(1, 1000)], axis=1), search)
    assert (edges.num_rows, asks.num_rows) == (999, 4)
    assert len(set(asks.column("bucket").to_pylist())) == 1
    assert max(np.bincount(edges.column("bucket").to_numpy())) < 400


def test_what_a_bucket_has_left_to_do_may_not_be_lost(tmp_path: Path) -> None:
    search = search_in(tmp_path, [], 3)
    with pytest.raises(ValueError, match=r"the Beam runner has lost or doubled rows .* 2 of 3 buckets"):
        next(rounds._move(Bucket(0, str(tmp_path), ()), [0, 0], 1, search))
