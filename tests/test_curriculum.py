from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest

from pipelines import curriculum
from pipelines.local.options import beam_pipeline
from tests.forum import Row, post, write_documents, write_layers
from tests.laws import assert_idempotent, assert_same_bytes, assert_sound
from tests.small_dataset import dataset_of, read_file, switched_off_after
from transforms.curriculum.mix import Recipe, Stage
from transforms.curriculum.pieces import CutPieces, cut_shard
from transforms.curriculum.positions import Pieces
from transforms.datasets import strict_yaml
from transforms.datasets.ids import keyed_hash
from transforms.datasets.manifest import DatasetSpec, Manifest, load_manifest
from transforms.datasets.names import shard_name
from transforms.datasets.schema import tokens_schema
from transforms.io.shard import Shard

LANGUAGES = ("eng_Latn", "eng_Latn", "eng_Latn", "eng_Latn", "fra_Latn", "fra_Latn", "swh_Latn")
RECIPE = Recipe(
    "test",
    1,
    max_repeats=3,
    stages=(
        Stage("broad", 128, share_of_pool=0.7, shards=3),
        Stage("focus", 64, tokens=6_000, alpha=0.2, shares={"eng_Latn": 0.3, "rest": 0.7}, shards=2),
    ),
)
NUM_DOCUMENTS, NUM_SHARDS = 420, 4


def length_of(number: int) -> int:
    """Tokens of a document: most are short, some longer than a sequence."""
    return 2 + keyed_hash("length", str(number)) % (400 if number % 20 == 0 else 60)


def split_of(row: Row) -> str:
    return "holdout" if row["doc_id"].endswith("9") else "train"


def language_of(row: Row) -> str | None:
    number = int(row["doc_id"].removeprefix("test:"))
    return None if number % 50 == 1 else LANGUAGES[number % len(LANGUAGES)]


def write_tokens(place: Path, documents: Path) -> dict[str, list[int]]:
    """A tokens dataset beside the documents; a token tells its document and place. Returns the tokens by document."""
    manifest = load_manifest(str(documents))
    settings = {"tokenizer_sha256": "none", "vocab_size": 1 << 16}
    spec = DatasetSpec("tokens", settings, {"documents": manifest.digest})
    written: dict[str, list[int]] = {}
    tables = {}
    for file in manifest.data_files:
        rows = []
        for doc_id in read_file(documents, file.path, ["doc_id"]).column("doc_id").to_pylist():
            number = int(doc_id.removeprefix("test:"))
            written[doc_id] = [(number * 131 + offset) % (1 << 16) for offset in range(length_of(number))]
            rows.append({"doc_id": doc_id, "source": "test", "language": None, "tokens": written[doc_id]})
        tables[file.path] = pa.Table.from_pylist(rows, schema=tokens_schema(pa.uint16()))
    dataset_of(place, spec, tables)
    return written


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]]]:
    folder = tmp_path_factory.mktemp("pool")
    rows = [post(number, "document", number, "text") for number in range(NUM_DOCUMENTS)]
    write_documents(folder / "documents", [rows[part::NUM_SHARDS] for part in range(NUM_SHARDS)])
    write_layers(
        folder / "layers",
        folder / "documents",
        language_of,
        {"test:00100": "test:00002", "test:00102": "test:00002"},
        split_of,
    )
    return folder, write_tokens(folder / "tokens", folder / "documents")


def build(folder: Path, name: str, recipe: Recipe = RECIPE, **more: Any) -> Manifest:
    return curriculum.run(str(folder / "tokens"), str(folder / "layers"), str(folder / name), recipe, **more)


def sequences(place: Path) -> list[Row]:
    files = load_manifest(str(place)).data_files
    return [row for file in files for row in read_file(str(place), file.path).to_pylist()]


def eligible(documents: dict[str, list[int]]) -> dict[str, list[str]]:
    """The documents that may be used, by language: in train, of a known language, and no duplicates."""
    by_language = defaultdict(list)
    for doc_id in documents:
        row = {"doc_id": doc_id}
        code = language_of(row)
        if code and split_of(row) == "train" and doc_id not in ("test:00100", "test:00102"):
            by_language[code].append(doc_id)
    return by_language


