"""The shard of a layer, with the counts that every layer has: documents, kept and dropped by reason."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.fates import Tally, check_conserved
from transforms.io.shard import Shard


def described(path: str, rows: pa.Table, counts: Tally) -> Shard:
    """A layer's shard, with the counts that every layer has added: documents, and those dropped by reason.

    Raises ValueError when a document is neither kept nor dropped for a reason.
    """
    counts.add("documents", "in", rows.num_rows)
    if "keep" in rows.column_names:
        _count_fates(rows, counts)
    return Shard(path, rows, counts=counts.to_dict())


def _count_fates(rows: pa.Table, counts: Tally) -> None:
    keep, reason = rows.column("keep"), rows.column("reason")
    kept = pc.sum(keep).as_py() or 0
    dropped = 0
    for entry in pc.value_counts(reason.drop_null()).to_pylist():
        counts.add("drop", entry["values"], entry["counts"])
        dropped += entry["counts"]
    counts.add("documents", "kept", kept)
    check_conserved("documents", rows.num_rows, kept, dropped)
    contradictory = pc.sum(pc.equal(keep, reason.is_valid())).as_py() or 0
    if contradictory:
        raise ValueError(f"{contradictory} documents are kept with a reason, or dropped without one; please report it")
