"""Pairs as token ids: preference groups, in which the prompt and each response stand once.

A prompt is rendered as chat; a response ends with the score token (tokenizer/encoder.py has the template). Responses
are not cut here: how long is too long is the trainer's decision.
"""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer.encoder import Encoder
from transforms.datasets.fates import Tally
from transforms.datasets.schema import preference_schema
from transforms.io.shard import Shard
from transforms.tokens.encode import EncodeFn, count_tokens, encode_texts, list_offsets, token_lists

_SIDES = ("chosen", "rejected")

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Layout:
    """Which rows of N pairs are a group, and which posts are its R responses, in the order in which pairs name them."""

    begins: _Ints  # [G] first row of each group
    group: _Ints  # [N] the group of a row
    row: _Ints  # [R] the first row that names the response, ascending
    side: _Ints  # [R] 0 where it is chosen there, 1 where it is rejected
    sizes: _Ints  # [G] responses of each group
    index: _Ints  # [N, 2] the chosen and the rejected response of each pair, within its group

    @staticmethod
    def of(pairs: pa.Table) -> _Layout:
        ids = [_whole(pairs, f"{side}_id") for side in _SIDES]
        group_ids = _whole(pairs, "group_id")
        new = np.ones(len(group_ids), np.bool_)
        new[1:] = pc.not_equal(group_ids[1:], group_ids[:-1]).to_numpy(zero_copy_only=False)
        group = np.cumsum(new, dtype=np.int64) - 1
        posts = pa.concat_arrays(ids).dictionary_encode().indices.to_numpy().astype(np.int64)
        named = posts.reshape(2, -1).T + group[:, None] * (len(posts) + 1)  # a post of two groups is two responses
        _, firsts, inverse = np.unique(named.reshape(-1), return_index=True, return_inverse=True)
        order = np.argsort(firsts)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        row, side = np.divmod(firsts[order].astype(np.int64), 2)
        sizes = np.bincount(group[row], minlength=int(new.sum())).astype(np.int64)
        starts = np.cumsum(sizes) - sizes
        index = rank[inverse].reshape(-1, 2) - starts[group][:, None]
        return _Layout(np.flatnonzero(new), group, row, side, sizes, index)


def _whole(pairs: pa.Table, name: str) -> pa.Array:
    """A column as one array: of ids or numbers, never of texts, which may be too many for one."""
    column = pairs.column(name)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def encode_groups(shard: Shard, encoder: Encoder) -> Shard:
    """A shard of schema.PAIRS to one of schema.preference_schema: a row for each run of pairs with one group_id.

    A group has at most the rule's pairs (10 as shipped), so at most twice as many responses: no further cap is needed.
    Memory: the shard, its texts once more, and its tokens. Raises ValueError for a response of several messages.
    """
    pairs = shard.read()
    schema = preference_schema(encoder.token_type)
    found = _Layout.of(pairs)
    prompts, texts = _read_texts(pairs, found)
    fields = list(schema.field("responses").type.value_type)
    columns = {entry.name: _of_responses(pairs, entry.name, found) for entry in fields if entry.name != "tokens"}
    columns["tokens"] = encode_texts(texts, encoder.encode_responses, encoder)
    responses = pa.StructArray.from_arrays([columns[entry.name].cast(entry.type) for entry in fields], fields=fields)
    places = dict(zip(_SIDES, found.index.T.astype(np.int32), strict=True))
    pair_fields = list(schema.field("pairs").type.value_type)
    pair_rows = pa.StructArray.from_arrays(
        [pa.array(places[e.name]) if e.name in places else _whole(pairs, e.name) for e in pair_fields],
        fields=pair_fields,
    )
    first = pa.array(found.begins)
    table = {name: _whole(pairs, name).take(first) for name in ("group_id", "language", "source", "site")}
    table["prompt_tokens"] = token_lists([encoder.encode_prompt(prompt) for prompt in prompts], encoder)
    table["responses"] = pa.ListArray.from_arrays(list_offsets(found.sizes), responses)
    table["pairs"] = pa.ListArray.from_arrays(list_offsets(np.bincount(found.group)), pair_rows)
    rows = pa.table(table).cast(schema)
    return Shard(shard.path, rows, counts=_count_groups(rows).to_dict())


def _of_responses(pairs: pa.Table, name: str, found: _Layout) -> pa.Array:
    """[R] what the pairs say of each response, where it is named first."""
    columns = [_whole(pairs, f"{side}_{'id' if name == 'post_id' else name}") for side in _SIDES]
    return pa.concat_arrays(columns).take(pa.array(found.row + found.side * pairs.num_rows))


def _read_texts(pairs: pa.Table, found: _Layout) -> tuple[list[list[dict[str, str]]], list[str]]:
    """The messages of each group's prompt, and the text of each response, batch by batch of the pairs."""
    prompts: list[list[dict[str, str]]] = []
    texts = np.empty(len(found.row), object)
    begin = 0
    for batch in pairs.select(["prompt", *_SIDES]).to_batches():
        end = begin + batch.num_rows
        first, last = np.searchsorted(found.begins, (begin, end))
        prompts += batch.column("prompt").take(pa.array(found.begins[first:last] - begin)).to_pylist()
        for number, side in enumerate(_SIDES):
            here = np.flatnonzero((found.row >= begin) & (found.row < end) & (found.side == number))
            texts[here] = _only_messages(batch.column(side)).take(pa.array(found.row[here] - begin)).to_pylist()
        begin = end
    return prompts, texts.tolist()


def _only_messages(responses: pa.ListArray) -> pa.Array:
    lengths = pc.list_value_length(responses).to_numpy(zero_copy_only=False)
    if (lengths != 1).any():
        wrong = int(lengths[lengths != 1][0])
        raise ValueError(f"a response must be one message; got {wrong}: only single answers can be encoded yet")
    return pc.struct_field(responses.flatten(), "content")


def _count_groups(groups: pa.Table) -> Tally:
    """Groups, responses, pairs, and the tokens of prompts and responses, by language and by source."""
    responses = groups.column("responses").combine_chunks()
    lengths = pc.list_value_length(pc.struct_field(responses.flatten(), "tokens"))
    running = np.concatenate([[0], np.cumsum(lengths.to_numpy(zero_copy_only=False))])
    bounds = np.concatenate([[0], np.cumsum(pc.list_value_length(responses).to_numpy(zero_copy_only=False))])
    in_responses = np.diff(running[bounds])
    in_prompts = pc.list_value_length(groups.column("prompt_tokens")).to_numpy()
    tally = count_tokens(groups, pa.array(in_prompts + in_responses, pa.int64()), "groups")
    tally.add("totals", "responses", int(bounds[-1]))
    tally.add("totals", "pairs", int(pc.sum(pc.list_value_length(groups.column("pairs"))).as_py() or 0))
    return tally


class EncodeGroups(beam.PTransform):
    """Shards of schema.PAIRS (Shard) to shards of schema.preference_schema.

    tokenizer: its folder. sha256: of its tokenizer.json, which is refused when it has another one.
    """

    def __init__(self, tokenizer: str, sha256: str | None = None) -> None:
        super().__init__()
        self._do = EncodeFn(encode_groups, tokenizer, sha256)

    def expand(self, pairs: beam.PCollection) -> beam.PCollection:
        return pairs | beam.ParDo(self._do).with_output_types(Shard)
