"""Candidates: documents of one language that share a digest of a band, or of their whole text, are in one component.

Of the documents of one text only the one that stands for it goes further (`copies`); what is shuffled is 20 bytes a
digest. Components are an upper bound of clusters: nothing is removed before it is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.dedup.compared import Compared, mix
from transforms.dedup.components import Nodes, contracted, star_edges
from transforms.dedup.copies import TOLD
from transforms.dedup.minhash import band_digests, signatures
from transforms.dedup.search import ROW_BITS, Search, best_file, bucket_edges_of, shard_edges, sketch_file
from transforms.dedup.shingles import shingles
from transforms.dedup.similarity import SHORTEST
from transforms.dedup.spec import MinHashSpec
from transforms.shuffle.regroup import BUCKET, Bucket

_DIGEST_ROWS = pa.schema([(BUCKET, pa.int32()), ("digest", pa.uint64()), ("node", pa.int64())])
# What is known of each document of a shard before it is compared with any.
SKETCH = pa.schema(
    [
        ("best", pa.int64()),  # the row of the best one of the shard that has its text; what follows is said of that
        ("stands", pa.bool_()),  # for all documents that have the text
        ("cluster", pa.string()),  # the document that does
        ("cluster_size", pa.int64()),  # documents that have the text
        ("elsewhere", pa.list_(pa.int64())),  # where it stands for all: nodes of the best ones of other shards
        ("bands", pa.list_(pa.uint64())),  # and its digests
    ]
)
_BATCH_TOKENS = 1 << 18  # that are sketched at a time: about 10 MB
# A text is dense from this share of letters of scripts without spaces among its tokens, or from so many tokens. It is
# searched for by runs instead of single tokens; texts between two bounds both ways, for similar ones differ in less.
_UNSPACED, _TOKENS = (0.35, 0.65), (1500, 2000)


def sketch(bucket: Bucket, search: Search) -> pa.Table:
    """The digests of a shard's documents that stand for their texts (_DIGEST_ROWS), each digest once. bucket: what the
    shard is told of them (TOLD).

    Documents of one shard that share a digest are joined here, and only the smallest goes on: so no digest, however
    hot, has more rows in its bucket than there are shards. Memory: 16 bytes a digest, and 8 bytes a token of the
    shard. Raises ValueError when a shard was never read.
    """
    index = bucket.index
    rows = search.load_rows(index)
    columns = _told(bucket.read(TOLD).sort_by("row").combine_chunks(), search.load(best_file(index)), rows)
    standing = np.flatnonzero(columns["stands"].to_numpy(zero_copy_only=False))
    bands = _bands_of_rows(rows, standing, search.spec)
    search.save_table(sketch_file(index), pa.table({**columns, "bands": bands}, schema=SKETCH))
    digests = bands.flatten().to_numpy()
    nodes = np.repeat(np.arange(len(bands)), np.diff(bands.offsets.to_numpy())) | index << ROW_BITS
    edges, first = star_edges(digests, nodes)
    search.save(shard_edges(index), contracted(edges))
    sent = digests[first]
    buckets = ((sent >> np.uint64(32)) % np.uint64(search.num_buckets)).astype(np.int32)
    return pa.table([pa.array(buckets), pa.array(sent), pa.array(nodes[first])], schema=_DIGEST_ROWS)


def _told(told: pa.Table, best: Nodes, rows: pa.Table) -> dict[str, pa.Array]:
    """The columns of SKETCH but for the bands. told: TOLD; a text that it does not name is in no other shard."""
    at = told.column("row").to_numpy()
    is_told = np.zeros(len(best), np.bool_)
    is_told[at] = True
    alone = {
        "stands": pa.array(best == np.arange(len(best))),
        "cluster": rows.column("doc_id").combine_chunks(),
        "cluster_size": pa.array(np.bincount(best, minlength=len(best))),
    }
    return {
        "best": pa.array(best),
        **{
            name: pc.replace_with_mask(column, pa.array(is_told), told.column(name).combine_chunks())
            for name, column in alone.items()
        },
        "elsewhere": _spread([told.column("elsewhere").combine_chunks()], at, len(best), pa.int64()),
    }


def _bands_of_rows(rows: pa.Table, wanted: Nodes, spec: MinHashSpec) -> pa.ListArray:
    """[D] the digests of the wanted rows; none of the others."""
    sizes = pc.list_value_length(rows.column("tokens")).to_numpy()[wanted]
    batch = np.cumsum(sizes) // _BATCH_TOKENS
    found = []
    for some in np.split(wanted, np.flatnonzero(np.diff(batch)) + 1):
        taken = rows.select(["digest", "language", "tokens"]).take(pa.array(some)).combine_chunks()
        tokens = taken.column("tokens").chunk(0) if len(some) else pa.array([], pa.list_(pa.uint64()))
        read = Compared(tokens.flatten().to_numpy(), tokens.offsets.to_numpy(), taken.column("digest").to_numpy())
        found.append(bands(read, taken.column("language").to_numpy(), spec))
    return _spread(found, wanted, len(rows), pa.uint64())


def _spread(lists: Sequence[pa.ListArray], rows: Nodes, number: int, of: pa.DataType) -> pa.ListArray:
    """[number] lists, those of the ascending rows; the others are empty."""
    sizes = np.zeros(number, np.int64)
    sizes[rows] = np.concatenate([np.zeros(0, np.int64), *(pc.list_value_length(some).to_numpy() for some in lists)])
    values = pa.chunked_array([some.flatten() for some in lists], of).combine_chunks()
    return pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(sizes)).astype(np.int32)), values)


def bands(read: Compared, languages: npt.NDArray[np.uint64], spec: MinHashSpec) -> pa.ListArray:
    """[D] the digests by which each text meets others of its language. languages: (D,) a number for that."""
    found = list(_digests_of(read, spec))
    numbers = np.concatenate([rows for _, rows in found])
    digests = mix(np.concatenate([some for some, _ in found]) ^ languages[numbers])
    order = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[order], np.arange(len(languages) + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(starts), pa.array(digests[order]))


def _digests_of(read: Compared, spec: MinHashSpec) -> Iterator[tuple[npt.NDArray[np.uint64], Nodes]]:
    """Digests, and the text of each: of the whole text, and of the bands of its shingles."""
    whole = np.flatnonzero(read.digests)
    yield mix(read.digests[whole]), whole
    dense = [
        (read.unspaced >= share) | (read.counts >= tokens) for share, tokens in zip(_UNSPACED, _TOKENS, strict=True)
    ]
    for of, some in ((spec, ~dense[1]), (spec.of_dense_texts, dense[0])):
        rows = np.flatnonzero(some & (read.counts >= SHORTEST))
        hashed = shingles(read.take(rows), of.ngram)
        digests, texts = band_digests(signatures(hashed, of), hashed, of)
        yield digests + np.uint64(of.ngram), rows[texts]


def edges_between(bucket: Bucket, search: Search) -> int:
    """Joins the documents of different shards that share a digest of this bucket; returns the number of edges."""
    table = bucket.read(_DIGEST_ROWS)
    edges, _ = star_edges(table.column("digest").to_numpy(), table.column("node").to_numpy())
    edges = contracted(edges)  # documents meet in many bands: one edge a document is enough
    search.save(bucket_edges_of(bucket.index), edges)
    return len(edges)
