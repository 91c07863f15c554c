"""Preference pairs from the votes on the answers of one question.

The rule of WorldPM (arXiv 2505.10527, section 3.1.1 and appendix A.2): two answers to one question with different net
votes (up minus down; for Stack Exchange acceptance by the asker counts as one more vote) are a pair; no margin is used.
The paper does not say how many pairs it takes from a thread; we take all of them up to a cap, chosen by a keyed hash.

Every unordered pair of answers of a thread is a candidate with exactly one fate: a pair, or dropped for a reason. The
reasons are tried in the order over-answer-cap, no-prompt, missing-score, duplicate-answer, tie, over-cap. Looking at
candidates one by one takes the square of the number of answers, so of a thread with more than max_answers_per_thread
those with the smallest keyed hashes are looked at, and the candidates of the others are counted as over-answer-cap.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.fates import Reason, Tally, check_conserved
from transforms.datasets.ids import fingerprint, keyed_hash
from transforms.datasets.schema import PAIRS, SPLITS, PostKind

KEPT = "kept"

# What pairs need to know of the documents and their layers.
DOCUMENT_COLUMNS = (
    "doc_id", "thread_id", "kind", "text", "title", "source", "site", "url", "created", "license", "score", "ups",
    "downs", "accepted",
)  # fmt: skip


@dataclass(frozen=True)
class PairRule:
    """How candidates are scored and how many pairs a thread gives.

    score: "score" is up minus down; "score_plus_accepted" adds one for the accepted answer. max_answers_per_thread: of
    a thread with more answers so many, chosen by a keyed hash, are paired.
    """

    name: str
    version: int
    score: Literal["score", "score_plus_accepted"]
    max_pairs_per_thread: int = 10
    max_answers_per_thread: int = 1000

    def __post_init__(self) -> None:
        if self.max_pairs_per_thread < 1:
            raise ValueError(f"max_pairs_per_thread must be >= 1; got {self.max_pairs_per_thread}")
        if self.max_answers_per_thread < 2:
            raise ValueError(f"max_answers_per_thread must be >= 2; got {self.max_answers_per_thread}")

    def score_of(self, answer: Answer) -> int | None:
        """The answer's score as this rule counts it; None when nothing is known of its votes."""
        if answer.votes is None:
            return None
        return answer.votes + (1 if self.score == "score_plus_accepted" and answer.accepted else 0)


@dataclass(frozen=True)
class Answer:
    """What the rule looks at in an answer."""

    doc_id: str
    row: int  # in its shard: answers of a thread stand in the order of time
    votes: int | None  # up minus down
    accepted: bool
    duplicate: bool  # its text, or nearly, is also another document's, and that one was kept
    text: str


@dataclass(frozen=True)
class PreferencePair:
    """A candidate that is kept: `chosen` has the higher score."""

    chosen: Answer
    rejected: Answer
    chosen_score: int
    rejected_score: int

    @property
    def ids(self) -> tuple[str, str]:
        return self.chosen.doc_id, self.rejected.doc_id


@dataclass(frozen=True)
class CandidateDrop:
    """A candidate that gives no pair, and why."""

    first_id: str
    second_id: str
    reason: Reason


def within_answer_cap(thread_id: str, answers: Sequence[Answer], rule: PairRule) -> list[Answer]:
    """The answers of a thread that are paired, in their order."""
    if len(answers) <= rule.max_answers_per_thread:
        return list(answers)
    ranks = ((keyed_hash("pairs-answers", thread_id, answer.doc_id), answer.doc_id) for answer in answers)
    chosen = {doc_id for _, doc_id in heapq.nsmallest(rule.max_answers_per_thread, ranks)}
    return [answer for answer in answers if answer.doc_id in chosen]


def num_candidates(num_answers: int) -> int:
    """Unordered pairs of so many answers."""
    return num_answers * (num_answers - 1) // 2


def pairs_from_thread(
    thread_id: str, has_prompt: bool, answers: Sequence[Answer], rule: PairRule
) -> Iterator[PreferencePair | CandidateDrop]:
    """The fate of each of the n(n-1)/2 candidates of n answers within the answer cap, in the order of the answers.

    Memory is bounded by the cap on pairs; time is that of the candidates.
    """
    ranks = (
        (keyed_hash("pairs", thread_id, *fate.ids), fate.ids)
        for fate in _candidates(has_prompt, answers, rule)
        if isinstance(fate, PreferencePair)
    )
    within_cap = {ids for _, ids in heapq.nsmallest(rule.max_pairs_per_thread, ranks)}
    for fate in _candidates(has_prompt, answers, rule):
        if isinstance(fate, PreferencePair) and fate.ids not in within_cap:
            yield CandidateDrop(fate.chosen.doc_id, fate.rejected.doc_id, Reason.OVER_CAP)
        else:
            yield fate


