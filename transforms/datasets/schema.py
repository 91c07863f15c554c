"""The record types of every dataset as Arrow schemas: the contract between pipelines and trainers.

One schema per kind of dataset; those of attribute layers stand with the layers (transforms/layers). A shard's schema
metadata carries the kind, the schema version and the fingerprint of the settings that made it, so that a shard found
alone still says what it is. Text is UTF-8; times are UTC, in milliseconds.
This module imports neither Beam nor torch: trainers read through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import pyarrow as pa

SCHEMA_VERSION = 4

TIME = pa.timestamp("ms", tz="UTC")


class PostKind(StrEnum):
    """What a document is. Within a thread, documents sort in this order (then by time, then by id)."""

    QUESTION = "question"
    ANSWER = "answer"
    COMMENT = "comment"
    DOCUMENT = "document"  # not part of a forum thread: a row of a text corpus


KIND_ORDER: Mapping[str, int] = {kind.value: order for order, kind in enumerate(PostKind)}


def required(name: str, kind: pa.DataType) -> pa.Field:
    """A column that is never null."""
    return pa.field(name, kind, nullable=False)


# Of a document: name and value, sorted by name. (A list, since not every reader of Arrow knows maps.)
ATTRIBUTES = pa.list_(pa.struct([required("name", pa.string()), required("value", pa.string())]))

# One row per post (or per plain document). A shard holds whole threads; rows are sorted by thread_id, kind, created,
# doc_id. thread_id of a plain document is its doc_id.
DOCUMENTS = pa.schema(
    [
        required("doc_id", pa.string()),
        required("thread_id", pa.string()),
        pa.field("parent_id", pa.string()),
        required("kind", pa.string()),
        required("text", pa.string()),
        pa.field("title", pa.string()),
        required("tags", pa.list_(pa.string())),
        required("source", pa.string()),
        required("site", pa.string()),
        pa.field("url", pa.string()),
        pa.field("created", TIME),
        pa.field("edited", TIME),
        pa.field("license", pa.string()),
        pa.field("author_key", pa.string()),
        pa.field("score", pa.int64()),  # up votes minus down votes, as the source states it; acceptance is not in it
        pa.field("ups", pa.int64()),
        pa.field("downs", pa.int64()),
        pa.field("accepted", pa.bool_()),  # answers only: the asker accepted it
        pa.field("accepted_at", TIME),
        pa.field("duplicate_of", pa.string()),  # the question that this one is declared a duplicate of
        required("flags", pa.list_(pa.string())),  # sorted; what the source says of the post in one word
        pa.field("language", pa.string()),  # as the source states it: a code of the table, or the tag of another one
        required("attributes", ATTRIBUTES),  # what a mapping keeps beside the columns
    ]
)

# One row per record dropped where it was parsed. Sorted by file, offset.
REJECTS = pa.schema(
    [
        required("file", pa.string()),  # name below the input the user gave, never an absolute path
        required("offset", pa.int64()),  # byte offset of the record in the (unpacked) file
        pa.field("record_id", pa.string()),
        required("reason", pa.string()),  # a fates.Reason
        required("detail", pa.string()),  # what exactly was wrong; never the record's text
    ]
)

SPLITS = ("train", "validation", "holdout")

_MESSAGES = pa.list_(pa.struct([required("role", pa.string()), required("content", pa.string())]))


# One row per preference pair: the conversational preference format of TRL and RewardBench plus what an audit needs.
# The pairs of one prompt (group_id) are contiguous.
PAIRS = pa.schema(
    [
        required("prompt", _MESSAGES),
        required("chosen", _MESSAGES),
        required("rejected", _MESSAGES),
        required("pair_id", pa.string()),
        required("group_id", pa.string()),  # one prompt; for question-answer sites the thread
        required("thread_id", pa.string()),
        required("chosen_id", pa.string()),
        required("rejected_id", pa.string()),
        required("chosen_score", pa.int64()),  # as the rule counts it (acceptance may be in it)
        required("rejected_score", pa.int64()),
        pa.field("chosen_ups", pa.int64()),
        pa.field("chosen_downs", pa.int64()),
        pa.field("rejected_ups", pa.int64()),
        pa.field("rejected_downs", pa.int64()),
        pa.field("chosen_created", TIME),
        pa.field("rejected_created", TIME),
        required("chosen_accepted", pa.bool_()),
        required("rejected_accepted", pa.bool_()),
        required("margin", pa.int64()),  # chosen_score - rejected_score, in votes, > 0
        required("target", pa.float32()),  # probability that chosen is better
        required("weight", pa.float32()),
        required("chosen_chars", pa.int64()),
        required("rejected_chars", pa.int64()),
        pa.field("language", pa.string()),  # of the prompt
        pa.field("chosen_cluster", pa.string()),
        pa.field("rejected_cluster", pa.string()),
        required("source", pa.string()),
        required("site", pa.string()),
        pa.field("license", pa.string()),
        pa.field("url", pa.string()),
        pa.field("chosen_url", pa.string()),
        pa.field("rejected_url", pa.string()),
        required("rule", pa.string()),  # fingerprint of the pair rule
    ]
)


def tokens_schema(token_type: pa.DataType) -> pa.Schema:
    """One row per document, shard-aligned with the documents. token_type: uint16 or uint32, by vocabulary size."""
    return pa.schema(
        [
            required("doc_id", pa.string()),
            required("source", pa.string()),
            pa.field("language", pa.string()),
            required("tokens", pa.list_(pa.field("item", token_type, nullable=False))),
        ]
    )


def preference_schema(token_type: pa.DataType) -> pa.Schema:
    """One row per prompt: its tokens once, each response's tokens once, pairs as indices into the responses."""
    token_list = pa.list_(pa.field("item", token_type, nullable=False))
    response = pa.struct(
        [
            required("post_id", pa.string()),
            required("tokens", token_list),  # ends with the score token
            required("score", pa.int64()),
            required("chars", pa.int64()),
            pa.field("created", TIME),
            required("accepted", pa.bool_()),
        ]
    )
    pair = pa.struct(
        [
            required("chosen", pa.int32()),
            required("rejected", pa.int32()),
            required("target", pa.float32()),
            required("margin", pa.int64()),
            required("weight", pa.float32()),
        ]
    )
    return pa.schema(
        [
            required("group_id", pa.string()),
            pa.field("language", pa.string()),
            required("source", pa.string()),
            required("site", pa.string()),
            required("prompt_tokens", token_list),
            required("responses", pa.list_(pa.field("item", response, nullable=False))),
            required("pairs", pa.list_(pa.field("item", pair, nullable=False))),
        ]
    )


