"""Annotate: shards of documents to the rows of a layer that stand beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Generic

import apache_beam as beam
import pyarrow as pa

from transforms.datasets.align import check_rows_aligned
from transforms.io.described import described
from transforms.io.shard import Shard
from transforms.layers.layer import Batches, Layer, M, S


def annotate(documents: Shard, layer: Layer[S, M], settings: S, means: M) -> Shard:
    """The layer's rows of one shard of documents, with their counts. means: what `layer.open` gave.

    Memory: one batch of text, the layer's rows, and the columns it needs of other layers. Raises ValueError when the
    rows or ids are not those of the documents, a document is neither kept nor dropped for a reason, a layer that it
    needs is not beside them, or it needs all documents at once.
    """
    if layer.rows is None:
        raise ValueError(f"the {layer.name} layer is not made shard by shard: it needs all documents at once")
    ids: list[pa.Array] = []
    rows, counts = layer.rows(keeping_ids(_batches(documents, layer, layer.needs(settings)), ids), means)
    check_rows_aligned(pa.table({"doc_id": pa.chunked_array(ids, pa.string())}), {layer.name: rows})
    return described(documents.path, rows, counts)


def _batches(documents: Shard, layer: Layer[S, M], needs: Mapping[str, Sequence[str]]) -> Iterator[pa.RecordBatch]:
    """The columns that the layer reads: of the documents, and of the layers it needs."""
    tables = {name: documents.read_layer(name, ["doc_id", *columns]) for name, columns in needs.items()}
    if tables:
        check_rows_aligned(documents.read(["doc_id"]), tables)
    needed = {f"{name}.{column}": tables[name].column(column) for name, columns in needs.items() for column in columns}
    start = 0
    for batch in documents.batches(layer.columns):
        for name, column in needed.items():
            batch = batch.append_column(name, column.slice(start, batch.num_rows).combine_chunks())
        start += batch.num_rows
        yield batch


def keeping_ids(batches: Batches, ids: list[pa.Array]) -> Iterator[pa.RecordBatch]:
    """The batches as they are; their doc_id is put into `ids` as they pass."""
    for batch in batches:
        ids.append(batch.column("doc_id"))
        yield batch


class Annotate(beam.PTransform, Generic[S, M]):
    """Shards of documents (Shard), with the layers beside them that this one needs, to those of a layer (Shard of
    layer.schema), one by one.

    Raises ValueError for settings that cannot be used, before the pipeline runs, and as `annotate` does.
    """

    def __init__(self, layer: Layer[S, M], settings: S) -> None:
        super().__init__()
        self._do = _AnnotateFn(layer, settings)

    def expand(self, documents: beam.PCollection) -> beam.PCollection:
        return documents | beam.ParDo(self._do).with_output_types(Shard)


class _AnnotateFn(beam.DoFn, Generic[S, M]):
    """Opens the layer once in each process."""

    def __init__(self, layer: Layer[S, M], settings: S) -> None:
        self._layer, self._settings = layer, settings
        self._identity = layer.identity(settings)

    def setup(self) -> None:
        self._means = self._layer.open(self._settings, self._identity)

    def process(self, documents: Shard) -> Iterator[Shard]:
        yield annotate(documents, self._layer, self._settings, self._means)
