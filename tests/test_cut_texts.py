"""Those who read texts with the layer repeated_lines beside them: tokenizers, tokens, pairs and the report agree."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines import annotate, curriculum, pairs, tokenize, tokenizer
from pipelines.annotate import DEFAULT_LAYERS, WHOLE
from pipelines.report.corpus import layer_view
from pipelines.report.data import BuildFolder
from pipelines.report.folder import dataset_of
from pipelines.report.html import fill
from pipelines.report.looking import Look
from pipelines.report.replay import read_unpaired
from tests.forum import post, write_documents, write_layers
from tests.laws import all_rows, assert_idempotent, assert_same_bytes, assert_sound
from tests.small_tokenizer import small_encoder, write_small_tokenizer
from transforms.curriculum.mix import Recipe, Stage
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.datasets.manifest import Manifest, load_manifest
from transforms.datasets.schema import DOCUMENTS
from transforms.datasets.standing import Existing
from transforms.dedup.line_spec import SCHEMA
from transforms.io.shard import Shard
from transforms.layers.kinds import LAYERS, settings_of
from transforms.layers.read import document_batches, find_layers, read_documents
from transforms.pairs.rule import PairRule

RULE = PairRule("any", 1, "score")
RECIPE = Recipe("one", 1, 1, (Stage("all", 64, share_of_pool=1.0),))
FOOTER = "read more of this in our shop and in the café below"


def own(number: int) -> str:
    return f"the bread of {number} rises slowly in a cold kitchen and is baked on day {number} by {number} bakers"


def answers(thread: int) -> list[str]:
    """Of which the second is equal to the third but for the footer, and the last has nothing of its own."""
    one, two = own(10 * thread + 1), f"Bake it hot, on day {thread}."  # too short to be cut
    return [one, two, f"{two}\n\n{FOOTER}", FOOTER]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shards = [
        [
            post(10 * thread, "question", 10 * thread, f"{own(10 * thread)}\n\n{FOOTER}", title=f"Title {thread}"),
            *(post(10 * thread + n, "answer", 10 * thread, text, score=n) for n, text in enumerate(answers(thread), 1)),
        ]
        for thread in range(1, 4)
    ]
    write_documents(tmp_path / "documents", [[], *shards])
    write_layers(tmp_path / "layers", tmp_path / "documents")
    write_small_tokenizer(tmp_path / "tokenizer")
    return tmp_path


def at(folder: Path, *names: str) -> list[str]:
    return [str(folder / name) for name in names]


def annotated(folder: Path, existing: Existing = Existing.REFUSE, **settings: Any) -> Manifest:
    documents, layers = at(folder, "documents", "layers")
    given = settings_of({"repeated_lines": settings or None}, "here")
    return annotate.run(documents, layers, given, existing=existing)["repeated_lines"]


def tokenized(folder: Path, existing: Existing = Existing.REFUSE) -> Manifest:
    documents, words, tokens, layers = at(folder, "documents", "tokenizer", "tokens", "layers")
    return tokenize.run(documents, words, tokens, layers, existing=existing)


def mixed(folder: Path, existing: Existing = Existing.REFUSE) -> Manifest:
    tokens, layers, out = at(folder, "tokens", "layers", "curriculum")
    return curriculum.run(tokens, layers, out, RECIPE, existing=existing)


def test_the_layer_is_made_where_it_is_named_and_one_layer_cuts() -> None:
    assert "repeated_lines" in WHOLE
    assert "repeated_lines" not in DEFAULT_LAYERS.split(",")
    assert [name for name, layer in LAYERS.items() if layer.cuts] == ["repeated_lines"]
    assert LAYERS["repeated_lines"].cuts in SCHEMA.names


def test_the_layer_is_a_dataset_like_others(folder: Path) -> None:
    manifest = annotated(folder)
    assert_sound(folder / "layers" / "repeated_lines")
    assert_idempotent(folder / "layers" / "repeated_lines", lambda: annotated(folder))
    assert manifest.settings == {"tokens": 10, "left": 30, "kept_by": ["language", "duplicates"]}
    assert set(manifest.parents) == {"documents", "layers/language", "layers/duplicates"}
    shutil.copytree(folder, folder / "again", ignore=shutil.ignore_patterns("repeated_lines"))
    annotated(folder / "again")
    assert_same_bytes(folder / "layers" / "repeated_lines", folder / "again" / "layers" / "repeated_lines")


def test_all_who_read_texts_read_the_same(folder: Path) -> None:
    manifest = annotated(folder, left=5)
    assert manifest.counts["cut"]["documents"] == 8  # all that have the footer, but for the first question
    assert manifest.counts["drop"] == {"repeated-lines": 3}
    texts = {10 * thread + n: text for thread in (1, 2, 3) for n, text in enumerate(answers(thread), 1)}
    wanted = {f"test:{n:05d}": text.partition(FOOTER)[0].rstrip() for n, text in texts.items()}

    documents, layers, out = at(folder, "documents", "layers", "pairs")
    paired = pairs.run(documents, layers, out, RULE)
    assert paired.counts["candidates"] == {"duplicate-answer": 3, "kept": 6, "repeated-lines": 9}
    for row in all_rows(folder / "pairs"):
        assert row["chosen"][0]["content"] == wanted[row["chosen_id"]]
        assert row["rejected"][0]["content"] == wanted[row["rejected_id"]]
        assert row["chosen_chars"] == len(wanted[row["chosen_id"]])
        number = int(row["thread_id"].removeprefix("test:"))
        footer = f"\n\n{FOOTER}" if number == 10 else ""
        assert row["prompt"][0]["content"] == f"Title {number // 10}\n\n{own(number)}{footer}"

    tokens = tokenized(folder)
    assert tokens.parents["layers/repeated_lines"] == manifest.digest
    encoder = small_encoder(folder / "tokenizer")
    read = {row["doc_id"]: encoder.decode(row["tokens"][:-1]) for row in all_rows(folder / "tokens")}
    assert {doc_id: read[doc_id] for doc_id in wanted} == wanted

    words = tokenizer.TokenizerSettings(vocab_size=320, sample_bytes=20_000)
    trained = tokenizer.run(documents, layers, str(folder / "trained"), words)
    kept = [doc_id for doc_id in read if doc_id not in ("test:00014", "test:00024", "test:00034")]
    assert trained.counts["sample_bytes"] == {"eng_Latn": sum(len(read[doc_id].encode()) for doc_id in kept)}

    assert mixed(folder).counts["documents"] == {"repeated-lines": 3, "over-budget": 0, "used": 12}


def test_the_report_replays_what_was_paired_and_shows_what_is_cut(folder: Path) -> None:
    manifest = annotated(folder, left=5)
    looks = {
        "documents": Look(str(folder / "documents"), "documents", "documents", [DOCUMENTS], []),
        "repeated_lines": Look(
            str(folder / "layers" / "repeated_lines"), "repeated_lines", "repeated_lines", [SCHEMA], []
        ),
    }
    found = read_unpaired(looks.pop("documents"), looks, RULE, {"duplicate-answer", "repeated-lines"})
    assert [(row.reason, row.first_id, row.second_id) for row in found] == [
        ("duplicate-answer", "test:00012", "test:00013"),
        ("repeated-lines", "test:00011", "test:00014"),
    ]
    dataset = dataset_of("repeated_lines", manifest, [])
    assert dataset is not None
    layer = LAYERS["repeated_lines"]
    page = fill("layer.html", view=layer_view(layer, BuildFolder("a build", {"repeated_lines": dataset})))
    cut, whole = (manifest.counts[name]["eng_Latn"] for name in ("cut_by_language", "tokens_by_language"))
    for told in ("12 of 15 documents are", "90% and more", "English", f"{100 * cut / whole:.1f}%"):
        assert told in page, told


def test_tokens_that_were_cut_otherwise_are_refused_by_name(folder: Path) -> None:
    tokenized(folder)
    mixed(folder)
    annotated(folder)
    with pytest.raises(
        ValueError, match=r"made of texts with the repeated_lines layer nowhere, and at .*Make the tokens"
    ):
        mixed(folder)
    with pytest.raises(ValueError, match="was made without layers/repeated_lines"):
        tokenized(folder)
    tokenized(folder, Existing.REPLACE)
    mixed(folder, Existing.REPLACE)
    annotated(folder, Existing.REPLACE, tokens=5)
    with pytest.raises(ValueError, match=r"the repeated_lines layer [0-9a-f]{16}, and at .* it is [0-9a-f]{16}"):
        mixed(folder)
    shutil.rmtree(folder / "layers" / "repeated_lines")
    with pytest.raises(ValueError, match=r"the repeated_lines layer [0-9a-f]{16}, and at .* it is nowhere"):
        mixed(folder)


def test_spans_of_other_documents_and_other_texts_are_refused(folder: Path) -> None:
    annotated(folder)
    documents = load_manifest(str(folder / "documents"))
    beside = find_layers(documents, str(folder / "layers"), ["language"])
    dataset = Dataset.open(str(folder / "documents"))
    shard = Shard(dataset.paths[2], dataset, beside.layers)
    rows, layer = shard.read(["doc_id", "text"]), shard.read_layer("repeated_lines")
    with pytest.raises(ValueError, match="the repeated_lines layer does not stand row for row"):
        read_documents(Shard(shard.path, rows, {"repeated_lines": layer.slice(1)}), ["doc_id", "text"])
    short = rows.set_column(1, "text", [["short"] * rows.num_rows])
    with pytest.raises(ValueError, match="these spans are of another text"):
        read_documents(Shard(shard.path, short, {"repeated_lines": layer}), ["doc_id", "text"])


def test_batches_are_cut_as_the_whole_and_other_columns_are_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotated(folder)
    dataset = Dataset.open(str(folder / "documents"))
    beside = find_layers(dataset.manifest, str(folder / "layers"), ["language"])
    for path in dataset.paths:
        shard = Shard(path, dataset, beside.layers)
        whole = read_documents(shard, ["text", "title"])
        assert [row for batch in document_batches(shard, ["text", "title"]) for row in batch.to_pylist()] == (
            whole.to_pylist()
        )
        assert whole.schema.equals(shard.read(["text", "title"]).schema)
        assert read_documents(shard, ["title"]).equals(shard.read(["title"]))
        rows = Shard(path, shard.read(["text", "doc_id"]), {"repeated_lines": shard.read_layer("repeated_lines")})
        monkeypatch.setattr(shards, "BATCH_ROWS", 2)
        parts = [batch.column("text").to_pylist() for batch in document_batches(rows, ["text"])]
        assert all(len(part) <= 2 for part in parts)
        assert [text for part in parts for text in part] == whole.column("text").to_pylist()
