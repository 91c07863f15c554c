"""Documents as token ids: the full text (title, empty line, text) and then <|endoftext|>."""

from __future__ import annotations

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer.encoder import Encoder
from transforms.datasets.align import check_rows_aligned
from transforms.datasets.schema import tokens_schema
from transforms.datasets.texts import full_texts
from transforms.io.shard import Shard
from transforms.layers.read import read_documents
from transforms.tokens.encode import EncodeFn, count_tokens, encode_texts

_COLUMNS = ("doc_id", "source", "text", "title")
_LANGUAGE = "language"


def encode_documents(shard: Shard, encoder: Encoder) -> Shard:
    """A shard of documents to one of schema.tokens_schema, row for row, with counts by language and source.

    Languages are those of the language layer beside it; without one they are null. Texts are without what a layer
    beside it cuts. Memory: the shard, and its tokens.
    Raises ValueError when a column is missing or the layer is not aligned.
    """
    documents = read_documents(shard, _COLUMNS)
    languages = pa.nulls(documents.num_rows, pa.string())
    if _LANGUAGE in shard.layers:
        layer = shard.read_layer(_LANGUAGE, ["doc_id", _LANGUAGE])
        check_rows_aligned(documents, {_LANGUAGE: layer})
        languages = layer.column(_LANGUAGE)
    schema = tokens_schema(encoder.token_type)
    columns = {
        "doc_id": documents.column("doc_id"),
        "source": documents.column("source"),
        "language": languages,
        "tokens": encode_texts(full_texts(documents).to_pylist(), encoder.encode_documents, encoder),
    }
    rows = pa.table({name: columns[name] for name in schema.names}).cast(schema)
    counts = count_tokens(rows, pc.list_value_length(rows.column("tokens")), "documents")
    return Shard(shard.path, rows, counts=counts.to_dict())


class EncodeDocuments(beam.PTransform):
    """Shards of documents (Shard), with their language layer or without, to shards of schema.tokens_schema.

    tokenizer: its folder. sha256: of its tokenizer.json, which is refused when it has another one.
    """

    def __init__(self, tokenizer: str, sha256: str | None = None) -> None:
        super().__init__()
        self._do = EncodeFn(encode_documents, tokenizer, sha256)

    def expand(self, documents: beam.PCollection) -> beam.PCollection:
        return documents | beam.ParDo(self._do).with_output_types(Shard)
