"""Joins what names a post by its number with that post: votes, links between questions, and comments.

A row of Votes, PostLinks or Comments does not say in which thread its post stands. So marks and comments are regrouped
by post, beside one narrow row for every post; here they meet, and facts and comments leave for their thread's bucket.
Comments are so the only text that is spilled twice: where a comment's thread is not known when it is parsed, it must
meet its post before it can meet its thread (design, law 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.fates import Drop, Reason
from transforms.datasets.schema import TIME
from transforms.ingest.accounts import Account
from transforms.ingest.facts import FACTS
from transforms.shuffle.regroup import RegroupBeside
from transforms.shuffle.spills import Bucket
from transforms.sources.marks import (
    ACCEPT,
    BOUNTY_CLOSE,
    BOUNTY_START,
    DOWN,
    DUPLICATE,
    ID_LIMIT,
    LINK,
    MARKS,
    NO_TIME,
    POST,
    UP,
    kind_name,
)
from transforms.sources.records import PARSED, drops_table

# Comments on their way to their post.
COMMENTS = PARSED.append(pa.field("key", pa.int64()))

_FACTS, _ACCOUNTS = "facts", "accounts"
_NONE = (1 << 63) - 1

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class JoinSpec:
    """What the numbers in marks stand for. num_posts_buckets: into which posts are divided for the join.

    copy_of: by a file's number, that of the first file with the same content; (): no two have the same.
    """

    forums: tuple[str, ...]
    files: tuple[str, ...]
    num_buckets: int
    num_posts_buckets: int
    spill_bytes: int = 64 << 20
    copy_of: tuple[int, ...] = ()


class Joined(NamedTuple):
    """facts: FACTS; comments: PARSED, those without a post as drops; account: of the marks' files."""

    facts: pa.Table
    comments: pa.Table
    account: Account


