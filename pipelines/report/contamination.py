"""The documents that hold items of benchmarks: a table by benchmark, with examples."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow.compute as pc

from pipelines.report.html import Column, Table, number
from pipelines.report.looking import Look, Looked
from transforms.datasets.ids import keyed_hash

_COLUMNS = ("doc_id", "benchmark", "item", "matched", "rule", "lcs", "reason")
_EXAMPLES = 3  # of each benchmark


@dataclass(frozen=True)
class Example:
    """A document that holds an item. lcs: tokens in common."""

    benchmark: str
    item: str
    rule: str
    lcs: int
    doc_id: str
    matched: str


@dataclass
class Contamination:
    """Items that were found, by benchmark; and examples of each, drawn by a keyed hash of the documents' ids."""

    looked: Looked
    items: Counter[str] = field(default_factory=Counter)
    examples: Sequence[Example] = ()


def read_contamination(look: Look) -> Contamination:
    """One pass over the contamination layer, a batch in memory, and its matches."""
    paths = look.drawn
    found = Contamination(look.looked(paths))
    items: set[tuple[str, str]] = set()
    drawn: dict[str, list[tuple[int, str, Example]]] = {}
    for path in paths:
        for batch in look.batches(path, _COLUMNS):
            for row in batch.filter(pc.is_valid(batch.column("reason"))).to_pylist():
                texts = {name: row[name] or "" for name in _COLUMNS if name not in ("lcs", "reason")}
                example = Example(lcs=row["lcs"] or 0, **texts)
                items.add((example.benchmark, example.item))
                entry = (keyed_hash("report-contamination", example.doc_id), example.doc_id, example)
                entries = drawn.setdefault(example.benchmark, [])
                entries[:] = heapq.nsmallest(_EXAMPLES, [*entries, entry], key=lambda entry: entry[:2])
    found.items.update(benchmark for benchmark, _ in items)
    found.examples = [example for _, entries in sorted(drawn.items()) for _, _, example in entries]
    return found


def matches_table(found: Contamination) -> Table:
    """Up to three documents of each benchmark."""
    columns = [
        Column("benchmark", "name"), Column("item", "code"), Column("rule", "code"), Column("common tokens"),
        Column("document", "code"), Column("matched text", "text"),
    ]  # fmt: skip
    rows = [(row.benchmark, row.item, row.rule, number(row.lcs), row.doc_id, row.matched) for row in found.examples]
    return Table(columns, rows)


def items_table(found: Contamination) -> Table:
    """How many items of each benchmark were found."""
    rows = [(benchmark, number(count)) for benchmark, count in sorted(found.items.items())]
    return Table([Column("benchmark", "name"), Column("texts of it that were found")], rows)
