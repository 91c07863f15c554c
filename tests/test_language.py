"""The language layer: what decides it is the model's bytes and the table, and every process works with that model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.test_langid import SENTENCES, train
from transforms.layers import language
from transforms.layers.language import LanguageSettings, identity, load


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
    assert load(settings, wanted).detect(["bread"])
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"the language model .* changed"):
        load(settings, wanted)


@pytest.mark.parametrize("model", ["", 3])
def test_a_model_is_a_place(model: object) -> None:
    with pytest.raises(ValueError, match="must be default, which is shipped, or the place of a model"):
        LanguageSettings(model)  # type: ignore[arg-type]
