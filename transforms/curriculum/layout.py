"""The curriculum without its text: which tokens of which documents stand in which training sequence.

Four pure steps, each over numpy arrays or Arrow tables: *index* a token shard (what may be used, in which order), *lay
out* a language's quotas as packed sequences, *place* the sequences in the schedule, and, once the tokens of a shard are
together, *assemble* its rows. Only the last two touch tokens.

Memory: 20 bytes for each document of one language while that language is laid out (100 million documents: 2 GB), about
80 more for each piece of the stage that is being packed; otherwise one shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.curriculum.mix import Quota, Recipe, take
from transforms.curriculum.pack import pack
from transforms.curriculum.schedule import schedule, shard_bounds
from transforms.datasets.align import check_rows_aligned
from transforms.datasets.fates import Reason, Tally
from transforms.datasets.ids import keyed_hash
from transforms.datasets.schema import curriculum_schema
from transforms.layers.read import drop_reasons

USED = "used"

_CHUNK_PIECES = 1 << 20  # of a layout that travels through Beam: 16 MB
_TABLE_TOKENS = 1 << 20  # of a table that is spilled

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


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


def index_shard(number: int, tokens: pa.Table, layers: Mapping[str, pa.Table], recipe: Recipe) -> ShardIndex:
    """The documents of a token shard that the recipe takes: in the train split, kept by every layer, in its languages.

    tokens: doc_id and tokens; the layers stand row for row beside it. Counts: `documents` dropped by reason,
    `available_documents` and `available_tokens` by language.
    """
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
            np.full(int(own.sum()), number, np.int32),
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


@dataclass(frozen=True)
class Layout:
    """A run of a language's sequences in a stage. P pieces in N sequences, in their order."""

    stage: str
    language: str
    first: int  # the number of the first of them among all sequences of this language in this stage
    shard: Int32s  # [P] where the piece's document is
    row: Int32s  # [P]
    start: Int32s  # [P] first token in the document
    length: Int32s  # [P] tokens
    bounds: Int64s  # [N + 1] sequence n holds the pieces bounds[n] up to bounds[n + 1]

    @property
    def num_sequences(self) -> int:
        return len(self.bounds) - 1


def lay_out(
    language: str, parts: Sequence[DocumentIndex], quotas: Sequence[Quota], recipe: Recipe
) -> Iterator[Layout | Tally]:
    """All sequences of one language, stage by stage, and their counts.

    parts: the language's documents, from every shard, in any order. quotas: of any languages, in the order of stages.
    """
    shard = np.concatenate([part.shard for part in parts])
    row = np.concatenate([part.row for part in parts])
    key = np.concatenate([part.key for part in parts])
    order = np.lexsort((row, shard, key))  # by key; shard and row part the documents that share one
    shard, row = shard[order], row[order]
    tokens = np.concatenate([part.tokens for part in parts])[order].astype(np.int64)
    lengths = {stage.name: stage.sequence_length for stage in recipe.stages}
    pool = int(tokens.sum())
    stop = 0
    for quota in quotas:
        if quota.language != language:
            continue
        taken = take(tokens, quota.start, quota.tokens)
        packed = pack(taken.length, lengths[quota.stage])
        document = taken.document[packed.document]
        pieces = [
            shard[document],
            row[document],
            (taken.start[packed.document] + packed.start).astype(np.int32),
            packed.length.astype(np.int32),
        ]
        yield from _chunks(quota, pieces, packed.bounds)
        stop = quota.start + quota.tokens
        yield _quota_counts(quota, len(np.unique(taken.document)), pool)
    used = len(tokens) if stop >= pool else int(np.searchsorted(np.cumsum(tokens), stop, side="left")) + (stop > 0)
    yield Tally({"documents": {USED: used, Reason.OVER_BUDGET.value: len(tokens) - used}})


def _quota_counts(quota: Quota, documents: int, pool: int) -> Tally:
    name = count_name(quota.stage, quota.language)
    return Tally(
        {
            "planned_tokens": {name: quota.tokens},
            "planned_documents": {name: documents},
            "repeated_tokens": {name: quota.repeated(pool)},
        }
    )


