"""Tiny datasets for the trainers' tests: a curriculum, and preference shards whose good answers differ in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from tests.small_dataset import dataset_of
from tests.small_tokenizer import VOCAB_SIZE, write_small_tokenizer
from tokenizer.encoder import Encoder
from transforms.datasets.ids import keyed_hash, unit_interval
from transforms.datasets.manifest import DatasetSpec, Manifest
from transforms.datasets.schema import curriculum_schema, preference_schema

GOOD = ["feed", "keep", "put", "fridge", "two", "weeks", "before", "travel"]
BAD = ["maybe", "idk", "lol", "no", "whatever", "guess"]
OTHER = ["flour", "water", "salt", "oil", "bread", "dough", "oven", "warm", "cold", "time"]


def tokenizer_place(folder: Path) -> str:
    return str(write_small_tokenizer(folder / "tokenizer", VOCAB_SIZE))


def sentence(words: Sequence[str], length: int, *ids: str) -> str:
    return " ".join(words[keyed_hash("word", *ids, str(i)) % len(words)] for i in range(length))


def write_curriculum(
    place: Path, encoder: Encoder, sequences: int, sequence_length: int = 64, num_shards: int = 2, name: str = "train"
) -> Manifest:
    """Sequences of one to four documents of different lengths; every third sequence is not full."""
    rows = []
    for position in range(sequences):
        docs: list[list[int]] = []
        room = sequence_length - (7 if position % 3 == 0 else 0)
        while room > 8 and len(docs) < 4:
            text = sentence(GOOD + OTHER, 30, name, str(position), str(len(docs)))
            wanted = 8 + keyed_hash("length", name, str(position), str(len(docs))) % (room - 7)
            ids = encoder.encode_batch([text])[0] * 3
            docs.append([*ids[: min(wanted, room) - 1], encoder.end_of_text])
            room -= len(docs[-1])
        rows.append(
            {
                "position": position,
                "stage": "all",
                "language": "eng_Latn",
                "tokens": [token for doc in docs for token in doc],
                "doc_tokens": [len(doc) for doc in docs],
                "doc_ids": [f"{name}:{position}:{i}" for i in range(len(docs))],
                "sources": ["test"] * len(docs),
            }
        )
    schema = curriculum_schema(encoder.token_type)
    spec = DatasetSpec("curriculum", {"sequences": sequences, "length": sequence_length, "name": name})
    size = -(-sequences // num_shards)
    tables = {
        f"data/{index:05d}-of-{num_shards:05d}.arrow": pa.Table.from_pylist(
            rows[index * size : (index + 1) * size], schema=schema
        )
        for index in range(num_shards)
    }
    return dataset_of(place, spec, tables, None)


def write_preference(
    place: Path,
    encoder: Encoder,
    groups: int,
    answers: int = 3,
    words: int = 12,
    name: str = "forum",
    contrary: bool = False,
) -> Manifest:
    """`groups` prompts of 2 to `answers` answers; votes follow the share of good words. A tenth each is held out.

    contrary: votes of the validation split follow the share of bad words, so that whatever is learnt makes it worse.
    """
    by_split: dict[str, list[dict[str, object]]] = {"train": [], "validation": [], "holdout": []}
    for number in range(groups):
        group = f"{name}:{number:05d}"
        count = 2 + keyed_hash("answers", group) % (answers - 1)
        responses = []
        for index in range(count):
            score = keyed_hash("score", group, str(index)) % 15
            length = 2 + keyed_hash("length", group, str(index)) % words
            picked = [
                (GOOD if unit_interval("good", group, str(index), str(i)) < score / 14 else BAD) for i in range(length)
            ]
            text = " ".join(w[keyed_hash("word", group, str(index), str(i)) % len(w)] for i, w in enumerate(picked))
            responses.append(
                {
                    "post_id": f"{group}:{index}",
                    "tokens": encoder.encode_response(text),
                    "score": score,
                    "chars": len(text),
                    "created": 1_600_000_000_000 + keyed_hash("time", group, str(index)) % 10**9,
                    "accepted": False,
                }
            )
        share = unit_interval("split", group)
        split = "holdout" if share < 0.1 else "validation" if share < 0.2 else "train"
        sign = -1 if contrary and split == "validation" else 1
        scores = [sign * int(str(r["score"])) for r in responses]
        pairs = [
            {"chosen": i, "rejected": j, "target": 1.0, "margin": scores[i] - scores[j], "weight": 1.0}
            for i in range(count)
            for j in range(count)
            if scores[i] > scores[j]
        ]
        if pairs:
            prompt = [{"role": "user", "content": sentence(OTHER, 3 + number % words, group)}]
            by_split[split].append(
                {
                    "group_id": group,
                    "language": "eng_Latn" if number % 2 else "fra_Latn",
                    "source": "test",
                    "site": "test",
                    "prompt_tokens": encoder.encode_prompt(prompt),
                    "responses": responses,
                    "pairs": pairs,
                }
            )
    schema = preference_schema(encoder.token_type)
    spec = DatasetSpec(
        "preference", {"groups": groups, "answers": answers, "words": words, "name": name, "contrary": contrary}
    )
    tables = {
        f"data/{split}-{index:05d}-of-00002.arrow": pa.Table.from_pylist(rows[index::2], schema=schema)
        for split, rows in by_split.items()
        for index in range(2)
    }
    return dataset_of(place, spec, tables, "group_id")


TINY = {
    "model.hidden_size": 32,
    "model.layers": 2,
    "model.heads": 2,
    "model.kv_heads": 1,
    "model.head_dim": 16,
    "model.intermediate_size": 64,
}


def arguments(folder: Path, output: Path, trainer: str, **settings: object) -> list[str]:
    """The command-line arguments of a tiny run on the datasets that `write_all` wrote below `folder`."""
    shared = {"tokenizer": folder / "tokenizer", "output": output, "optimizer.lr": 0.003, **TINY}
    if trainer == "pretrain":
        own = {"data": folder / "curriculum", "global_sequences": 6, "micro_sequences": 2}
    else:
        lengths = {"sequence_tokens": 128, "row_tokens": 256}
        own = {"data": folder / "pairs", "global_pairs": 24, "micro_rows": 2, **lengths}
    return [f"{key}={value}" for key, value in {**shared, **own, **settings}.items()]


def write_all(folder: Path) -> Path:
    """Tokenizer, curriculum and preference shards below a folder."""
    encoder = Encoder.load(tokenizer_place(folder))
    write_curriculum(folder / "curriculum", encoder, 54)
    write_curriculum(folder / "validation", encoder, 7, num_shards=1, name="validation")
    write_preference(folder / "pairs", encoder, 120)
    return folder
