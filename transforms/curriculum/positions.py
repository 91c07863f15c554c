"""Positions: where in the whole schedule each sequence stands, and so where each piece of a document goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import apache_beam as beam
import numpy as np

from transforms.curriculum.index import Int32s
from transforms.curriculum.layout import Int64s, Layout
from transforms.curriculum.mix import Recipe
from transforms.curriculum.schedule import schedule, shard_bounds


@dataclass(frozen=True)
class Pieces:
    """Pieces of documents of one token shard and where each goes. [P] each; 28 bytes a piece."""

    language: str
    row: Int32s
    start: Int32s
    length: Int32s
    bucket: Int32s  # output shard
    position: Int64s  # sequence, in the whole schedule
    slot: Int32s  # within the sequence, from 0


def assign_positions(
    layout: Layout, sequences: Mapping[tuple[str, str], int], recipe: Recipe
) -> Iterator[tuple[int, Pieces]]:
    """The pieces of a layout, its sequences at their positions, by the number of the token shard they are read from.

    sequences: how many each (stage, language) has in all.
    """
    first_position, first_bucket = 0, 0
    for stage in recipe.stages:
        languages = sorted(language for name, language in sequences if name == stage.name)
        counts = tuple(sequences[stage.name, language] for language in languages)
        if stage.name == layout.stage:
            break
        first_position += sum(counts)
        first_bucket += stage.shards
    own = np.flatnonzero(_order(counts) == languages.index(layout.language))
    local = own[layout.first : layout.first + layout.num_sequences]
    bounds = np.array(shard_bounds(sum(counts), stage.shards))
    buckets = first_bucket + np.searchsorted(bounds, local, side="right") - 1
    pieces = np.diff(layout.bounds)
    position = np.repeat(first_position + local, pieces)
    bucket = np.repeat(buckets, pieces).astype(np.int32)
    slot = (np.arange(len(layout.row)) - np.repeat(layout.bounds[:-1], pieces)).astype(np.int32)
    by_shard = np.argsort(layout.shard, kind="stable")
    numbers, begins = np.unique(layout.shard[by_shard], return_index=True)
    for number, begin, end in zip(numbers, begins, [*begins[1:], len(by_shard)], strict=True):
        members = by_shard[begin:end]
        yield (
            int(number),
            Pieces(
                language=layout.language,
                row=layout.row[members],
                start=layout.start[members],
                length=layout.length[members],
                bucket=bucket[members],
                position=position[members],
                slot=slot[members],
            ),
        )


@lru_cache(maxsize=1)  # the layouts of a stage ask for the same order, one language after the other
def _order(counts: tuple[int, ...]) -> Int32s:
    return schedule(counts)


class AssignPositions(beam.PTransform):
    """All layouts (Layout) to (number of a token shard, Pieces that are read from it)."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self._recipe = recipe

    def expand(self, layouts: beam.PCollection) -> beam.PCollection:
        sequences = (
            layouts
            | "SequencesOfLayout" >> beam.Map(lambda layout: ((layout.stage, layout.language), layout.num_sequences))
            | "SumOfSequences" >> beam.CombinePerKey(sum)
        )
        return layouts | "AssignPositions" >> beam.FlatMap(
            assign_positions, beam.pvalue.AsDict(sequences), self._recipe
        )
