"""Documents that were removed for others: ten of each rule of near-duplicates, with what differs marked.

Drawn by a keyed hash of their ids in one pass over the layer; another one over its ids finds the documents that they
were removed for, and of the texts only the batches are read that hold one of these documents.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.differences import Pieces, differences, shortened
from pipelines.report.looking import Look, Looked
from transforms.datasets.ids import keyed_hash
from transforms.datasets.texts import TEXT_COLUMNS, full_text
from transforms.dedup.similarity import Rule

_COLUMNS = ("doc_id", "kept", "rule", "similarity", "containment")
_EXAMPLES = 10  # of each rule
_CHARACTERS, _ALIKE = 900, 240  # that are shown of a text, and of a stretch of it that is in both

_Where = tuple[str, int]  # a shard, and a row in it


class _Drawn(NamedTuple):
    """A removed document, before its text is read. They are drawn in the order of their fields."""

    key: int
    doc_id: str
    where: _Where
    kept: str
    similarity: float | None
    containment: float | None


@dataclass(frozen=True)
class Removal:
    """A removed document, and the one that it was removed for. texts: of both, in pieces; None where one of them does
    not stand in the shards that were read. similarity: as the rule measures it."""

    removed: str
    kept: str
    similarity: float | None
    containment: float | None
    texts: tuple[Pieces, Pieces] | None


@dataclass(frozen=True)
class Removals:
    """By rule, in the order in which rules are tried."""

    looked: Looked
    by_rule: Mapping[str, Sequence[Removal]]


def read_removals(layer: Look, documents: Look) -> Removals:
    """Memory: a batch of the layer, and the batches of one shard's texts that hold an example."""
    paths = layer.drawn
    drawn = _draw(layer, paths)
    wanted = {found.doc_id: found.where for of_rule in drawn.values() for found in of_rule}
    # What others go for stays: a finished build that these are held against may have another document of the same id.
    kept = _find_kept(layer, paths, {found.kept for of_rule in drawn.values() for found in of_rule})
    texts = _texts(documents, wanted | kept)
    by_rule = {
        rule: [_removal(found, texts if found.kept in kept else {}) for found in of_rule]
        for rule, of_rule in drawn.items()
        if of_rule
    }
    return Removals(layer.looked(paths), by_rule)


def _draw(layer: Look, paths: Iterable[str]) -> dict[str, list[_Drawn]]:
    drawn: dict[str, list[_Drawn]] = {rule.value: [] for rule in Rule}
    for path in paths:
        start = 0
        for batch in layer.batches(path, _COLUMNS):
            rows = np.flatnonzero(pc.and_(pc.is_valid(batch["rule"]), pc.is_valid(batch["kept"])).to_numpy(False))
            found: dict[str, list[_Drawn]] = {}
            for row, values in zip(rows.tolist(), batch.take(pa.array(rows)).to_pylist(), strict=True):
                doc_id, kept, rule, similarity, containment = (values[name] for name in _COLUMNS)
                key = keyed_hash("report-removals", doc_id)
                of_rule = found.setdefault(rule, [])
                of_rule.append(_Drawn(key, doc_id, (path, start + row), kept, similarity, containment))
            for rule in drawn.keys() & found.keys():
                drawn[rule] = heapq.nsmallest(_EXAMPLES, [*drawn[rule], *found[rule]], key=lambda entry: entry[:3])
            start += batch.num_rows
    return drawn


def _find_kept(layer: Look, paths: Iterable[str], ids: Collection[str]) -> dict[str, _Where]:
    """Where documents stand, by id, of those that stay."""
    found: dict[str, _Where] = {}
    wanted = pa.array(sorted(ids), pa.string())
    for path in paths:
        start = 0
        for batch in layer.batches(path, ["doc_id", "keep"]):
            if len(found) == len(wanted):
                return found
            stays = pc.and_(batch["keep"], pc.is_in(batch["doc_id"], wanted))
            for row in np.flatnonzero(stays.to_numpy(False)).tolist():
                found[batch["doc_id"][row].as_py()] = (path, start + row)
            start += batch.num_rows
    return found


def _texts(documents: Look, wanted: Mapping[str, _Where]) -> dict[str, str]:
    """What documents say, by id."""
    found: dict[str, str] = {}
    for path in sorted({path for path, _ in wanted.values()}):
        rows = sorted({row for at, row in wanted.values() if at == path})
        table = documents.some(path, rows, TEXT_COLUMNS)
        for doc_id, title, text in zip(*(table[name].to_pylist() for name in TEXT_COLUMNS), strict=True):
            found[doc_id] = full_text(title, text)
    return found


def _removal(found: _Drawn, texts: Mapping[str, str]) -> Removal:
    marked = None
    if found.doc_id in texts and found.kept in texts:
        one, other = differences(texts[found.doc_id], texts[found.kept])
        marked = shortened(one, _CHARACTERS, _ALIKE), shortened(other, _CHARACTERS, _ALIKE)
    return Removal(found.doc_id, found.kept, found.similarity, found.containment, marked)
