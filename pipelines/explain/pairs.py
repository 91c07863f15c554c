"""In which pairs a document is and, by the pair rule itself, why it is in no others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.explain.case import MOST_LISTED, Case, Explanation, Row
from pipelines.report.html import counted
from pipelines.report.replay import COLUMNS, Unpaired, drops_of_thread
from transforms.datasets import shards, strict_yaml
from transforms.datasets.dataset import Dataset
from transforms.datasets.names import split_of
from transforms.datasets.schema import PostKind
from transforms.layers.kinds import LAYERS
from transforms.layers.read import cut_texts, unpaired_reasons
from transforms.pairs.rule import PairRule

_PAIR = ("pair_id", "thread_id", "chosen_id", "rejected_id", "chosen_score", "rejected_score")
_ROLES = {"thread_id": "prompt", "chosen_id": "chosen", "rejected_id": "rejected"}


def explain_pairs(case: Case, pairs: Dataset) -> Explanation:
    """Reads the pairs of the document's shard, or all where that is not known; and its thread."""
    found = list(_pairs_of(case, pairs))
    roles = Counter(f"{pair['as']} in {pair['split']}" for pair in found)
    says = ", ".join(f"{role}: {counted(number, 'pair')}" for role, number in sorted(roles.items())) or "in no pair"
    facts: dict[str, Any] = {"pairs": found[:MOST_LISTED]} if found else {}
    drops, unknown = _replayed(case, pairs)
    if drops:
        facts["dropped"] = dict(sorted(Counter(drop.reason for drop in drops).items()))
        facts["dropped_pairs"] = [
            {"reason": drop.reason, "first": drop.first_id, "second": drop.second_id} for drop in drops[:MOST_LISTED]
        ]
    return Explanation(says, facts, unknown=unknown)


def _pairs_of(case: Case, pairs: Dataset) -> Iterator[Row]:
    for path in case.split_paths(pairs, ["documents"]):
        for batch in shards.iter_batches(pairs, path, _PAIR):
            for column, role in _ROLES.items():
                for row in batch.filter(pc.equal(batch[column], case.doc_id)).to_pylist():
                    scores = {name: row[name] for name in ("chosen_score", "rejected_score")}
                    yield {"pair_id": row["pair_id"], "as": role, "split": split_of(path), **scores}


def _replayed(case: Case, pairs: Dataset) -> tuple[list[Unpaired], list[str]]:
    """The candidates with this document that gave no pair; and why they are not known, where they are not."""
    documents = case.documents
    layers, missing = case.layers_of(pairs)
    if documents is None or pairs.manifest.parents.get("documents") != documents.digest:
        return [], ["why it is in no others: the documents that pairs were made of are not here"]
    if missing:
        return [], [f"why it is in no others: the {', '.join(missing)} layer that pairs were made with is not here"]
    post = case.row(documents, ["kind", "thread_id"])
    if post is None or post["kind"] not in (PostKind.QUESTION, PostKind.ANSWER):
        return [], []
    rule: PairRule = strict_yaml.convert(PairRule, pairs.manifest.settings["rule"], pairs.place, "settings.rule")
    thread = list(drops_of_thread(post["thread_id"], _thread(case, documents, layers, post["thread_id"]), rule))
    if post["kind"] == PostKind.ANSWER:
        thread = [drop for drop in thread if case.doc_id in (drop.first_id, drop.second_id)]
    return thread, []


def _thread(
    case: Case, documents: Dataset, layers: Mapping[str, Dataset], thread_id: str
) -> Sequence[tuple[dict[str, Any], str | None]]:
    """The posts of a thread, with what layers have against pairing each. Memory: the batches that it stands in."""
    where = case.where(documents)
    assert where is not None
    rows: list[int] = []
    start = 0
    for batch in shards.iter_batches(documents, where.path, ["thread_id"]):
        own = np.flatnonzero(pc.equal(batch["thread_id"], thread_id).to_numpy(zero_copy_only=False))
        rows += (own + start).tolist()
        start += batch.num_rows
    posts = shards.read_rows(documents, where.path, rows, COLUMNS)
    tables = {
        name: shards.read_rows(layer, where.path, rows, columns)
        for name, layer in layers.items()
        if (columns := [*(["keep"] if LAYERS[name].keep else []), *filter(None, [LAYERS[name].cuts])])
    }
    posts = cut_texts(posts, tables)
    are_questions = pc.equal(posts["kind"], PostKind.QUESTION.value).combine_chunks()
    against = unpaired_reasons(tables, are_questions) if tables else pa.nulls(len(rows), pa.string())
    return list(zip(posts.to_pylist(), against.to_pylist(), strict=True))


def explain_preference(case: Case, preference: Dataset) -> Explanation:
    """Reads the prompts of the document's shard, or all where that is not known."""
    for path in case.split_paths(preference, ["pairs", "documents"]):
        for batch in shards.iter_batches(preference, path, ["group_id", "prompt_tokens", "responses", "pairs"]):
            asked = np.flatnonzero(pc.equal(batch["group_id"], case.doc_id).to_numpy(zero_copy_only=False))
            posts = pc.struct_field(pc.list_flatten(batch["responses"]), "post_id")
            answered = np.flatnonzero(pc.equal(posts, case.doc_id).to_numpy(zero_copy_only=False))
            if len(asked):
                return _prompt(batch.slice(int(asked[0]), 1).to_pylist()[0], split_of(path))
            if len(answered):
                row = pc.list_parent_indices(batch["responses"])[int(answered[0])].as_py()
                return _response(case.doc_id, batch.slice(row, 1).to_pylist()[0], split_of(path))
    return Explanation("neither a prompt nor a response")


def _prompt(row: Row, split: str | None) -> Explanation:
    facts = {"responses": len(row["responses"]), "pairs": len(row["pairs"]), "tokens": len(row["prompt_tokens"])}
    return Explanation(f"a prompt of {split}: {counted(len(row['responses']), 'response')}", facts)


def _response(doc_id: str, row: Row, split: str | None) -> Explanation:
    at = next(place for place, response in enumerate(row["responses"]) if response["post_id"] == doc_id)
    chosen, rejected = (sum(pair[side] == at for pair in row["pairs"]) for side in ("chosen", "rejected"))
    response = row["responses"][at]
    facts = {"group_id": row["group_id"], "chosen": chosen, "rejected": rejected, "score": response["score"]}
    says = f"a response of {split}: chosen {chosen:,}, rejected {rejected:,} times"
    return Explanation(says, {**facts, "tokens": len(response["tokens"])})
