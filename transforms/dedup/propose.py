"""Candidates: documents of one language that share a digest of a band, or of their whole text, are in one component.

Each text is read once. What is compared of it (tokens, digests) stays in scratch space beside its shard; what is
shuffled is 20 bytes a digest. Components are an upper bound of clusters: nothing is removed before it is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.ids import keyed_hash
from transforms.datasets.texts import TEXT_COLUMNS, iter_rows
from transforms.dedup.compared import Compared, compared, mix
from transforms.dedup.components import Nodes, components, contracted, star_edges
from transforms.dedup.minhash import band_digests, signatures
from transforms.dedup.origins import origins_of
from transforms.dedup.rank import RANK, rank_rows
from transforms.dedup.search import (
    ROW_BITS,
    Search,
    bucket_edges_of,
    members_file,
    origins_file,
    rows_file,
    shard_edges,
)
from transforms.dedup.shingles import shingles
from transforms.dedup.similarity import SHORTEST
from transforms.io.shard import Shard
from transforms.shuffle.regroup import BUCKET, Bucket

_DIGEST_ROWS = pa.schema([(BUCKET, pa.int32()), ("digest", pa.uint64()), ("node", pa.int64())])
_COMPARED = pa.schema([("digest", pa.uint64()), ("bands", pa.list_(pa.uint64())), ("tokens", pa.list_(pa.uint64()))])
ROWS = pa.schema([*RANK, *_COMPARED])
# Tokens. Five scattered edits leave a text of fifty tokens few runs of five, and most of its pairs; texts of lengths
# that one measure may still call similar have both.
_LONG, _SHORT = 75, 140


def sketch(shard: Shard, search: Search) -> pa.Table:
    """The band digests of a shard's documents (_DIGEST_ROWS), each digest once.

    Documents of one shard that share a digest are joined here, and only the smallest goes on: so no digest, however
    hot, has more rows in its bucket than there are shards. Memory: one batch of text, 16 bytes a digest, and 8 bytes a
    token of the shard. Raises ValueError for a shard of another search.
    """
    index = search.number_of(shard)
    search.save_table(origins_file(index), origins_of(shard, search.spec.across_languages))
    languages = _language_keys(shard, search)
    digests, nodes = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    kept = [_COMPARED.empty_table()]
    start = 0
    for _, texts in iter_rows(shard.batches(TEXT_COLUMNS)):
        found, numbers, rows = _sketched(texts, languages[start : start + len(texts)], search)
        digests.append(found)
        nodes.append(numbers + (index << ROW_BITS | start))
        kept.append(rows)
        start += len(texts)
    said = pa.concat_tables(kept).combine_chunks()
    num_tokens = pc.list_value_length(said.column("tokens")).cast(pa.int64())
    rank = rank_rows(shard, num_tokens, search.spec.survivor, search.spec.priority)
    search.save_table(rows_file(index), pa.table([*rank.columns, *said.columns], schema=ROWS))
    all_digests, all_nodes = np.concatenate(digests), np.concatenate(nodes)
    edges, first = star_edges(all_digests, all_nodes)
    search.save(shard_edges(index), contracted(edges))
    sent = all_digests[first]
    buckets = ((sent >> np.uint64(32)) % np.uint64(search.num_buckets)).astype(np.int32)
    return pa.table([pa.array(buckets), pa.array(sent), pa.array(all_nodes[first])], schema=_DIGEST_ROWS)


def _language_keys(shard: Shard, search: Search) -> npt.NDArray[np.uint64]:
    """[D] a number for the language of each document; one for all where languages do not count."""
    if search.spec.across_languages:
        return np.zeros(shard.read(["doc_id"]).num_rows, np.uint64)
    column = shard.read_layer("language", ["language"]).column("language").combine_chunks().dictionary_encode()
    names = [keyed_hash("dedup-language", name) for name in column.dictionary.to_pylist()] + [0]
    return np.array(names, np.uint64)[column.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)]


def _sketched(
    texts: list[str], languages: npt.NDArray[np.uint64], search: Search
) -> tuple[npt.NDArray[np.uint64], Nodes, pa.Table]:
    """Digests, the number of the text of each, and what is compared of all (_COMPARED)."""
    read = compared(texts)
    found = list(_digests_of(read, search))
    numbers = np.concatenate([rows for _, rows in found])
    digests = mix(np.concatenate([some for some, _ in found]) ^ languages[numbers])
    order = np.argsort(numbers, kind="stable")
    digests, numbers = digests[order], numbers[order]
    starts = np.searchsorted(numbers, np.arange(len(texts) + 1)).astype(np.int32)
    columns = [
        pa.array(read.digests),
        pa.ListArray.from_arrays(starts, pa.array(digests)),
        pa.ListArray.from_arrays(read.offsets.astype(np.int32), pa.array(read.tokens)),
    ]
    return digests, numbers, pa.table(columns, schema=_COMPARED)


def _digests_of(read: Compared, search: Search) -> Iterator[tuple[npt.NDArray[np.uint64], Nodes]]:
    """Digests, and the text of each: of the whole text, and of the bands of its shingles, short ones of short texts."""
    whole = np.flatnonzero(read.digests)
    yield mix(read.digests[whole]), whole
    for spec, least, most in ((search.spec, _LONG, np.inf), (search.spec.of_short_texts, SHORTEST, _SHORT)):
        rows = np.flatnonzero((read.counts >= least) & (read.counts < most))
        hashed = shingles(read.take(rows), spec.ngram)
        digests, texts = band_digests(signatures(hashed, spec), hashed, spec)
        yield digests + np.uint64(spec.ngram), rows[texts]


def edges_between(bucket: Bucket, search: Search) -> int:
    """Joins the documents of different shards that share a digest of this bucket; returns the number of edges."""
    table = bucket.read(_DIGEST_ROWS)
    edges, _ = star_edges(table.column("digest").to_numpy(), table.column("node").to_numpy())
    edges = contracted(edges)  # documents meet in many bands: one edge a document is enough
    search.save(bucket_edges_of(bucket.index), edges)
    return len(edges)


def find_components(bucket_edges: Iterable[int], search: Search) -> Iterator[int]:
    """Connected components over all edges: leaves their members by shard, yields every shard's number.

    Runs in one worker; memory is bounded by max_edges. Raises ValueError as `Search.load_edges`.
    """
    nodes, component = components(search.load_edges(list(bucket_edges)))
    starts = np.searchsorted(nodes, np.arange(search.num_shards + 1, dtype=np.int64) << ROW_BITS)
    for index in range(search.num_shards):
        part = slice(int(starts[index]), int(starts[index + 1]))
        rows = nodes[part] & ((1 << ROW_BITS) - 1)
        search.save(members_file(index), np.stack([rows, component[part]], axis=1))
        yield index
