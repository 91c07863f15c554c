"""Signatures: of each document of a finished build what later searches need, so that its text is not read again."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.texts import TEXT_COLUMNS, iter_rows
from transforms.dedup.components import Nodes
from transforms.dedup.copies import compared_rows, language_keys
from transforms.dedup.earlier import COMPARED, ROWS, SIGNATURES
from transforms.dedup.propose import only, signatures_of_rows
from transforms.dedup.rank import RANK, rank_rows
from transforms.dedup.similarity import Rule
from transforms.dedup.spec import MinHashSpec
from transforms.io.shard import Shard

COLUMNS = (*TEXT_COLUMNS, "created", "source", "site")
_SAID = pa.schema([*COMPARED, ROWS.field("language")])


def signed(batches: Iterable[pa.RecordBatch], spec: MinHashSpec) -> pa.Table:
    """SIGNATURES of a shard's documents. batches: COLUMNS, and as "layer.column" those of the layers that they are made
    from: duplicates, language unless languages do not count, quality where it is a criterion.

    Memory: a batch of text, 8 bytes a token of the shard, and the digests of each document that is kept.
    """
    said, about = [_SAID.empty_table()], []
    for batch in batches:
        for rows, texts in iter_rows([batch]):
            names = None if spec.across_languages else pa.chunked_array([rows.column("language.language")])
            languages = language_keys(names, len(texts))
            compared = compared_rows(texts, languages)
            said.append(pa.table([*compared.columns, pa.array(languages)], schema=_SAID))
            about.append(rows.drop_columns(["title", "text"]))
    if not about:
        return SIGNATURES.empty_table()
    texts_of, of = pa.concat_tables(said).combine_chunks(), pa.Table.from_batches(about).combine_chunks()
    tokens = texts_of.column("tokens").combine_chunks()
    prefix = "quality."
    quality = {name.removeprefix(prefix): of.column(name) for name in of.column_names if name.startswith(prefix)}
    documents = Shard("", of, {"quality": pa.table({"doc_id": of.column("doc_id"), **quality})})
    num_tokens = pc.list_value_length(tokens).cast(pa.int64())
    rank = rank_rows(documents, pa.chunked_array([num_tokens]), spec.survivor, spec.priority)

    # A copy of one that is kept meets others by its whole text alone: who is like it is like that one.
    is_copy = pc.fill_null(pc.equal(of.column("duplicates.rule"), Rule.EXACT.value), False)
    first, kept = pc.invert(is_copy), of.column("duplicates.keep")
    compared_by = texts_of.select(["digest", "language"]).append_column("tokens", only(tokens, _rows(first)))
    columns = {
        **dict(zip(RANK.names, rank.columns, strict=True)),
        "digest": texts_of.column("digest"),
        "text": texts_of.column("text"),
        "tokens": only(tokens, _rows(kept)),
        **signatures_of_rows(compared_by, np.arange(len(of)), spec),
    }
    return pa.table(columns, schema=SIGNATURES)


def _rows(wanted: pa.ChunkedArray) -> Nodes:
    """The numbers of the rows that are wanted."""
    return np.flatnonzero(wanted.to_numpy())
