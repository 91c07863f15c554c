"""The layers there are, how they are told settings, and that a new one needs nothing but its file and its line."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines import annotate, curriculum, pairs, tokenize, tokenizer
from pipelines.annotate import chosen_settings
from pipelines.report.corpus import layer_view
from pipelines.report.data import BuildFolder
from pipelines.report.folder import dataset_of
from pipelines.report.html import fill
from tests import laws, shouting
from tests.conftest import ROOT
from tests.forum import post, write_documents, write_layers
from transforms.curriculum.mix import Recipe, Stage
from transforms.datasets.manifest import load_manifest
from transforms.dedup.spec import MinHashSpec
from transforms.layers import kinds
from transforms.layers.kinds import LAYERS, settings_of
from transforms.layers.language import LanguageSettings
from transforms.layers.split import SplitSettings
from transforms.pairs.rule import PairRule

RULE = PairRule("any", 1, "score")


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_says_all_that_others_need_to_know(name: str) -> None:
    layer = LAYERS[name]
    assert layer.name == layer.step.kind == name
    assert layer.title
    assert layer.says.endswith(".")
    assert layer.schema.names[0] == "doc_id"
    assert ({"keep", "reason"} <= set(layer.schema.names)) is (layer.keep is not None)
    assert is_dataclass(layer.settings)
    assert (layer.rows is None) is (name in annotate.WHOLE)
    assert f"## {name}" in (ROOT / "docs" / "formats.md").read_text("utf-8")


# ------------------------------------------------------------------------------------- settings


def test_settings_are_given_alone_whole_or_not_at_all() -> None:
    given = {"split": None, "language": "a.ftz", "duplicates": {"bands": 20}}
    assert list(settings_of(given, "here").items()) == [
        ("language", LanguageSettings("a.ftz")),
        ("duplicates", MinHashSpec(bands=20)),
        ("split", SplitSettings()),
    ]
    assert settings_of({"language": {"model": "a.ftz"}}, "here") == {"language": LanguageSettings("a.ftz")}
    assert settings_of({"split": 0.2}, "here") == {"split": SplitSettings(holdout=0.2)}
    assert settings_of({}, "here") == {}, "only what is named is built"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"langage": "x"}, r"here: unknown layer 'langage'.* nearest: language"),
        ({"duplicates": {"band": 3}}, r"here: at duplicates: unknown key 'band' \(did you mean 'bands'\?\)"),
        ({"duplicates": {"bands": "three"}}, "at duplicates.bands: got 'three' .*wanted a whole number"),
        ({"duplicates": "three"}, "at duplicates.ngram: got 'three' .*wanted a whole number"),
        ({"split": {"holdout": 1.5}}, "here: split.holdout must be a share"),
        ({"language": {"modell": "x"}}, r"at language: unknown key 'modell' \(did you mean 'model'\?\)"),
        ({"language": ["x"]}, "at language.model: got .*wanted text"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings_of(given, "here")


def test_the_command_line_takes_settings_as_a_build_file_does() -> None:
    given = ["language=a.ftz", "duplicates.bands=20", "duplicates.ngram=3", "split=0.05"]
    in_a_file = {"language": "a.ftz", "duplicates": {"bands": 20, "ngram": 3}, "split": {"holdout": 0.05}}
    assert chosen_settings(["split", "language", "duplicates"], given) == settings_of(in_a_file, "a file")
    assert chosen_settings(["split"], []) == {"split": SplitSettings()}


@pytest.mark.parametrize(
    ("layers", "given", "message"),
    [
        (["duplicate"], [], r"unknown layer 'duplicate'.* nearest: duplicates"),
        ([], [], "no layer to build; name some of language, quality, contamination, duplicates"),
        (["split"], ["duplicates.bands=3"], "settings for duplicates, which --layers does not name"),
        (["split"], ["splitt.holdout=3"], "unknown layer 'splitt'.* nearest: split"),
        (["split"], ["holdout"], "settings are written key=value, got 'holdout'"),
        (["split"], ["split=1"], "--set: split.holdout must be a share"),
    ],
)
def test_what_cannot_be_built_is_said_at_once(layers: list[str], given: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chosen_settings(layers, given)


# ------------------------------------------------------------------------------------- a new layer


@pytest.fixture
def with_shouting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(kinds.LAYERS, dict)
    monkeypatch.setitem(kinds.LAYERS, "shouting", shouting.LAYER)


WORDS = "bread rises slowly in a cold kitchen and faster in a warm one and then it is baked"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty threads of a question and three answers, of which the last shouts."""
    rows = []
    for thread in range(0, 80, 4):
        for place, kind in enumerate(("question", "answer", "answer", "answer")):
            text = f"{WORDS} {thread} {place}"
            number = thread + place
            rows.append(post(number, kind, thread, text.upper() if place == 3 else text, score=place))
    write_documents(tmp_path / "documents", [rows])
    write_layers(tmp_path / "layers", tmp_path / "documents")
    return tmp_path


