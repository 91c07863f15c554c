"""Copies: of the documents of one language that have one text, the best stands for all.

Each text is read once, and what is compared of it stays in scratch space beside its shard. Shards and buckets of texts
choose the best one twice, so that what is shuffled is one row a text and shard, however often it occurs there. What
becomes of a copy is what becomes of the one that stands for it, and only that one is compared any further.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.ids import keyed_hash
from transforms.datasets.texts import TEXT_COLUMNS, iter_rows
from transforms.dedup.compared import Compared, compared
from transforms.dedup.earlier import COMPARED, PRIORITIES, ROWS
from transforms.dedup.origins import origins_of
from transforms.dedup.rank import RANK, best_of_each, rank_rows
from transforms.dedup.search import ROW_BITS, Search, best_file, origins_file, rows_file
from transforms.io.shard import Shard
from transforms.shuffle.spills import BUCKET, Bucket
from transforms.text.hashing import mix

# The best document of a text in a shard, and how many of the shard have it.
_TEXTS = pa.schema([(BUCKET, pa.int32()), ("text", pa.uint64()), ("node", pa.int64()), ("number", pa.int64()), *RANK])
# What the best document of a text in a shard is told of the text, where others have it as well.
TOLD = pa.schema(
    [
        (BUCKET, pa.int32()),
        ("row", pa.int64()),
        ("stands", pa.bool_()),  # for all that have the text
        ("cluster", pa.string()),  # the one that does
        ("cluster_size", pa.int64()),  # documents that have the text
        ("elsewhere", pa.list_(pa.int64())),  # nodes of the best ones of other shards; of those, none
    ]
)


def read_texts(shard: Shard, search: Search) -> pa.Table:
    """The texts of a shard (_TEXTS), to the buckets of their digests.

    Memory: one batch of text, and 8 bytes a token of the shard. Raises ValueError for a shard of another search.
    """
    index = search.number_of(shard)
    search.save_table(origins_file(index), origins_of(shard, search.spec.across_languages))
    names = None if search.spec.across_languages else shard.read_layer("language", ["language"]).column("language")
    languages = language_keys(names, shard.read(["doc_id"]).num_rows)
    read, start = [COMPARED.empty_table()], 0
    for _, texts in iter_rows(shard.batches(TEXT_COLUMNS)):
        read.append(compared_rows(texts, languages[start : start + len(texts)]))
        start += len(texts)
    said = pa.concat_tables(read).combine_chunks()
    num_tokens = pc.list_value_length(said.column("tokens")).cast(pa.int64())
    rank = rank_rows(shard, num_tokens, search.spec.survivor, search.spec.priority)
    rows = pa.table([*rank.columns, pa.array(languages), *said.columns], schema=ROWS)
    search.save_table(rows_file(index), rows)
    return _best_texts(index, rows, search)


def language_keys(languages: pa.ChunkedArray | None, number: int) -> npt.NDArray[np.uint64]:
    """(number,) a number for the language of each document; one for all where languages do not count."""
    if languages is None:
        return np.zeros(number, np.uint64)
    column = languages.combine_chunks().dictionary_encode()
    names = [keyed_hash("dedup-language", name) for name in column.dictionary.to_pylist()] + [0]
    return np.array(names, np.uint64)[column.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)]


def compared_rows(texts: Sequence[str], languages: npt.NDArray[np.uint64]) -> pa.Table:
    """COMPARED of texts. languages: (D,) a number for that of each (`language_keys`)."""
    read = compared(texts)
    some = read.digests != 0
    digests = np.where(some, mix(read.digests ^ languages), 0)
    columns = [
        pa.array(digests),
        pa.array(np.where(some, mix(digests ^ _token_sums(read)), 0)),
        pa.ListArray.from_arrays(read.offsets.astype(np.int32), pa.array(read.tokens)),
    ]
    return pa.table(columns, schema=COMPARED)


def _token_sums(read: Compared) -> npt.NDArray[np.uint64]:
    """(D,) a hash of the tokens of each text, in their order."""
    places = np.arange(len(read.tokens)) - np.repeat(read.offsets[:-1], read.counts)
    weights = mix(np.arange(1, int(read.counts.max(initial=0)) + 1, dtype=np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(read.tokens * weights[places])])
    return sums[read.offsets[1:]] - sums[read.offsets[:-1]]


def earlier_texts(index: int, search: Search) -> pa.Table:
    """The texts of a shard of a finished build (_TEXTS), to the buckets of their digests.

    Builds may not have been held against each other: who is kept in one of them stands before all who were removed,
    so that whatever is kept is compared.
    """
    rows = search.load_rows(index)
    first = pc.if_else(pc.is_null(rows.column("kept")), pa.scalar(len(search.against) * PRIORITIES, pa.int32()), 0)
    priority = pc.subtract(rows.column("priority"), first.cast(pa.int32()))
    return _best_texts(
        index, rows.set_column(RANK.get_field_index("priority"), RANK.field("priority"), priority), search
    )


def _best_texts(index: int, rows: pa.Table, search: Search) -> pa.Table:
    """_TEXTS of a shard. Leaves of each row the number of the best row that has its text."""
    text, rank = rows.column("text").to_numpy(), rows.select(RANK.names)
    said = np.flatnonzero(text)
    best = np.arange(len(text))
    best[said] = said[_best(text[said], rank.take(pa.array(said)), search)]
    search.save(best_file(index), best)
    standing, numbers = np.unique(best[said], return_counts=True)
    sent = text[standing]
    buckets = ((sent >> np.uint64(32)) % np.uint64(search.num_buckets)).astype(np.int32)
    columns = [pa.array(buckets), pa.array(sent), pa.array(standing | index << ROW_BITS), pa.array(numbers)]
    return pa.table([*columns, *rank.take(pa.array(standing)).columns], schema=_TEXTS)


def _best(text: npt.NDArray[np.uint64], rank: pa.Table, search: Search) -> npt.NDArray[np.int64]:
    """(D,) the number of the best row that has the text of each. Only texts of several rows are ranked."""
    _, first, group, counts = np.unique(text, return_index=True, return_inverse=True, return_counts=True)
    shared = np.flatnonzero(counts[group] > 1)
    if len(shared):
        ranked = best_of_each(rank.take(pa.array(shared)), search.spec.survivor, group[shared])
        first[counts > 1] = shared[ranked]
    return first[group]


def represent(bucket: Bucket, search: Search) -> pa.Table:
    """Chooses who stands for each text of a bucket that several shards have; tells those shards (TOLD).

    No text has more rows here than there are shards. Memory: about 100 bytes a row.
    """
    rows = bucket.read(_TEXTS).combine_chunks()
    best = _best(rows.column("text").to_numpy(), rows, search)
    group, sizes = np.unique(best, return_inverse=True, return_counts=True)[1:]
    node, numbers = rows.column("node").to_numpy(), rows.column("number").to_numpy()
    order = np.lexsort([node, best != np.arange(len(best)), group])  # who stands for a text before the others
    order = order[sizes[group[order]] > 1]
    stands = best[order] == order
    totals = np.bincount(group, weights=numbers, minlength=len(sizes)).astype(np.int64)
    others = np.where(stands, sizes[group[order]] - 1, 0)
    elsewhere = pa.ListArray.from_arrays(
        pa.array(np.append(0, np.cumsum(others)).astype(np.int32)), pa.array(node[order][~stands])
    )
    columns = {
        BUCKET: pa.array((node[order] >> ROW_BITS).astype(np.int32)),
        "row": pa.array(node[order] & ((1 << ROW_BITS) - 1)),
        "stands": pa.array(stands),
        "cluster": rows.column("doc_id").take(pa.array(best[order])),
        "cluster_size": pa.array(totals[group[order]]),
        "elsewhere": elsewhere,
    }
    return pa.table(columns, schema=TOLD)
