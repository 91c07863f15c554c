"""Decisions: the documents of each component are compared, and go when they are like the one that is kept.

Each shard sends what is compared of its members; who gets a component ranks them and makes stars of them; the outcome
goes back to the shard in which a document stands.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.fates import Reason, Tally
from transforms.dedup.origins import count_origins
from transforms.dedup.propose import ROWS
from transforms.dedup.rank import ranked
from transforms.dedup.search import ROW_BITS, Search, members_file, origins_file, rows_file
from transforms.dedup.spec import SCHEMA, size_class
from transforms.dedup.stars import Member, stars
from transforms.io.described import described
from transforms.io.shard import Shard
from transforms.shuffle.regroup import BUCKET, Bucket

_MEMBERS = pa.schema([(BUCKET, pa.int32()), ("component", pa.int64()), ("node", pa.int64()), *ROWS])
_OUTCOMES = pa.schema(
    [
        (BUCKET, pa.int32()),
        ("row", pa.int64()),
        ("cluster", pa.string()),
        ("cluster_size", pa.int64()),
        ("kept", pa.string()),
        ("rule", pa.string()),
        ("similarity", pa.float64()),
        ("containment", pa.float64()),
    ]
)


def members_of_shard(index: int, search: Search) -> pa.Table:
    """What is compared of a shard's documents that have a candidate (_MEMBERS), to the buckets of their components."""
    members = search.load(members_file(index)).reshape(-1, 2)
    rows = search.load_table(rows_file(index)).take(pa.array(members[:, 0]))
    component = members[:, 1]
    mixed = (component ^ (component >> ROW_BITS)) % search.num_shards
    columns = [pa.array(mixed.astype(np.int32)), pa.array(component), pa.array(members[:, 0] | index << ROW_BITS)]
    return pa.table([*columns, *rows.columns], schema=_MEMBERS)


def decide(bucket: Bucket, search: Search) -> pa.Table:
    """The outcome of every member of a bucket's components (_OUTCOMES), to the buckets of their shards.

    Memory: the members of a bucket; those of one component once more as Python objects.
    """
    table = bucket.read(_MEMBERS).combine_chunks()
    component = table.column("component").to_numpy()
    order = np.lexsort((table.column("node").to_numpy(), component))
    starts = np.flatnonzero(np.diff(component[order], prepend=-1, append=-1))
    found = [_outcomes(table.take(pa.array(order[start:end])), search) for start, end in pairwise(starts.tolist())]
    return pa.concat_tables([_OUTCOMES.empty_table(), *found])


def _outcomes(members: pa.Table, search: Search) -> pa.Table:
    """Of one component: its stars, best members first."""
    members = members.take(pa.array(ranked(members, search.spec.survivor)))
    ids = members.column("doc_id").to_pylist()
    rows = [
        Member(digest, bands, tokens)
        for digest, bands, tokens in zip(
            members.column("digest").to_pylist(), _arrays(members, "bands"), _arrays(members, "tokens"), strict=True
        )
    ]
    stars_of = stars(rows, search.spec.bounds)
    kept = np.array([star.kept for star in stars_of], np.int64)
    sizes = np.bincount(kept, minlength=len(kept))[kept]
    is_removed = kept != np.arange(len(kept))
    similarity = [star.similarity for star in stars_of]
    node = members.column("node").to_numpy()
    names = pa.array(ids).take(pa.array(kept))
    columns = {
        BUCKET: (node >> ROW_BITS).astype(np.int32),
        "row": node & ((1 << ROW_BITS) - 1),
        "cluster": names,
        "cluster_size": sizes,
        "kept": pc.if_else(pa.array(is_removed), names, None),
        "rule": pa.array([of.rule and of.rule.value for of in similarity], pa.string()),
        "similarity": pa.array([of.value for of in similarity], pa.float64()),
        "containment": pa.array([of.containment for of in similarity], pa.float64()),
    }
    return pa.table(columns, schema=_OUTCOMES)


def _arrays(table: pa.Table, name: str) -> list[np.ndarray]:
    """The lists of a column as arrays."""
    column = table.column(name).combine_chunks()
    offsets = column.offsets.to_numpy()
    return np.split(column.flatten().to_numpy(), (offsets[1:-1] - offsets[0]).tolist())


def layer_of_shard(bucket: Bucket, search: Search) -> Shard:
    """The layer of a shard, from the outcomes of its members, and its counts. Memory: the ids of the shard."""
    ids = search.load_table(rows_file(bucket.index)).column("doc_id").combine_chunks()
    outcomes = bucket.read(_OUTCOMES).sort_by("row")
    mask = np.zeros(len(ids), np.bool_)
    mask[outcomes.column("row").to_numpy()] = True
    mask = pa.array(mask)

    def spread(name: str, alone: pa.Array) -> pa.Array:
        return pc.replace_with_mask(alone, mask, outcomes.column(name).combine_chunks())

    kept = spread("kept", pa.nulls(len(ids), pa.string()))
    rule = spread("rule", pa.nulls(len(ids), pa.string()))
    layer = pa.table(
        {
            "doc_id": ids,
            "cluster": spread("cluster", ids),
            "cluster_size": spread("cluster_size", pa.array(np.ones(len(ids), np.int64))),
            "kept": kept,
            "rule": rule,
            "similarity": spread("similarity", pa.nulls(len(ids), pa.float64())),
            "containment": spread("containment", pa.nulls(len(ids), pa.float64())),
            "keep": pc.is_null(kept),
            "reason": _reasons(rule),
        },
        schema=SCHEMA,
    )
    counts = _counts(layer)
    count_origins(counts, search.load_table(origins_file(bucket.index)), layer.column("keep"))
    return described(search.path_of(bucket.index), layer, counts)


def _reasons(rule: pa.Array) -> pa.Array:
    exact, near = (pa.scalar(reason.value) for reason in (Reason.DUPLICATE, Reason.NEAR_DUPLICATE))
    return pc.if_else(pc.equal(rule, "exact"), exact, pc.if_else(pc.is_valid(rule), near, None))


def _counts(layer: pa.Table) -> Tally:
    """Clusters by size, counted where their representative is; removals by rule."""
    counts = Tally()
    for entry in pc.value_counts(layer.filter(layer.column("keep")).column("cluster_size")).to_pylist():
        counts.add("cluster_size", size_class(entry["values"]), entry["counts"])
    for entry in pc.value_counts(layer.column("rule").drop_null()).to_pylist():
        counts.add("rule", entry["values"], entry["counts"])
    return counts