class _Posts(NamedTuple):
    """Posts by ascending key, each once."""

    key: Numbers
    thread: Numbers
    bucket: Numbers

    def find(self, keys: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        """(place of each key, whether it is there)."""
        places = np.searchsorted(self.key, keys)
        places[places == len(self.key)] = 0
        there = self.key[places] == keys if len(self.key) else np.zeros(len(keys), bool)
        return places, there


class _Marks(NamedTuple):
    kind: Numbers
    key: Numbers
    value: Numbers
    file: Numbers

    def where(self, chosen: npt.NDArray[np.bool_]) -> _Marks:
        return _Marks(*(column[chosen] for column in self))


def join_marks(marks: pa.Table, comments: pa.Table, spec: JoinSpec) -> Joined:
    """MARKS and COMMENTS of one bucket of posts, in any order. Memory: the bucket, a few times over."""
    account = Account()
    is_post = pc.equal(marks.column("kind"), POST)
    rows = marks.filter(is_post)
    _count_shared(rows, spec, account)
    posts, elsewhere = _posts(rows)
    given = _once(marks.filter(pc.invert(is_post)), spec, account)
    places, there = posts.find(given.key)
    _count_unused(given.where(~there), Reason.ORPHAN, spec, account)
    given, places = given.where(there), places[there]
    # A link from a question to itself, or from what is no question, says of no question that it is a duplicate.
    odd = (given.kind == DUPLICATE) & ((given.value == given.key) | (posts.thread[places] != given.key))
    _count_unused(given.where(odd), Reason.OTHER_LINK, spec, account)
    given, places = given.where(~odd), places[~odd]
    _count_used(given, spec, account)
    facts = pa.concat_tables([_facts(posts, given, places, spec), _elsewhere(elsewhere, spec)])
    return Joined(facts, _with_thread(comments, posts, spec), account)


def _posts(rows: pa.Table) -> tuple[_Posts, _Posts]:
    """(posts, each in the first of its threads; posts whose id the first of several threads keeps)."""
    key, thread, bucket = (rows.column(name).to_numpy() for name in ("key", "value", "id"))
    order = np.lexsort((thread, key))
    key, thread, bucket = key[order], thread[order], bucket[order]
    new_key = np.ones(len(key), bool)
    new_key[1:] = key[1:] != key[:-1]
    new_thread = new_key.copy()
    new_thread[1:] |= thread[1:] != thread[:-1]
    others = new_thread & ~new_key
    return _Posts(key[new_key], thread[new_key], bucket[new_key]), _Posts(key[others], thread[others], bucket[others])


def _count_shared(rows: pa.Table, spec: JoinSpec, account: Account) -> None:
    """Posts whose number stands in tables of other content, under one site."""
    key = rows.column("key").to_numpy()
    table = np.array(spec.copy_of or range(len(spec.files)))[rows.column("file").to_numpy()]
    order = np.lexsort((table, key))
    key, table = key[order], table[order]
    shared = (key[1:] == key[:-1]) & (table[1:] != table[:-1])
    pairs, numbers = np.unique(np.stack((table[:-1][shared], table[1:][shared])), axis=1, return_counts=True)
    for (one, other), number in zip(pairs.T, numbers, strict=True):
        account.of_file(spec.files[one]).shared[spec.files[other]] += int(number)


def _once(rows: pa.Table, spec: JoinSpec, account: Account) -> _Marks:
    """Marks, each id once: the same vote may come in two files."""
    kind, key, value, file, own = (
        rows.column(name).to_numpy().astype(np.int64) for name in ("kind", "key", "value", "file", "id")
    )
    is_link = kind >= LINK
    order = np.lexsort((file, value, kind, own, key, is_link))
    first = np.ones(len(order), bool)
    for column in (is_link, key, own):
        ordered = column[order]
        if column is is_link:
            first[1:] = ordered[1:] != ordered[:-1]
        else:
            first[1:] |= ordered[1:] != ordered[:-1]
    marks = _Marks(*(column[order] for column in (kind, key, value, file)))
    _count_unused(marks.where(~first), Reason.DUPLICATE_ID, spec, account)
    return marks.where(first)


def _facts(posts: _Posts, given: _Marks, places: Numbers, spec: JoinSpec) -> pa.Table:
    num_posts = len(posts.key)

    def count(kind: int) -> Numbers:
        return np.bincount(places[given.kind == kind], minlength=num_posts).astype(np.int64)

    ups, downs = count(UP), count(DOWN)
    accepted_at = np.full(num_posts, NO_TIME)
    accepts = given.kind == ACCEPT
    np.maximum.at(accepted_at, places[accepts], given.value[accepts])
    duplicate_of = np.full(num_posts, _NONE)
    links = given.kind == DUPLICATE
    np.minimum.at(duplicate_of, places[links], given.value[links])
    bounty = count(BOUNTY_START) + count(BOUNTY_CLOSE) > 0
    said = (ups > 0) | (downs > 0) | (accepted_at != NO_TIME) | (duplicate_of != _NONE) | bounty
    duplicates = duplicate_of[said]
    linked = duplicates != _NONE
    columns = {
        "doc_id": _ids(posts.key[said], spec),
        "thread_id": _ids(posts.thread[said], spec),
        "ups": pa.array(ups[said]),
        "downs": pa.array(downs[said]),
        "accepted_at": pa.array(accepted_at[said], mask=accepted_at[said] == NO_TIME).cast(TIME),
        "duplicate_of": pc.if_else(pa.array(linked), _ids(np.where(linked, duplicates, 0), spec), None),
        "bounty": pa.array(bounty[said]),
        "elsewhere": pa.array(np.zeros(int(said.sum()), bool)),
        "bucket": pa.array(posts.bucket[said]).cast(pa.int32()),
    }
    return pa.table(columns, schema=FACTS)


def _elsewhere(posts: _Posts, spec: JoinSpec) -> pa.Table:
    num_posts = len(posts.key)
    known = {
        "doc_id": _ids(posts.key, spec),
        "thread_id": _ids(posts.thread, spec),
        "elsewhere": pa.array(np.ones(num_posts, bool)),
        "bucket": pa.array(posts.bucket).cast(pa.int32()),
    }
    return pa.table({field.name: known.get(field.name, pa.nulls(num_posts, field.type)) for field in FACTS}, FACTS)


def _ids(keys: Numbers, spec: JoinSpec) -> pa.Array:
    """The document ids of posts."""
    forums = pa.array(spec.forums, pa.string()).take(pa.array(keys // ID_LIMIT))
    return pc.binary_join_element_wise(forums, pa.array(keys % ID_LIMIT).cast(pa.string()), ":")


def _with_thread(comments: pa.Table, posts: _Posts, spec: JoinSpec) -> pa.Table:
    """The comments as PARSED rows of their threads' buckets; those under no post as drops."""
    places, there = posts.find(comments.column("key").to_numpy())
    kept = comments.filter(pa.array(there)).select(PARSED.names)
    threads = _ids(posts.thread[places[there]], spec)
    buckets = pa.array(posts.bucket[places[there]]).cast(pa.int32())
    kept = kept.set_column(PARSED.get_field_index("thread_id"), "thread_id", threads)
    kept = kept.set_column(PARSED.get_field_index("bucket"), "bucket", buckets)
    lost = comments.filter(pa.array(~there)).select(["file", "offset", "doc_id"]).to_pylist()
    drops = [
        Drop(row["file"], row["offset"], row["doc_id"], Reason.ORPHAN, "its post is not in the input") for row in lost
    ]
    return pa.concat_tables([kept.cast(PARSED), drops_table(drops, spec.num_buckets)])


def _count_unused(marks: _Marks, reason: Reason, spec: JoinSpec, account: Account) -> None:
    for file, number in zip(*np.unique(marks.file, return_counts=True), strict=True):
        account.of_file(spec.files[file]).unused[reason.value] += int(number)


def _count_used(marks: _Marks, spec: JoinSpec, account: Account) -> None:
    pairs, numbers = np.unique(np.stack((marks.file, marks.kind)), axis=1, return_counts=True)
    for (file, kind), number in zip(pairs.T, numbers, strict=True):
        account.of_file(spec.files[file]).used[kind_name(int(kind))] += int(number)


def comments_table(parsed: pa.Table, forum: int, prefix: str, num_buckets: int) -> pa.Table:
    """COMMENTS of PARSED comments of one forum, each in the bucket of its post. prefix: of the forum's posts' ids."""
    key = pc.add(pc.utf8_slice_codeunits(parsed.column("parent_id"), len(prefix)).cast(pa.int64()), forum * ID_LIMIT)
    keyed = parsed.append_column("key", key)
    bucket = pa.array(key.to_numpy() % num_buckets).cast(pa.int32())
    return keyed.set_column(COMMENTS.get_field_index("bucket"), "bucket", bucket).cast(COMMENTS)


class _JoinFn(beam.DoFn):
    def __init__(self, spec: JoinSpec) -> None:
        self._spec = spec

    def process(self, buckets: tuple[Bucket, Bucket]) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
        marks, comments = buckets
        joined = join_marks(marks.read(MARKS), comments.read(COMMENTS), self._spec)
        joined.account.facts_made += joined.facts.num_rows
        yield joined.comments
        yield beam.pvalue.TaggedOutput(_FACTS, joined.facts)
        yield beam.pvalue.TaggedOutput(_ACCOUNTS, joined.account)


class JoinMarks(beam.PTransform):
    """(MARKS tables, COMMENTS tables) to (comments as PARSED tables, FACTS tables, accounts).

    Memory: one bucket of posts with its marks and comments a worker; num_posts_buckets makes it fit.
    """

    def __init__(self, spill_place: str, spec: JoinSpec) -> None:
        super().__init__()
        self._place = spill_place
        self._spec = spec

    def expand(
        self, tables: tuple[beam.PCollection, beam.PCollection]
    ) -> tuple[beam.PCollection, beam.PCollection, beam.PCollection]:
        number, spill = self._spec.num_posts_buckets, self._spec.spill_bytes
        outputs = (
            tables
            | "Regroup" >> RegroupBeside(self._place, number, spill)
            | "Join" >> beam.ParDo(_JoinFn(self._spec)).with_outputs(_FACTS, _ACCOUNTS, main="comments")
        )
        return outputs["comments"], outputs[_FACTS], outputs[_ACCOUNTS]
