"""Sequences: the rows of an output shard, once the pieces of all of them are together."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.curriculum.layout import count_name
from transforms.curriculum.mix import Recipe, Stage
from transforms.curriculum.pieces import spill_schema
from transforms.datasets.fates import Tally
from transforms.datasets.names import shard_name
from transforms.datasets.schema import curriculum_schema
from transforms.io.shard import Shard
from transforms.shuffle.spills import Bucket


def output_shards(recipe: Recipe) -> list[tuple[str, Stage]]:
    """The path and the stage of every output shard, in order."""
    stages = [stage for stage in recipe.stages for _ in range(stage.shards)]
    return [(shard_name(number, len(stages)), stage) for number, stage in enumerate(stages)]


def assemble_shard(pieces: pa.Table, stage: str, token_type: pa.DataType) -> pa.Table:
    """The rows of an output shard (schema.curriculum_schema), in the order of positions.

    pieces: all pieces of the shard (spill_schema), in any order.
    """
    schema = curriculum_schema(token_type)
    pieces = pieces.combine_chunks()
    position, slot = pieces.column("position").to_numpy(), pieces.column("slot").to_numpy()
    order = np.lexsort((slot, position))
    pieces = pieces.take(pa.array(order)).combine_chunks()
    position = position[order]
    firsts = np.flatnonzero(np.diff(position, prepend=-1))
    bounds = np.append(firsts, len(position))
    lists = pieces.column("tokens").combine_chunks()
    lists = lists if isinstance(lists, pa.ListArray) else lists.chunk(0)
    token_bounds = lists.offsets.to_numpy()[bounds] if len(lists) else bounds

    def grouped(name: str, values: pa.Array, offsets: npt.NDArray[np.integer]) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values).cast(schema.field(name).type)

    columns = {
        "position": position[firsts],
        "stage": pa.repeat(pa.scalar(stage, pa.string()), len(firsts)),
        "language": pieces.column("language").take(pa.array(firsts)),
        "tokens": grouped("tokens", lists.values, token_bounds),
        "doc_tokens": grouped("doc_tokens", pc.list_value_length(lists), bounds),
        "doc_ids": grouped("doc_ids", _array(pieces, "doc_id"), bounds),
        "sources": grouped("sources", _array(pieces, "source"), bounds),
    }
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def _array(table: pa.Table, name: str) -> pa.Array:
    return (
        pa.concat_arrays(table.column(name).chunks) if table.num_rows else pa.array([], table.schema.field(name).type)
    )


def _count_sequences(rows: pa.Table, stage: str, sequence_length: int) -> Tally:
    """Sequences, pieces, tokens and the tokens there was room for, by stage and language.

    Raises ValueError for a sequence that is too long, or a shard whose positions have a gap.
    """
    tokens = pc.list_value_length(rows.column("tokens")).to_numpy()
    if len(tokens) and tokens.max() > sequence_length:
        raise ValueError(f"stage {stage} has a sequence of {tokens.max()} tokens; its length is {sequence_length}")
    if any(second != first + 1 for first, second in pairwise(rows.column("position").to_pylist())):
        raise ValueError(
            f"a shard of stage {stage} has a gap in its positions; this is a defect of Agora, please report it"
        )
    pieces = pc.list_value_length(rows.column("doc_tokens"))
    table = pa.table({"language": rows.column("language"), "tokens": tokens, "pieces": pieces})
    tally = Tally()
    for row in (
        table.group_by("language").aggregate([("tokens", "sum"), ("tokens", "count"), ("pieces", "sum")]).to_pylist()
    ):
        name = count_name(stage, row["language"])
        tally.add("tokens", name, row["tokens_sum"])
        tally.add("sequences", name, row["tokens_count"])
        tally.add("pieces", name, row["pieces_sum"])
        tally.add("capacity_tokens", name, row["tokens_count"] * sequence_length)
    return tally


class AssembleShards(beam.PTransform):
    """Buckets of pieces (Bucket of spill_schema, numbered as output_shards) to shards of schema.curriculum_schema.

    but_for: paths of shards that are not asked for again. Memory: three times the shard.
    """

    def __init__(self, recipe: Recipe, token_type: pa.DataType, but_for: Collection[str] = ()) -> None:
        super().__init__()
        self._outputs, self._token_type, self._but_for = output_shards(recipe), token_type, frozenset(but_for)

    def expand(self, buckets: beam.PCollection) -> beam.PCollection:
        assembled = beam.FlatMap(_assemble, self._outputs, self._token_type, self._but_for)
        return buckets | assembled.with_output_types(Shard)


def _assemble(
    bucket: Bucket, outputs: list[tuple[str, Stage]], token_type: pa.DataType, but_for: Collection[str]
) -> Iterator[Shard]:
    path, stage = outputs[bucket.index]
    if path not in but_for:
        rows = assemble_shard(bucket.read(spill_schema(token_type)), stage.name, token_type)
        yield Shard(path, rows, counts=_count_sequences(rows, stage.name, stage.sequence_length).to_dict())
