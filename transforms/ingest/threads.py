"""Finishes a bucket of parsed posts: threads are joined, rows sorted, and what cannot be kept is dropped by name.

A bucket holds whole threads, because a post's bucket is a hash of its thread. Its text is moved once, by the final
sort; every decision is made on ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer.languages import LANGUAGES, may_mean
from transforms.datasets.building import Build
from transforms.datasets.fates import WITHDRAWN, Drop, Reason, Tally
from transforms.datasets.schema import DOCUMENTS, KIND_ORDER, REJECTS, PostKind
from transforms.datasets.shards import write_shard
from transforms.ingest.accounts import Account
from transforms.ingest.facts import FACTS, apply_facts, kept_elsewhere
from transforms.ingest.thread_rules import (
    Keys,
    ThreadRules,
    below_a_post,
    capped,
    drop_row,
    first_of_each_id,
    keys_of,
    num_headless,
    num_missing,
    orphan,
    with_question,
    without_cycles,
    without_elsewhere,
)
from transforms.shuffle.regroup import LOSSY
from transforms.shuffle.runs import Run, merge, write_run
from transforms.shuffle.spills import Bucket
from transforms.sources.records import FILE_REASONS, PARSED

_UNLISTED = "unlisted"  # counted: all stated languages that the table does not list
_LEFT_OPEN = "left-open"  # counted: stated tags that may mean several of the table's, such as zh
_MISSING_PARENT = "missing-parent"  # counted: a reply that is kept though what it replies to is not
MISSING_QUESTION = "missing-question"  # counted by file: a post that is kept though its thread has no question


class Finished(NamedTuple):
    """A bucket ready to be written. documents: DOCUMENTS, sorted; files: the input file of each of them."""

    documents: pa.Table
    files: list[str]
    notes: list[str]
    rejects: pa.Table  # REJECTS, sorted by file and offset
    drops: list[Drop]


def finish(parsed: pa.Table, rules: ThreadRules | None = None, facts: pa.Table | None = None) -> Finished:
    """PARSED rows of one bucket and FACTS of its posts, in any order, to its documents and rejects.

    Memory: the bucket, twice. Time: linear, but for the sort, whatever the size of a thread.
    """
    rules = rules or ThreadRules()
    is_drop = pc.is_valid(parsed.column("reason"))
    drops = list(_parse_drops(parsed.filter(is_drop)))
    posts = parsed.filter(pc.invert(is_drop))
    keys = keys_of(posts)
    facts = FACTS.empty_table() if facts is None else facts
    there, given_way = without_elsewhere(keys, kept_elsewhere(facts))
    unique, duplicates = first_of_each_id(posts, keys, there)
    duplicates += given_way
    kept, orphans = (unique, []) if rules.keep_headless else with_question(unique, keys)
    kept, more_orphans = below_a_post(kept, keys, rules.flat_files)
    withdrawn = {drop.record_id for drop in drops if drop.reason in WITHDRAWN}
    drops = [replace(drop, record_id=None) if drop.reason is Reason.REMOVED_ON_REQUEST else drop for drop in drops]
    kept, looping = without_cycles(kept, keys)
    kept, over = capped(kept, keys, rules.max_thread_posts)
    drops += [drop_row(keys, row, Reason.DUPLICATE_ID, "another record with this id was kept") for row in duplicates]
    drops += [orphan(keys, row, withdrawn) for row in orphans]
    drops += [drop_row(keys, row, Reason.ORPHAN, "its post is not in the input") for row in more_orphans]
    drops += [drop_row(keys, row, Reason.CYCLE, "its parents lead back to it") for row in looping]
    cap = f"its thread has more than {rules.max_thread_posts} posts"
    drops += [drop_row(keys, row, Reason.OVER_THREAD_CAP, cap) for row in over]
    kept.sort(key=lambda row: (keys.thread_id[row], KIND_ORDER[keys.kind[row]], keys.created[row], keys.doc_id[row]))
    drops.sort(key=_drop_order)
    return Finished(
        documents=_documents(posts, kept, keys, facts, rules.voted),
        files=[keys.file[row] for row in kept],
        notes=[
            *(note for note in posts.column("note").take(pa.array(kept, pa.int64())).to_pylist() if note),
            *[_MISSING_PARENT] * num_missing(kept, keys),
        ],
        rejects=_rejects(drops),
        drops=drops,
    )


def _drop_order(drop: Drop) -> tuple[object, ...]:
    """Total: a line of nested answers may leave several drops of one offset."""
    return drop.file, drop.offset, drop.reason.value, drop.record_id or "", drop.detail


def _parse_drops(rows: pa.Table) -> Iterator[Drop]:
    for row in rows.select(REJECTS.names).to_pylist():
        yield Drop(row["file"], row["offset"], row["record_id"], Reason(row["reason"]), row["detail"])


def _documents(posts: pa.Table, kept: Sequence[int], keys: Keys, facts: pa.Table, voted: Collection[str]) -> pa.Table:
    question, answer = PostKind.QUESTION.value, PostKind.ANSWER.value
    accepted_of = {keys.thread_id[row]: keys.accepted_id[row] for row in kept if keys.kind[row] == question}
    accepted = [
        accepted_of.get(keys.thread_id[row]) == keys.doc_id[row] or bool(keys.accepted[row])
        if keys.kind[row] == answer
        else None
        for row in kept
    ]
    taken = posts.take(pa.array(kept, pa.int64()))
    known: dict[str, pa.Array] = {"accepted": pa.array(accepted, pa.bool_())}
    known.update(apply_facts(taken, known["accepted"], facts, voted))
    columns = [
        known[field.name]
        if field.name in known
        else taken.column(field.name)
        if field.name in taken.column_names
        else pa.nulls(len(kept), field.type)
        for field in DOCUMENTS
    ]
    return pa.Table.from_arrays(columns, schema=DOCUMENTS)


def _rejects(drops: Sequence[Drop]) -> pa.Table:
    columns = {
        "file": [drop.file for drop in drops],
        "offset": [drop.offset for drop in drops],
        "record_id": [drop.record_id for drop in drops],
        "reason": [drop.reason.value for drop in drops],
        "detail": [drop.detail for drop in drops],
    }
    return pa.table(columns, schema=REJECTS)


def _counts_of(finished: Finished) -> tuple[Tally, Tally]:
    """The counts of a bucket's two shards: kinds, accepted answers, stated languages, attributes and notes; drops and
    outcomes of files."""
    kept, dropped = Tally(), Tally()
    for code, number in _numbers(finished.documents.column("language").combine_chunks()):
        kept.add("language", code if code in LANGUAGES else _LEFT_OPEN if may_mean(code) else _UNLISTED, number)
    for name, number in _numbers(finished.documents.column("attributes").combine_chunks().flatten().field("name")):
        kept.add("attribute", name, number)
    for kind in finished.documents.column("kind").to_pylist():
        kept.add("kind", kind)
    for accepted in finished.documents.column("accepted").to_pylist():
        if accepted:
            kept.add("accepted", PostKind.ANSWER.value)
    for note in finished.notes:
        for name in note.split():
            kept.add("note", name)
    for drop in finished.drops:
        dropped.add("file" if drop.reason in FILE_REASONS else "drop", drop.reason.value)
    return kept, dropped


def _numbers(values: pa.Array) -> Iterator[tuple[str, int]]:
    """(value, how often it is there)."""
    for entry in values.drop_null().value_counts():
        yield entry["values"].as_py(), entry["counts"].as_py()


@dataclass(frozen=True)
class Target:
    """Where finished buckets go: paths of the data and reject shards of the build, by shard.

    num_parts: buckets a shard; bucket b is a part of shard b modulo the number of shards. With more than one, the
    parts are sorted runs in scratch space, in batches of run_bytes, and merged.
    """

    build: Build
    data_paths: tuple[str, ...]
    reject_paths: tuple[str, ...]
    rules: ThreadRules
    num_parts: int = 1
    run_bytes: int = 1 << 20

    def shard_of(self, bucket: int) -> int:
        """The number of the shard that a bucket is a part of."""
        return bucket % len(self.data_paths)

    def parts_of(self, shard: int) -> list[int]:
        """The buckets of a shard, ascending."""
        return list(range(shard, self.num_parts * len(self.data_paths), len(self.data_paths)))


def _finish_threads(
    buckets: tuple[Bucket, Bucket], target: Target, half_read: Iterable[str]
) -> tuple[Account, int, Run | None]:
    """Finishes a bucket and writes its two shards, or its run; returns the account of its rows, its shard, its run."""
    bucket, facts = buckets
    voted = tuple(sorted({*target.rules.voted} - {*half_read}))
    about = facts.read(FACTS)
    finished = finish(bucket.read(PARSED), replace(target.rules, voted=voted), about)
    kept, dropped = _counts_of(finished)
    shard, run = target.shard_of(bucket.index), None
    if target.num_parts == 1:
        _write(target, shard, [finished.documents], [finished.rejects], kept, dropped)
    else:
        place, size = target.build.scratch, target.run_bytes
        data, rejects = write_run(finished.documents, place, size), write_run(finished.rejects, place, size)
        run = Run(bucket.index, data, rejects, kept.to_dict(), dropped.to_dict())
    account = Account(facts_found=about.num_rows)
    parents = finished.documents.column("parent_id").to_pylist()
    for (file, is_reply), number in Counter(
        (file, parent is not None) for file, parent in zip(finished.files, parents, strict=True)
    ).items():
        entry = account.of_file(file)
        entry.kept += number
        entry.replies += number * is_reply
    if target.rules.keep_headless:
        threads, kinds = (finished.documents.column(name).to_pylist() for name in ("thread_id", "kind"))
        for file, number in num_headless(threads, kinds, finished.files).items():
            account.of_file(file).noted[MISSING_QUESTION] += number
    for drop in finished.drops:
        account.dropped(drop)
    return account, shard, run


def merge_runs(grouped: tuple[int, Iterable[Run]], target: Target) -> None:
    """Writes the two shards of a number from the runs of all its parts. Raises ValueError unless each came once."""
    shard, runs = grouped
    parts = list(runs)
    if sorted(run.bucket for run in parts) != target.parts_of(shard):
        raise ValueError(
            f"the Beam runner has lost or doubled parts of shard {shard} of {target.build.work}: parts "
            f"{sorted(run.bucket for run in parts)} came, out of {target.parts_of(shard)}. {LOSSY}"
        )
    kept, dropped = Tally(), Tally()
    for run in parts:
        kept.merge(run.kept)
        dropped.merge(run.dropped)
    documents = merge([run.data for run in parts], DOCUMENTS, ("thread_id",))  # a thread lies in one run
    rejects = merge([run.rejects for run in parts], REJECTS, ("file", "offset", "reason", "record_id", "detail"))
    _write(target, shard, documents, rejects, kept, dropped)


def _write(
    target: Target, shard: int, documents: Iterable[pa.Table], rejects: Iterable[pa.Table], kept: Tally, dropped: Tally
) -> None:
    write_shard(target.build, target.data_paths[shard], DOCUMENTS, documents, "doc_id", kept.to_dict())
    write_shard(target.build, target.reject_paths[shard], REJECTS, rejects, None, dropped.to_dict())
    pa.default_memory_pool().release_unused()  # the allocator would keep it


def _run_of(finished: tuple[Account, int, Run | None]) -> tuple[int, Run | None]:
    _, shard, run = finished
    return shard, run


class FinishThreads(beam.PTransform):
    """Pairs of buckets, of posts and of facts on them, to their shards; yields an Account each.

    half_read: forums whose votes were not all read, so that they count for nobody. Memory: a bucket, a few times over;
    to merge, two batches of run_bytes for each part.
    """

    def __init__(self, target: Target, half_read: beam.PCollection) -> None:
        super().__init__()
        self._target = target
        self._half_read = half_read

    def expand(self, buckets: beam.PCollection) -> beam.PCollection:
        finished = buckets | beam.Map(_finish_threads, self._target, beam.pvalue.AsIter(self._half_read))
        if self._target.num_parts > 1:
            (
                finished
                | "Runs" >> beam.Map(_run_of)
                | "GroupRuns" >> beam.GroupByKey()  # group: num_parts references
                | "MergeRuns" >> beam.Map(merge_runs, self._target)
            )
        return finished | "Account" >> beam.Map(itemgetter(0))
