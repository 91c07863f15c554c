"""Finishes a bucket of parsed posts: threads are joined, rows sorted, and what cannot be kept is dropped by name.

A bucket holds whole threads, because a post's bucket is a hash of its thread. Its text is moved once, by the final
sort; every decision is made on ids.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from transforms.accounts import Account
from transforms.fates import Drop, Reason, Tally
from transforms.regroup import Bucket
from transforms.schema import DOCUMENTS, KIND_ORDER, REJECTS, PostKind
from transforms.shards import write_shard
from transforms.sources.records import FILE_REASONS, PARSED

_FIRST = -(1 << 63)  # a post without a time sorts before those with one


class Finished(NamedTuple):
    """A bucket ready to be written. documents: DOCUMENTS, sorted; files: the input file of each of them."""

    documents: pa.Table
    files: list[str]
    notes: list[str]
    rejects: pa.Table  # REJECTS, sorted by file and offset
    drops: list[Drop]


class _Keys(NamedTuple):
    """The columns that decisions are made on, as Python lists."""

    doc_id: list[str]
    thread_id: list[str]
    kind: list[str]
    created: list[int]
    accepted_id: list[str | None]
    file: list[str]
    offset: list[int]


def finish(parsed: pa.Table) -> Finished:
    """PARSED rows of one bucket, in any order, to its documents and rejects. Memory: the bucket, twice."""
    is_drop = pc.is_valid(parsed.column("reason"))
    drops = list(_parse_drops(parsed.filter(is_drop)))
    posts = parsed.filter(pc.invert(is_drop))
    keys = _keys(posts)
    unique, duplicates = _first_of_each_id(posts, keys)
    kept, orphans = _with_question(unique, keys)
    drops += [_drop(keys, row, Reason.DUPLICATE_ID, "another record with this id was kept") for row in duplicates]
    drops += [_drop(keys, row, Reason.ORPHAN, "its question is not in the input") for row in orphans]
    kept.sort(key=lambda row: (keys.thread_id[row], KIND_ORDER[keys.kind[row]], keys.created[row], keys.doc_id[row]))
    drops.sort(key=lambda drop: (drop.file, drop.offset, drop.reason.value))
    return Finished(
        documents=_documents(posts, kept, keys),
        files=[keys.file[row] for row in kept],
        notes=[note for note in posts.column("note").take(pa.array(kept, pa.int64())).to_pylist() if note],
        rejects=_rejects(drops),
        drops=drops,
    )


def _keys(posts: pa.Table) -> _Keys:
    times = posts.column("created").cast(pa.int64()).fill_null(_FIRST).to_pylist()
    values = {name: posts.column(name).to_pylist() for name in _Keys._fields if name != "created"}
    return _Keys(created=times, **values)


def _parse_drops(rows: pa.Table) -> Iterator[Drop]:
    for row in rows.select(REJECTS.names).to_pylist():
        yield Drop(row["file"], row["offset"], row["record_id"], Reason(row["reason"]), row["detail"])


def _first_of_each_id(posts: pa.Table, keys: _Keys) -> tuple[list[int], list[int]]:
    """(kept rows, other rows). Of the rows with one id the earliest stays, then that of the smallest content hash."""
    row_of: dict[str, int] = {}
    shared: dict[str, list[int]] = {}
    for row, doc_id in enumerate(keys.doc_id):
        first = row_of.setdefault(doc_id, row)
        if first != row:
            shared.setdefault(doc_id, [first]).append(row)
    duplicates: list[int] = []
    for doc_id, rows in shared.items():
        rows.sort(key=lambda row: (keys.created[row], _content_hash(posts, row), keys.file[row], keys.offset[row]))
        row_of[doc_id] = rows[0]
        duplicates.extend(rows[1:])
    return list(row_of.values()), duplicates


def _content_hash(posts: pa.Table, row: int) -> str:
    """Of what will be stored of a row: equal only for rows that give the same bytes, wherever they came from."""
    stored = [name for name in (*DOCUMENTS.names, "accepted_id") if name in posts.column_names]
    values = posts.slice(row, 1).select(stored).to_pylist()[0]
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _with_question(rows: Sequence[int], keys: _Keys) -> tuple[list[int], list[int]]:
    """(rows that belong to a question or are one, answers whose question is not there)."""
    questions = {keys.thread_id[row] for row in rows if keys.kind[row] == PostKind.QUESTION}
    kept: list[int] = []
    orphans: list[int] = []
    for row in rows:
        is_orphan = keys.kind[row] == PostKind.ANSWER and keys.thread_id[row] not in questions
        (orphans if is_orphan else kept).append(row)
    return kept, orphans


def _drop(keys: _Keys, row: int, reason: Reason, detail: str) -> Drop:
    return Drop(keys.file[row], keys.offset[row], keys.doc_id[row], reason, detail)


def _documents(posts: pa.Table, kept: Sequence[int], keys: _Keys) -> pa.Table:
    accepted_of = {keys.thread_id[row]: keys.accepted_id[row] for row in kept if keys.kind[row] == PostKind.QUESTION}
    accepted = [
        accepted_of[keys.thread_id[row]] == keys.doc_id[row] if keys.kind[row] == PostKind.ANSWER else None
        for row in kept
    ]
    taken = posts.take(pa.array(kept, pa.int64()))
    known = {"accepted": pa.array(accepted, pa.bool_())}
    columns = [
        taken.column(field.name)
        if field.name in taken.column_names
        else known.get(field.name, pa.nulls(len(kept), field.type))
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


def counts_of(finished: Finished) -> tuple[Tally, Tally]:
    """The counts of a bucket's two shards: kinds, accepted answers and notes; drops and outcomes of files."""
    kept, dropped = Tally(), Tally()
    for kind in finished.documents.column("kind").to_pylist():
        kept.add("kind", kind)
    for accepted in finished.documents.column("accepted").to_pylist():
        if accepted:
            kept.add("accepted", PostKind.ANSWER.value)
    for note in finished.notes:
        kept.add("note", note)
    for drop in finished.drops:
        dropped.add("file" if drop.reason in FILE_REASONS else "drop", drop.reason.value)
    return kept, dropped


@dataclass(frozen=True)
class Target:
    """Where finished buckets go: paths of the data and reject shards below `place`, by bucket."""

    place: str
    fingerprint: str
    data_paths: tuple[str, ...]
    reject_paths: tuple[str, ...]


def finish_threads(bucket: Bucket, target: Target) -> Account:
    """Finishes a bucket, writes its two shards, and returns the account of its rows by input file."""
    finished = finish(bucket.read(PARSED))
    kept, dropped = counts_of(finished)
    place, fingerprint = target.place, target.fingerprint
    path, tables = target.data_paths[bucket.index], [finished.documents]
    write_shard(place, path, DOCUMENTS, tables, fingerprint, "documents", "doc_id", kept.to_dict())
    path, tables = target.reject_paths[bucket.index], [finished.rejects]
    write_shard(place, path, REJECTS, tables, fingerprint, "rejects", None, dropped.to_dict())
    account = Account()
    for file, number in Counter(finished.files).items():
        account.kept(file, number)
    for drop in finished.drops:
        account.dropped(drop)
    return account


class FinishThreads(beam.PTransform):
    """Buckets to their shards; yields an Account each. Memory: a bucket, a few times over."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target

    def expand(self, buckets: beam.PCollection) -> beam.PCollection:
        return buckets | beam.Map(finish_threads, self._target)