def curriculum_schema(token_type: pa.DataType) -> pa.Schema:
    """One row per training sequence; reading shards and rows in order is the schedule.

    doc_tokens are the lengths of the documents packed into the sequence, in order: attention is block-diagonal and
    positions restart at each of them. tokens holds their concatenation, at most sequence_length long (no padding).
    """
    return pa.schema(
        [
            required("position", pa.int64()),  # place in the whole schedule, 0-based
            required("stage", pa.string()),
            required("language", pa.string()),
            required("tokens", pa.list_(pa.field("item", token_type, nullable=False))),
            required("doc_tokens", pa.list_(pa.field("item", pa.int32(), nullable=False))),
            required("doc_ids", pa.list_(pa.field("item", pa.string(), nullable=False))),
            required("sources", pa.list_(pa.field("item", pa.string(), nullable=False))),
        ]
    )


# One row per response that an evaluation scored, in the order of the preference shards.
SCORES = pa.schema(
    [required("group_id", pa.string()), required("post_id", pa.string()), required("reward", pa.float32())]
)


# Schema metadata of every shard.
KIND, FINGERPRINT = "agora.kind", "agora.fingerprint"


def stamped(schema: pa.Schema, kind: str, fingerprint: str) -> pa.Schema:
    """The schema with the metadata every shard carries: kind, schema version, fingerprint of the settings."""
    return schema.with_metadata({KIND: kind, "agora.schema_version": str(SCHEMA_VERSION), FINGERPRINT: fingerprint})
