"""Counts in the graph: their sum, and a file of what is known of a whole dataset and of none of its shards."""

from __future__ import annotations

import json
from collections.abc import Iterable

import apache_beam as beam

from transforms.datasets import places
from transforms.datasets.fates import Tally
from transforms.datasets.manifest import Counts

_COUNTS = "counts.json"


def sum_counts(tallies: Iterable[Tally]) -> Tally:
    """Their sum, whatever their order."""
    total = Tally()
    for tally in tallies:
        total.merge(tally)
    return total


class SumCounts(beam.PTransform):
    """Tallies, of one collection or of several, to the one that is their sum; nothing to nothing."""

    def expand(self, tallies: beam.PCollection | tuple[beam.PCollection, ...]) -> beam.PCollection:
        together = tallies if isinstance(tallies, beam.PCollection) else tallies | beam.Flatten()
        return together | beam.CombineGlobally(sum_counts).without_defaults()


def write_counts(counts: Tally, folder: str) -> str:
    """Writes the file of counts into a folder (scratch space); returns its place."""
    place = places.join(folder, _COUNTS)
    places.write_atomically(place, json.dumps(counts.to_dict()).encode())
    return place


def read_counts(folder: str) -> Counts:
    """What `write_counts` wrote. Raises FileNotFoundError."""
    found: Counts = json.loads(places.read_bytes(places.join(folder, _COUNTS)))
    return found


class WriteCounts(beam.PTransform):
    """The sum of all tallies to a file in a folder; yields its place."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def expand(self, tallies: beam.PCollection | tuple[beam.PCollection, ...]) -> beam.PCollection:
        return tallies | SumCounts() | beam.Map(write_counts, self._folder)