def test_sequences(pool: tuple[Path, dict[str, list[int]]]) -> None:
    folder, documents = pool
    manifest = build(folder, "curriculum")
    assert_sound(folder / "curriculum")
    assert_idempotent(folder / "curriculum", lambda: build(folder, "curriculum"))
    assert [file.path for file in manifest.data_files] == [shard_name(number, 5) for number in range(5)]

    rows = sequences(folder / "curriculum")
    assert [row["position"] for row in rows] == list(range(len(rows)))
    assert [stage for stage, _ in itertools.groupby(row["stage"] for row in rows)] == ["broad", "focus"]
    lengths = {stage.name: stage.sequence_length for stage in RECIPE.stages}
    allowed = eligible(documents)
    uses: Counter[int] = Counter()
    for row in rows:
        assert len(row["tokens"]) == sum(row["doc_tokens"]) <= lengths[row["stage"]]
        begin = 0
        for doc_id, length in zip(row["doc_ids"], row["doc_tokens"], strict=True):
            assert doc_id in allowed[row["language"]]
            piece = row["tokens"][begin : begin + length]
            start = documents[doc_id].index(piece[0])
            assert piece == documents[doc_id][start : start + length]
            uses.update((int(doc_id[5:]) << 16) + offset for offset in range(start, start + length))
            begin += length
    assert max(uses.values()) <= RECIPE.max_repeats


def test_counts_are_exact(pool: tuple[Path, dict[str, list[int]]]) -> None:
    folder, documents = pool
    counts = build(folder, "curriculum").counts
    rows = sequences(folder / "curriculum")
    allowed = eligible(documents)
    available = {code: sum(len(documents[doc_id]) for doc_id in ids) for code, ids in allowed.items()}
    assert counts["available_tokens"] == dict(sorted(available.items()))
    for what, amount in (("sequences", lambda row: 1), ("tokens", lambda row: len(row["tokens"]))):
        found: Counter[str] = Counter()
        for row in rows:
            found[f"{row['stage']}/{row['language']}"] += amount(row)
        assert counts[what] == dict(sorted(found.items()))
    assert counts["planned_tokens"] == counts["tokens"]
    assert sum(tokens for name, tokens in counts["tokens"].items() if name.startswith("focus/")) == 6_000
    assert counts["tokens"]["focus/eng_Latn"] == 1_800
    broad = sum(tokens for name, tokens in counts["tokens"].items() if name.startswith("broad/"))
    assert broad == sum(available.values()) * 7 // 10
    used = {doc_id for row in rows for doc_id in row["doc_ids"]}
    assert counts["documents"]["used"] == len(used)
    assert sum(counts["documents"].values()) == NUM_DOCUMENTS
    assert counts["documents"]["held-out"] == sum(split_of({"doc_id": doc_id}) == "holdout" for doc_id in documents)
    assert counts["documents"]["near-duplicate"] == 2
    for code, tokens in available.items():
        planned = sum(counts["planned_tokens"][f"{stage.name}/{code}"] for stage in RECIPE.stages)
        repeated = sum(counts["repeated_tokens"][f"{stage.name}/{code}"] for stage in RECIPE.stages)
        assert repeated == max(0, planned - tokens)


def test_every_prefix_keeps_to_the_plan(pool: tuple[Path, dict[str, list[int]]]) -> None:
    folder, _ = pool
    counts = build(folder, "curriculum").counts["sequences"]
    rows = sequences(folder / "curriculum")
    for stage in RECIPE.stages:
        order = [row["language"] for row in rows if row["stage"] == stage.name]
        for code in set(order):
            total = counts[f"{stage.name}/{code}"]
            seen = np.cumsum([language == code for language in order])
            planned = total * np.arange(1, len(order) + 1) / len(order)
            assert np.abs(seen - planned).max() < 1


def test_no_document_recurs_before_all_others_were_used(pool: tuple[Path, dict[str, list[int]]]) -> None:
    folder, documents = pool
    once = replace(RECIPE, max_repeats=1, stages=(replace(RECIPE.stages[0], share_of_pool=1.0),))
    build(folder, "once", once)
    seen = Counter(token for row in sequences(folder / "once") for token in row["tokens"])
    whole = Counter(token for ids in eligible(documents).values() for doc_id in ids for token in documents[doc_id])
    assert seen == whole
    with pytest.raises(ValueError, match="rest lacks"):
        build(folder, "more", replace(once, stages=(replace(once.stages[0], share_of_pool=1.1),)))


