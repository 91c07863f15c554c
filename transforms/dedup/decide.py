"""Decisions: the documents of each component are compared, and go when they are like the one that is kept.

Each shard sends what is compared of its members, which stand for their texts; who gets a component ranks them and makes
stars of them. The outcome goes back to the shards in which the text is, and there it is the outcome of all its copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.fates import Reason, Tally
from transforms.dedup.components import Nodes
from transforms.dedup.earlier import FATE, KNOWN, ROWS
from transforms.dedup.links import marks_by_kind, most_by_kind, num_words
from transforms.dedup.origins import count_origins
from transforms.dedup.propose import SKETCH
from transforms.dedup.rank import RANK, ranked
from transforms.dedup.search import ROW_BITS, Search, members_file, origins_file, sketch_file
from transforms.dedup.similarity import EXACT
from transforms.dedup.spec import SCHEMA, size_class
from transforms.dedup.stars import Member, Star, stars
from transforms.io.described import described
from transforms.io.shard import Shard
from transforms.shuffle.spills import BUCKET, Bucket

_COMPARED = ("digest", "tokens")
_SKETCHED = ("cluster_size", "elsewhere", "bands", "marks")
_MEMBERS = pa.schema(
    [(BUCKET, pa.int32()), ("component", pa.int64()), ("node", pa.int64()), *RANK]
    + [ROWS.field(name) for name in _COMPARED]
    + [SKETCH.field(name) for name in _SKETCHED]
    + [KNOWN.field(name) for name in FATE]  # of documents of finished builds
)
_OUTCOME = ("cluster", "cluster_size", *FATE)
# What became of the document that stands for a text, told to every shard that has the text.
_OUTCOMES = pa.schema(
    [
        pa.field(BUCKET, pa.int32()),
        pa.field("row", pa.int64()),
        *map(SCHEMA.field, _OUTCOME),
        pa.field("capped", pa.bool_()),  # it has more candidates than it was compared with
    ]
)


def members_of_shard(index: int, search: Search) -> pa.Table:
    """What is compared of a shard's documents that have a candidate (_MEMBERS), to the buckets of their components.

    Of a finished build also those that were removed and have copies elsewhere, which go for what they went for.
    """
    members = search.load(members_file(index)).reshape(-1, 2)
    rows, known = search.load_rows(index), search.load_table(sketch_file(index))
    if index >= search.num_own:
        members = _with_removed(members, index, rows, known)
    row, component = pa.array(members[:, 0]), members[:, 1]
    mixed = (component ^ (component >> ROW_BITS)) % search.num_shards
    columns = [pa.array(mixed.astype(np.int32)), pa.array(component), pa.array(members[:, 0] | index << ROW_BITS)]
    columns += rows.select([*RANK.names, *_COMPARED]).take(row).columns
    columns += known.select(_SKETCHED).take(row).columns
    fates = rows.select(FATE).take(row).columns if index >= search.num_own else None
    columns += fates or [pa.nulls(len(row), KNOWN.field(name).type) for name in FATE]
    return pa.table(columns, schema=_MEMBERS)


def _with_removed(members: Nodes, index: int, rows: pa.Table, known: pa.Table) -> Nodes:
    """(M, 2) the members, and each further document that went for another and has copies elsewhere, alone."""
    told = pc.and_(pc.is_valid(rows.column("kept")), pc.greater(pc.list_value_length(known.column("elsewhere")), 0))
    alone = np.setdiff1d(np.flatnonzero(told.to_numpy()), members[:, 0])
    return np.concatenate([members, np.stack([alone, alone | index << ROW_BITS], axis=1)])


def decide(bucket: Bucket, search: Search) -> pa.Table:
    """The outcome of every member of a bucket's components (_OUTCOMES), to the buckets of the shards with its text;
    none of documents of finished builds, which have theirs.

    Memory: the members of a bucket, twice, and about a kilobyte each.
    """
    first_earlier = search.num_own << ROW_BITS
    members = _with_news(bucket.read(_MEMBERS).combine_chunks(), first_earlier)
    if not len(members):
        return _OUTCOMES.empty_table()
    members = members.take(pa.array(ranked(members, search.spec.survivor, members.column("component").to_numpy())))
    went = members.column("kept").is_valid().to_numpy()
    is_earlier = members.column("node").to_numpy() >= first_earlier
    fates = _stars(members, is_earlier, went, search)
    kept = np.array([star.kept for star in fates], np.int64)
    if went.any():
        kept[went] = _places(members, is_earlier & ~went)[went]
    return _told(members, _fates(members, went, kept, fates), first_earlier)


def _with_news(members: pa.Table, first_earlier: int) -> pa.Table:
    """The members of components in which a document is new, or a copy of one."""
    elsewhere = members.column("elsewhere").combine_chunks()
    is_new = members.column("node").to_numpy() < first_earlier
    is_new[pc.list_parent_indices(elsewhere).to_numpy()[elsewhere.flatten().to_numpy() < first_earlier]] = True
    if is_new.all():
        return members
    component = members.column("component").to_numpy()
    return members.filter(pa.array(np.isin(component, component[is_new])))


def _stars(
    members: pa.Table, is_earlier: npt.NDArray[np.bool_], went: npt.NDArray[np.bool_], search: Search
) -> list[Star]:
    """What becomes of each member, of components one after the other, each best first. kept: places among all."""
    words = num_words(search.spec)
    rows = list(
        map(
            Member,
            members.column("digest").to_pylist(),
            (bands := _arrays(members, "bands")),
            [marks_by_kind(*of, words) for of in zip(bands, _arrays(members, "marks"), strict=True)],
            _arrays(members, "tokens"),
            [not gone if known else None for known, gone in zip(is_earlier.tolist(), went.tolist(), strict=True)],
        )
    )
    starts = np.flatnonzero(np.diff(members.column("component").to_numpy(), prepend=-1, append=-1))
    return [
        star._replace(kept=star.kept + start)
        for start, end in pairwise(starts.tolist())
        for star in stars(rows[start:end], search.spec.bounds, most_by_kind(search.spec))
    ]


def _places(members: pa.Table, stay: npt.NDArray[np.bool_]) -> Nodes:
    """(M,) the place of what each went for, of those that stay in its component; its own where that is none of them."""
    staying = pa.array(np.flatnonzero(stay))
    component = members.column("component").cast(pa.string())
    went_for, ids = (pc.binary_join_element_wise(component, members.column(name), " ") for name in ("kept", "doc_id"))
    found = pc.index_in(went_for, ids.take(staying))
    own = pa.chunked_array([np.arange(members.num_rows)])
    return pc.coalesce(staying.take(found.combine_chunks()), own.combine_chunks()).to_numpy()


def _fates(members: pa.Table, went: npt.NDArray[np.bool_], kept: Nodes, found: Sequence[Star]) -> pa.Table:
    """_OUTCOME of each member. kept: the place of what stays for it. found: by `_stars`."""
    ids = members.column("doc_id")
    sizes = np.bincount(kept, weights=members.column("cluster_size").to_numpy(), minlength=len(kept)).astype(np.int64)
    similarity = [star.similarity for star in found]
    fresh = {
        "kept": pc.if_else(pa.array(kept != np.arange(len(kept))), ids.take(pa.array(kept)), None),
        "rule": pa.array([of.rule and of.rule.value for of in similarity], pa.string()),
        "similarity": pa.array([of.value for of in similarity], pa.float64()),
        "containment": pa.array([of.containment for of in similarity], pa.float64()),
    }
    fate = {name: pc.if_else(pa.array(went), members.column(name), column) for name, column in fresh.items()}
    capped = pa.array([star.capped for star in found])
    cluster = {"cluster": pc.coalesce(fate["kept"], ids), "cluster_size": sizes[kept]}
    return pa.table({**cluster, **fate, "capped": capped})


def _told(members: pa.Table, fates: pa.Table, first_earlier: int) -> pa.Table:
    """_OUTCOMES: the fate of each member, for it and where its copies are, but for those of finished builds."""
    elsewhere = members.column("elsewhere").combine_chunks()
    node = np.append(members.column("node").to_numpy(), elsewhere.flatten().to_numpy())
    whose = np.append(np.arange(members.num_rows), pc.list_parent_indices(elsewhere).to_numpy())
    own = node < first_earlier
    node, told = node[own], fates.take(pa.array(whose[own]))
    columns = [pa.array((node >> ROW_BITS).astype(np.int32)), pa.array(node & ((1 << ROW_BITS) - 1)), *told.columns]
    return pa.table(columns, schema=_OUTCOMES)


def _arrays(table: pa.Table, name: str) -> list[np.ndarray]:
    """The lists of a column as arrays."""
    column = table.column(name).combine_chunks()
    offsets = column.offsets.to_numpy()
    return np.split(column.flatten().to_numpy(), (offsets[1:-1] - offsets[0]).tolist())


def layer_of_shard(bucket: Bucket, search: Search) -> Shard:
    """The layer of a shard, from the outcomes of its texts, and its counts. Memory: the ids of the shard."""
    ids = search.load_rows(bucket.index).column("doc_id").combine_chunks()
    known = search.load_table(sketch_file(bucket.index)).combine_chunks()
    outcomes = bucket.read(_OUTCOMES).sort_by("row").combine_chunks()
    is_decided = np.zeros(len(ids), np.bool_)
    is_decided[outcomes.column("row").to_numpy()] = True
    best, mask = known.column("best").combine_chunks(), pa.array(is_decided)

    def of_text(name: str) -> pa.Array:
        """Of the document that stands for each one's text, compared with others or not."""
        column = (
            known.column(name).combine_chunks()
            if name in known.column_names
            else pa.nulls(len(ids), _OUTCOMES.field(name).type)
        )
        return pc.replace_with_mask(column, mask, outcomes.column(name).combine_chunks()).take(best)

    fate = {name: of_text(name) for name in _OUTCOME}
    # The copies of one that stays go for that, those of one that goes for what it goes for, and by the same rule.
    goes = pc.and_(pc.invert(known.column("stands").combine_chunks()), pc.is_null(fate["kept"]))
    exact = {"kept": fate["cluster"], "rule": EXACT.rule, "similarity": EXACT.value, "containment": EXACT.containment}
    fate |= {name: pc.if_else(goes, value, fate[name]) for name, value in exact.items()}
    columns = {"doc_id": ids, **fate, "keep": pc.is_null(fate["kept"]), "reason": _reasons(fate["rule"])}
    layer = pa.table(columns, schema=SCHEMA)
    capped = pc.and_(pc.fill_null(of_text("capped"), False), known.column("stands").combine_chunks())
    counts = _counts(layer, layer.filter(capped))
    count_origins(counts, search.load_table(origins_file(bucket.index)), layer.column("keep"))
    return described(search.path_of(bucket.index), layer, counts)


def _reasons(rule: pa.Array) -> pa.Array:
    exact, near = (pa.scalar(reason.value) for reason in (Reason.DUPLICATE, Reason.NEAR_DUPLICATE))
    return pc.if_else(pc.equal(rule, "exact"), exact, pc.if_else(pc.is_valid(rule), near, None))


def _counts(layer: pa.Table, capped: pa.Table) -> Tally:
    """Clusters by size, counted where their representative is; removals by rule; of the rows that have more candidates
    than they were compared with, a text once, those that are kept and those that are not."""
    counts = Tally()
    for entry in pc.value_counts(layer.filter(layer.column("keep")).column("cluster_size")).to_pylist():
        counts.add("cluster_size", size_class(entry["values"]), entry["counts"])
    for entry in pc.value_counts(layer.column("rule").drop_null()).to_pylist():
        counts.add("rule", entry["values"], entry["counts"])
    for entry in pc.value_counts(capped.column("keep")).to_pylist():
        counts.add("capped", "kept" if entry["values"] else "removed", entry["counts"])
    return counts
