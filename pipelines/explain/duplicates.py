"""Why a document is a near-duplicate: what it was removed for, by which rule, and both texts; or what went for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from pipelines.differences import differences
from pipelines.explain.case import MOST_LISTED, Case, Explanation, Row, Text
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.dedup.similarity import Rule

_BOUNDS = {Rule.JACCARD.value: "jaccard", Rule.LCS.value: "lcs", Rule.CONTAINED.value: "containment"}  # settings
_REMOVED = ("doc_id", "cluster", "kept", "rule", "similarity")


def explain_duplicates(case: Case, layer: Dataset) -> Explanation:
    """Reads the layer's row, both texts, or of a document that stays the layer until all are found that went for it."""
    row = case.row(layer)
    if row is None:
        return Explanation("has no row of it")
    if row["kept"] is not None:
        return _removed(case, layer, row)
    if row["cluster_size"] == 1:
        return Explanation("kept; no other document is like it", row)
    removed = _removed_for(layer, case.doc_id, row["cluster_size"] - 1)
    listed = [{name: other[name] for name in ("doc_id", "rule", "similarity")} for other in removed[:MOST_LISTED]]
    return Explanation(f"kept; removed for it: {row['cluster_size'] - 1:,}", {**row, "removed": listed})


def _removed(case: Case, layer: Dataset, row: Row) -> Explanation:
    rule, kept = row["rule"], row["kept"]
    bound = layer.manifest.settings.get(_BOUNDS.get(rule, ""))
    measured = "" if bound is None else f", {row['similarity']:.3f} where {bound} is enough"
    says = f"{row['reason']}: removed for {kept} by the rule {rule}{measured}"
    if case.documents is None:
        return Explanation(says, row, unknown=["what they say: no documents stand beside this layer; name --documents"])
    # A finished build may have a document of an id that is here as well; what others go for stays.
    stays = case.row(layer, ["keep"], kept)
    if stays is None or not stays["keep"]:
        return Explanation(says, row, unknown=[f"what {kept} says: it is none of these documents"])
    unknown = []
    if layer.manifest.settings.get("against"):
        unknown = [f"whether {kept} is the one here: a build that these are held against may have one of that id"]
    texts = case.texts([case.doc_id, kept])
    one, other = differences(texts[case.doc_id], texts[kept])
    return Explanation(says, row, [Text(case.doc_id, one), Text(kept, other)], unknown)


def _removed_for(layer: Dataset, kept: str, number: int) -> list[Mapping[str, Any]]:
    """The rows of the documents that were removed for one, in their order, until so many are found."""
    found: list[Mapping[str, Any]] = []
    for path in layer.paths:
        for batch in shards.iter_batches(layer, path, _REMOVED):
            found += batch.filter(pc.equal(batch["kept"], kept)).to_pylist()
            if len(found) >= min(number, MOST_LISTED):
                return found
    return found
