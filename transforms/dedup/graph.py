"""Near-duplicates over all documents: digests to components, components to stars, stars to the layer.

    documents ─ texts ─ regroup by text ─ who stands for each ─ regroup by shard
    documents that stand for their texts ─ sketch ─ regroup by digest ─ edges ─ components (rounds)
    components ─ members by shard ─ regroup by component ─ decide ─ regroup by shard ─ layer

The result is a function of the texts, their languages, times and ids: not of order, shards, buckets or workers.
"""

from __future__ import annotations

from collections.abc import Collection

import apache_beam as beam

from transforms.datasets import places
from transforms.dedup.copies import earlier_texts, read_texts, represent
from transforms.dedup.decide import decide, layer_of_shard, members_of_shard
from transforms.dedup.propose import edges_between, sketch
from transforms.dedup.rounds import Components
from transforms.dedup.search import Search
from transforms.io.shard import Shard
from transforms.shuffle.regroup import Regroup


class Deduplicate(beam.PTransform):
    """All shards of documents (Shard; doc_id, title, text, created), with the language layer beside them unless
    languages do not count, to those of their duplicates layer.

    Rows may come as tables of one's own: each shard is told from the others by the number in its path. but_for: paths
    of shards whose layer is not asked for again. Raises ValueError when a shard is missing or of another search, or
    when components are not found in as many rounds as there are.
    """

    def __init__(self, search: Search, but_for: Collection[str] = ()) -> None:
        super().__init__()
        self._search = search
        self._but_for = frozenset(but_for)

    def expand(self, documents: beam.PCollection) -> beam.PCollection:
        search, but_for = self._search, self._but_for

        def regroup(name: str, num_buckets: int, num_tables: int = search.num_shards) -> Regroup:
            return Regroup(places.join(search.scratch, name), num_buckets, num_tables=num_tables)

        texts = [documents | "ReadTexts" >> beam.Map(read_texts, search)]
        if search.against:
            earlier = documents.pipeline | beam.Create(range(search.num_own, search.num_shards), reshuffle=True)
            texts.append(earlier | "EarlierTexts" >> beam.Map(earlier_texts, search))
        return (
            tuple(texts)
            | "RegroupTexts" >> regroup("texts", search.num_buckets)
            | "Represent" >> beam.Map(represent, search)
            | "RegroupCopies" >> regroup("copies", search.num_shards, search.num_buckets)
            | "Sketch" >> beam.Map(sketch, search)
            | "RegroupDigests" >> regroup("digests", search.num_buckets)
            | "EdgesBetween" >> beam.Map(edges_between, search)
            | "Components" >> Components(search)
            | "MembersOfShard" >> beam.Map(members_of_shard, search)
            | "RegroupMembers" >> regroup("members", search.num_shards)
            | "Decide" >> beam.Map(decide, search)
            | "RegroupOutcomes" >> regroup("outcomes", search.num_own, search.num_shards)
            | "Wanted" >> beam.Filter(lambda bucket: search.path_of(bucket.index) not in but_for)
            | "LayerOfShard" >> beam.Map(layer_of_shard, search).with_output_types(Shard)
        )
