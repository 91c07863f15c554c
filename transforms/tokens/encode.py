"""Documents and pairs as token ids.

A document is its full text (title, empty line, text) and then <|endoftext|>. A preference group is its prompt
rendered as chat once, and each response once, ending with the score token (tokenizer/encoder.py has the template).
Control-token text inside a document stays text. Responses are not cut here: how long is too long is the trainer's
decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, pairwise
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer.encoder import Encoder
from transforms.datasets.fates import Tally
from transforms.datasets.schema import preference_schema, tokens_schema
from transforms.datasets.texts import full_texts

BATCH_TEXTS = 1000  # a call into the tokenizer: long enough to hide what a call costs, and only some megabytes of text

UNKNOWN = "unknown"  # in counts: there is no language layer, or it found none


def encode_documents(documents: pa.Table, languages: pa.ChunkedArray | None, encoder: Encoder) -> pa.Table:
    """The rows of schema.tokens_schema for documents with doc_id, source, title and text.

    languages: their codes, row for row, or None when they are not known.
    """
    schema = tokens_schema(encoder.token_type)
    columns = {
        "doc_id": documents.column("doc_id"),
        "source": documents.column("source"),
        "language": pa.nulls(documents.num_rows, pa.string()) if languages is None else languages,
        "tokens": encode_texts(full_texts(documents).to_pylist(), [encoder.end_of_text], encoder),
    }
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def encode_texts(texts: Sequence[str], ending: Sequence[int], encoder: Encoder) -> pa.ListArray:
    """[N] token lists: each text as plain text, then the ids of `ending`."""
    parts: list[np.ndarray] = []
    lengths: list[int] = []
    for begin in range(0, len(texts), BATCH_TEXTS):
        encoded = encoder.encode_batch(texts[begin : begin + BATCH_TEXTS])
        for tokens in encoded:
            tokens.extend(ending)
        parts.append(_flat(encoded, encoder))
        lengths += map(len, encoded)
    return _lists(np.concatenate([*parts, _flat([], encoder)]), lengths, encoder)


def _flat(token_lists: Sequence[Sequence[int]], encoder: Encoder) -> np.ndarray:
    return np.fromiter(chain.from_iterable(token_lists), encoder.token_type.to_pandas_dtype())


def _offsets(lengths: Iterable[int]) -> pa.Array:
    """Where each list begins, and the end: [N + 1]. Arrow's lists hold up to 2**31 items a shard; more is an error."""
    return pa.array(np.concatenate([[0], np.cumsum(np.fromiter(lengths, np.int64))]).astype(np.int64)).cast(pa.int32())


def _lists(values: np.ndarray, lengths: Sequence[int], encoder: Encoder) -> pa.ListArray:
    kind = pa.list_(pa.field("item", encoder.token_type, nullable=False))
    return pa.ListArray.from_arrays(_offsets(lengths), pa.array(values, encoder.token_type)).cast(kind)


def count_tokens(rows: pa.Table, tokens: pa.Array, what: str) -> Tally:
    """How many rows ("documents", "groups") and how many tokens there are, by language and by source.

    tokens: their number, row for row.
    """
    tally = Tally()
    table = pa.table({"language": rows.column("language"), "source": rows.column("source"), "tokens": tokens})
    for key in ("language", "source"):
        for row in table.group_by(key).aggregate([("tokens", "sum"), ("tokens", "count")]).to_pylist():
            tally.add(f"{what}_by_{key}", row[key] or UNKNOWN, row["tokens_count"])
            tally.add(f"tokens_by_{key}", row[key] or UNKNOWN, row["tokens_sum"])
    return tally


