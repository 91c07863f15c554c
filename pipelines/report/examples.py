"""An example of each reason for which something was dropped: rejected records, and documents that a layer drops.

The first of each in the order of the shards; reading ends when every reason that is counted has one. Of what was
removed on request nothing is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.html import Column, Table, number
from pipelines.report.looking import Look
from pipelines.report.paired import clipped
from transforms.datasets.fates import Reason
from transforms.datasets.schema import REJECTS
from transforms.datasets.texts import TEXT_COLUMNS, full_text

_EXCERPT_CHARACTERS = 160

_HIDDEN = {Reason.REMOVED_ON_REQUEST.value}


@dataclass(frozen=True)
class Rejected:
    """A row of a reject shard."""

    reason: str
    file: str
    offset: int
    record_id: str
    detail: str


@dataclass(frozen=True)
class Dropped:
    """A document that a layer does not keep, and how its text begins."""

    layer: str
    reason: str
    doc_id: str
    excerpt: str


def read_rejects(documents: Look, rejects: Look, reasons: Collection[str]) -> list[Rejected]:
    """A rejected record of each reason. rejects: the same dataset, read as reject shards."""
    found: dict[str, Rejected] = {}
    missing = set(reasons) - _HIDDEN
    for path in documents.rejects:
        if not missing:
            break
        for batch in rejects.batches(path, REJECTS.names):
            for row in _of(batch, missing):
                reason = row["reason"]
                found[reason] = Rejected(reason, row["file"], row["offset"], row["record_id"] or "", row["detail"])
            missing -= found.keys()
            if not missing:
                break
    return [found[reason] for reason in sorted(found)]


def read_dropped(layer: str, look: Look, documents: Look, reasons: Collection[str]) -> list[Dropped]:
    """A document of each reason for which a layer drops some."""
    places: dict[str, tuple[str, str]] = {}  # reason: shard, id
    missing = set(reasons)
    for path in look.drawn:
        if not missing:
            break
        for batch in look.batches(path, ("doc_id", "reason")):
            for row in _of(batch, missing):
                places[row["reason"]] = (path, row["doc_id"])
            missing -= places.keys()
            if not missing:
                break
    texts = beginnings(documents, places.values())
    return [Dropped(layer, reason, doc_id, texts.get(doc_id, "")) for reason, (_, doc_id) in sorted(places.items())]


def _of(batch: pa.RecordBatch, reasons: Collection[str]) -> list[dict[str, Any]]:
    """The first row of each of these reasons; only those leave Arrow."""
    rows = [pc.index(batch.column("reason"), pa.scalar(reason, pa.string())).as_py() for reason in sorted(reasons)]
    return [batch.slice(row, 1).to_pylist()[0] for row in rows if row >= 0]


def beginnings(documents: Look, places: Collection[tuple[str, str]]) -> dict[str, str]:
    """How the texts of documents begin, by id. places: shard and id of each."""
    found: dict[str, str] = {}
    for path in sorted({path for path, _ in places}):
        missing = {doc_id for shard, doc_id in places if shard == path}
        for batch in documents.batches(path, TEXT_COLUMNS):
            if not missing:
                break
            for row in np.flatnonzero(pc.is_in(batch.column("doc_id"), pa.array(sorted(missing))).to_numpy(False)):
                doc_id, title, text = (batch.column(name)[int(row)].as_py() for name in TEXT_COLUMNS)
                found[doc_id] = clipped(full_text(title, text), _EXCERPT_CHARACTERS)
                missing.discard(doc_id)
    return found


def rejects_table(found: Sequence[Rejected], counts: Mapping[str, int]) -> Table:
    """The examples with how many there are of each, and what is counted only."""
    columns = [
        Column("reason", "reason"), Column("records"), Column("file", "name"), Column("offset"), Column("id", "code"),
        Column("what is wrong", "text"),
    ]  # fmt: skip
    rows = [
        (row.reason, number(counts.get(row.reason, 0)), row.file, number(row.offset), row.record_id, row.detail)
        for row in found
    ]
    hidden = [(reason, number(counts[reason]), "not shown", "", "", "") for reason in sorted(_HIDDEN & counts.keys())]
    return Table(columns, [*rows, *hidden])


def dropped_table(found: Sequence[Dropped]) -> Table:
    """The examples by layer and reason."""
    columns = [Column("layer", "name"), Column("reason", "reason"), Column("document", "code"), Column("text", "text")]
    return Table(columns, [(row.layer, row.reason, row.doc_id, row.excerpt) for row in found])
