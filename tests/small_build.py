"""A build folder with every step, made by hand, and its page as a parser reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.report import page as report
from pipelines.report.html import environment
from tests.small_dataset import dataset_of
from transforms.datasets.manifest import DatasetSpec, Manifest
from transforms.datasets.places import write_atomically
from transforms.datasets.schema import DOCUMENTS, PAIRS, SCORES, SPLITS, preference_schema
from transforms.layers.kinds import LAYERS
from transforms.layers.split import SCHEMA as SPLIT

HOSTILE = '<script>alert("x")</script>\u202e&amp;\x00'
ESTIMATE = {"value": 0.75, "low": 0.7, "high": 0.8}
CHANCE = {"value": 0.5, "low": 0.5, "high": 0.5}
FEW_SHORTER = {"pairs": 24, "groups": 4, "accuracy": {"value": 0.25, "low": 0.25, "high": 0.25}}
PART = {"pairs": 90, "groups": 40, "accuracy": ESTIMATE, "loss": ESTIMATE}
EVALUATION: dict[str, Any] = {
    "split": "holdout",
    **PART,
    "baselines": {"longer": {"accuracy": CHANCE, "difference": ESTIMATE}},
    "by_language": {"eng_Latn": PART, "fra_Latn": PART | FEW_SHORTER},
    "by_margin": {"11+": PART, "3-5": PART},
    "by_length": {"chosen longer": PART, "chosen shorter": PART | FEW_SHORTER},
}
RULE = {"name": "worldpm", "version": 1, "score": "score"}
Counts = dict[str, dict[str, int]]


def dataset(place: Path, kind: str, counts: Counts, rows: dict[str, int], **spec: object) -> Manifest:
    """A dataset with shards of these rows, as its kind has them, and these counts. The first rows of a layer are those
    that it drops."""
    settings = spec.get("settings", {"version": 1})
    parents, inputs = spec.get("parents", {}), spec.get("inputs", ())
    dataset_spec = DatasetSpec(kind, settings, parents, inputs)  # type: ignore[arg-type]
    tables = {}
    reasons = [reason for reason, count in counts.get("drop", {}).items() for _ in range(count)]
    for path, number in rows.items():
        schema = SCHEMAS.get(kind, SPLIT)
        tables[path] = pa.Table.from_pylist([row_of(kind, path, row, reasons) for row in range(number)], schema=schema)
    return dataset_of(place, dataset_spec, tables, "doc_id" if kind in IDENTIFIED else None, counts)


SCHEMAS = {
    "documents": DOCUMENTS,
    "pairs": PAIRS,
    "preference": preference_schema(pa.uint16()),
    "evaluation": SCORES,
    **{name: layer.schema for name, layer in LAYERS.items()},
}
IDENTIFIED = {"documents", *LAYERS}
_DEFAULTS = {
    pa.string(): "x", pa.bool_(): True, pa.int64(): 1, pa.float32(): 1.0, pa.int32(): 0,
    pa.uint64(): 1, pa.float64(): 1.0,
}  # fmt: skip


def row_of(kind: str, path: str, row: int, reasons: Sequence[str] = ()) -> dict[str, Any]:
    """A row of a kind of dataset: four questions with six answers; pairs of them, each of a prompt of its own."""
    schema = SCHEMAS.get(kind, SPLIT)
    values = {field.name: [] if pa.types.is_list(field.type) else _DEFAULTS.get(field.type) for field in schema}
    values |= {"doc_id": f"{row}", "group_id": f"{path}:{row}", "pair_id": f"{path}:{row}"}
    if kind == "documents":
        values |= {"kind": "answer" if row % 5 > 1 else "question", "thread_id": f"{row // 2}", "score": row - 3}
        values |= {"text": f"text {row}", "created": YEAR_2020 + row, "language": None, "attributes": []}
    if kind in LAYERS and LAYERS[kind].keep:
        values |= {"keep": row >= len(reasons), "reason": reasons[row] if row < len(reasons) else None}
    if kind == "pairs":
        for side, text in (("prompt", "why"), ("chosen", "because"), ("rejected", "no")):
            values |= {side: [{"role": "user", "content": f"{text} {row}"}], f"{side}_chars": len(text)}
        values |= {"margin": row + 1, "chosen_created": YEAR_2020, "rejected_created": YEAR_2020 + 1}
    if kind == "preference":
        response = {"tokens": [1] * 400, "score": 1, "chars": 9, "created": None, "accepted": False}
        values |= {"prompt_tokens": [1] * 200, "responses": [response | {"post_id": "a"}, response | {"post_id": "b"}]}
        values |= {"pairs": [{"chosen": 0, "rejected": 1, "target": 1.0, "margin": 1, "weight": 1.0}]}
    if kind == "evaluation":
        values |= {"post_id": "ab"[row % 2], "reward": 0.5 - row % 2}
    return values


YEAR_2020 = 1_577_836_800_000  # ms since 1970


VOTES = {
    "name": "Votes.xml", "bytes": 99, "sha256": "cd" * 32, "source": "stackexchange", "site": "x", "rows": 9, "kept": 0,
    "dropped": {}, "used": {"up": 6, "accept": 1}, "unused": {"other-vote": 2}, "outcomes": {},
}  # fmt: skip


def corpus(folder: Path, name: str = "Posts.xml", language: str = "eng_Latn") -> Manifest:
    """Documents and layers: 12 rows in, 10 kept."""
    account = {"rows": 12, "kept": 10, "dropped": {"not-a-post": 2}, "outcomes": {"truncated-file": 1}}
    source = {"name": name, "bytes": 3456, "sha256": "ab" * 32, "source": "stackexchange", "site": "x"}
    found = dataset(
        folder / "documents",
        "documents",
        {"kind": {"question": 4, "answer": 6}, "accepted": {"answer": 3}},
        {"data/00000-of-00001.arrow": 10},
        inputs=[source | account, VOTES],
    )
    parents = {"documents": found.digest}
    layers = {
        "language": {"documents": {"in": 10, "kept": 9}, "drop": {"language-unsure": 1}, "language": {language: 9}},
        "duplicates": {"documents": {"in": 10, "kept": 9}, "drop": {"duplicate": 1}, "cluster_size": {"1": 8, "2": 1}},
        "split": {"documents": {"in": 10}, "split": {"train": 8, "validation": 1, "holdout": 1}},
    }
    anything = {"documents": {"in": 10, "kept": 10}}
    for layer, counts in (dict.fromkeys(LAYERS, anything) | layers).items():
        dataset(folder / "layers" / layer, layer, counts, {"data/00000-of-00001.arrow": 10}, parents=parents)
    return found


def whole_build(folder: Path) -> None:
    """Every step, with counts that add up."""
    documents = corpus(folder)
    parents = {"documents": documents.digest}
    pairs = {
        "candidates": {"kept": 7, "tie": 2, "over-cap": 1},
        "candidates_in": {"all": 10},
        "pairs_by_language": {"eng_Latn": 7},
        "threads": {"with-pairs": 3, "without-pairs": 1},
    }
    splits = {f"data/{split}-00000-of-00001.arrow": rows for split, rows in zip(SPLITS, (5, 1, 1), strict=True)}
    dataset(folder / "pairs", "pairs", pairs, splits, parents=parents, settings={"rule": RULE})
    settings = {"vocab_size": 512}
    dataset(folder / "tokenizer", "tokenizer", {"sample_bytes": {"eng_Latn": 999}}, {}, settings=settings)
    fit = {"bytes_per_token": 3.21, "fertility": 1.5, "word_split": "space", "round_trip_rate": 1.0, "texts": 40}
    save(folder / "tokenizer/card.json", {"validation": {"eng_Latn": fit}})
    dataset(folder / "tokens", "tokens", {}, {"data/00000-of-00001.arrow": 10})
    held_out = {"data/train-00000-of-00001.arrow": 3, "data/holdout-00000-of-00001.arrow": 2}
    preference = dataset(folder / "preference", "preference", {}, held_out)
    mix = {"first/eng_Latn": 60, "first/fra_Latn": 40, "second/fra_Latn": 50}
    curriculum = {
        "planned_tokens": mix,
        "tokens": mix,
        "sequences": dict.fromkeys(mix, 2),
        "capacity_tokens": mix,
        "repeated_tokens": {"second/fra_Latn": 25},
        "documents": {"used": 8, "held-out": 2},
    }
    recipe = {"recipe": {"stages": [{"name": "first"}, {"name": "second"}]}}
    dataset(folder / "curriculum", "curriculum", curriculum, {"data/00000-of-00001.arrow": 6}, settings=recipe)
    train = [{"kind": "train", "step": n, "loss": 3 / n, "accuracy": 0.6, "tokens": 10, "pairs": 4} for n in (1, 2, 3)]
    seen = {"kind": "validation", "step": 3, "loss": 0.9, "accuracy": 0.7}
    for name in ("pretrain", "preference_model"):
        lines = "".join(json.dumps(row) + "\n" for row in [*train, seen])
        write_atomically(str(folder / name / "metrics.jsonl"), lines.encode())
        dataset(folder / name / "export", "model", {"cuts": {"prompts_cut": 2}}, {})
    data = {"data": preference.digest}
    dataset(folder / "evaluation", "evaluation", {}, {"data/scores.arrow": 4}, parents=data)
    save(folder / "evaluation/evaluation.json", EVALUATION)


# All that a page is made of: whatever else stands in one came out of a dump.
_ELEMENTS = """html head meta title style body main header footer nav section a p h1 h2 h3 b i bdi code pre span div
    table thead tbody tr th td dl dt dd details summary figure figcaption svg path desc article h4 blockquote br
    label input mark"""
_ATTRIBUTES = """lang dir charset name content id class style href scope tabindex role aria-label aria-hidden viewbox
    preserveaspectratio d type checked"""
VOID = {"meta", "br", "input"}
ELEMENTS, ATTRIBUTES = set(_ELEMENTS.split()), set(_ATTRIBUTES.split())


def save(path: Path, value: object) -> None:
    write_atomically(str(path), json.dumps(value).encode())


class Page(HTMLParser):
    """Text and elements of a page; fails on elements that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((name, dict(attrs)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def render(folder: Path) -> str:
    report.run(str(folder), str(folder / "report.html"))
    return (folder / "report.html").read_text(encoding="utf-8")


def drawn(macro: str, value: object) -> str:
    """What a macro of draw.html makes of a value."""
    return environment.from_string(f'{{% import "draw.html" as d %}}{{{{ d.{macro}(value) }}}}').render(value=value)


def assert_harmless(html: str) -> None:
    """Nothing in a page acts, loads or reorders what stands around it, and all of its elements are closed in order."""
    for name, attributes in Page(html).seen:
        assert name in ELEMENTS
        assert set(attributes) <= ATTRIBUTES, attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert "<script" not in html.lower()
    assert html.lower().count("</style") == 1
    assert not re.search(r"@import|url\(", html[: html.index("</style")])
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
