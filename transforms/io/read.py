"""Where collections of shards begin: a dataset, and documents whose layers are made in the same pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import apache_beam as beam

from transforms.datasets.dataset import Dataset
from transforms.io import coder  # noqa: F401  registers how a shard is carried
from transforms.io.shard import Shard

_DOCUMENTS = "documents"


class ReadShards(beam.PTransform):
    """The shards of a dataset (Shard), spread over the workers. Names only: rows are read where they are worked on.

    paths: which of them, by default all. layers: the datasets that stand beside it, by name.
    """

    def __init__(
        self, dataset: Dataset, paths: Sequence[str] | None = None, layers: Mapping[str, Dataset] | None = None
    ) -> None:
        super().__init__()
        chosen = dataset.paths if paths is None else paths
        self._shards = [Shard(path, dataset, dict(layers or {})) for path in chosen]

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        return begin | beam.Create(self._shards, reshuffle=True).with_output_types(Shard)


def join_layers(path: str, found: Mapping[str, Iterable[Shard]]) -> Shard:
    """A shard of documents with its layers beside it. found: "documents" and the layers by name, one of each.

    Raises ValueError when there is none, or more than one.
    """
    parts = {}
    for name, several in found.items():
        some = list(several)
        if len(some) != 1:
            raise ValueError(f"{path} comes {len(some)} times among {name}, wanted once: which rows belong together?")
        parts[name] = some[0]
    documents = parts.pop(_DOCUMENTS)
    return replace(documents, layers={**documents.layers, **{name: layer.rows for name, layer in parts.items()}})


class JoinLayers(beam.PTransform):
    """(documents, {"language": languages, …}), collections of Shard, to documents with these layers beside them.

    Shuffles the rows of layers, and of documents those that are tables; documents of a dataset are names.
    """

    def expand(self, sides: tuple[beam.PCollection, Mapping[str, beam.PCollection]]) -> beam.PCollection:
        documents, layers = sides
        keyed = {
            name: collection | f"Key{name.capitalize()}" >> beam.WithKeys(_path_of)
            for name, collection in {_DOCUMENTS: documents, **layers}.items()
        }
        # group: one shard's rows of each layer
        return keyed | beam.CoGroupByKey() | beam.MapTuple(join_layers).with_output_types(Shard)


def _path_of(shard: Shard) -> str:
    return shard.path
