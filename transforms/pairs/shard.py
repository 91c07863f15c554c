"""The preference pairs of a shard of documents: its threads, one by one, and the rows of schema.PAIRS they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.align import check_rows_aligned
from transforms.datasets.fates import Reason, Tally, check_conserved
from transforms.datasets.ids import fingerprint
from transforms.datasets.names import in_split
from transforms.datasets.schema import PAIRS, SPLITS, PostKind
from transforms.datasets.texts import full_texts
from transforms.io.shard import Shard
from transforms.layers.read import read_documents, read_layers, unpaired_reasons
from transforms.pairs.candidates import (
    CandidateDrop,
    PreferencePair,
    num_candidates,
    pairs_from_thread,
    within_answer_cap,
)
from transforms.pairs.rule import Answer, PairRule

_KEPT = "kept"

# What pairs need to know of the documents and their layers.
_DOCUMENT_COLUMNS = (
    "doc_id", "thread_id", "kind", "text", "title", "source", "site", "url", "created", "license", "score", "ups",
    "downs", "accepted",
)  # fmt: skip
LAYER_COLUMNS: Mapping[str, Sequence[str]] = {"language": ["language"], "duplicates": ["cluster"], "split": ["split"]}


def pairs_from_shard(shard: Shard, rule: PairRule) -> list[Shard]:
    """The pairs of a shard of documents with its layers: a shard of schema.PAIRS for each of SPLITS, named in_split.

    Threads are contiguous. Counts of each split: `candidates` by fate, `pairs_by_language`, `threads` with and without
    pairs. Memory: the shard. Raises ValueError when a layer is missing, rows are not aligned or a candidate got lost.
    """
    documents, layers = read_documents(shard, _DOCUMENT_COLUMNS), read_layers(shard, LAYER_COLUMNS)
    check_rows_aligned(documents, layers)
    found: dict[str, list[PreferencePair]] = {name: [] for name in SPLITS}
    prompts: dict[str, list[int]] = {name: [] for name in SPLITS}
    counts = {name: Tally() for name in SPLITS}
    splits = layers["split"].column("split")
    languages = layers["language"].column("language")
    are_questions = pc.equal(documents.column("kind"), PostKind.QUESTION.value).combine_chunks()
    unpaired = unpaired_reasons(layers, are_questions)
    for begin, end in _threads_with_candidates(documents):
        name = splits[begin].as_py()
        tally = counts[name]
        question, answers = _read_thread(documents, unpaired, begin, end)
        kept = 0
        thread_id = documents.column("thread_id")[begin].as_py()
        paired = within_answer_cap(thread_id, answers, rule)
        if over := num_candidates(len(answers)) - num_candidates(len(paired)):
            tally.add("candidates", Reason.OVER_ANSWER_CAP.value, over)
        for fate in pairs_from_thread(thread_id, question is not None, paired, rule):
            if isinstance(fate, CandidateDrop):
                tally.add("candidates", fate.reason.value)
            elif question is not None:  # without one there are drops only
                found[name].append(fate)
                prompts[name].append(question)
                tally.add("candidates", _KEPT)
                tally.add("pairs_by_language", languages[question].as_py() or "unknown")
                kept += 1
        tally.add("candidates_in", "all", num_candidates(len(answers)))
        tally.add("threads", "with-pairs" if kept else "without-pairs")
    for name, tally in counts.items():
        kept = len(found[name])
        dropped = tally.total("candidates") - kept
        check_conserved(f"candidate pairs ({name})", tally.total("candidates_in"), kept, dropped)
    tables = {name: _table(documents, layers, found[name], prompts[name], fingerprint(rule)) for name in SPLITS}
    return [Shard(in_split(shard.path, name), tables[name], counts=counts[name].to_dict()) for name in SPLITS]


def _threads_with_candidates(documents: pa.Table) -> list[tuple[int, int]]:
    """Row ranges of the threads with at least two answers. Raises ValueError where a thread's rows stand apart."""
    if documents.num_rows == 0:
        return []
    ids = documents.column("thread_id").combine_chunks()
    changes = np.flatnonzero(pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)) + 1
    bounds = np.concatenate([[0], changes, [documents.num_rows]])
    if (num_threads := pc.count_distinct(ids).as_py()) != len(bounds) - 1:
        raise ValueError(
            f"the rows of {num_threads} threads stand in {len(bounds) - 1} runs; a thread must be whole and its rows "
            "together: sort the table by thread_id"
        )
    is_answer = pc.equal(documents.column("kind"), PostKind.ANSWER.value).to_numpy().astype(np.int64)
    answers = np.add.reduceat(is_answer, bounds[:-1])
    return [(int(bounds[thread]), int(bounds[thread + 1])) for thread in np.flatnonzero(answers >= 2)]


def _read_thread(documents: pa.Table, unpaired: pa.Array, begin: int, end: int) -> tuple[int | None, list[Answer]]:
    """The row of the question, if it is there, and the answers."""
    rows = documents.slice(begin, end - begin).select(["doc_id", "kind", "score", "ups", "downs", "accepted", "text"])
    against = unpaired.slice(begin, end - begin).to_pylist()
    posts = rows.to_pylist()
    asked = next((offset for offset, post in enumerate(posts) if post["kind"] == PostKind.QUESTION), None)
    none = against[asked] if asked is not None else None  # of its answers is paired
    answers = []
    for offset, post in enumerate(posts):
        if post["kind"] == PostKind.ANSWER:
            votes = post["score"]
            if votes is None and post["ups"] is not None and post["downs"] is not None:
                votes = post["ups"] - post["downs"]
            reason = Reason(said) if (said := none or against[offset]) else None
            answers.append(Answer(post["doc_id"], begin + offset, votes, bool(post["accepted"]), reason, post["text"]))
    return None if asked is None else begin + asked, answers


def _table(
    documents: pa.Table,
    layers: Mapping[str, pa.Table],
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
        "language": layers["language"].column("language").take(pa.array(questions, pa.int64())),
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
            f"{side}_cluster": layers["duplicates"].column("cluster").take(rows),
            f"{side}_url": posts.column("url"),
        }
    return pa.table({name: columns[name] for name in PAIRS.names}).cast(PAIRS)


def _messages(role: str, texts: pa.ChunkedArray | pa.Array) -> pa.Array:
    """[N] lists of one message each."""
    content = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    struct_type = PAIRS.field("prompt").type.value_type
    roles = pa.repeat(pa.scalar(role, pa.string()), len(content))
    messages = pa.StructArray.from_arrays([roles, content], fields=list(struct_type))
    offsets: npt.NDArray[np.int32] = np.arange(len(content) + 1, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), messages).cast(PAIRS.field("prompt").type)


class PairsFromShard(beam.PTransform):
    """Shards of documents with their layers (Shard) to shards of schema.PAIRS, one for each split."""

    def __init__(self, rule: PairRule) -> None:
        super().__init__()
        self._rule = rule

    def expand(self, documents: beam.PCollection) -> beam.PCollection:
        return documents | beam.FlatMap(pairs_from_shard, self._rule).with_output_types(Shard)