@dataclass
class _Group:
    """The pairs of one prompt, and their responses in the order in which the pairs name them."""

    first: dict[str, Any]
    index: dict[str, int] = field(default_factory=dict)
    responses: list[dict[str, object]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    pairs: list[dict[str, object]] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        chosen, rejected = (self._response(row, side) for side in ("chosen", "rejected"))
        self.pairs.append(
            {"chosen": chosen, "rejected": rejected} | {key: row[key] for key in ("target", "margin", "weight")}
        )

    def _response(self, row: dict[str, Any], side: str) -> int:
        post_id = str(row[f"{side}_id"])
        if post_id not in self.index:
            self.index[post_id] = len(self.responses)
            self.responses.append(
                {"post_id": post_id} | {key: row[f"{side}_{key}"] for key in ("score", "chars", "created", "accepted")}
            )
            self.texts.append(_only_message(row[side]))
        return self.index[post_id]


def _only_message(messages: list[dict[str, str]]) -> str:
    if len(messages) != 1:
        raise ValueError(f"a response must be one message; got {len(messages)}: only single answers can be encoded yet")
    return str(messages[0]["content"])


def encode_groups(pairs: pa.Table, encoder: Encoder) -> pa.Table:
    """The rows of schema.preference_schema: one for each run of rows of schema.PAIRS with the same group_id.

    A group has at most the rule's pairs (10 as shipped), so at most twice as many responses: no further cap is needed.
    """
    schema = preference_schema(encoder.token_type)
    groups: list[_Group] = []
    for _, rows in groupby(pairs.to_pylist(), key=itemgetter("group_id")):
        members = list(rows)
        group = _Group(members[0])
        for row in members:
            group.add(row)
        groups.append(group)
    prompts = [encoder.encode_prompt(group.first["prompt"]) for group in groups]
    texts = [text for group in groups for text in group.texts]
    responses = [response for group in groups for response in group.responses]
    fields = list(schema.field("responses").type.value_type)
    columns = {entry.name: pa.array([response.get(entry.name) for response in responses], entry.type)
               for entry in fields if entry.name != "tokens"}  # fmt: skip
    # what follows an answer in the chat template: ids of control tokens, so it can be added to the tokens of any text
    columns["tokens"] = encode_texts(texts, encoder.encode_response(""), encoder)
    response_items = pa.StructArray.from_arrays([columns[entry.name] for entry in fields], fields=fields)
    pair_type = schema.field("pairs").type.value_type
    pair_items = pa.array([pair for group in groups for pair in group.pairs], pair_type)
    names = ("group_id", "language", "source", "site")
    table: dict[str, object] = {name: pa.array([group.first[name] for group in groups], pa.string()) for name in names}
    table["prompt_tokens"] = _lists(_flat(prompts, encoder), [len(prompt) for prompt in prompts], encoder)
    table["responses"] = pa.ListArray.from_arrays(_offsets(len(group.responses) for group in groups), response_items)
    table["pairs"] = pa.ListArray.from_arrays(_offsets(len(group.pairs) for group in groups), pair_items)
    return pa.table(table).cast(schema)


def count_groups(groups: pa.Table) -> Tally:
    """Groups, responses, pairs, and the tokens of prompts and responses, by language and by source."""
    responses = groups.column("responses").combine_chunks()
    lengths = pc.list_value_length(pc.struct_field(responses.flatten(), "tokens"))
    running = np.concatenate([[0], np.cumsum(lengths.to_numpy(zero_copy_only=False))])
    bounds = np.concatenate([[0], np.cumsum(pc.list_value_length(responses).to_numpy(zero_copy_only=False))])
    in_responses = np.array([running[end] - running[begin] for begin, end in pairwise(bounds)], np.int64)
    in_prompts = pc.list_value_length(groups.column("prompt_tokens")).to_numpy()
    tally = count_tokens(groups, pa.array(in_prompts + in_responses, pa.int64()), "groups")
    tally.add("totals", "responses", int(bounds[-1]))
    tally.add("totals", "pairs", int(pc.sum(pc.list_value_length(groups.column("pairs"))).as_py() or 0))
    return tally
