"""The language layer: what decides it is the model's bytes and the table, and every process works with that model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from tests.test_langid import SENTENCES, train
from transforms.layers import language
from transforms.layers.language import LAYER, LanguageSettings, identity, load


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return train(tmp_path, {key: key for key in SENTENCES})


def test_the_identity_is_of_the_models_bytes_and_the_table(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = identity(LanguageSettings(str(model)))
    moved = shutil.copy(model, tmp_path / "elsewhere.bin")
    assert identity(LanguageSettings(str(moved))) == first
    with monkeypatch.context() as patch:
        patch.setattr(language, "TABLE_FINGERPRINT", "another")
        assert identity(LanguageSettings(str(model))) != first
    model.write_bytes(model.read_bytes() + b"\0")
    assert identity(LanguageSettings(str(model))) != first


def test_a_model_that_is_exchanged_under_a_run_is_refused(model: Path) -> None:
    settings = LanguageSettings(str(model))
    wanted = identity(settings)
    assert load(settings, wanted).detector.detect(["bread"])
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"the language model .* changed"):
        load(settings, wanted)


@pytest.mark.parametrize("model", ["", 3])
def test_a_model_is_a_place(model: object) -> None:
    with pytest.raises(ValueError, match="must be default, which is shipped, or the place of a model"):
        LanguageSettings(model)  # type: ignore[arg-type]


def test_labels_that_the_table_does_not_know_are_told_at_the_start(model: Path) -> None:
    (note,) = LAYER.notes(LanguageSettings(str(model)), [])
    assert note == "1 of its 5 labels are not in the table of 119: la"


def documents(*rows: tuple[str, str, str | None], title: str | None = None) -> pa.Table:
    """rows: thread, text, stated language."""
    return pa.table(
        {
            "doc_id": [f"d{number}" for number in range(len(rows))],
            "thread_id": [thread for thread, *_ in rows],
            "title": pa.array([title, *[None] * (len(rows) - 1)], pa.string()),
            "text": [text for _, text, _ in rows],
            "language": pa.array([stated for *_, stated in rows], pa.string()),
        }
    )


EN, FR, RU = ("the cat sat on the mat", "le chat est sur la table", "кошка сидит на столе")


def test_what_is_stated_is_the_language_and_disagreement_is_counted(model: Path) -> None:
    settings = LanguageSettings(str(model))
    table = documents(
        ("a", EN, "fra_Latn"), ("b", EN, "eng_Latn"), ("c", EN, "cop"), ("d", EN, "sr"), ("e", "1", "zsm_Latn")
    )
    rows, counts = language.rows(table.to_batches(), load(settings, identity(settings)))
    assert rows.column("language").to_pylist() == ["fra_Latn", "eng_Latn", None, "eng_Latn", "zsm_Latn"]
    assert rows.column("stated").to_pylist() == [True, True, True, False, True]
    assert rows.column("reason").to_pylist() == [None, None, "language-unlisted", None, None]
    assert rows.column("runner_up").to_pylist()[0] == "eng_Latn", "what the model says stays to be seen"
    assert rows.column("confidence").to_pylist()[1] > 0.5
    assert counts.to_dict() == {
        "language": {"eng_Latn": 2, "fra_Latn": 1, "zsm_Latn": 1},
        "language-disagreement": {"cop≠eng_Latn": 1, "fra_Latn≠eng_Latn": 1},
    }
    (group,) = (group for group in language.LAYER.groups if group.name == "language-disagreement")
    assert group.label("fra_Latn≠eng_Latn") == "French ≠ English"


def test_short_posts_are_in_the_language_of_their_thread_wherever_batches_end(model: Path) -> None:
    settings = LanguageSettings(str(model))
    means = load(settings, identity(settings))
    posts = [("a", f"{EN} {EN} {EN}", None)] * 3 + [("a", "ou", None), ("b", "ou", None), ("c", RU, None)]
    table = documents(*posts)
    rows, counts = language.rows(table.to_batches(), means)
    alone = means.detector.detect(["ou"])[0]
    assert rows.column("language").to_pylist()[3:5] == ["eng_Latn", "fra_Latn"]
    assert rows.column("confidence").to_pylist()[4] == pytest.approx(alone.confidence)
    for size in (1, 2, 5):
        again, counted = language.rows(table.to_batches(max_chunksize=size), means)
        assert again.equals(rows)
        assert counted.to_dict() == counts.to_dict()


def test_spans_are_of_the_text_without_its_title_and_only_when_asked_for(model: Path) -> None:
    settings = LanguageSettings(str(model), spans=True)
    english, russian = " ".join([EN] * 4), " ".join([RU] * 4)
    table = documents(("a", f"{english}\n\n{russian}", None), ("b", english, None), title=f"{EN} {EN} {EN}")
    rows, counts = language.rows(table.to_batches(), load(settings, identity(settings)))
    assert rows.column("spans").to_pylist() == [
        [
            {"start": 0, "end": len(english), "language": "eng_Latn"},
            {"start": len(english) + 2, "end": len(english) + 2 + len(russian), "language": "rus_Cyrl"},
        ],
        [{"start": 0, "end": len(english), "language": "eng_Latn"}],
    ]
    assert rows.column("mixed").to_pylist() == [True, False]
    assert counts.group("mixed") == {"eng_Latn": 1}
    plain = LanguageSettings(str(model))
    assert identity(plain) != identity(settings)
    without, _ = language.rows(table.to_batches(), load(plain, identity(plain)))
    assert without.column("spans").null_count == 2
    assert without.drop_columns("spans").equals(rows.drop_columns("spans"))
