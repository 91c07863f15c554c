"""What votes and links say of a post, on its way to the post's thread (design: `ups`, `downs`, `accepted_at` …)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.schema import TIME, PostKind

# Posts of which nothing is said have no row.
FACTS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("thread_id", pa.string()),
        ("ups", pa.int64()),
        ("downs", pa.int64()),
        ("accepted_at", TIME),
        ("duplicate_of", pa.string()),
        ("bounty", pa.bool_()),
        ("elsewhere", pa.bool_()),  # this id was given to posts of several threads, and it stays in another one
        ("bucket", pa.int32()),
    ]
)

_BOUNTY = "bounty"  # the flag of a question that a bounty was put on, and of an answer that won one


def kept_elsewhere(facts: pa.Table) -> set[tuple[str, str]]:
    """(id, thread) of the posts that give way to a post of the same id in another thread."""
    rows = facts.filter(facts.column("elsewhere"))
    return set(zip(rows.column("doc_id").to_pylist(), rows.column("thread_id").to_pylist(), strict=True))


def apply_facts(posts: pa.Table, accepted: pa.Array, facts: pa.Table, voted: Collection[str]) -> Mapping[str, pa.Array]:
    """The columns of DOCUMENTS that facts complete, row by row beside `posts`.

    accepted: of each post, or null. voted: forums whose votes are in the input: there, a post without votes has none.
    """
    said = facts.filter(pc.invert(facts.column("elsewhere")))
    place = pc.index_in(posts.column("doc_id"), value_set=said.column("doc_id").combine_chunks())
    known = said.take(place.combine_chunks() if isinstance(place, pa.ChunkedArray) else place)
    kind = posts.column("kind")
    forum = pc.binary_join_element_wise(posts.column("source"), posts.column("site"), ":")
    counted = pc.and_(
        pc.is_in(forum, value_set=pa.array(sorted(voted), pa.string())),
        pc.is_in(kind, value_set=pa.array([PostKind.QUESTION.value, PostKind.ANSWER.value])),
    )
    columns = {
        name: pc.if_else(counted, pc.coalesce(known.column(name), pa.scalar(0, pa.int64())), posts.column(name))
        for name in ("ups", "downs")
    }
    is_accepted = pc.fill_null(accepted, False)
    columns["accepted_at"] = pc.if_else(is_accepted, known.column("accepted_at"), pa.scalar(None, TIME))
    columns["duplicate_of"] = known.column("duplicate_of")
    columns["flags"] = _flags(posts.column("flags"), known.column(_BOUNTY))
    return columns


def _flags(flags: pa.ChunkedArray, bounty: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if not flags.null_count and bounty.null_count == len(bounty):
        return flags
    won = bounty.to_pylist()
    lists = [sorted({*given, _BOUNTY}) if has else given for given, has in zip(flags.to_pylist(), won, strict=True)]
    return pa.array([given or [] for given in lists], pa.list_(pa.string()))
