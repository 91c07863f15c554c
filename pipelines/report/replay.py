"""A candidate pair of each reason for which some gave no pair: threads are put through the pair rule once more.

Pairs leave no row of those that they drop. Only as many documents are read as hold an example of every reason, and at
most _MOST_DOCUMENTS, shard by shard; one shard is in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.html import Column, Table, number
from pipelines.report.looking import Look
from transforms.datasets.align import check_rows_aligned
from transforms.datasets.fates import Reason
from transforms.datasets.schema import PostKind
from transforms.layers.kinds import LAYERS
from transforms.layers.read import cut_texts, unpaired_reasons
from transforms.pairs.candidates import CandidateDrop, pairs_from_thread, within_answer_cap
from transforms.pairs.rule import Answer, PairRule

_MOST_DOCUMENTS = 200_000

COLUMNS = ("doc_id", "thread_id", "kind", "text", "score", "ups", "downs", "accepted")


@dataclass(frozen=True)
class Unpaired:
    """Two answers of one thread that are no pair, with their scores as the rule counts them."""

    reason: str
    first_id: str
    first_score: int | None
    second_id: str
    second_score: int | None


def read_unpaired(
    documents: Look, layers: Mapping[str, Look], rule: PairRule, reasons: Collection[str]
) -> list[Unpaired]:
    """The first candidate of each reason, in the order of the shards."""
    found: dict[str, Unpaired] = {}
    missing = set(reasons)
    read = 0
    for path in documents.drawn:
        if not missing or read >= _MOST_DOCUMENTS:
            break
        for fate in _drops(documents, layers, path, rule):
            if fate.reason in missing:
                found[fate.reason] = fate
                missing.discard(fate.reason)
                if not missing:
                    break
        read += documents.rows(path)
    return [found[reason] for reason in sorted(found)]


def _drops(documents: Look, layers: Mapping[str, Look], path: str, rule: PairRule) -> Iterator[Unpaired]:
    """What becomes of the candidates of a shard that give no pair."""
    rows = documents.table(path, COLUMNS)
    beside = {name: layer.table(path, _columns(name)) for name, layer in layers.items()}
    tables = {name: table for name, table in beside.items() if table is not None}
    if rows is None or len(tables) < len(beside):
        return
    try:
        check_rows_aligned(rows, tables)
        rows = cut_texts(rows, tables)
    except ValueError as error:
        documents.tell(path, str(error))
        return
    are_questions = pc.equal(rows.column("kind"), PostKind.QUESTION.value).combine_chunks()
    against = unpaired_reasons(tables, are_questions) if tables else pa.nulls(rows.num_rows, pa.string())
    threads = groupby(zip(_posts(rows), against.to_pylist(), strict=True), key=lambda row: row[0]["thread_id"])
    for thread_id, posts in threads:
        yield from drops_of_thread(thread_id, list(posts), rule)


def _columns(layer: str) -> Sequence[str]:
    return ("doc_id", "keep", *filter(None, [LAYERS[layer].cuts]))


def _posts(rows: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in rows.to_batches():
        yield from batch.to_pylist()


def drops_of_thread(
    thread_id: str, posts: Sequence[tuple[dict[str, Any], str | None]], rule: PairRule
) -> Iterator[Unpaired]:
    """The candidates of a thread that give no pair. posts: rows of COLUMNS, with what layers have against pairing them;
    of an answer beyond the cap on answers one candidate."""
    asked = [reason for post, reason in posts if post["kind"] == PostKind.QUESTION]
    none = next(filter(None, asked), None)  # of its answers is paired
    answers = [
        _answer(post, row, none or reason)
        for row, (post, reason) in enumerate(posts)
        if post["kind"] == PostKind.ANSWER
    ]
    by_id = {answer.doc_id: answer for answer in answers}
    paired = within_answer_cap(thread_id, answers, rule)
    if len(paired) < len(answers):
        within = {answer.doc_id for answer in paired}
        for over in answers:
            if over.doc_id not in within:
                yield _unpaired(Reason.OVER_ANSWER_CAP, over, paired[0], rule)
    for fate in pairs_from_thread(thread_id, bool(asked), paired, rule):
        if isinstance(fate, CandidateDrop):
            yield _unpaired(fate.reason, by_id[fate.first_id], by_id[fate.second_id], rule)


def _answer(post: Mapping[str, Any], row: int, against: str | None) -> Answer:
    votes = post["score"]
    if votes is None and post["ups"] is not None and post["downs"] is not None:
        votes = post["ups"] - post["downs"]
    return Answer(
        post["doc_id"], row, votes, bool(post["accepted"]), Reason(against) if against else None, post["text"]
    )


def _unpaired(reason: Reason, first: Answer, second: Answer, rule: PairRule) -> Unpaired:
    return Unpaired(reason.value, first.doc_id, rule.score_of(first), second.doc_id, rule.score_of(second))


def unpaired_table(found: Sequence[Unpaired], counts: Mapping[str, int]) -> Table:
    """The examples with how many candidates there are of each reason."""
    columns = [
        Column("reason", "reason"), Column("candidates"), Column("an answer", "code"), Column("its score"),
        Column("another", "code"), Column("its score"),
    ]  # fmt: skip
    rows = [
        (row.reason, number(counts.get(row.reason, 0)), row.first_id, number(row.first_score), row.second_id,
         number(row.second_score)) for row in found
    ]  # fmt: skip
    return Table(columns, rows)
