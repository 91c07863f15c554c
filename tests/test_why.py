"""Why says of each document what the datasets say: of every one, with both texts, and what it cannot know."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipelines import annotate, curriculum, pairs, tokenize, tokenizer, why
from pipelines.explain import case
from pipelines.explain.case import Explanation
from pipelines.why import explain
from tests.forum import Row, post, write_documents, write_layers
from tests.laws import all_rows
from transforms.curriculum.mix import Recipe, Stage
from transforms.datasets import shards
from transforms.datasets.manifest import load_manifest
from transforms.layers import kinds
from transforms.layers.kinds import settings_of
from transforms.pairs.rule import PairRule

MADE = ("language", "duplicates", "split")
ABSENT = ", ".join([*(name for name in kinds.LAYERS if name not in MADE), "evaluation"])
RULE = PairRule("few", 1, "score", max_pairs_per_thread=2, max_answers_per_thread=4)
WORDS = re.findall("[a-z]+", "the bread in my oven rises very slowly when the kitchen is cold and faster on a warm day")


Told = dict[str, tuple[Mapping[str, Explanation], list[str]]]


def words_of(number: int) -> str:
    return " ".join(f"{word}{number}" for word in WORDS)


def forum() -> list[list[Row]]:
    """Six threads of a question, five answers and a comment in three shards. The last answer of thread 7 is the first
    one of thread 0 but for a word, and what is said in thread 14 is said again in thread 21."""
    parts: list[list[Row]] = [[], [], []]
    for thread in range(0, 42, 7):
        for place in range(7):
            kind = "question" if place == 0 else "comment" if place == 6 else "answer"
            text = words_of(1).replace("oven1", "stove") if (thread, place) == (7, 5) else words_of(thread + place)
            if thread == 21:
                text = words_of(14 + place)
            votes = None if place == 4 and thread == 28 else max(0, place - 2)
            row = post(thread + place, kind, thread, text, score=votes, title="Why?" if place == 0 else None)
            parts[thread // 7 % 3].append(row)
    return parts


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("why") / "build"
    documents, layers = str(folder / "documents"), str(folder / "layers")
    write_documents(folder / "documents", forum())
    for name in ("language", "split"):
        write_layers(
            folder / "made",
            folder / "documents",
            lambda row: None if row["thread_id"] == "test:00035" and row["kind"] == "answer" else "eng_Latn",
            split=lambda row: "holdout" if row["thread_id"] == "test:00028" else "train",
        )
        (folder / "layers").mkdir(exist_ok=True)
        (folder / "made" / name).rename(folder / "layers" / name)
    annotate.run(documents, layers, settings_of({"duplicates": {}}, "here"))
    pairs.run(documents, layers, str(folder / "pairs"), RULE)
    words = tokenizer.TokenizerSettings(vocab_size=320, sample_bytes=20_000)
    tokenizer.run(documents, layers, str(folder / "tokenizer"), words)
    tokenize.run(documents, str(folder / "tokenizer"), str(folder / "tokens"), layers)
    tokenize.run(str(folder / "pairs"), str(folder / "tokenizer"), str(folder / "preference"))
    recipe = Recipe("one", 1, 1, (Stage("all", 64, share_of_pool=0.5),))
    curriculum.run(str(folder / "tokens"), layers, str(folder / "curriculum"), recipe)
    return folder


@pytest.fixture(scope="module")
def told(build: Path) -> Told:
    """What is told of every document, and what is not known."""
    return {row["doc_id"]: explain(row["doc_id"], str(build)) for part in forum() for row in part}


def test_of_every_document_each_dataset_tells_its_row(build: Path, told: Told) -> None:
    rows = {
        kind: {row["doc_id"]: row for row in all_rows(build / at)}
        for kind, at in (("documents", "documents"), ("language", "layers/language"), ("split", "layers/split"))
    }
    tokens = {row["doc_id"]: len(row["tokens"]) for row in all_rows(build / "tokens")}
    for doc_id, (said, unknown) in told.items():
        for kind, by_id in rows.items():
            assert said[kind].facts == by_id[doc_id]
        assert said["tokens"].facts["tokens"] == tokens[doc_id]
        assert unknown == [f"{ABSENT}: not at {build}"]
        keeps = rows["language"][doc_id]["keep"]
        assert said["language"].says == ("kept" if keeps else "language-unsure: not kept")


def test_a_removed_document_stands_beside_the_one_it_was_removed_for(told: Told) -> None:
    found = told["test:00012"][0]["duplicates"]
    rule, similarity, bound = found.facts["rule"], found.facts["similarity"], {"jaccard": 0.8, "lcs": 0.85}
    assert found.says == (
        f"near-duplicate: removed for test:00001 by the rule {rule}, {similarity:.3f} where {bound[rule]} is enough"
    )
    one, other = found.texts
    assert (one.doc_id, other.doc_id) == ("test:00012", "test:00001")
    assert [piece.text for piece in one.pieces if piece.differs] == ["stove"]
    assert [piece.text for piece in other.pieces if piece.differs] == ["oven1"]
    assert "".join(piece.text for piece in other.pieces) == words_of(1)


def test_every_removal_is_told_from_both_sides(build: Path, told: Told) -> None:
    layer = {row["doc_id"]: row for row in all_rows(build / "layers" / "duplicates")}
    assert sum(not row["keep"] for row in layer.values()) > 5
    for doc_id, row in layer.items():
        found = told[doc_id][0]["duplicates"]
        assert row.items() <= found.facts.items()
        removed = {other["doc_id"] for other in found.facts.get("removed", [])}
        assert removed == {other for other, its in layer.items() if its["kept"] == doc_id}
        if row["keep"]:
            assert found.says == (
                f"kept; removed for it: {len(removed)}" if removed else "kept; no other document is like it"
            )
        else:
            assert found.says.startswith(f"{row['reason']}: removed for {row['kept']} by the rule {row['rule']}")


def test_every_candidate_pair_has_the_fate_that_the_build_counted(build: Path, told: Told) -> None:
    rows = all_rows(build / "pairs")
    assert rows
    counted: Counter[str] = Counter()
    for doc_id, (said, _) in told.items():
        found = said["pairs"]
        own = {pair["pair_id"] for pair in found.facts.get("pairs", [])}
        assert own == {
            row["pair_id"] for row in rows if doc_id in (row["thread_id"], row["chosen_id"], row["rejected_id"])
        }
        dropped = found.facts.get("dropped_pairs", [])
        if said["documents"].facts["kind"] == "question":
            counted.update(found.facts.get("dropped", {}))
        elif said["documents"].facts["kind"] == "answer":
            of_thread = told[said["documents"].facts["thread_id"]][0]["pairs"].facts["dropped_pairs"]
            assert dropped == [drop for drop in of_thread if doc_id in (drop["first"], drop["second"])]
        else:
            assert dropped == []
    candidates = load_manifest(str(build / "pairs")).counts["candidates"]
    # Of an answer beyond the cap one candidate is told, of the four that it has with the others.
    assert counted.pop("over-answer-cap") == 6, "one answer of five in each thread"
    assert counted == {name: count for name, count in candidates.items() if name not in ("kept", "over-answer-cap")}
    assert {"tie", "over-cap", "duplicate-answer", "missing-score"} <= counted.keys()


def test_a_response_is_told_with_how_often_it_was_chosen(build: Path, told: Told) -> None:
    rows = all_rows(build / "pairs")
    for doc_id in {row["chosen_id"] for row in rows} | {row["rejected_id"] for row in rows}:
        found = told[doc_id][0]["preference"].facts
        for side in ("chosen", "rejected"):
            assert found[side] == sum(row[f"{side}_id"] == doc_id for row in rows)
    assert told[rows[0]["thread_id"]][0]["preference"].facts["pairs"] == sum(
        row["thread_id"] == rows[0]["thread_id"] for row in rows
    )
    assert told["test:00006"][0]["preference"].says == "neither a prompt nor a response"


def test_every_document_is_in_the_curriculum_or_told_why_it_is_not(build: Path, told: Told) -> None:
    sequences = all_rows(build / "curriculum")
    counted: Counter[str] = Counter()
    for doc_id, (said, _) in told.items():
        found = said["curriculum"]
        places = [
            {"stage": row["stage"], "position": row["position"], "tokens": size}
            for row in sequences
            for name, size in zip(row["doc_ids"], row["doc_tokens"], strict=True)
            if name == doc_id
        ]
        assert list(found.facts.get("sequences", [])) == places
        counted[found.says.partition(":")[0] if not places else "used"] += 1
    wanted = load_manifest(str(build / "curriculum")).counts["documents"]
    assert counted == {name: count for name, count in wanted.items() if count}
    assert {"held-out", "near-duplicate", "language-unsure", "over-budget", "used"} <= counted.keys() | {
        "near-duplicate"
    }


def test_a_document_is_looked_for_in_the_smallest_dataset_and_read_elsewhere_by_its_row(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned: list[tuple[str, tuple[str, ...]]] = []
    iter_batches = shards.iter_batches

    def noting(dataset: Any, path: str, columns: Any = None) -> Iterator[Any]:
        scanned.append((dataset.manifest.kind, tuple(columns or ())))
        return iter_batches(dataset, path, columns)

    monkeypatch.setattr(shards, "iter_batches", noting)
    explain("test:00012", str(build))
    of_documents = [columns for kind, columns in scanned if kind == "documents"]
    assert of_documents == [("thread_id",)], "of its own shard, for its thread"
    by_id = {kind for kind, columns in scanned if columns == ("doc_id",)}
    smallest = min(MADE, key=lambda name: _bytes(build / "layers" / name))
    assert by_id == {smallest}
    assert sum(kind == "pairs" for kind, _ in scanned) == 3, "the shards of its own, one a split"


def _bytes(place: Path) -> int:
    return sum(file.bytes for file in load_manifest(str(place)).data_files)


# ------------------------------------------------------------------------------------- parts of a build


def test_a_layer_alone_takes_texts_from_its_build_or_from_documents_that_are_named(build: Path, tmp_path: Path) -> None:
    for place in (build / "layers", build / "layers" / "duplicates"):
        told, unknown = explain("test:00012", str(place))
        assert len(told["duplicates"].texts) == 2
        assert "documents" not in told
    other = tmp_path / "elsewhere" / "duplicates"
    other.parent.mkdir()
    (build / "layers" / "duplicates").rename(other)
    write_documents(tmp_path / "documents", [[post(1, "question", 1, "another")]])  # where a build has them, but others
    try:
        told, unknown = explain("test:00012", str(other))
        assert told["duplicates"].texts == ()
        assert unknown == ["duplicates: what they say: no documents stand beside this layer; name --documents"]
        told, unknown = explain("test:00012", str(other), str(build / "documents"))
        assert (len(told["duplicates"].texts), unknown) == (2, [])
        with pytest.raises(ValueError, match=r"was not made of the documents at .*, but of others; name those$"):
            explain("test:00012", str(other), str(tmp_path / "documents"))
        told, unknown = explain("test:00012", str(build))
        assert unknown[0] == "pairs: why it is in no others: the duplicates layer that pairs were made with is not here"
    finally:
        other.rename(build / "layers" / "duplicates")
    with pytest.raises(ValueError, match="has documents; --documents is for"):
        explain("test:00012", str(build), str(build / "documents"))


def test_what_was_made_with_another_layer_than_stands_here_is_not_explained_by_it(build: Path, tmp_path: Path) -> None:
    split = build / "layers" / "split"
    split.rename(tmp_path / "split")
    write_layers(tmp_path / "made", build / "documents", split=lambda row: "train")
    (tmp_path / "made" / "split").rename(split)
    try:
        told, unknown = explain("test:00029", str(build))
        assert told["split"].facts["split"] == "train"
        assert "dropped" not in told["pairs"].facts
        assert told["curriculum"].says == "in no sequence"
        assert unknown[:5] == [
            "pairs: why it is in no others: the split layer that pairs were made with is not here",
            "curriculum: why: the split layer that it was made with is not here",
            "pairs: was made from another split dataset than stands here",
            "curriculum: was made from another split dataset than stands here",
            f"{ABSENT}: not at {build}",
        ]
    finally:
        split.rename(tmp_path / "other")
        (tmp_path / "split").rename(split)


def test_pairs_and_curriculum_alone_tell_what_they_hold(build: Path) -> None:
    row = all_rows(build / "pairs")[0]
    told, unknown = explain(row["chosen_id"], str(build / "pairs"))
    assert row["pair_id"] in {pair["pair_id"] for pair in told["pairs"].facts["pairs"]}
    assert unknown == [
        "pairs: why it is in no others: the duplicates, language, split layer that pairs were made with is not here"
    ]
    told, _ = explain(row["chosen_id"], str(build / "preference"))
    assert told["preference"].says.startswith("a response of holdout: chosen ")
    name = all_rows(build / "curriculum")[0]["doc_ids"][0]
    told, unknown = explain(name, str(build / "curriculum"))
    assert told["curriculum"].facts["sequences"]
    assert unknown == []


@pytest.mark.parametrize(
    ("doc_id", "at", "message"),
    [
        ("12", "", r"nothing at .* tells of '12' \(documents: neither a document .*\); ids look like 'test:00000'$"),
        ("12", "layers/split", r"tells of '12' \(split: has no row of it\); ids look like 'test:00000'$"),
        ("12", "pairs", r"tells of '12' \(pairs: in no pair\); ids look like 'test:00000'$"),
        ("12", "tokenizer", "holds no dataset that tells of documents; name a build"),
        ("12", "nowhere", "holds no dataset that tells of documents; name a build"),
    ],
)
def test_what_is_not_there_is_told(build: Path, doc_id: str, at: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explain(doc_id, str(build / at))


def test_rows_that_are_not_those_of_the_layer_are_refused(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case, "_find", lambda dataset, ids: {"test:00000": case.Where(dataset.paths[0], 1)})
    with pytest.raises(ValueError, match=r"row 1 of .* is 'test:00001', and 'test:00000' in what stands beside it"):
        explain("test:00000", str(build))


# ------------------------------------------------------------------------------------- as people read it


def test_the_command_marks_differences_and_gives_machines_all(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    why.command("test:00012", str(build))
    out = capsys.readouterr().out
    assert out.startswith("test:00012\n\ndocuments: row 5 of data/00001-of-00003.arrow\n")
    assert "  test:00012, [-…-] is not in the other:\n    the1 bread1 in1 my1 [-stove-] rises1" in out
    assert "  test:00001, {+…+} is not in the other:\n    the1 bread1 in1 my1 {+oven1+} rises1" in out
    assert out.endswith(f"\nnot known:\n  {ABSENT}: not at {build}\n")
    why.command("test:00012", str(build), as_json=True)
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert list(told["datasets"]) == [
        "documents", "language", "duplicates", "split", "pairs", "preference", "tokens", "curriculum",
    ]  # fmt: skip
    pieces = told["datasets"]["duplicates"]["texts"][1]["pieces"]
    assert "".join(piece["text"] for piece in pieces) == words_of(1)
    assert {piece["text"] for piece in pieces if piece["differs"]} == {"oven1"}
    assert told["datasets"]["language"]["facts"]["language"] == "eng_Latn"
