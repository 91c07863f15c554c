from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import pairs, tokenize
from tests.forum import post, write_documents, write_layers
from tests.laws import assert_idempotent, assert_same_bytes, assert_sound
from tests.small_dataset import read_file, switched_off_after
from tests.small_tokenizer import small_encoder, write_small_tokenizer
from transforms.datasets import strict_yaml
from transforms.datasets.align import check_aligned
from transforms.datasets.manifest import load_manifest
from transforms.datasets.texts import full_text
from transforms.pairs.rule import PairRule

WORLDPM = strict_yaml.load_named(PairRule, "worldpm", pairs.RULES)


@pytest.fixture
def forum(tmp_path: Path) -> Path:
    shards = [
        [
            post(10 * thread, "question", 10 * thread, f"What about {thread}?", title=f"Title {thread}", score=1),
            *(post(10 * thread + n, "answer", 10 * thread, f"Answer {n} to {thread}", score=n) for n in (1, 2, 3)),
        ]
        for thread in range(1, 5)
    ]
    write_documents(tmp_path / "documents", shards)
    write_layers(
        tmp_path / "layers",
        tmp_path / "documents",
        language=lambda row: "fra_Latn" if row["kind"] == "question" else "eng_Latn",
        split=lambda row: "holdout" if row["thread_id"] == "test:00040" else "train",
    )
    write_small_tokenizer(tmp_path / "tokenizer")
    return tmp_path


def test_documents_become_aligned_tokens(forum: Path) -> None:
    def build() -> object:
        return tokenize.run(
            str(forum / "documents"), str(forum / "tokenizer"), str(forum / "tokens"), str(forum / "layers")
        )

    build()
    manifest = assert_sound(forum / "tokens")
    assert_idempotent(forum / "tokens", build)
    documents = load_manifest(str(forum / "documents"))
    check_aligned(documents, manifest, "tokens")
    encoder = small_encoder(forum / "tokenizer")
    tokens = 0
    for file in documents.data_files:
        ours = read_file(str(forum / "tokens"), file.path).to_pylist()
        for text, row in zip(read_file(str(forum / "documents"), file.path).to_pylist(), ours, strict=True):
            assert encoder.decode(row["tokens"][:-1]) == full_text(text["title"], text["text"])
            tokens += len(row["tokens"])
    assert manifest.counts["documents_by_language"] == {"eng_Latn": 12, "fra_Latn": 4}
    assert sum(manifest.counts["tokens_by_language"].values()) == tokens
    assert manifest.counts["tokens_by_source"] == {"test": tokens}


def test_without_a_language_layer(forum: Path) -> None:
    manifest = tokenize.run(str(forum / "documents"), str(forum / "tokenizer"), str(forum / "tokens"))
    assert manifest.counts["documents_by_language"] == {"unknown": 16}


def test_pairs_become_groups_in_the_same_splits(forum: Path) -> None:
    pairs_manifest = pairs.run(str(forum / "documents"), str(forum / "layers"), str(forum / "pairs"), WORLDPM)
    manifest = tokenize.run(str(forum / "pairs"), str(forum / "tokenizer"), str(forum / "preference"))
    assert_sound(forum / "preference")
    assert [file.path for file in manifest.data_files] == [file.path for file in pairs_manifest.data_files]
    assert manifest.counts["totals"] == {"pairs": 12, "responses": 12}
    assert manifest.counts["groups_by_language"] == {"fra_Latn": 4}
    holdout = read_file(str(forum / "preference"), "data/holdout-00003-of-00004.arrow").to_pylist()
    assert [group["group_id"] for group in holdout] == ["test:00040"]
    scores = [response["score"] for response in holdout[0]["responses"]]
    assert all(scores[pair["chosen"]] - scores[pair["rejected"]] == pair["margin"] > 0 for pair in holdout[0]["pairs"])


def test_workers_give_the_same_bytes(forum: Path) -> None:
    for workers in (1, 2):
        tokenize.run(
            str(forum / "documents"), str(forum / "tokenizer"), str(forum / f"tokens-{workers}"), workers=workers
        )
    assert_same_bytes(forum / "tokens-1", forum / "tokens-2")


@pytest.mark.parametrize("step", ["pairs", "tokens", "preference"])
def test_an_interrupted_build_makes_what_is_missing(forum: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    documents, layers, tokenizer = (str(forum / name) for name in ("documents", "layers", "tokenizer"))
    pairs.run(documents, layers, str(forum / "given"), WORLDPM)

    def build(name: str) -> object:
        if step == "pairs":
            return pairs.run(documents, layers, str(forum / name), WORLDPM)
        return tokenize.run(documents if step == "tokens" else str(forum / "given"), tokenizer, str(forum / name))

    build("whole")
    written = switched_off_after(3, monkeypatch)
    with pytest.raises(Exception, match="switched off"):
        build("cut")
    finished: list[str] = list(written)
    monkeypatch.undo()
    done = switched_off_after(1000, monkeypatch)  # never
    build("cut")
    assert sorted([*done, *finished]) == sorted(file.path for file in load_manifest(str(forum / "whole")).data_files)
    assert_same_bytes(forum / "whole", forum / "cut")


def test_refuses_other_datasets(forum: Path) -> None:
    tokenize.run(str(forum / "documents"), str(forum / "tokenizer"), str(forum / "tokens"))
    with pytest.raises(ValueError, match="is a tokens dataset; tokenize takes documents or pairs"):
        tokenize.run(str(forum / "tokens"), str(forum / "tokenizer"), str(forum / "again"))
