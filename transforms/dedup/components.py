"""Connected components of a graph given as edges: which documents belong to one near-duplicate cluster.

Hook and contract, over whole arrays: every edge hooks the greater of its two roots under the smaller one, then all
paths are halved until they are flat, then edges inside a component are dropped. Each round merges every component that
still has an edge leaving it with a neighbour, and stars (what `star_edges` makes) need two rounds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Nodes = npt.NDArray[np.int64]


def star_edges(digests: npt.NDArray[np.uint64], nodes: Nodes) -> tuple[Nodes, npt.NDArray[np.bool_]]:
    """Joins nodes that share a digest: an edge from each to the smallest of them, never all pairs.

    digests and nodes: (K,), a node once per digest it has. Returns edges (E, 2), smaller node first, once for every
    digest they share, and a mask (K,) of the rows that are the smallest node of their digest. A digest of a million
    nodes (an answer "Thanks!") costs a million edges.
    """
    first = np.ones(len(digests), dtype=np.bool_)
    order = np.argsort(digests, kind="stable")
    ordered = digests[order]
    equal = ordered[1:] == ordered[:-1]
    if not equal.any():
        return np.zeros((0, 2), dtype=np.int64), first
    shared = np.zeros(len(digests), dtype=np.bool_)  # most digests are nobody else's: only these are sorted by node
    shared[1:] |= equal
    shared[:-1] |= equal
    members = order[shared]
    members = members[np.lexsort((nodes[members], digests[members]))]
    begins = np.concatenate([[True], digests[members][1:] != digests[members][:-1]])
    centre = nodes[members][begins][np.cumsum(begins) - 1]
    first[members[~begins]] = False
    edges = np.stack([centre, nodes[members]], axis=1)[~begins]
    return edges, first


def components(edges: Nodes) -> tuple[Nodes, Nodes]:
    """(N,) the nodes that have an edge, ascending, and (N,) the smallest node of the component each belongs to.

    The result depends on the set of edges alone. Memory: about 60 bytes an edge.
    """
    nodes, inverse = np.unique(edges.reshape(-1), return_inverse=True)
    ends = inverse.reshape(-1, 2)
    low, high = ends[:, 0], ends[:, 1]
    parent = np.arange(len(nodes), dtype=np.int64)
    while len(low):
        low, high = parent[low], parent[high]
        apart = low != high
        low, high = np.minimum(low, high)[apart], np.maximum(low, high)[apart]
        np.minimum.at(parent, high, low)  # both ends are roots, and a parent is smaller than its child: no cycles
        while True:
            grandparent = parent[parent]
            if np.array_equal(grandparent, parent):
                break
            parent = grandparent
    return nodes, nodes[parent]


def contracted(edges: Nodes) -> Nodes:
    """The fewest edges with the same components: from every node that is not the smallest to the smallest."""
    nodes, smallest = components(edges)
    return np.stack([smallest, nodes], axis=1)[nodes != smallest]
