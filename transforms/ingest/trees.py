"""Comment trees: who replies to whom, when dumps may lack posts or contradict themselves. Linear, without recursion."""

from __future__ import annotations

from collections.abc import Sequence

MISSING = -1  # the parent is not there, or is itself the top of the tree


def parent_rows(ids: Sequence[str], parent_ids: Sequence[str | None]) -> list[int]:
    """For every post the place of its parent in `ids`, or MISSING."""
    row_of = {post: row for row, post in enumerate(ids)}
    return [MISSING if parent is None else row_of.get(parent, MISSING) for parent in parent_ids]


def on_cycles(parents: Sequence[int]) -> list[int]:
    """The posts whose parents lead back to themselves, ascending; not those that merely hang below a cycle.

    parents: for every post the place of its parent, or MISSING.
    """
    seen = bytearray(len(parents))  # 1: on the path that is being followed, 2: followed before
    found: list[int] = []
    for start in range(len(parents)):
        path: list[int] = []
        post = start
        while post != MISSING and not seen[post]:
            seen[post] = 1
            path.append(post)
            post = parents[post]
        if post != MISSING and seen[post] == 1:
            found += path[path.index(post) :]
        for followed in path:
            seen[followed] = 2
    return sorted(found)
