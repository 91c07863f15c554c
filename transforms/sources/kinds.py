"""The sources there are: the only list of them. A new one is its folder and a line here (docs/adding_a_source.md)."""

from __future__ import annotations

from collections.abc import Mapping

from transforms.sources.reddit import source as reddit
from transforms.sources.rows import jsonl, parquet
from transforms.sources.source import Source
from transforms.sources.stackexchange import source as stackexchange

# A file is read as the first of them that recognises it: those that recognise any row stand last.
SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        stackexchange.SOURCE,
        reddit.SOURCE,
        jsonl.SOURCE,
        parquet.SOURCE,
    )
}
