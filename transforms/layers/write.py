"""How a layer's shard is written: under the name of the documents' shard it describes, with the same ids in the same
order. Anything else is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets import shards
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset
from transforms.datasets.fates import Tally, check_conserved
from transforms.datasets.manifest import ShardFile


@dataclass(frozen=True)
class Target:
    """Where one layer is written, and what is written into its shards."""

    documents: Dataset
    build: Build
    schema: pa.Schema


def unfinished(target: Target, files: Sequence[ShardFile]) -> list[ShardFile]:
    """The documents' shards whose layer an interrupted run of this build has not written yet."""
    return [file for file in files if target.build.finished(file.path) is None]


def write_layer(target: Target, file: ShardFile, rows: pa.Table, counts: Tally) -> None:
    """Writes the layer of one shard. `file` is the shard of the documents.

    Adds the counts that every layer has: documents, and those dropped by reason. Raises ValueError when the rows or ids
    are not those of the documents, or a document is neither kept nor dropped for a reason.
    """
    counts.add("documents", "in", rows.num_rows)
    if "keep" in target.schema.names:
        _count_fates(rows, counts)
    written = shards.write_shard(target.build, file.path, target.schema, [rows], "doc_id", counts.to_dict())
    if (written.rows, written.ids_sha256) != (file.rows, file.ids_sha256):
        raise ValueError(
            f"the {target.build.kind} layer of {file.path} has {written.rows} rows with ids {written.ids_sha256[:16]}, "
            f"the documents have {file.rows} with {file.ids_sha256[:16]}: the documents changed while they were "
            "annotated; annotate them again"
        )


def _count_fates(layer: pa.Table, counts: Tally) -> None:
    keep, reason = layer.column("keep"), layer.column("reason")
    kept = pc.sum(keep).as_py() or 0
    dropped = 0
    for entry in pc.value_counts(reason.drop_null()).to_pylist():
        counts.add("drop", entry["values"], entry["counts"])
        dropped += entry["counts"]
    counts.add("documents", "kept", kept)
    check_conserved("documents", layer.num_rows, kept, dropped)
    contradictory = pc.sum(pc.equal(keep, reason.is_valid())).as_py() or 0
    if contradictory:
        raise ValueError(f"{contradictory} documents are kept with a reason, or dropped without one; please report it")
