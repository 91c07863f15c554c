"""Layers that are made of one shard of documents at a time: the Beam side of `Layer.rows`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apache_beam as beam

from transforms.datasets import shards
from transforms.datasets.manifest import ShardFile
from transforms.layers import write
from transforms.layers.layer import Layer


class WriteByShard(beam.PTransform):
    """Documents shards (ShardFile) to the shards of a layer. Memory: one batch of text, and the layer's rows."""

    def __init__(
        self, layer: Layer[Any, Any], settings: object, identity: Mapping[str, object], target: write.Target
    ) -> None:
        super().__init__()
        self._do = _WriteByShardFn(layer, settings, identity, target)

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        return files | "WriteByShard" >> beam.ParDo(self._do)


class _WriteByShardFn(beam.DoFn):
    def __init__(
        self, layer: Layer[Any, Any], settings: object, identity: Mapping[str, object], target: write.Target
    ) -> None:
        self._layer, self._settings, self._identity, self._target = layer, settings, identity, target

    def setup(self) -> None:
        self._means = self._layer.open(self._settings, self._identity)

    def process(self, file: ShardFile) -> None:
        assert self._layer.rows, f"annotate has a transform for the layer {self._layer.name}"
        batches = shards.iter_batches(self._target.documents, file.path, self._layer.columns)
        rows, counts = self._layer.rows(batches, self._means)
        write.write_layer(self._target, file, rows, counts)
