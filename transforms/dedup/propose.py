"""Candidates: documents of one language that share a digest of a band, or of their whole text, are in one component.

Of the documents of one text only the one that stands for it goes further (`copies`); what is shuffled is 20 bytes a
digest. Components are an upper bound of clusters: nothing is removed before it is compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.dedup.compared import Compared
from transforms.dedup.components import Nodes, contracted
from transforms.dedup.copies import TOLD
from transforms.dedup.links import BEGUN, DENSE, KIND, MOST, WHOLE, joined, linked, marks, most_by_kind, num_words
from transforms.dedup.minhash import band_digests, signatures
from transforms.dedup.search import ROW_BITS, Search, best_file, bucket_edges_of, shard_edges, sketch_file
from transforms.dedup.shingles import shingles
from transforms.dedup.similarity import SHORTEST
from transforms.dedup.spec import MinHashSpec
from transforms.shuffle.spills import BUCKET, Bucket
from transforms.text.hashing import mix

_SIGNED = ("bands", "marks")
# What is known of each document of a shard before it is compared with any.
SKETCH = pa.schema(
    [
        ("best", pa.int64()),  # the row of the best one of the shard that has its text; what follows is said of that
        ("stands", pa.bool_()),  # for all documents that have the text
        ("cluster", pa.string()),  # the document that does
        ("cluster_size", pa.int64()),  # documents that have the text
        ("elsewhere", pa.list_(pa.int64())),  # where it stands for all: nodes of the best ones of other shards
        ("bands", pa.list_(pa.uint64())),  # and its digests, those of a kind together
        ("marks", pa.list_(pa.uint64())),  # `links.marks` of each kind of bands that it has
    ]
)
_BATCH_TOKENS = 1 << 18  # that are sketched at a time: about 10 MB
# A text is dense from this share of letters of scripts without spaces among its tokens, or from so many tokens. It is
# searched for by runs instead of single tokens; texts between two bounds both ways, for similar ones differ in less.
_UNSPACED, _TOKENS = (0.35, 0.65), (1500, 2000)
# Tokens of a beginning. A post that says more in its next version holds what it said, and few bands show it: of the
# revisions that contain the first one and are not similar otherwise, a third meets in a band, and 0.77 begin alike.
_BEGINNING = 12
_BEGINNING_BASE = 0xD1310BA698DFB5AD  # odd, without structure: digits of pi


def sketch(bucket: Bucket, search: Search) -> pa.Table:
    """The digests of a shard's documents that stand for their texts (_digest_rows). bucket: what the shard is told of
    them (TOLD).

    Documents of one shard that share a digest and its mark are joined here, and only the smallest goes on. Memory: 80
    bytes a digest, and 8 bytes a token of the shard. Raises ValueError when a shard was never read.
    """
    index = bucket.index
    rows = search.load_rows(index)
    columns = _told(bucket.read(TOLD).sort_by("row").combine_chunks(), search.load(best_file(index)), rows)
    standing = np.flatnonzero(columns["stands"].to_numpy(zero_copy_only=False))
    if index < search.num_own:
        columns |= signatures_of_rows(rows, standing, search.spec)
    else:  # of a finished build
        columns |= {name: only(rows.column(name).combine_chunks(), standing) for name in _SIGNED}
    search.save_table(sketch_file(index), pa.table(columns, schema=SKETCH))
    digests, texts, marked = _digests_of(columns["bands"], columns["marks"], num_words(search.spec))
    edges, first = joined(digests, texts | index << ROW_BITS, marked)
    search.save(shard_edges(index), contracted(edges))
    sent, nodes = digests[first], texts[first] | index << ROW_BITS
    buckets = ((sent >> np.uint64(32)) % np.uint64(search.num_buckets)).astype(np.int32)
    words = map(pa.array, marked[first].T)
    return pa.table([pa.array(buckets), pa.array(sent), pa.array(nodes), *words], schema=_digest_rows(search.spec))


def _digest_rows(spec: MinHashSpec) -> pa.Schema:
    words = [(f"mark{word}", pa.uint64()) for word in range(num_words(spec))]
    return pa.schema([(BUCKET, pa.int32()), ("digest", pa.uint64()), ("node", pa.int64()), *words])


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


def signatures_of_rows(rows: pa.Table, wanted: Nodes, spec: MinHashSpec) -> dict[str, pa.ListArray]:
    """[D] bands and marks (SKETCH) of the wanted rows (of earlier.ROWS); none of the others."""
    sizes = pc.list_value_length(rows.column("tokens")).to_numpy()[wanted]
    batch = np.cumsum(sizes) // _BATCH_TOKENS
    found = []
    for some in np.split(wanted, np.flatnonzero(np.diff(batch)) + 1):
        taken = rows.select(["digest", "language", "tokens"]).take(pa.array(some)).combine_chunks()
        tokens = taken.column("tokens").chunk(0) if len(some) else pa.array([], pa.list_(pa.uint64()))
        read = Compared(tokens.flatten().to_numpy(), tokens.offsets.to_numpy(), taken.column("digest").to_numpy())
        found.append(_signed(read, taken.column("language").to_numpy(), spec))
    named = zip(_SIGNED, zip(*found, strict=True), strict=True)
    return {name: _spread(lists, wanted, len(rows), pa.uint64()) for name, lists in named}


def only(lists: pa.ListArray, rows: Nodes) -> pa.ListArray:
    """The lists of hashes of the ascending rows; those of others are empty."""
    return _spread([lists.take(pa.array(rows))], rows, len(lists), pa.uint64())


def _spread(lists: Sequence[pa.ListArray], rows: Nodes, number: int, of: pa.DataType) -> pa.ListArray:
    """[number] lists, those of the ascending rows; the others are empty."""
    sizes = np.zeros(number, np.int64)
    sizes[rows] = np.concatenate([np.zeros(0, np.int64), *(pc.list_value_length(some).to_numpy() for some in lists)])
    values = pa.chunked_array([some.flatten() for some in lists], of).combine_chunks()
    return pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(sizes)).astype(np.int32)), values)


def _signed(read: Compared, languages: npt.NDArray[np.uint64], spec: MinHashSpec) -> tuple[pa.ListArray, pa.ListArray]:
    """[D] the digests by which each text meets others of its language, and [D] its marks. languages: (D,) a number for
    that."""
    whole = np.flatnonzero(read.digests)
    begun = np.flatnonzero(read.counts >= _BEGINNING)
    digests, texts = [read.digests[whole], _beginnings(read, begun)], [whole, begun]
    kinds = [np.full(len(whole), WHOLE), np.full(len(begun), BEGUN)]
    marked, marks_of = [], []
    words = num_words(spec)
    dense = [
        (read.unspaced >= share) | (read.counts >= tokens) for share, tokens in zip(_UNSPACED, _TOKENS, strict=True)
    ]
    for kind, of, some in ((MOST, spec, ~dense[1]), (DENSE, spec.of_dense_texts, dense[0])):
        rows = np.flatnonzero(some & (read.counts >= SHORTEST))
        hashed = shingles(read.take(rows), of.ngram)
        minima = signatures(hashed, of)
        found, at = band_digests(minima, hashed, of)
        digests.append(found)
        texts.append(rows[at])
        kinds.append(np.full(len(found), kind))
        marked.append(marks(minima, words))
        marks_of.append(rows)
    of_texts, number = np.concatenate(texts), len(languages)
    of_kinds = np.concatenate(kinds).astype(np.uint64)
    mixed = mix(mix(np.concatenate(digests) + of_kinds) ^ languages[of_texts]) & ~KIND | of_kinds
    return _by_text(mixed, of_texts, number), _by_text(np.concatenate(marked), np.concatenate(marks_of), number)


def _beginnings(read: Compared, rows: Nodes) -> npt.NDArray[np.uint64]:
    """(R,) digests of the first tokens of each of the texts."""
    digests = np.full(len(rows), _BEGINNING, np.uint64)
    for place in range(_BEGINNING):
        digests *= np.uint64(_BEGINNING_BASE)
        digests += read.tokens[read.offsets[rows] + place]
    return digests


def _by_text(values: npt.NDArray[np.generic], texts: Nodes, number: int) -> pa.ListArray:
    """[number] the values of each text, in order. values: (K,), or (K, W) with several of a text each."""
    order = np.argsort(texts, kind="stable")
    per = values[0].size if len(values) else 1
    starts = np.searchsorted(texts[order], np.arange(number + 1)) * per
    return pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), pa.array(values[order].reshape(-1)))


def _digests_of(
    bands: pa.ListArray, marked: pa.ListArray, words: int
) -> tuple[npt.NDArray[np.uint64], Nodes, npt.NDArray[np.uint64]]:
    """(K,) all digests, (K,) the text of each, (K, W) its mark: of its kind, none of a text or its beginning."""
    digests, values = bands.flatten().to_numpy(), marked.flatten().to_numpy()
    texts = np.repeat(np.arange(len(bands)), np.diff(bands.offsets.to_numpy()))
    starts, ends = marked.offsets.to_numpy()[texts], marked.offsets.to_numpy()[texts + 1]
    kinds = digests & KIND
    at = np.where(kinds == DENSE, ends - words, starts)
    at[(kinds == WHOLE) | (kinds == BEGUN)] = len(values)
    return digests, texts, np.append(values, np.zeros(words, np.uint64))[at[:, None] + np.arange(words)]


def edges_between(bucket: Bucket, search: Search) -> int:
    """Joins the documents that share a digest of this bucket and are alike by their marks; returns the number of edges.

    Memory: 150 bytes a digest."""
    table = bucket.read(_digest_rows(search.spec))
    digests, nodes, *words = (column.to_numpy() for column in table.columns[1:])
    marked = np.stack(words, axis=1)
    edges, first = joined(digests, nodes, marked)
    digests, nodes, marked = digests[first], nodes[first], marked[first]
    most = np.array(most_by_kind(search.spec))
    further = linked(digests, nodes, marked, most[(digests & KIND).astype(np.int64)])
    edges = contracted(np.concatenate([edges, further]))  # documents meet in many bands: one edge each is enough
    search.save(bucket_edges_of(bucket.index), edges)
    return len(edges)
