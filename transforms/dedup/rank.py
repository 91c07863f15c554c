"""Which of several like documents stays: the order in which they survive, from columns of numbers.

A document of a source that has priority comes before all others; then the criteria in the order in which they are
given; then the id, its numbers as numbers. So the order is total, and a function of the documents alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.align import check_rows_aligned
from transforms.datasets.schema import TIME
from transforms.io.shard import Shard


class Criterion(StrEnum):
    """What makes one document better than another that says the same."""

    QUALITY = "quality"  # kept by the quality layer; then the higher score, where a classifier gave one
    LONGEST = "longest"  # the most tokens
    OLDEST = "oldest"  # a document without a time is later than every other


# What documents are ranked by. priority: the smallest first; those of the documents are not negative, so that there is
# room before them.
RANK = pa.schema(
    [
        ("doc_id", pa.string()),
        ("created", TIME),
        ("priority", pa.int32()),
        ("quality", pa.float64()),  # the score, and one more where the document is kept; 0 where it does not count
        ("num_tokens", pa.int64()),
    ]
)
_LATEST = 2**63 - 1
_NUMBERS = re.compile(r"([0-9]+)")


def rank_rows(
    shard: Shard, num_tokens: pa.ChunkedArray, survivor: Sequence[Criterion], priority: Sequence[str]
) -> pa.Table:
    """RANK of a shard's documents (doc_id, created; with priority also source, site), with the quality layer beside
    them where it is a criterion.

    num_tokens: [D] of what is compared. priority: sources or sites, the best first. Raises ValueError when a column
    or the layer is not there, or its rows are not the documents'.
    """
    rows = shard.read(["doc_id", "created", *(["source", "site"] if priority else [])])
    columns = {
        "doc_id": rows.column("doc_id"),
        "created": rows.column("created"),
        "priority": _priorities(rows, priority),
        "quality": _qualities(rows, shard) if Criterion.QUALITY in survivor else pa.array(np.zeros(len(rows))),
        "num_tokens": num_tokens,
    }
    return pa.table(columns, schema=RANK)


def _priorities(rows: pa.Table, priority: Sequence[str]) -> pa.Array:
    """The place of the first name that is a document's source or site; behind all of them without one."""
    place = pa.array(np.full(len(rows), len(priority), np.int32))
    for number, name in reversed(list(enumerate(priority))):
        is_named = pc.or_(*(pc.equal(rows.column(column).combine_chunks(), name) for column in ("source", "site")))
        place = pc.if_else(is_named, pa.scalar(number, pa.int32()), place)
    return place


def _qualities(rows: pa.Table, shard: Shard) -> pa.ChunkedArray:
    quality = shard.read_layer("quality", ["doc_id", "keep", "score"])
    check_rows_aligned(rows, {"quality": quality})
    score = pc.fill_null(quality.column("score").cast(pa.float64()), 0.0)
    return pc.add(score, quality.column("keep").cast(pa.float64()))


def ranked(
    rows: pa.Table, survivor: Sequence[Criterion], groups: npt.NDArray[np.generic] | None = None
) -> npt.NDArray[np.int64]:
    """(D,) the numbers of rows (of RANK), the best first; group by group, in ascending order, where they are in groups.

    groups: (D,) a number of each row. Only ids of rows that are alike in all else are looked at.
    """
    keys = [*_keys(rows, survivor), *([] if groups is None else [groups])]
    order = np.lexsort(keys)
    same = np.ones(max(0, len(order) - 1), np.bool_)
    for key in keys:
        ordered = key[order]
        same &= ordered[1:] == ordered[:-1]
    if not same.any():
        return order
    tied = np.zeros(len(order), np.bool_)
    tied[1:] |= same
    tied[:-1] |= same
    numbers = order[tied]
    ids = rows.column("doc_id").take(pa.array(numbers)).to_pylist()
    by_id = sorted(range(len(ids)), key=lambda row: (_by_number(ids[row]), ids[row]))
    last = np.zeros(len(order), np.int64)
    last[numbers[by_id]] = np.arange(len(ids))
    return np.lexsort([last, *keys])


def best_of_each(
    rows: pa.Table, survivor: Sequence[Criterion], groups: npt.NDArray[np.generic]
) -> npt.NDArray[np.int64]:
    """(G,) the number of the best row (of RANK) of each group, by ascending group."""
    order = ranked(rows, survivor, groups)
    ordered = groups[order]
    return order[np.append(True, ordered[1:] != ordered[:-1])[: len(order)]]


def _keys(rows: pa.Table, survivor: Sequence[Criterion]) -> list[npt.NDArray[np.generic]]:
    """What rows are sorted by, the least important first."""
    keys = {
        Criterion.QUALITY: lambda: -rows.column("quality").to_numpy(),
        Criterion.LONGEST: lambda: -rows.column("num_tokens").to_numpy(),
        Criterion.OLDEST: lambda: pc.fill_null(rows.column("created").cast(pa.int64()), _LATEST).to_numpy(),
    }
    return [*(keys[criterion]() for criterion in reversed(survivor)), rows.column("priority").to_numpy()]


def _by_number(doc_id: str) -> list[str | tuple[int, str]]:
    """An id as it is counted: `q9` before `q10`. Numbers may be of any length."""
    parts = _NUMBERS.split(doc_id)
    return [(len(digits := part.lstrip("0")), digits) if place % 2 else part for place, part in enumerate(parts)]