def _candidates(
    has_prompt: bool, answers: Sequence[Answer], rule: PairRule
) -> Iterator[PreferencePair | CandidateDrop]:
    scores = {answer.doc_id: rule.score_of(answer) for answer in answers}
    for first, second in combinations(answers, 2):
        first_score, second_score = scores[first.doc_id], scores[second.doc_id]
        if not has_prompt:
            yield CandidateDrop(first.doc_id, second.doc_id, Reason.NO_PROMPT)
        elif first_score is None or second_score is None:
            yield CandidateDrop(first.doc_id, second.doc_id, Reason.MISSING_SCORE)
        elif first.duplicate or second.duplicate or first.text == second.text:
            yield CandidateDrop(first.doc_id, second.doc_id, Reason.DUPLICATE_ANSWER)
        elif first_score == second_score:
            yield CandidateDrop(first.doc_id, second.doc_id, Reason.TIE)
        elif first_score > second_score:
            yield PreferencePair(first, second, first_score, second_score)
        else:
            yield PreferencePair(second, first, second_score, first_score)


@dataclass(frozen=True)
class ShardPairs:
    """The pairs of one document shard: a table of schema.PAIRS and its counts for each split."""

    tables: dict[str, pa.Table]
    counts: dict[str, Tally]


def pairs_from_shard(
    documents: pa.Table, language: pa.Table, duplicates: pa.Table, split: pa.Table, rule: PairRule
) -> ShardPairs:
    """The pairs of a whole shard of documents and its layers, row for row beside it. Threads are contiguous.

    Counts of each split: `candidates` by fate, `pairs_by_language`, `threads` with and without pairs. Raises ValueError
    when rows are not aligned or a candidate got lost.
    """
    check_rows_aligned(documents, {"language": language, "duplicates": duplicates, "split": split})
    found: dict[str, list[PreferencePair]] = {name: [] for name in SPLITS}
    prompts: dict[str, list[int]] = {name: [] for name in SPLITS}
    counts = {name: Tally() for name in SPLITS}
    splits = split.column("split")
    languages = language.column("language")
    for begin, end in _threads_with_candidates(documents):
        name = splits[begin].as_py()
        tally = counts[name]
        question, answers = _read_thread(documents, duplicates, begin, end)
        kept = 0
        thread_id = documents.column("thread_id")[begin].as_py()
        paired = within_answer_cap(thread_id, answers, rule)
        if over := num_candidates(len(answers)) - num_candidates(len(paired)):
            tally.add("candidates", Reason.OVER_ANSWER_CAP.value, over)
        for fate in pairs_from_thread(thread_id, question is not None, paired, rule):
            if isinstance(fate, PreferencePair):
                assert question is not None
                found[name].append(fate)
                prompts[name].append(question)
                tally.add("candidates", KEPT)
                tally.add("pairs_by_language", languages[question].as_py() or "unknown")
                kept += 1
            else:
                tally.add("candidates", fate.reason.value)
        tally.add("candidates_in", "all", num_candidates(len(answers)))
        tally.add("threads", "with-pairs" if kept else "without-pairs")
    for name, tally in counts.items():
        kept = len(found[name])
        dropped = tally.total("candidates") - kept
        check_conserved(f"candidate pairs ({name})", tally.total("candidates_in"), kept, dropped)
    tables = {
        name: _table(documents, language, duplicates, found[name], prompts[name], fingerprint(rule)) for name in SPLITS
    }
    return ShardPairs(tables, counts)


def check_rows_aligned(documents: pa.Table, layers: dict[str, pa.Table]) -> None:
    """Raises ValueError unless each layer has the documents' ids, row for row."""
    ids = documents.column("doc_id")
    for name, layer in layers.items():
        if layer.num_rows != documents.num_rows or not layer.column("doc_id").equals(ids):
            raise ValueError(
                f"the {name} layer does not stand row for row beside the documents ({layer.num_rows} rows, want "
                f"{documents.num_rows} with the same doc_id); annotate these documents anew"
            )


def _threads_with_candidates(documents: pa.Table) -> list[tuple[int, int]]:
    """Row ranges of the threads with at least two answers."""
    if documents.num_rows == 0:
        return []
    ids = documents.column("thread_id").combine_chunks()
    changes = np.flatnonzero(pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)) + 1
    bounds = np.concatenate([[0], changes, [documents.num_rows]])
    is_answer = pc.equal(documents.column("kind"), PostKind.ANSWER.value).to_numpy().astype(np.int64)
    answers = np.add.reduceat(is_answer, bounds[:-1])
    return [(int(bounds[thread]), int(bounds[thread + 1])) for thread in np.flatnonzero(answers >= 2)]