def count_name(stage: str, language: str) -> str:
    """What counts of a stage and language are called in a manifest."""
    return f"{stage}/{language}"


def _chunks(quota: Quota, pieces: Sequence[Int32s], bounds: Int64s) -> Iterator[Layout]:
    first = 0
    while first < len(bounds) - 1:
        last = int(np.searchsorted(bounds, bounds[first] + _CHUNK_PIECES, side="right")) - 1
        last = min(max(last, first + 1), len(bounds) - 1)
        begin, end = int(bounds[first]), int(bounds[last])
        shard, row, start, length = (values[begin:end] for values in pieces)
        yield Layout(quota.stage, quota.language, first, shard, row, start, length, bounds[first : last + 1] - begin)
        first = last


@dataclass(frozen=True)
class Pieces:
    """Pieces of documents of one token shard and where each goes. [P] each; 28 bytes a piece."""

    language: str
    row: Int32s
    start: Int32s
    length: Int32s
    bucket: Int32s  # output shard
    position: Int64s  # sequence, in the whole schedule
    slot: Int32s  # place within the sequence


def place(layout: Layout, sequences: Mapping[tuple[str, str], int], recipe: Recipe) -> Iterator[tuple[int, Pieces]]:
    """Gives each sequence of a layout its position, and its pieces, by the token shard they are read from.

    sequences: how many each (stage, language) has in all.
    """
    first_position, first_bucket = 0, 0
    for stage in recipe.stages:
        languages = sorted(language for name, language in sequences if name == stage.name)
        counts = tuple(sequences[stage.name, language] for language in languages)
        if stage.name == layout.stage:
            break
        first_position += sum(counts)
        first_bucket += stage.shards
    own = np.flatnonzero(_order(counts) == languages.index(layout.language))
    local = own[layout.first : layout.first + layout.num_sequences]
    bounds = np.array(shard_bounds(sum(counts), stage.shards))
    buckets = first_bucket + np.searchsorted(bounds, local, side="right") - 1
    pieces = np.diff(layout.bounds)
    position = np.repeat(first_position + local, pieces)
    bucket = np.repeat(buckets, pieces).astype(np.int32)
    slot = (np.arange(len(layout.row)) - np.repeat(layout.bounds[:-1], pieces)).astype(np.int32)
    by_shard = np.argsort(layout.shard, kind="stable")
    numbers, begins = np.unique(layout.shard[by_shard], return_index=True)
    for number, begin, end in zip(numbers, begins, [*begins[1:], len(by_shard)], strict=True):
        members = by_shard[begin:end]
        yield (
            int(number),
            Pieces(
                language=layout.language,
                row=layout.row[members],
                start=layout.start[members],
                length=layout.length[members],
                bucket=bucket[members],
                position=position[members],
                slot=slot[members],
            ),
        )


@lru_cache(maxsize=1)  # the layouts of a stage ask for the same order, one language after the other
def _order(counts: tuple[int, ...]) -> Int32s:
    return schedule(counts)


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


def cut_pieces(
    batches: Iterator[pa.RecordBatch], groups: Sequence[Pieces], token_type: pa.DataType
) -> Iterator[pa.Table]:
    """Tables of spill_schema with the pieces of one token shard, about a million tokens each.

    batches: the shard's doc_id, source and tokens. groups: its pieces.
    """
    row = np.concatenate([group.row for group in groups])
    language = np.repeat([group.language for group in groups], [len(group.row) for group in groups])
    order = np.lexsort((np.concatenate([group.start for group in groups]), row))
    columns = {
        name: np.concatenate([getattr(group, name) for group in groups])[order]
        for name in ("row", "start", "length", "bucket", "position", "slot")
    } | {"language": language[order]}
    first_row = begin = 0
    for batch in batches:
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


def assemble(pieces: pa.Table, stage: str, token_type: pa.DataType) -> pa.Table:
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


def count_sequences(rows: pa.Table, stage: str, sequence_length: int) -> Tally:
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
