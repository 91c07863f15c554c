"""Pieces: tokens are cut out of their shard, on the way to the output shard in which they will stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.curriculum.index import Int32s
from transforms.curriculum.positions import Pieces
from transforms.io.shard import Shard

_TABLE_TOKENS = 1 << 20  # of a table that is spilled


def spill_schema(token_type: pa.DataType) -> pa.Schema:
    """A piece on its way to its output shard."""
    return pa.schema(
        [
            ("bucket", pa.int32()),
            ("position", pa.int64()),
            ("slot", pa.int32()),
            ("language", pa.string()),
            ("doc_id", pa.string()),
            ("source", pa.string()),
            ("tokens", pa.list_(pa.field("item", token_type, nullable=False))),
        ]
    )


def cut_pieces(tokens: Shard, groups: Sequence[Pieces], token_type: pa.DataType) -> Iterator[pa.Table]:
    """Tables of spill_schema with the pieces of one token shard, about a million tokens each.

    tokens: of schema.tokens_schema. groups: its pieces. Memory: one batch of tokens, and 28 bytes a piece.
    """
    row = np.concatenate([group.row for group in groups])
    language = np.repeat([group.language for group in groups], [len(group.row) for group in groups])
    order = np.lexsort((np.concatenate([group.start for group in groups]), row))
    columns = {
        name: np.concatenate([getattr(group, name) for group in groups])[order]
        for name in ("row", "start", "length", "bucket", "position", "slot")
    } | {"language": language[order]}
    first_row = begin = 0
    for batch in tokens.batches(["doc_id", "source", "tokens"]):
        end = int(np.searchsorted(columns["row"], first_row + batch.num_rows, side="left"))
        while begin < end:
            running = np.cumsum(columns["length"][begin:end], dtype=np.int64)
            stop = begin + max(1, int(np.searchsorted(running, _TABLE_TOKENS, side="right")))
            some = {name: values[begin:stop] for name, values in columns.items()}
            yield _piece_table(batch, some["row"] - first_row, some, token_type)
            begin = stop
        first_row += batch.num_rows


def _piece_table(
    batch: pa.RecordBatch, rows: Int32s, pieces: Mapping[str, npt.NDArray[np.generic]], token_type: pa.DataType
) -> pa.Table:
    tokens = batch.column("tokens")
    values = tokens.values.to_numpy()
    lengths = pieces["length"].astype(np.int64)
    begins = tokens.offsets.to_numpy()[rows].astype(np.int64) + pieces["start"]
    ends = np.cumsum(lengths)
    where = np.repeat(begins - (ends - lengths), lengths) + np.arange(int(ends[-1]))
    schema = spill_schema(token_type)
    taken = batch.select(["doc_id", "source"]).take(pa.array(rows, pa.int32()))
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
    columns = {
        "bucket": pieces["bucket"],
        "position": pieces["position"],
        "slot": pieces["slot"],
        "language": pa.array(pieces["language"].tolist(), pa.string()),
        "doc_id": taken.column("doc_id"),
        "source": taken.column("source"),
        "tokens": pa.ListArray.from_arrays(offsets, pa.array(values[where], token_type)).cast(
            schema.field("tokens").type
        ),
    }
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


class CutPieces(beam.PTransform):
    """(token shards, (number of a token shard, Pieces)) to tables of spill_schema.

    Shuffles pieces; token shards are looked up by number, and those of a dataset are names. Raises ValueError when
    there are pieces of a shard that is missing, or comes twice.
    """

    def __init__(self, token_type: pa.DataType) -> None:
        super().__init__()
        self._token_type = token_type

    def expand(self, sides: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        tokens, pieces = sides
        by_number = beam.pvalue.AsMultiMap(tokens | "Number" >> beam.WithKeys(lambda shard: shard.index))
        return (
            pieces
            | "GroupByTokenShard" >> beam.GroupByKey()  # group: the pieces of a token shard, 28 bytes each
            | "CutPieces" >> beam.FlatMap(cut_shard, by_number, self._token_type)
        )


def cut_shard(
    item: tuple[int, Iterable[Pieces]], tokens: Mapping[int, Iterable[Shard]], token_type: pa.DataType
) -> Iterator[pa.Table]:
    """`cut_pieces` of (number of a token shard, its pieces). tokens: by number, one each.

    Raises ValueError when there is none of this number, or more than one.
    """
    number, pieces = item
    found = list(tokens[number])
    if len(found) != 1:
        raise ValueError(f"token shard {number} comes {len(found)} times, wanted once: its number is in its path")
    return cut_pieces(found[0], list(pieces), token_type)
