"""Texts as token ids: the columns of documents and groups.

Control-token text inside a text stays text (tokenizer/encoder.py); what ends a text is added as ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.encoder import Encoder
from transforms.datasets.fates import Tally
from transforms.io.shard import Shard

_BATCH_TEXTS = 1000  # a call into the tokenizer: long enough to hide what a call costs, and some megabytes of text

_UNKNOWN = "unknown"  # in counts: there is no language layer, or it found none

Encode = Callable[[Sequence[str]], list[list[int]]]
Tokens = npt.NDArray[np.unsignedinteger]


def encode_texts(texts: Sequence[str], encode: Encode, encoder: Encoder) -> pa.ListArray:
    """[N] token lists: each text as `encode`, a method of the encoder, gives its ids."""
    parts: list[Tokens] = []
    lengths: list[int] = []
    for begin in range(0, len(texts), _BATCH_TEXTS):
        encoded = encode(texts[begin : begin + _BATCH_TEXTS])
        parts.append(_flat(encoded, encoder))
        lengths += map(len, encoded)
    return _lists(np.concatenate([*parts, _flat([], encoder)]), lengths, encoder)


def token_lists(lists: Sequence[Sequence[int]], encoder: Encoder) -> pa.ListArray:
    """[N] token lists of the type that the encoder's ids have."""
    return _lists(_flat(lists, encoder), [len(tokens) for tokens in lists], encoder)


def _flat(lists: Sequence[Sequence[int]], encoder: Encoder) -> Tokens:
    return np.fromiter(chain.from_iterable(lists), encoder.token_type.to_pandas_dtype())


def list_offsets(lengths: Iterable[int]) -> pa.Array:
    """Where each list begins, and the end: [N + 1]. Arrow's lists hold up to 2**31 items a shard; more is an error."""
    return pa.array(np.concatenate([[0], np.cumsum(np.fromiter(lengths, np.int64))]).astype(np.int64)).cast(pa.int32())


def _lists(values: Tokens, lengths: Sequence[int], encoder: Encoder) -> pa.ListArray:
    kind = pa.list_(pa.field("item", encoder.token_type, nullable=False))
    return pa.ListArray.from_arrays(list_offsets(lengths), pa.array(values, encoder.token_type)).cast(kind)


def count_tokens(rows: pa.Table, tokens: pa.Array, what: str) -> Tally:
    """How many rows ("documents", "groups") and how many tokens there are, by language and by source.

    tokens: their number, row for row.
    """
    tally = Tally()
    table = pa.table({"language": rows.column("language"), "source": rows.column("source"), "tokens": tokens})
    for key in ("language", "source"):
        for row in table.group_by(key).aggregate([("tokens", "sum"), ("tokens", "count")]).to_pylist():
            tally.add(f"{what}_by_{key}", row[key] or _UNKNOWN, row["tokens_count"])
            tally.add(f"tokens_by_{key}", row[key] or _UNKNOWN, row["tokens_sum"])
    return tally


class EncodeFn(beam.DoFn):
    """A function of a shard and an encoder, over shards; the tokenizer is loaded once in each process.

    tokenizer: its folder. sha256: of its tokenizer.json; raises ValueError in the worker that finds another one.
    """

    def __init__(self, encode: Callable[[Shard, Encoder], Shard], tokenizer: str, sha256: str | None) -> None:
        self._encode, self._tokenizer, self._sha256 = encode, tokenizer, sha256

    def setup(self) -> None:
        self._encoder = Encoder.load(self._tokenizer, self._sha256)

    def process(self, shard: Shard) -> Iterator[Shard]:
        yield self._encode(shard, self._encoder)
