"""Repeated lines over all documents: every line has one owner, and is cut from all others.

    documents ─ lines ─ regroup by digest ─ shared ─ regroup by shard ─ claims ─ regroup by digest ─ owners
    owners ─ regroup by shard ─ layer

The owner of a line is the oldest document that holds it, then the first by id, its numbers as numbers: a function of
the documents alone, whatever shards, buckets and workers there are. Each text is read once, and a shard decides alone
about lines that no other shard has. What is shuffled is 16 bytes a line that may be cut, once a shard, and who claims
those that several shards have: a line that stands everywhere has as many rows as there are shards.
"""

from __future__ import annotations

from collections.abc import Collection

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.datasets import places
from transforms.datasets.align import check_rows_aligned
from transforms.datasets.texts import iter_bodies
from transforms.dedup.line_layer import Owners, describe
from transforms.dedup.line_search import DOCUMENTS, LineSearch
from transforms.dedup.line_spec import LANGUAGE
from transforms.dedup.lines import Lines, read_lines
from transforms.dedup.rank import Criterion, ranked
from transforms.io.shard import Shard
from transforms.shuffle.regroup import Regroup
from transforms.shuffle.spills import BUCKET, Bucket

_Digests = npt.NDArray[np.uint64]
_Rows = npt.NDArray[np.int64]

_SENT = pa.schema([(BUCKET, pa.int32()), ("digest", pa.uint64()), ("shard", pa.int32())])
_SHARED = pa.schema([(BUCKET, pa.int32()), ("digest", pa.uint64())])
_CLAIMS = pa.schema([*_SENT, DOCUMENTS.field("doc_id"), DOCUMENTS.field("created")])
_OWNERS = pa.schema([*_SHARED, ("owner", pa.string())])


class RepeatedLines(beam.PTransform):
    """All shards of documents (Shard; doc_id, text, created), with the language layer and those that settings name
    beside them, to those of their layer repeated_lines.

    Rows may come as tables of one's own: each shard is told from the others by the number in its path. but_for: paths
    of shards whose layer is not asked for again. Raises ValueError when a shard is missing or of another search.
    """

    def __init__(self, search: LineSearch, but_for: Collection[str] = ()) -> None:
        super().__init__()
        self._search = search
        self._but_for = frozenset(but_for)

    def expand(self, documents: beam.PCollection) -> beam.PCollection:
        search, but_for = self._search, self._but_for

        def regroup(name: str) -> Regroup:
            return Regroup(places.join(search.scratch, name), search.num_shards, num_tables=search.num_shards)

        return (
            documents
            | "Lines" >> beam.Map(lines_of_shard, search)
            | "RegroupDigests" >> regroup("digests")
            | "Shared" >> beam.Map(shared)
            | "RegroupShared" >> regroup("shared")
            | "Claims" >> beam.Map(claims, search)
            | "RegroupClaims" >> regroup("claims")
            | "Owners" >> beam.Map(owners)
            | "RegroupOwners" >> regroup("owners")
            | "Wanted" >> beam.Filter(lambda bucket: search.path_of(bucket.index) not in but_for)
            | "LayerOfShard" >> beam.Map(layer_of_shard, search).with_output_types(Shard)
        )


def lines_of_shard(shard: Shard, search: LineSearch) -> pa.Table:
    """The digests of the lines of a shard that may be cut (_SENT), each once; all of its lines stay in scratch space.

    Memory: about a million characters of text, 28 bytes a line. Raises ValueError for a shard of another search, and
    for layers that are not beside it row for row.
    """
    index = search.number_of(shard)
    documents = shard.read(["doc_id", "created"])
    layers = {name: shard.read_layer(name, ["doc_id", "keep"]) for name in search.settings.kept_by}
    languages = shard.read_layer(LANGUAGE, ["doc_id", LANGUAGE])
    check_rows_aligned(documents, {LANGUAGE: languages, **layers})
    parts, lengths = [read_lines([], search.settings.tokens)], list[int]()
    for texts in iter_bodies(shard.batches(("text",))):
        found = read_lines(texts, search.settings.tokens)
        parts.append(found._replace(row=found.row + np.int32(len(lengths))))
        lengths += map(len, texts)
    kept = np.ones(documents.num_rows, np.bool_)
    for layer in layers.values():
        kept &= layer.column("keep").to_numpy()
    lines = Lines(*map(np.concatenate, zip(*parts, strict=True)))
    lines = lines._replace(digest=np.where(kept[lines.row], lines.digest, np.uint64(0)))
    columns = [*documents.columns, pa.array(lengths, pa.int32()), languages.column(LANGUAGE)]
    search.save(index, pa.table(columns, schema=DOCUMENTS).combine_chunks(), lines)
    sent = np.unique(lines.digest[lines.digest > 0])
    return pa.table([_buckets(sent, search), sent, np.full(len(sent), index, np.int32)], schema=_SENT)


