"""The quality layer: made from the language layer beside it, stale when that is another; what decides it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines import annotate, pairs
from tests import laws
from tests.forum import post, write_documents, write_layers
from tests.small_dataset import read_file
from tests.test_quality_classifier import BAD, GOOD, texts, write
from transforms.datasets.fates import Reason
from transforms.datasets.manifest import load_manifest
from transforms.datasets.standing import Existing
from transforms.io.shard import Shard, document_shard
from transforms.layers import quality
from transforms.layers.annotate import annotate as annotate_shard
from transforms.layers.kinds import LAYERS, must_be_told, settings_of
from transforms.layers.quality import LAYER, QualitySettings, identity, open_judge, rows
from transforms.pairs.rule import PairRule
from transforms.quality.signals import SIGNALS
from transforms.quality.thresholds import SHIPPED
from transforms.quality.train import TrainSettings
from transforms.quality.train import train as train_classifier

GREEK = "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα."
ENGLISH = "All human beings are born free and equal in dignity and rights."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two threads of a question and three answers; the second answer of each is in another script."""
    rows = []
    for thread in (0, 4):
        for place, kind in enumerate(("question", "answer", "answer", "answer")):
            text = GREEK if place == 2 else f"{ENGLISH} ({thread + place})"
            rows.append(post(thread + place, kind, thread, text, score=place))
    write_documents(tmp_path / "documents", [rows[:4], rows[4:]])
    write_layers(tmp_path / "layers", tmp_path / "documents")
    return tmp_path


def make(folder: Path, existing: Existing = Existing.REFUSE, **settings: object) -> Any:
    chosen = settings_of({"quality": settings}, "here")
    return annotate.run(str(folder / "documents"), str(folder / "layers"), chosen, existing=existing)["quality"]


def rows_of(place: Path) -> list[dict[str, Any]]:
    manifest = load_manifest(str(place), "quality")
    return [row for file in manifest.data_files for row in read_file(str(place), file.path).to_pylist()]


def test_the_layer_stands_beside_documents_and_language_and_its_fates_are_those_of_pairs(folder: Path) -> None:
    manifest = make(folder)
    laws.assert_sound(folder / "layers" / "quality")
    assert manifest.parents == {
        "documents": load_manifest(str(folder / "documents")).digest,
        "layers/language": load_manifest(str(folder / "layers" / "language")).digest,
    }
    assert manifest.counts["documents"] == {"in": 8, "kept": 6}
    assert manifest.counts["drop"] == {"quality-script": 2}
    assert manifest.counts["marked"] == {"eng_Latn/quality-script": 2}
    found = rows_of(folder / "layers" / "quality")
    assert [row["reason"] for row in found] == [None, None, "quality-script", None] * 2
    assert found[0]["words"] == 13
    assert found[0]["script_share"] == 1.0
    assert found[0]["score"] is None
    paired = pairs.run(
        str(folder / "documents"), str(folder / "layers"), str(folder / "pairs"), PairRule("any", 1, "score")
    )
    assert paired.counts["candidates"] == {"kept": 2, "low-quality": 4}
    assert paired.parents["layers/quality"] == manifest.digest


def test_another_language_layer_makes_the_quality_layer_stale_for_those_who_make_and_who_read_it(folder: Path) -> None:
    before = make(folder)
    laws.assert_idempotent(folder / "layers" / "quality", lambda: make(folder))
    shutil.rmtree(folder / "layers" / "language")
    write_layers(folder / "other", folder / "documents", language=lambda row: "ell_Grek")
    shutil.move(folder / "other" / "language", folder / "layers" / "language")
    with pytest.raises(ValueError, match=r"the quality layer at .* was made from another language layer than the one"):
        pairs.run(str(folder / "documents"), str(folder / "layers"), str(folder / "pairs"), PairRule("any", 1, "score"))
    laws.assert_refuses_other(lambda: make(folder), "differs in layers/language")
    after = make(folder, Existing.REPLACE)
    assert after.parents != before.parents
    assert after.counts["drop"] == {"quality-script": 6}


def test_without_a_language_layer_none_is_made(folder: Path) -> None:
    shutil.rmtree(folder / "layers" / "language")
    with pytest.raises(ValueError, match=r"no language layer at .*; make it with agora annotate --layers language"):
        make(folder)
    assert not (folder / "layers" / "quality").exists()


def test_a_shard_without_the_layer_it_needs_and_one_with_other_rows_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge = open_judge(QualitySettings(), identity(QualitySettings()))
    documents = document_shard(pa.table({"doc_id": ["a", "b"], "text": ["x", "y"]}))
    with pytest.raises(ValueError, match="has no language layer beside it"):
        annotate_shard(documents, LAYER, QualitySettings(), judge)
    other = pa.table({"doc_id": ["a", "c"], "language": ["eng_Latn", None]})
    with pytest.raises(ValueError, match="the language layer does not stand row for row"):
        annotate_shard(Shard(documents.path, documents.rows, {"language": other}), LAYER, QualitySettings(), judge)
    beside = pa.table({"doc_id": ["a", "b"], "language": pa.array([None, "tha_Thai"], pa.string())})
    monkeypatch.setattr("transforms.datasets.shards.BATCH_ROWS", 1)
    found = annotate_shard(Shard(documents.path, documents.rows, {"language": beside}), LAYER, QualitySettings(), judge)
    assert found.read(["words"]).column(0).to_pylist() == [1, None], "each row has its own language"


