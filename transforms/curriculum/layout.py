"""Sequences without their text: which tokens of which documents stand in which training sequence of a language.

Pure steps over numpy arrays: documents are chosen and packed by their lengths alone.

Memory: 20 bytes for each document of one language while that language is laid out (100 million documents: 2 GB), about
80 more for each piece of the stage that is being packed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from transforms.curriculum.index import DocumentIndex, Int32s
from transforms.curriculum.mix import Quota, Recipe, take
from transforms.curriculum.pack import pack
from transforms.datasets.fates import Reason, Tally

USED = "used"  # the fate of a document of which a token is in the curriculum

_CHUNK_PIECES = 1 << 20  # of a layout that travels through Beam: 16 MB
_COUNTS = "counts"

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """A run of a language's sequences in a stage. P pieces in N sequences, in their order."""

    stage: str
    language: str
    first: int  # the number of the first of them among all sequences of this language in this stage
    shard: Int32s  # [P] where the piece's document is
    row: Int32s  # [P]
    start: Int32s  # [P] first token in the document
    length: Int32s  # [P] tokens
    bounds: Int64s  # [N + 1] sequence n holds the pieces bounds[n] up to bounds[n + 1]

    @property
    def num_sequences(self) -> int:
        """N."""
        return len(self.bounds) - 1


def lay_out(
    language: str, parts: Sequence[DocumentIndex], quotas: Sequence[Quota], recipe: Recipe
) -> Iterator[Layout | Tally]:
    """All sequences of one language, stage by stage, and their counts.

    parts: the language's documents, from every shard, in any order. quotas: of any languages, in the order of stages.
    """
    shard = np.concatenate([part.shard for part in parts])
    row = np.concatenate([part.row for part in parts])
    key = np.concatenate([part.key for part in parts])
    order = np.lexsort((row, shard, key))  # by key; shard and row part the documents that share one
    shard, row = shard[order], row[order]
    tokens = np.concatenate([part.tokens for part in parts])[order].astype(np.int64)
    lengths = {stage.name: stage.sequence_length for stage in recipe.stages}
    pool = int(tokens.sum())
    stop = 0
    for quota in quotas:
        if quota.language != language:
            continue
        taken = take(tokens, quota.start, quota.tokens)
        packed = pack(taken.length, lengths[quota.stage])
        document = taken.document[packed.document]
        pieces = [
            shard[document],
            row[document],
            (taken.start[packed.document] + packed.start).astype(np.int32),
            packed.length.astype(np.int32),
        ]
        yield from _chunks(quota, pieces, packed.bounds)
        stop = quota.start + quota.tokens
        yield _quota_counts(quota, len(np.unique(taken.document)), pool)
    used = len(tokens) if stop >= pool else int(np.searchsorted(np.cumsum(tokens), stop, side="left")) + (stop > 0)
    yield Tally({"documents": {USED: used, Reason.OVER_BUDGET.value: len(tokens) - used}})


def _quota_counts(quota: Quota, documents: int, pool: int) -> Tally:
    name = count_name(quota.stage, quota.language)
    return Tally(
        {
            "planned_tokens": {name: quota.tokens},
            "planned_documents": {name: documents},
            "repeated_tokens": {name: quota.repeated(pool)},
        }
    )


def count_name(stage: str, language: str) -> str:
    """What counts of a stage and language are called in a manifest."""
    return f"{stage}/{language}"


def _chunks(quota: Quota, pieces: Sequence[Int32s], bounds: Int64s) -> Iterator[Layout]:
    first = 0
    while first < len(bounds) - 1:
        last = int(np.searchsorted(bounds, bounds[first] + _CHUNK_PIECES, side="right")) - 1
        last = min(max(last, first + 1), len(bounds) - 1)
        begin, end = int(bounds[first]), int(bounds[last])
        shard, row, start, length = (values[begin:end] for values in pieces)
        yield Layout(quota.stage, quota.language, first, shard, row, start, length, bounds[first : last + 1] - begin)
        first = last


class LayOut(beam.PTransform):
    """(ShardIndex of each token shard, the quotas of all stages as one list) to (Layout of each run, Tally of each)."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self._recipe = recipe

    def expand(self, sides: tuple[beam.PCollection, beam.PCollection]) -> tuple[beam.PCollection, beam.PCollection]:
        indexed, quotas = sides
        found = (
            indexed
            | "ByLanguage" >> beam.FlatMap(lambda index: list(index.languages.items()))
            | "GroupByLanguage" >> beam.GroupByKey()  # group: the documents of a language, 20 bytes each
            | "LayOut"
            >> beam.FlatMap(_lay_out, beam.pvalue.AsSingleton(quotas), self._recipe).with_outputs(_COUNTS, main="laid")
        )
        return found.laid, found[_COUNTS]


def _lay_out(
    item: tuple[str, Iterable[DocumentIndex]], quotas: Sequence[Quota], recipe: Recipe
) -> Iterator[Layout | beam.pvalue.TaggedOutput]:
    language, parts = item
    for found in lay_out(language, list(parts), quotas, recipe):
        yield beam.pvalue.TaggedOutput(_COUNTS, found) if isinstance(found, Tally) else found
