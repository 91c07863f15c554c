"""Datasets that stand row for row beside another: as their manifests say, and as their rows do."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from transforms.datasets.manifest import Manifest


def check_aligned(documents: Manifest, layer: Manifest, name: str) -> None:
    """Raises ValueError unless the layer has the documents' shards, row for row."""
    ours = [(file.path, file.rows, file.ids_sha256) for file in documents.data_files]
    theirs = [(file.path, file.rows, file.ids_sha256) for file in layer.data_files]
    if ours != theirs:
        raise ValueError(
            f"the {name} layer does not describe these documents: their shards or ids differ; annotate them anew"
        )


def check_rows_aligned(documents: pa.Table, layers: Mapping[str, pa.Table]) -> None:
    """Raises ValueError unless each layer has the documents' ids, row for row."""
    ids = documents.column("doc_id")
    for name, layer in layers.items():
        if layer.num_rows != documents.num_rows or not layer.column("doc_id").equals(ids):
            raise ValueError(
                f"the {name} layer does not stand row for row beside the documents ({layer.num_rows} rows, want "
                f"{documents.num_rows} with the same doc_id); annotate these documents anew"
            )
