"""Who explains what: a small function for each kind of dataset. A layer that is not named tells its own columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.differences import Piece
from pipelines.explain.case import MOST_LISTED, Case, Explanation, Text
from pipelines.explain.duplicates import explain_duplicates
from pipelines.explain.pairs import explain_pairs, explain_preference
from pipelines.report.html import counted
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.datasets.fates import Reason
from transforms.datasets.names import REJECTS
from transforms.datasets.schema import SPLITS
from transforms.layers.kinds import LAYERS
from transforms.layers.read import drop_reasons

_Explain = Callable[[Case, Dataset], Explanation]


def _documents(case: Case, documents: Dataset) -> Explanation:
    """The document; or the record that was dropped where it was parsed."""
    if (where := case.where(documents)) is not None:
        return Explanation(f"row {where.row:,} of {where.path}", case.row(documents) or {})
    for file in documents.manifest.files:
        if file.path.startswith(f"{REJECTS}/"):
            for batch in shards.iter_batches(documents, file.path):
                for row in batch.filter(pc.equal(batch["record_id"], case.doc_id)).to_pylist():
                    return Explanation(f"{row['reason']}: dropped where it was parsed", row)
    return Explanation("neither a document nor a rejected record")


def _layer(case: Case, layer: Dataset) -> Explanation:
    """Any layer: whether it keeps the document, its columns, and what it cuts of the text."""
    row = case.row(layer)
    if row is None:
        return Explanation("has no row of it")
    says = "keeps all documents" if "keep" not in row else "kept" if row["keep"] else f"{row['reason']}: not kept"
    spans = row.get(LAYERS[layer.manifest.kind].cuts)
    if not spans:
        return Explanation(says, row)
    document = case.row(case.documents, ["text"]) if case.documents else None
    if document is None:
        return Explanation(says, row, unknown=["what it cuts: no documents stand beside this layer; name --documents"])
    return Explanation(says, row, [Text(case.doc_id, list(_cut(document["text"], spans)), "is cut")])


def _cut(text: str, spans: Sequence[Mapping[str, Any]]) -> Iterator[Piece]:
    at = 0
    for span in spans:
        yield Piece(text[at : span["begin"]], differs=False)
        yield Piece(text[span["begin"] : span["end"]], differs=True)
        at = span["end"]
    yield Piece(text[at:], differs=False)


def _tokens(case: Case, tokens: Dataset) -> Explanation:
    row = case.row(tokens)
    if row is None:
        return Explanation("has no row of it")
    facts = {name: row[name] for name in ("source", "language")}
    return Explanation(counted(len(row["tokens"]), "token"), {**facts, "tokens": len(row["tokens"])})


def _curriculum(case: Case, curriculum: Dataset) -> Explanation:
    """The sequences that hold it; or, as far as its layers tell, why none does."""
    layers, missing = case.layers_of(curriculum)
    if reason := _unused(case, layers):
        return Explanation(f"{reason}: in no sequence")
    found = [sequence for path in curriculum.paths for sequence in _sequences(case.doc_id, curriculum, path)]
    if found:
        stages = sorted({sequence["stage"] for sequence in found})
        says = f"in {counted(len(found), 'sequence')} of {', '.join(stages)}"
        tokens = sum(sequence["tokens"] for sequence in found)
        return Explanation(says, {"tokens": tokens, "sequences": found[:MOST_LISTED]})
    language = case.row(layers["language"], ["language"]) if "language" in layers else None
    if missing or language is None:
        told = ", ".join(missing) or "language"
        return Explanation("in no sequence", unknown=[f"why: the {told} layer that it was made with is not here"])
    taken = language["language"] in curriculum.manifest.counts.get("available_documents", {})
    return Explanation(f"{(Reason.OVER_BUDGET if taken else Reason.NOT_IN_RECIPE).value}: in no sequence")


def _unused(case: Case, layers: Mapping[str, Dataset]) -> str | None:
    """Why a curriculum takes no document with such rows in the layers that are here, if so."""
    if "split" in layers and (row := case.row(layers["split"], ["split"])) and row["split"] != SPLITS[0]:
        return Reason.HELD_OUT.value
    tables = {
        name: pa.Table.from_pylist([dict(row)], schema=LAYERS[name].schema)
        for name, layer in layers.items()
        if LAYERS[name].keep and (row := case.row(layer))
    }
    reason: str | None = drop_reasons(tables)[0].as_py() if tables else None
    return reason


def _sequences(doc_id: str, curriculum: Dataset, path: str) -> Sequence[dict[str, Any]]:
    """Where a document stands in a shard of sequences, once for each piece of it."""
    found = []
    for batch in shards.iter_batches(curriculum, path, ["position", "stage", "doc_ids", "doc_tokens"]):
        places = np.flatnonzero(pc.equal(pc.list_flatten(batch["doc_ids"]), doc_id).to_numpy(zero_copy_only=False))
        rows, sizes = pc.list_parent_indices(batch["doc_ids"]), pc.list_flatten(batch["doc_tokens"])
        for place in places.tolist():
            row = rows[place].as_py()
            own = {name: batch[name][row].as_py() for name in ("stage", "position")}
            found.append({**own, "tokens": sizes[place].as_py()})
    return found


def _evaluation(case: Case, evaluation: Dataset) -> Explanation:
    for path in evaluation.paths:
        for batch in shards.iter_batches(evaluation, path):
            for row in batch.filter(pc.equal(batch["post_id"], case.doc_id)).to_pylist():
                return Explanation(f"reward {row['reward']:.3f}", row)
    return Explanation("not scored")


def explainers() -> Mapping[str, _Explain]:
    """By kind of dataset, in the order of the flow."""
    return {
        "documents": _documents,
        **dict.fromkeys(LAYERS, _layer),
        "duplicates": explain_duplicates,
        "pairs": explain_pairs,
        "preference": explain_preference,
        "tokens": _tokens,
        "curriculum": _curriculum,
        "evaluation": _evaluation,
    }
