"""Finds the threads of posts that name only what they reply to, by walking up to what replies to nothing.

A row (post, above) is a step up. In each round every post asks the one above it for its own step, and so goes twice as
far: after k rounds it is 2^k posts up, or has found the thread's first post (pointer jumping: J. Wyllie, "The
Complexity of Parallel Computations", 1979). Posts and those who ask for them meet by a hash of the id, so that a
worker holds a bucket of ids and no dictionary of all posts; a post that knows its thread and was not asked will never
be asked again, and takes no further part. Texts wait in scratch space until the thread is known.

    replies ── by post ───────────────────────────────────────────┐
    steps ── each post once ── ask the one above ── … ── threads ──┴── posts by thread
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.fates import Drop, Reason
from transforms.datasets.ids import bucket_of
from transforms.datasets.schema import PostKind
from transforms.shuffle.regroup import Regroup, RegroupBeside
from transforms.shuffle.spills import Bucket
from transforms.sources.records import PARSED, buckets_of, drops_table

# A step up. found: `above` is the thread; else a post that it replies to, directly or not.
_LINKS = pa.schema([("post", pa.string()), ("above", pa.string()), ("found", pa.bool_()), ("bucket", pa.int32())])
# As rows have it; kept: by a post that was not dropped.
_STEPS = pa.schema([("post", pa.string()), ("above", pa.string()), ("kept", pa.bool_()), ("bucket", pa.int32())])

_ROUNDS = 13
_MAX_DEPTH = 1 << _ROUNDS  # posts in a row, each replying to the one before

_FOUND = "found"
_SELF = "replies-to-itself"  # a note: a post that names itself as what it replies to, and so replies to nothing


@dataclass(frozen=True)
class ThreadSearch:
    """num_buckets: of threads; num_posts_buckets: into which posts are divided while they ask each other."""

    num_buckets: int
    num_posts_buckets: int
    spill_bytes: int = 64 << 20


def steps_table(parsed: pa.Table, num_buckets: int) -> pa.Table:
    """STEPS of PARSED rows that have an id. What was dropped still says what it replies to."""
    post = pc.coalesce(parsed.column("doc_id"), parsed.column("record_id"))
    columns = [post, _parents(post, parsed), parsed.column("reason").is_null()]
    rows = pa.table(columns, names=_STEPS.names[:3]).filter(post.is_valid())
    return rows.append_column("bucket", _buckets(rows.column("post"), num_buckets)).cast(_STEPS)


def replies_table(posts: pa.Table, num_buckets: int) -> pa.Table:
    """PARSED posts, each in the bucket of its own id. Some sets write that a thread's first post replies to itself."""
    post, note = posts.column("doc_id"), posts.column("note")
    parent = _parents(post, posts)
    told = pc.binary_join_element_wise(note, _SELF, " ", null_handling="skip")
    is_self = pc.and_(parent.is_null(), posts.column("parent_id").is_valid())
    known = {"parent_id": parent, "note": pc.if_else(is_self, told, note), "bucket": _buckets(post, num_buckets)}
    for name, column in known.items():
        posts = posts.set_column(PARSED.get_field_index(name), name, column)
    return posts


def _parents(post: pa.ChunkedArray, parsed: pa.Table) -> pa.ChunkedArray:
    parent = parsed.column("parent_id")
    return pc.if_else(pc.fill_null(pc.equal(post, parent), False), pa.scalar(None, pa.string()), parent)


def _links(post: pa.ChunkedArray, above: pa.ChunkedArray, found: pa.Array, num_buckets: int) -> pa.Table:
    return pa.table([post, above, found, _buckets(post, num_buckets)], schema=_LINKS)


def _buckets(ids: pa.ChunkedArray, num_buckets: int) -> pa.Array:
    return pa.array([bucket_of("post", post, num_buckets) for post in ids.to_pylist()], pa.int32())


def first_steps(steps: pa.Table) -> pa.Table:
    """LINKS of the STEPS of one bucket, each post once. What replies to nothing has found its thread: itself.

    Of rows with one id that of a post that was kept decides; then that which replies to nothing, then to the least id.
    """
    steps = _first_of_each(steps, [("kept", "descending")])
    is_top = steps.column("above").is_null()
    above = pc.coalesce(steps.column("above"), steps.column("post"))
    return pa.table([steps.column("post"), above, is_top, steps.column("bucket")], schema=_LINKS)


def _first_of_each(rows: pa.Table, keys: Sequence[tuple[str, str]]) -> pa.Table:
    """The first row of each post by the keys, and then by what it replies to: nothing comes first."""
    ordered = rows.append_column("order", pc.fill_null(rows.column("above"), ""))
    order = pc.sort_indices(ordered, sort_keys=[("post", "ascending"), *keys, ("order", "ascending")])
    rows = rows.take(order).combine_chunks()
    post = rows.column("post")
    is_first = pa.array([True] * min(1, rows.num_rows), pa.bool_())
    if rows.num_rows > 1:
        is_first = pa.concat_arrays([is_first, pc.not_equal(post[1:], post[:-1]).combine_chunks()])
    return rows.filter(is_first)


def ask_above(links: pa.Table, num_buckets: int) -> pa.Table:
    """LINKS of the posts that have not found their thread, each in the bucket of whom it asks."""
    asking = links.filter(pc.invert(links.column("found")))
    bucket = _buckets(asking.column("above"), num_buckets)
    return asking.set_column(_LINKS.get_field_index("bucket"), "bucket", bucket)


