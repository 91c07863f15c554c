"""Which posts of a bucket stay: every decision that joining threads makes, on ids, kinds, times and scores alone.

Each function takes rows (their numbers in the bucket's table) and gives back those that stay and those that do not.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from transforms.datasets.fates import Drop, Reason
from transforms.datasets.schema import DOCUMENTS, KIND_ORDER, PostKind
from transforms.ingest.trees import on_cycles, parent_rows

# Plain strings: looking a member up in its class costs more than comparing it.
_QUESTION, _ANSWER, _COMMENT = PostKind.QUESTION.value, PostKind.ANSWER.value, PostKind.COMMENT.value
_BELOW_QUESTION = (_ANSWER, _COMMENT)
_FIRST = -(1 << 63)  # a post without a time sorts before those with one


class Keys(NamedTuple):
    """The columns that decisions are made on, as Python lists."""

    doc_id: list[str]
    thread_id: list[str]
    parent_id: list[str | None]
    kind: list[str]
    created: list[int]
    accepted_id: list[str | None]
    accepted: list[bool | None]
    score: list[int | None]
    file: list[str]
    offset: list[int]


@dataclass(frozen=True)
class ThreadRules:
    """Which posts of a thread stay.

    keep_headless: posts whose question is not in the input are kept, as threads without a question. max_thread_posts:
    of a thread with more posts only the first so many stay (see `capped`); None: all. voted: forums whose votes are in
    the input, so that a post of theirs without votes has none. flat_files: the input files whose comments stand under
    a question or an answer, and go with it; those of others reply to comments too, and stay.
    """

    keep_headless: bool = False
    max_thread_posts: int | None = None
    voted: tuple[str, ...] = ()
    flat_files: frozenset[str] = frozenset()


def keys_of(posts: pa.Table) -> Keys:
    """The keys of PARSED posts, row by row."""
    times = posts.column("created").cast(pa.int64()).fill_null(_FIRST).to_pylist()
    values = {name: posts.column(name).to_pylist() for name in Keys._fields if name != "created"}
    return Keys(created=times, **values)


def first_of_each_id(posts: pa.Table, keys: Keys, rows: Sequence[int]) -> tuple[list[int], list[int]]:
    """(kept rows, other rows). Of the rows with one id the earliest stays, then that of the smallest content hash; one
    without a time only where all are.

    A bucket sees the rows of its own threads. An id given to posts of several threads is found before: by `join_marks`
    among numbered posts, whose comments' ids begin with their post's, and by `find_threads`; elsewhere an id that is
    unique in its thread is taken to be so over all (Reddit's are; those of mapped answers begin with their question's).
    """
    row_of: dict[str, int] = {}
    shared: dict[str, list[int]] = {}
    for row in rows:
        doc_id = keys.doc_id[row]
        first = row_of.setdefault(doc_id, row)
        if first != row:
            shared.setdefault(doc_id, [first]).append(row)
    duplicates: list[int] = []
    for doc_id, same in shared.items():
        same.sort(
            key=lambda row: (
                keys.created[row] == _FIRST,
                keys.created[row],
                _content_hash(posts, row),
                keys.file[row],
                keys.offset[row],
            )
        )
        row_of[doc_id] = same[0]
        duplicates.extend(same[1:])
    return list(row_of.values()), duplicates


def _content_hash(posts: pa.Table, row: int) -> str:
    """Of what will be stored of a row: equal only for rows that give the same bytes, wherever they came from."""
    stored = [name for name in (*DOCUMENTS.names, "accepted_id") if name in posts.column_names]
    one = posts.slice(row, 1).select(stored)
    whole = [pa.field(field.name, pa.int64()) if pa.types.is_timestamp(field.type) else field for field in one.schema]
    values = one.cast(pa.schema(whole)).to_pylist()[0]  # Python has no year 10000, Arrow has
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def with_question(rows: Sequence[int], keys: Keys) -> tuple[list[int], list[int]]:
    """(rows that belong to a question or are one, answers and comments whose question is not there)."""
    questions = {keys.thread_id[row] for row in rows if keys.kind[row] == _QUESTION}
    kept: list[int] = []
    orphans: list[int] = []
    for row in rows:
        is_orphan = keys.kind[row] in _BELOW_QUESTION and keys.thread_id[row] not in questions
        (orphans if is_orphan else kept).append(row)
    return kept, orphans


def num_headless(threads: Sequence[str], kinds: Sequence[str], files: Sequence[str]) -> Counter[str]:
    """Of kept posts, by file: answers and comments in threads without a question."""
    posts = list(zip(threads, kinds, files, strict=True))
    questions = {thread for thread, kind, _ in posts if kind == _QUESTION}
    return Counter(file for thread, kind, file in posts if kind in _BELOW_QUESTION and thread not in questions)


def orphan(keys: Keys, row: int, withdrawn: Container[str | None]) -> Drop:
    """The drop of a row whose question is not there. withdrawn: ids of questions that somebody took back or down."""
    if keys.thread_id[row] in withdrawn:
        return drop_row(keys, row, Reason.QUESTION_REMOVED, "its question was deleted or removed")
    return drop_row(keys, row, Reason.ORPHAN, "its question is not in the input")


def without_elsewhere(keys: Keys, elsewhere: Container[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """(rows that stay, rows with an id that a post of another thread keeps)."""
    stay: list[int] = []
    given_way: list[int] = []
    for row, post in enumerate(zip(keys.doc_id, keys.thread_id, strict=True)):
        (given_way if post in elsewhere else stay).append(row)
    return stay, given_way


def below_a_post(rows: Sequence[int], keys: Keys, flat: Collection[str]) -> tuple[list[int], list[int]]:
    """(rows that stay, comments under a post that does not). flat: files whose comments are nothing without it."""
    if not flat or _COMMENT not in keys.kind:
        return list(rows), []
    there = {keys.doc_id[row] for row in rows}
    kept: list[int] = []
    orphans: list[int] = []
    for row in rows:
        is_flat = keys.kind[row] == _COMMENT and keys.file[row] in flat
        (orphans if is_flat and keys.parent_id[row] not in there else kept).append(row)
    return kept, orphans


def capped(rows: Sequence[int], keys: Keys, max_posts: int | None) -> tuple[list[int], list[int]]:
    """(rows that stay, rows of a thread beyond its first max_posts).

    First comes the question, then answers by falling score, then comments; equals by time, then by id.
    """
    if max_posts is None:
        return list(rows), []
    crowded = {thread for thread, posts in Counter(keys.thread_id[row] for row in rows).items() if posts > max_posts}
    kept = [row for row in rows if keys.thread_id[row] not in crowded]
    over: list[int] = []
    seen: Counter[str] = Counter()
    for row in sorted((row for row in rows if keys.thread_id[row] in crowded), key=lambda row: _rank(row, keys)):
        seen[keys.thread_id[row]] += 1
        (kept if seen[keys.thread_id[row]] <= max_posts else over).append(row)
    return kept, over


def _rank(row: int, keys: Keys) -> tuple[object, ...]:
    score = (keys.score[row] or 0) if keys.kind[row] == _ANSWER else 0
    return KIND_ORDER[keys.kind[row]], -score, keys.created[row], keys.doc_id[row]


def without_cycles(rows: Sequence[int], keys: Keys) -> tuple[list[int], list[int]]:
    """(rows that stay, comments on a cycle of replies)."""
    comments = [row for row in rows if keys.kind[row] == _COMMENT]
    if not comments:
        return list(rows), []
    ids = [keys.doc_id[row] for row in comments]
    above = [keys.parent_id[row] for row in comments]
    looping = {comments[place] for place in on_cycles(parent_rows(ids, above))}
    return [row for row in rows if row not in looping], sorted(looping)


def num_missing(rows: Sequence[int], keys: Keys) -> int:
    """How many comments stay though what they reply to does not."""
    if _COMMENT not in keys.kind:
        return 0
    there = {keys.doc_id[row] for row in rows}
    return sum(keys.kind[row] == _COMMENT and keys.parent_id[row] not in there for row in rows)


def drop_row(keys: Keys, row: int, reason: Reason, detail: str) -> Drop:
    """The drop of a row for a reason."""
    return Drop(keys.file[row], keys.offset[row], keys.doc_id[row], reason, detail)
