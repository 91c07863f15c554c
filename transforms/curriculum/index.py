"""What token shards offer a curriculum: documents by language, with their lengths and their order; no token moves.

Memory: 20 bytes a document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.curriculum.mix import Recipe
from transforms.datasets.align import check_rows_aligned
from transforms.datasets.fates import Reason, Tally
from transforms.datasets.ids import keyed_hash
from transforms.io.shard import Shard
from transforms.layers.read import drop_reasons, read_layers

# What of the layers a curriculum needs; any other layer beside the tokens counts by what it does not keep.
LAYER_COLUMNS: Mapping[str, Sequence[str]] = {"language": ["language"], "duplicates": [], "split": ["split"]}

Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True)
class DocumentIndex:
    """Documents of one language that may be used. [D] each; 20 bytes a document."""

    shard: Int32s
    row: Int32s
    tokens: Int32s
    key: npt.NDArray[np.uint64]  # their order in the curriculum


@dataclass(frozen=True)
class ShardIndex:
    """What one token shard offers, by language, and the fate of its documents as far as it is known here."""

    languages: Mapping[str, DocumentIndex]
    counts: Tally


def index_shard(shard: Shard, recipe: Recipe) -> ShardIndex:
    """The documents of a token shard that the recipe takes: in the train split, kept by every layer, in its languages.

    shard: of schema.tokens_schema, with its layers. Counts: `documents` dropped by reason, `available_documents` and
    `available_tokens` by language. Raises ValueError when a layer is missing or rows are not aligned.
    """
    tokens, layers = shard.read(["doc_id", "tokens"]), read_layers(shard, LAYER_COLUMNS)
    check_rows_aligned(tokens, layers)
    reasons = _unused_reasons(layers, recipe)
    tally = Tally()
    for entry in pc.value_counts(reasons.drop_null()).to_pylist():
        tally.add("documents", entry["values"], entry["counts"])
    rows = np.flatnonzero(reasons.is_null().to_numpy(zero_copy_only=False))
    lengths = pc.list_value_length(tokens.column("tokens")).to_numpy()[rows]
    ids = tokens.column("doc_id").take(pa.array(rows)).to_pylist()
    keys = np.fromiter((keyed_hash("curriculum", doc_id) for doc_id in ids), np.uint64, len(ids))
    codes = layers["language"].column("language").take(pa.array(rows)).to_numpy()
    languages = {}
    for code in sorted(set(codes)):
        own = codes == code
        languages[code] = DocumentIndex(
            np.full(int(own.sum()), shard.index, np.int32),
            rows[own].astype(np.int32),
            lengths[own].astype(np.int32),
            keys[own],
        )
        tally.add("available_documents", code, int(own.sum()))
        tally.add("available_tokens", code, int(lengths[own].sum()))
    return ShardIndex(languages, tally)


def _unused_reasons(layers: Mapping[str, pa.Table], recipe: Recipe) -> pa.Array:
    """[rows] why a document is not for this curriculum; null when it is. The first reason that holds counts: it is held
    out, a layer does not keep it, the recipe does not take its language."""
    codes = layers["language"].column("language").combine_chunks()
    taken = [code for code in pc.unique(codes).to_pylist() if code is not None and recipe.takes(code)]
    in_recipe = pc.is_in(codes, pa.array(taken, pa.string()))
    reasons = pc.coalesce(
        drop_reasons(layers), pc.if_else(in_recipe, pa.scalar(None, pa.string()), Reason.NOT_IN_RECIPE.value)
    )
    in_train = pc.equal(layers["split"].column("split").combine_chunks(), "train")
    return pc.if_else(in_train, reasons, Reason.HELD_OUT.value)


class IndexShards(beam.PTransform):
    """Token shards with their layers (Shard) to (ShardIndex of each, Tally of each)."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self._recipe = recipe

    def expand(self, tokens: beam.PCollection) -> tuple[beam.PCollection, beam.PCollection]:
        indexed = tokens | "IndexShard" >> beam.Map(index_shard, self._recipe)
        return indexed, indexed | "Counts" >> beam.Map(lambda index: index.counts)