def test_a_later_stage_leaves_the_earlier_ones_alone(pool: tuple[Path, dict[str, list[int]]]) -> None:
    folder, _ = pool
    build(folder, "curriculum")
    changed = replace(RECIPE, stages=(RECIPE.stages[0], replace(RECIPE.stages[1], tokens=3_000, alpha=1.0, shards=1)))
    build(folder, "changed", changed)
    ours = [row for row in sequences(folder / "curriculum") if row["stage"] == "broad"]
    theirs = [row for row in sequences(folder / "changed") if row["stage"] == "broad"]
    assert ours == theirs


def test_workers_give_the_same_bytes(pool: tuple[Path, dict[str, list[int]]]) -> None:
    folder, _ = pool
    build(folder, "curriculum")
    build(folder, "two-workers", workers=2)
    assert_same_bytes(folder / "curriculum", folder / "two-workers")


def test_an_interrupted_build_is_finished(
    pool: tuple[Path, dict[str, list[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = pool
    build(folder, "curriculum")
    written = switched_off_after(3, monkeypatch)
    with pytest.raises(Exception, match="switched off"):
        build(folder, "interrupted")
    with pytest.raises(ValueError, match="its build did not finish"):
        load_manifest(str(folder / "interrupted"))
    written.clear()
    build(folder, "interrupted")
    assert len(written) == RECIPE.num_shards - 3
    assert_same_bytes(folder / "curriculum", folder / "interrupted")


def test_one_language_takes_the_demo_recipe(tmp_path: Path) -> None:
    """A dump in one language, smaller than its shards: empty shards are shards."""
    rows = [post(number, "document", number, "text") for number in range(2, 6)]
    write_documents(tmp_path / "documents", [rows, []])
    write_layers(tmp_path / "layers", tmp_path / "documents")
    write_tokens(tmp_path / "tokens", tmp_path / "documents")
    manifest = build(tmp_path, "curriculum", strict_yaml.load_named(Recipe, "demo", curriculum.RECIPES))
    assert_sound(tmp_path / "curriculum")
    assert manifest.rows == len(sequences(tmp_path / "curriculum")) >= 2


def test_pieces_of_a_token_shard_that_does_not_come_are_missed() -> None:
    one = np.ones(1, np.int32)
    pieces = Pieces("eng_Latn", 0 * one, 0 * one, one, 0 * one, np.zeros(1, np.int64), 0 * one)
    tokens = Shard(shard_name(0, 2), pa.table({"doc_id": ["a"], "source": ["s"], "tokens": [[7]]}))
    none: list[Shard] = []
    for shards_there in (none, [tokens, tokens]):
        with pytest.raises(ValueError, match=r"token shard 0 comes [02] times, wanted once"):
            cut_shard((0, [pieces]), {0: shards_there}, pa.uint16())
    (table,) = cut_shard((0, [pieces]), {0: [tokens]}, pa.uint16())
    assert table.column("tokens").to_pylist() == [[7]]
    with pytest.raises(Exception, match=r"token shard 1 comes 0 times, wanted once"), beam_pipeline() as p:
        _ = (p | "T" >> beam.Create([tokens]), p | "P" >> beam.Create([(1, pieces)])) | CutPieces(pa.uint16())


def test_needs_the_layers(pool: tuple[Path, dict[str, list[int]]], tmp_path: Path) -> None:
    folder, _ = pool
    with pytest.raises(ValueError, match="no language layer at"):
        curriculum.run(str(folder / "tokens"), str(tmp_path), str(tmp_path / "out"), RECIPE)


def test_the_size_of_chunks_changes_nothing(
    pool: tuple[Path, dict[str, list[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = pool
    build(folder, "curriculum")
    monkeypatch.setattr("transforms.curriculum.layout._CHUNK_PIECES", 7)
    monkeypatch.setattr("transforms.curriculum.pieces._TABLE_TOKENS", 50)
    build(folder, "small-chunks")
    assert_same_bytes(folder / "curriculum", folder / "small-chunks")