def step_up(asking: pa.Table, asked: pa.Table, num_buckets: int) -> tuple[pa.Table, pa.Table]:
    """(LINKS that take part in the next round, LINKS that are done) of one bucket.

    asking: posts that ask for one of this bucket; asked: the posts of the bucket. A post that is not there is the top
    of a thread that the input lacks.
    """
    names = asked.column("post").combine_chunks()
    at = pc.index_in(asking.column("above"), value_set=names)
    there = at.is_valid()
    above = pc.if_else(there, asked.column("above").take(at), asking.column("above"))
    found = pc.if_else(there, asked.column("found").take(at), True)
    moved = _links(asking.column("post"), above, found, num_buckets)
    settled = asked.filter(asked.column("found"))
    was_asked = pc.is_in(settled.column("post"), value_set=asking.column("above").combine_chunks())
    return pa.concat_tables([moved, settled.filter(was_asked)]), settled.filter(pc.invert(was_asked))


def with_threads(posts: pa.Table, threads: pa.Table, num_buckets: int) -> pa.Table:
    """PARSED posts of one bucket with their threads, in their threads' buckets; a drop for each that has none, and for
    each copy of an id that replies to something else than the one that decided."""
    same = _replies_as_decided(posts)
    others = _drops(posts.filter(pc.invert(same)), Reason.DUPLICATE_ID, "another record with this id was kept")
    posts = posts.filter(same)
    at = pc.index_in(posts.column("doc_id"), value_set=threads.column("post").combine_chunks())
    found = threads.column("found").take(at)
    detail = f"its parents lead back to it, or there are more than {_MAX_DEPTH} of them"
    lost = _drops(posts.filter(pc.invert(found)), Reason.CYCLE, detail)
    thread, posts = threads.column("above").take(at).filter(found), posts.filter(found)
    parent = posts.column("parent_id")
    reply = pc.if_else(pc.equal(parent, thread), PostKind.ANSWER.value, PostKind.COMMENT.value)
    known = {
        "thread_id": thread,
        "kind": pc.coalesce(posts.column("kind"), reply, pa.scalar(PostKind.QUESTION.value)),
        "bucket": pa.array(buckets_of(thread.to_pylist(), num_buckets), pa.int32()),
    }
    for name, column in known.items():
        posts = posts.set_column(PARSED.get_field_index(name), name, column)
    return pa.concat_tables([posts.cast(PARSED), drops_table([*others, *lost], num_buckets)])


def _replies_as_decided(posts: pa.Table) -> pa.ChunkedArray:
    """[rows] whether a post replies to what that of its id replies to whose step was taken."""
    rows = pa.table({"post": posts.column("doc_id"), "above": posts.column("parent_id")})
    decided = _first_of_each(rows, [])
    at = pc.index_in(rows.column("post"), value_set=decided.column("post").combine_chunks())
    return pc.equal(
        pc.fill_null(rows.column("above"), ""), pc.fill_null(decided.column("above"), "").combine_chunks().take(at)
    )


def _drops(posts: pa.Table, reason: Reason, detail: str) -> list[Drop]:
    rows = posts.select(["file", "offset", "doc_id"]).to_pylist()
    return [Drop(row["file"], row["offset"], row["doc_id"], reason, detail) for row in rows]


def _first_steps(bucket: Bucket) -> pa.Table:
    return first_steps(bucket.read(_STEPS))


class _AnswerFn(beam.DoFn):
    def __init__(self, num_buckets: int) -> None:
        self._num_buckets = num_buckets

    def process(self, buckets: tuple[Bucket, Bucket]) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
        asking, asked = (bucket.read(_LINKS) for bucket in buckets)
        go_on, done = step_up(asking, asked, self._num_buckets)
        yield go_on
        yield beam.pvalue.TaggedOutput(_FOUND, done)


def _join(buckets: tuple[Bucket, Bucket], num_buckets: int) -> pa.Table:
    posts, threads = buckets
    return with_threads(posts.read(PARSED), threads.read(_LINKS), num_buckets)


class FindThreads(beam.PTransform):
    """(_LINKS tables, PARSED tables of the posts in the buckets of their ids) to PARSED tables by thread.

    Memory: a bucket of ids, and of posts, a few times over; num_posts_buckets makes it fit. In scratch space the texts
    lie once more, and in each round the ids of those who still take part.
    """

    def __init__(self, scratch: str, search: ThreadSearch) -> None:
        super().__init__()
        self._scratch = scratch
        self._search = search

    def expand(self, tables: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        steps, replies = tables
        number, spill = self._search.num_posts_buckets, self._search.spill_bytes
        going = steps | "ByPost" >> Regroup(self._scratch, number, spill) | "FirstSteps" >> beam.Map(_first_steps)
        threads = []
        for turn in range(1, _ROUNDS + 1):
            asking = going | f"Ask{turn}" >> beam.Map(ask_above, number)
            round_ = (
                (asking, going)
                | f"Meet{turn}" >> RegroupBeside(self._scratch, number, spill)
                | f"Answer{turn}" >> beam.ParDo(_AnswerFn(number)).with_outputs(_FOUND, main="going")
            )
            going = round_["going"]
            threads.append(round_[_FOUND])
        return (
            (replies, (*threads, going))
            | "Join" >> RegroupBeside(self._scratch, number, spill)
            | "WithThreads" >> beam.Map(_join, self._search.num_buckets)
        )