def _read_thread(documents: pa.Table, duplicates: pa.Table, begin: int, end: int) -> tuple[int | None, list[Answer]]:
    """The row of the question, if it is there, and the answers."""
    rows = documents.slice(begin, end - begin).select(["doc_id", "kind", "score", "ups", "downs", "accepted", "text"])
    keep = duplicates.column("keep").slice(begin, end - begin).to_pylist()
    question = None
    answers = []
    for offset, post in enumerate(rows.to_pylist()):
        if post["kind"] == PostKind.QUESTION:
            question = begin + offset
        elif post["kind"] == PostKind.ANSWER:
            votes = post["score"]
            if votes is None and post["ups"] is not None and post["downs"] is not None:
                votes = post["ups"] - post["downs"]
            answers.append(
                Answer(post["doc_id"], begin + offset, votes, bool(post["accepted"]), not keep[offset], post["text"])
            )
    return question, answers


def _table(
    documents: pa.Table,
    language: pa.Table,
    duplicates: pa.Table,
    pairs: Sequence[PreferencePair],
    questions: Sequence[int],
    rule_fingerprint: str,
) -> pa.Table:
    """The rows of schema.PAIRS: its columns are taken from the documents by row, not in Python."""
    prompt = documents.take(pa.array(questions, pa.int64()))
    chosen = documents.take(pa.array([pair.chosen.row for pair in pairs], pa.int64()))
    rejected = documents.take(pa.array([pair.rejected.row for pair in pairs], pa.int64()))
    scores = np.array([(pair.chosen_score, pair.rejected_score) for pair in pairs], np.int64).reshape(-1, 2)
    columns: dict[str, object] = {
        "prompt": _messages("user", full_texts(prompt)),
        "chosen": _messages("assistant", chosen.column("text")),
        "rejected": _messages("assistant", rejected.column("text")),
        "pair_id": pc.binary_join_element_wise(chosen.column("doc_id"), rejected.column("doc_id"), ">"),
        "group_id": prompt.column("thread_id"),
        "thread_id": prompt.column("thread_id"),
        "chosen_score": scores[:, 0],
        "rejected_score": scores[:, 1],
        "margin": scores[:, 0] - scores[:, 1],
        "target": np.ones(len(pairs), np.float32),  # WorldPM trains on hard labels of equal weight
        "weight": np.ones(len(pairs), np.float32),
        "language": language.column("language").take(pa.array(questions, pa.int64())),
        "source": prompt.column("source"),
        "site": prompt.column("site"),
        "license": prompt.column("license"),
        "url": prompt.column("url"),
        "rule": pa.repeat(pa.scalar(rule_fingerprint, pa.string()), len(pairs)),
    }
    for side, posts in (("chosen", chosen), ("rejected", rejected)):
        rows = pa.array([getattr(pair, side).row for pair in pairs], pa.int64())
        columns |= {
            f"{side}_id": posts.column("doc_id"),
            f"{side}_ups": posts.column("ups"),
            f"{side}_downs": posts.column("downs"),
            f"{side}_created": posts.column("created"),
            f"{side}_accepted": pc.fill_null(posts.column("accepted"), False),
            f"{side}_chars": pc.utf8_length(posts.column("text")),
            f"{side}_cluster": duplicates.column("cluster").take(rows),
            f"{side}_url": posts.column("url"),
        }
    return pa.table({name: columns[name] for name in PAIRS.names}).cast(PAIRS)


def full_texts(documents: pa.Table) -> pa.ChunkedArray:
    """[N] schema.full_text of each document, from the columns title and text, without a detour through Python."""
    title = pc.fill_null(documents.column("title"), "")
    separator = pc.if_else(pc.equal(title, ""), "", "\n\n")
    return pc.binary_join_element_wise(title, documents.column("text"), separator)


def _messages(role: str, texts: pa.ChunkedArray | pa.Array) -> pa.Array:
    """[N] lists of one message each."""
    content = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    struct_type = PAIRS.field("prompt").type.value_type
    roles = pa.repeat(pa.scalar(role, pa.string()), len(content))
    messages = pa.StructArray.from_arrays([roles, content], fields=list(struct_type))
    offsets: npt.NDArray[np.int32] = np.arange(len(content) + 1, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), messages).cast(PAIRS.field("prompt").type)
