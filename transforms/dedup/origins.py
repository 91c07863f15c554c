"""Where documents come from, and of each language and source how many there are and how many are removed.

A share that stands out (most of a language gone) is seen in the manifest, and the layer has a bound for it.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.dataset import Dataset
from transforms.datasets.fates import Tally
from transforms.dedup.spec import ORIGINS
from transforms.io.shard import Shard

_UNKNOWN = "unknown"


def origins_of(shard: Shard, across_languages: bool) -> pa.Table:
    """[D] the language and the source of a shard's documents, as far as they are there: a table of one's own need not
    have a source, and a search across languages no language layer."""
    columns = {}
    if not across_languages:
        columns["language"] = shard.read_layer("language", ["language"]).column("language")
    if isinstance(shard.rows, Dataset) or "source" in shard.rows.column_names:
        columns["source"] = shard.read(["source"]).column("source")
    return pa.table({name: _encoded(columns[name]) for name in ORIGINS if name in columns})


def _encoded(column: pa.ChunkedArray) -> pa.Array:
    return pc.fill_null(column.combine_chunks(), _UNKNOWN).dictionary_encode()


def count_origins(counts: Tally, origins: pa.Table, keep: pa.ChunkedArray) -> None:
    """Counts the documents of each origin, and those that are not kept. keep: [D] of booleans."""
    removed = pc.invert(keep)
    for origin in origins.column_names:
        column = origins.column(origin)
        for group, rows in ((f"documents_by_{origin}", column), (f"removed_by_{origin}", column.filter(removed))):
            for entry in pc.value_counts(rows).to_pylist():
                counts.add(group, entry["values"], entry["counts"])