def shared(bucket: Bucket) -> pa.Table:
    """The digests that several shards have (_SHARED), to the bucket of each of these."""
    sent = bucket.read(_SENT)
    several = _repeated(_digests(sent))
    return pa.table([sent.column("shard").to_numpy()[several], _digests(sent)[several]], schema=_SHARED)


def claims(bucket: Bucket, search: LineSearch) -> pa.Table:
    """Of each line that other shards have as well, the document of this one that would own it (_CLAIMS), to the bucket
    of the line."""
    documents = search.documents(bucket.index)
    digests, rows = _holders(search.lines(bucket.index))
    asked = np.isin(digests, _digests(bucket.read(_SHARED)))
    digests, rows = _owned(digests[asked], rows[asked], documents)
    claimed = documents.select(["doc_id", "created"]).take(pa.array(rows))
    shards = np.full(len(rows), bucket.index, np.int32)
    return pa.table([_buckets(digests, search), digests, shards, *claimed.columns], schema=_CLAIMS)


def owners(bucket: Bucket) -> pa.Table:
    """The owner of each line that several shards claim (_OWNERS), to the bucket of each of these."""
    claimed = bucket.read(_CLAIMS).combine_chunks()
    digests = _digests(claimed)
    owned, rows = _owned(digests, np.arange(len(digests)), claimed)
    owner = claimed.column("doc_id").take(pa.array(rows[np.searchsorted(owned, digests)]))
    return pa.table([claimed.column("shard"), digests, owner], schema=_OWNERS)


def layer_of_shard(bucket: Bucket, search: LineSearch) -> Shard:
    """The layer of a shard, and its counts. Memory: ids and lines of the shard."""
    lines, documents = search.lines(bucket.index), search.documents(bucket.index)
    told = bucket.read(_OWNERS)
    digests, rows = _holders(lines)
    alone = _repeated(digests) & ~np.isin(digests, _digests(told))
    digests, rows = _owned(digests[alone], rows[alone], documents)
    own = pa.table([digests, documents.column("doc_id").take(pa.array(rows))], names=["digest", "owner"])
    known = pa.concat_tables([told.select(own.column_names), own]).sort_by("digest")
    found = Owners(_digests(known), known.column("owner").combine_chunks())
    return describe(search.path_of(bucket.index), documents, lines, found, search.settings)


def _holders(lines: Lines) -> tuple[_Digests, _Rows]:
    """(H,) each digest with each row of a document that holds it, once."""
    held = lines.take(lines.digest > 0)
    order = np.lexsort((held.row, held.digest))
    digests, rows = held.digest[order], held.row[order].astype(np.int64)
    first = np.ones(len(order), np.bool_)
    first[1:] = (digests[1:] != digests[:-1]) | (rows[1:] != rows[:-1])
    return digests[first], rows[first]


def _repeated(digests: _Digests) -> npt.NDArray[np.bool_]:
    """(H,) whether a digest is there more than once."""
    order = np.argsort(digests, kind="stable")
    equal = digests[order[1:]] == digests[order[:-1]]
    found = np.zeros(len(digests), np.bool_)
    found[order[1:][equal]] = True
    found[order[:-1][equal]] = True
    return found


def _owned(digests: _Digests, rows: _Rows, documents: pa.Table) -> tuple[_Digests, _Rows]:
    """(K,) the digests, ascending, and of each the row of the document that owns it among those that hold it.

    rows: (H,) of the documents (doc_id, created). Memory: the ids of those that hold one.
    """
    holders, which = np.unique(rows, return_inverse=True)
    held = documents.select(["doc_id", "created"]).take(pa.array(holders))
    held = held.append_column("priority", pa.array(np.zeros(len(holders), np.int32)))  # no source comes before others
    rank = np.empty(len(holders), np.int64)
    rank[ranked(held, [Criterion.OLDEST])] = np.arange(len(holders))
    order = np.lexsort((rank[which], digests))
    owned, first = np.unique(digests[order], return_index=True)
    return owned, rows[order[first]]


def _buckets(digests: _Digests, search: LineSearch) -> npt.NDArray[np.int32]:
    return ((digests >> np.uint64(32)) % np.uint64(search.num_shards)).astype(np.int32)


def _digests(table: pa.Table) -> _Digests:
    column: _Digests = table.column("digest").to_numpy()
    return column
