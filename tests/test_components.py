"""Components and star edges against plain Python on random graphs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.dedup.components import components, contracted, star_edges


def plain_components(edges: list[tuple[int, int]]) -> dict[int, int]:
    """Node to the smallest node of its component, by breadth-first search."""
    neighbours: dict[int, set[int]] = {}
    for low, high in edges:
        neighbours.setdefault(low, set()).add(high)
        neighbours.setdefault(high, set()).add(low)
    smallest: dict[int, int] = {}
    for start in sorted(neighbours):
        if start in smallest:
            continue
        waiting = [start]
        smallest[start] = start
        while waiting:
            for node in neighbours[waiting.pop()] - smallest.keys():
                smallest[node] = start
                waiting.append(node)
    return smallest


def as_array(edges: list[tuple[int, int]]) -> np.ndarray:
    return np.array(edges, dtype=np.int64).reshape(-1, 2)


EDGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60)


@given(EDGES)
def test_components_equal_a_search(edges: list[tuple[int, int]]) -> None:
    nodes, smallest = components(as_array(edges))
    assert dict(zip(nodes.tolist(), smallest.tolist(), strict=True)) == plain_components(edges)


@given(EDGES, st.randoms())
def test_order_and_direction_of_edges_do_not_matter(edges: list[tuple[int, int]], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = [edge if random.random() < 0.5 else edge[::-1] for edge in edges]
    random.shuffle(shuffled)
    for ours, theirs in zip(components(as_array(edges)), components(as_array(shuffled)), strict=True):
        assert ours.tolist() == theirs.tolist()


@given(EDGES)
def test_contracting_keeps_components_and_leaves_a_forest_of_stars(edges: list[tuple[int, int]]) -> None:
    fewer = contracted(as_array(edges))
    wanted = {node: least for node, least in plain_components(edges).items() if node != least}
    assert {high: low for low, high in fewer.tolist()} == wanted
    assert len(fewer) == len(wanted)


@pytest.mark.parametrize("shape", ["path", "reversed path", "random path", "star of the greatest", "tree"])
def test_long_shapes_end_soon_and_right(shape: str) -> None:
    number = 200_000
    names = np.arange(number)
    if shape == "reversed path":
        names = names[::-1]
    elif shape == "random path":
        names = np.random.default_rng(0).permutation(number)
    low, high = names[:-1], names[1:]
    if shape == "star of the greatest":
        low, high = names[:-1], np.full(number - 1, number - 1)
    elif shape == "tree":
        low, high = (names[1:] - 1) // 2, names[1:]
    nodes, smallest = components(np.stack([low, high], axis=1).astype(np.int64))
    assert nodes.tolist() == list(range(number))
    assert not smallest.any()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), max_size=60, unique=True))
def test_star_edges_join_what_shares_a_digest(rows: list[tuple[int, int]]) -> None:
    digests = np.array([digest for digest, _ in rows], dtype=np.uint64)
    nodes = np.array([node for _, node in rows], dtype=np.int64)
    edges, first = star_edges(digests, nodes)
    pairs = [(a, b) for d, a in rows for e, b in rows if d == e and a < b]
    assert plain_components(edges.tolist()) == plain_components(pairs)
    least = {digest: min(node for other, node in rows if other == digest) for digest, _ in rows}
    assert first.tolist() == [least[digest] == node for digest, node in rows]
    assert len(edges) == len(rows) - len(least)  # a star, never all pairs