def batches(size: int) -> list[pa.RecordBatch]:
    texts = [ENGLISH, GREEK, "", f"{ENGLISH}\n" * 5, "+1"] * 3
    table = pa.table(
        {
            "doc_id": [f"d{number:02d}" for number in range(len(texts))],
            "title": pa.array([None, "A title"] * 7 + [None], pa.string()),
            "text": texts,
            "language.language": ["eng_Latn", "ell_Grek", None, "eng_Latn", "tha_Thai"] * 3,
        }
    )
    return table.to_batches(max_chunksize=size)


def test_batches_change_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = open_judge(QualitySettings(), identity(QualitySettings()))
    whole, counts = rows(batches(100), judge)
    for size, chars in ((1, 1 << 20), (4, 1 << 20), (100, 50)):
        monkeypatch.setattr("transforms.datasets.texts._BATCH_CHARS", chars)
        again, same = rows(batches(size), judge)
        assert again.equals(whole)
        assert same.to_dict() == counts.to_dict()
    assert counts.to_dict() == {"marked": {"eng_Latn/quality-repetition": 3}}
    assert rows([], judge)[0].num_rows == 0


# ------------------------------------------------------------------------------------- what decides it


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("classifier")
    good, bad = write(place / "good", texts(GOOD, 200)), write(place / "bad", texts(BAD, 200))
    (place / "model.bin").write_bytes(train_classifier([str(good)], [str(bad)], TrainSettings()).model)
    return place / "model.bin"


def test_a_classifiers_score_is_one_more_signal_and_may_be_the_reason(classifier: Path) -> None:
    settings = QualitySettings(classifier=str(classifier), least_score=0.5)
    judge = open_judge(settings, identity(settings))
    good, bad = texts(GOOD, 1)[0], texts(BAD, 1)[0]
    table = pa.table({"doc_id": ["a", "b"], "title": pa.nulls(2, pa.string()), "text": [good, bad]})
    table = table.append_column(LAYER_LANGUAGE, pa.array([None, None], pa.string()))
    found = rows(table.to_batches(), judge)[0].to_pylist()
    assert found[0]["score"] > 0.5 > found[1]["score"]
    assert [row["reason"] for row in found] == [None, Reason.QUALITY_SCORE.value]
    scored = QualitySettings(classifier=str(classifier))
    assert all(row["keep"] for row in rows(table.to_batches(), open_judge(scored, identity(scored)))[0].to_pylist())


LAYER_LANGUAGE = "language.language"


def change_thresholds(place: Path) -> QualitySettings:
    changed = place / "mine.tsv"
    changed.write_text(SHIPPED.read_text("utf-8").replace("\tthe and of", "\tthe of and"), "utf-8")
    return QualitySettings(thresholds=str(changed))


def change_rules(place: Path) -> QualitySettings:
    (place / "mine.yaml").write_text("rules:\n  - {signal: words, reason: quality-length, least: 3}\n", "utf-8")
    return QualitySettings(str(place / "mine.yaml"))


@pytest.mark.parametrize("change", [change_thresholds, change_rules, lambda place: QualitySettings("web")])
def test_what_decides_the_layer_is_in_its_identity_and_places_are_not(
    tmp_path: Path, change: Callable[[Path], QualitySettings]
) -> None:
    plain = identity(QualitySettings())
    assert identity(change(tmp_path)) != plain
    moved = shutil.copy(SHIPPED, tmp_path / "moved.tsv")
    assert identity(QualitySettings(thresholds=str(moved))) == plain


def test_the_table_and_the_classifier_are_part_of_it(classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = identity(QualitySettings())
    assert identity(QualitySettings(classifier=str(classifier))) != plain
    monkeypatch.setattr(quality, "_TABLE", "another")
    assert identity(QualitySettings()) != plain


def test_thresholds_that_are_exchanged_under_a_run_are_refused(tmp_path: Path) -> None:
    settings = change_thresholds(tmp_path)
    wanted = identity(settings)
    open_judge(settings, wanted)
    shutil.copy(SHIPPED, str(settings.thresholds))
    with pytest.raises(ValueError, match=r"the thresholds .*mine.tsv changed while they were used"):
        open_judge(settings, wanted)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "forums"}, "forums"),
        ({"preset": ""}, "quality.preset is empty text"),
        ({"preset": "scored.yaml"}, "the preset scored.yaml has a rule of the score, which needs a classifier"),
        ({"thresholds": "nowhere.tsv"}, "no thresholds at nowhere.tsv"),
        ({"classifier": "nowhere.bin"}, "no quality classifier at nowhere.bin"),
        ({"least_score": 0.5}, "quality.least_score needs a classifier"),
        ({"classifier": "a.bin", "least_score": 50}, "quality.least_score must be a number from 0 to 1"),
    ],
)
def test_settings_that_cannot_be_used_are_named_before_anything_is_built(
    folder: Path, settings: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "scored.yaml").write_text("rules: [{signal: score, reason: quality-score, least: 0.5}]")
    with pytest.raises(ValueError, match=message):
        make(folder, **settings)
    assert not (folder / "layers" / "quality").exists()


def test_every_signal_is_a_column_and_documented() -> None:
    docs = (Path(__file__).parents[1] / "docs" / "formats.md").read_text("utf-8")
    section = docs.partition("## quality")[2].partition("\n## ")[0]
    for name in LAYER.schema.names:
        assert f"`{name}`" in section, name
    assert set(SIGNALS) < set(LAYER.schema.names)


def test_layers_that_are_needed_come_first() -> None:
    names = list(LAYERS)
    told = {name: {"benchmarks": ["items.jsonl"]} if must_be_told(name) else None for name in LAYERS}
    for name, settings in settings_of(told, "here").items():
        needs = LAYERS[name].needs(settings)
        assert all(names.index(needed) < names.index(name) for needed in needs)
        for needed, columns in needs.items():
            assert set(columns) <= set(LAYERS[needed].schema.names)