def annotated(folder: Path) -> Any:
    place = str(folder / "layers")
    return annotate.run(str(folder / "documents"), place, settings_of({"shouting": 0.7}, "here"))["shouting"]


@pytest.mark.usefixtures("with_shouting")
def test_a_new_layer_is_made_and_read_and_drawn_though_nothing_else_knows_it(folder: Path) -> None:
    manifest = annotated(folder)
    laws.assert_sound(folder / "layers" / "shouting")
    laws.assert_idempotent(folder / "layers" / "shouting", lambda: annotated(folder))
    assert manifest.counts["documents"] == {"in": 80, "kept": 60}
    assert manifest.settings == {"most_capitals": 0.7}

    documents, layers = str(folder / "documents"), str(folder / "layers")
    paired = pairs.run(documents, layers, str(folder / "pairs"), RULE)
    assert paired.counts["candidates"] == {"kept": 20, shouting.DROPPED.value: 40}
    assert paired.parents["layers/shouting"] == manifest.digest

    words = tokenizer.TokenizerSettings(vocab_size=320, sample_bytes=20_000)
    trained = tokenizer.run(documents, layers, str(folder / "tokenizer"), words)
    assert trained.counts["sample_documents"] == {"eng_Latn": 60}

    tokenize.run(documents, str(folder / "tokenizer"), str(folder / "tokens"), layers)
    recipe = Recipe("one", 1, 1, (Stage("all", 64, share_of_pool=1.0),))
    made = curriculum.run(str(folder / "tokens"), layers, str(folder / "curriculum"), recipe)
    assert made.counts["documents"] == {shouting.DROPPED.value: 20, "over-budget": 0, "used": 60}

    dataset = dataset_of("shouting", manifest, [])
    assert dataset is not None
    page = fill("layer.html", view=layer_view(shouting.LAYER, BuildFolder("a build", {"shouting": dataset})))
    for told in ("Texts that are mostly capitals.", "60 of 80 documents are not shouting", "share of capitals"):
        assert told in page


def test_a_layer_that_comes_later_is_told_by_those_who_read_without_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make() -> object:
        return pairs.run(str(folder / "documents"), str(folder / "layers"), str(folder / "pairs"), RULE)

    make()
    monkeypatch.setitem(kinds.LAYERS, "shouting", shouting.LAYER)  # type: ignore[misc]
    make()
    assert "layers/shouting" not in load_manifest(str(folder / "pairs")).parents
    annotated(folder)
    laws.assert_refuses_other(make, "was made without layers/shouting")


def test_settings_of_the_value_are_those_of_the_docs() -> None:
    """docs/adding_a_layer.md shows this very file."""
    text = (ROOT / "docs" / "adding_a_layer.md").read_text("utf-8")
    for field in fields(shouting.ShoutingSettings):
        assert field.name in text
