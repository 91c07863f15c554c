"""Marks: what a row says of a post by the post's number, on its way to the post: votes, and links between questions.

A mark is a row of numbers, whatever forum it is of, and so is the row that says in which thread a post stands. The
numbers of kinds are those of Stack Exchange's votes and links (meta.stackexchange.com/q/2677), which are the field's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.fates import Reason

# A mark on its way to the post it names, and for each post a row that says in which thread it stands.
MARKS = pa.schema(
    [
        ("key", pa.int64()),  # of the post
        ("kind", pa.int16()),  # POST, the type of a vote, or LINK + the type of a link
        ("id", pa.int64()),  # of the vote or link; a post: its thread's bucket
        # a vote: milliseconds since 1970, or NO_TIME; a link: the other post's key; a post: its thread's key
        ("value", pa.int64()),
        ("file", pa.int32()),  # number of the file among the inputs
        ("bucket", pa.int32()),
    ]
)
# Numbers of posts, comments and votes lie below this; Stack Overflow's are below 2**28.
ID_LIMIT = 1 << 40
NO_TIME = -(1 << 63)  # of a vote whose date cannot be read: it counts as any other
POST = 0
ACCEPT, UP, DOWN, BOUNTY_START, BOUNTY_CLOSE = 1, 2, 3, 8, 9
LINK = 1000
DUPLICATE = LINK + 3

_USED_KINDS = (ACCEPT, UP, DOWN, BOUNTY_START, BOUNTY_CLOSE, DUPLICATE)
_KIND_NAMES: Mapping[int, str] = {
    1: "accept", 2: "up", 3: "down", 4: "offensive", 5: "favorite", 6: "close", 7: "reopen", 8: "bounty-start",
    9: "bounty-close", 10: "deletion", 11: "undeletion", 12: "spam", 15: "moderator-review", 16: "approve-edit",
    LINK + 1: "link", DUPLICATE: "duplicate",
}  # fmt: skip

Numbers = npt.NDArray[np.int64]


class Marks(NamedTuple):
    """Marks of one file, in the order of its rows. Numbers of posts, not yet keys."""

    id: Numbers
    post: Numbers
    kind: Numbers
    value: Numbers  # votes: milliseconds or NO_TIME; links: the number of the other post


def kind_name(kind: int) -> str:
    """The name of a kind in accounts."""
    return _KIND_NAMES.get(kind, f"type-{kind % LINK}")


def _post_key(number: Numbers, forum: int) -> Numbers:
    """Of a post among all posts of all forums; `forum` is the forum's number among the inputs."""
    return number + forum * ID_LIMIT


def num_unused(marks: Marks) -> dict[str, int]:
    """How many marks are of kinds that nobody uses, by reason."""
    unused = ~np.isin(marks.kind, _USED_KINDS)
    links = unused & (marks.kind >= LINK)
    found = {Reason.OTHER_LINK.value: int(links.sum()), Reason.OTHER_VOTE.value: int((unused & ~links).sum())}
    return {reason: number for reason, number in found.items() if number}


def marks_table(marks: Marks, forum: int, file: int, num_buckets: int) -> pa.Table:
    """MARKS of those that are used; the bucket is that of the post."""
    used = np.isin(marks.kind, _USED_KINDS)
    own, post, kind, value = (column[used] for column in marks)
    key = _post_key(post, forum)
    value = np.where(kind >= LINK, _post_key(value, forum), value)
    return _table(key, kind, own, value, np.full(len(own), file), num_buckets)


def posts_table(parsed: pa.Table, forum: int, prefix: str, num_buckets: int, file: int = 0) -> pa.Table:
    """MARKS that say in which thread each kept post of a PARSED table of one forum stands. prefix: of its ids."""
    rows = parsed.select(["doc_id", "thread_id", "bucket"]).filter(pc.is_null(parsed.column("reason")))
    post, thread = (
        pc.utf8_slice_codeunits(rows.column(name), len(prefix)).cast(pa.int64()).to_numpy()
        for name in ("doc_id", "thread_id")
    )
    zeros = np.zeros(len(post), np.int64)
    bucket = rows.column("bucket").to_numpy().astype(np.int64)
    return _table(_post_key(post, forum), zeros, bucket, _post_key(thread, forum), zeros + file, num_buckets)


def _table(key: Numbers, kind: Numbers, own: Numbers, value: Numbers, file: Numbers, num_buckets: int) -> pa.Table:
    columns = (key, kind, own, value, file, key % num_buckets)
    arrays = [pa.array(column).cast(field.type) for column, field in zip(columns, MARKS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=MARKS)
