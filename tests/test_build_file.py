"""Build files: what they may say, what each step is told of it, and that a wrong value is refused before any step."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from benchmarks.try_build_file import keys
from pipelines import build
from pipelines.build_file import BuildFile, TrainRun
from tests.conftest import ROOT, forum_rows, write_posts
from tests.small_tokenizer import write_small_tokenizer
from trainers import check, configs
from trainers.configs import PretrainConfig
from transforms.datasets import strict_yaml
from transforms.datasets.settings import SettingError
from transforms.datasets.standing import Existing

DOCS = (ROOT / "docs" / "build_files.md").read_text(encoding="utf-8")


def values(folder: Path, lid_model: Path, **more: object) -> dict[str, Any]:
    dump = write_posts(folder / "dump" / "Posts.xml", forum_rows(5))
    return {
        "output": str(folder / "out"),
        "inputs": [{"path": str(dump), "site": "tiny.example"}],
        "annotate": {"language": str(lid_model), "duplicates": {}, "split": {}},
        "pairs": {},
        "tokenizer": {"vocab_size": 1600},
        "curriculum": {"recipe": "demo"},
        **more,
    }


def steps(given: Mapping[str, object]) -> dict[str, build.BuildStep]:
    parsed = strict_yaml.parse(BuildFile, yaml.safe_dump(dict(given)), "b.yaml")
    return {step.name: step for step in build.steps(parsed, 1, Existing.REFUSE)}


def model_folder(place: Path) -> str:
    place.mkdir()
    (place / "config.json").write_text("{}")
    (place / "model.safetensors").write_bytes(b"")
    return str(place)


def told_trainers(given: Mapping[str, object], monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What each training step would tell its trainer, whatever stands."""
    found: dict[str, list[str]] = {}

    def launch(name: str, arguments: list[str], processes: int) -> None:
        found[name] = arguments
        raise InterruptedError

    monkeypatch.setattr(build, "launch", launch)
    monkeypatch.setattr(build, "_digest", lambda place: place)
    for name, step in steps(given).items():
        if name in ("pretrain", "preference"):
            with pytest.raises(InterruptedError):
                step.run()
    return found


def test_an_existing_tokenizer_is_used_and_none_is_trained(tmp_path: Path, lid_model: Path) -> None:
    words = str(write_small_tokenizer(tmp_path / "words"))
    given = values(tmp_path, lid_model, tokenizer={"path": words}, curriculum=None)
    found = steps(given)
    assert "tokenizer" not in found
    for step in found.values():
        step.run()
    assert json.loads((tmp_path / "out" / "tokens" / "manifest.json").read_text())["settings"]["vocab_size"] > 0
    assert not (tmp_path / "out" / "tokenizer").exists()
    assert "tokenizer" in steps(values(tmp_path, lid_model))


def test_the_preference_model_starts_from_init_or_else_from_the_pretrained_model(
    tmp_path: Path, lid_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, model = str(write_small_tokenizer(tmp_path / "words")), model_folder(tmp_path / "model")
    run = {"config": "debug_cpu", "init": model}
    told = told_trainers(values(tmp_path, lid_model, tokenizer={"path": words}, train={"preference": run}), monkeypatch)
    assert {f"init={model}", f"tokenizer={words}"} <= set(told["preference"])
    both = {"pretrain": run, "preference": {"config": "debug_cpu"}}
    told = told_trainers(values(tmp_path, lid_model, tokenizer={"path": words}, train=both), monkeypatch)
    assert f"init={model}" in told["pretrain"]
    assert f"init={tmp_path}/out/pretrain/export" in told["preference"]
    fresh = {name: {"config": "debug_cpu"} for name in both}
    told = told_trainers(values(tmp_path, lid_model, train=fresh), monkeypatch)
    assert not any(argument.startswith("init=") for argument in told["pretrain"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"tokenizer": {"path": "nowhere"}}, "^tokenizer.path: no tokenizer at nowhere"),
        ({"tokenizer": {"path": "nowhere", "alpha": 1.0}}, "at tokenizer: the key 'alpha' does not go with path"),
        ({"train": {"preference": {"config": "debug_cpu", "init": "m"}}}, "train.preference.init names a model, which"),
        ({"output": "gs://b/o", "train": {"preference": {"config": "debug_cpu"}}}, "output gs://b/o is a URL"),
        ({"tokenizer": None}, "curriculum needs the section tokenizer"),
        ({"pairs": None, "train": {"preference": {"config": "debug_cpu"}}}, "train.preference needs the section pairs"),
        ({"curriculum": None, "train": {"pretrain": {"config": "debug_cpu"}}}, "needs the section curriculum"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, lid_model: Path, more: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        steps(values(tmp_path, lid_model, **more))
    assert not (tmp_path / "out").exists()


def test_two_models_to_start_from_and_one_that_is_none_are_refused(tmp_path: Path, lid_model: Path) -> None:
    words = {"path": str(write_small_tokenizer(tmp_path / "words"))}
    run = {"config": "debug_cpu", "init": str(tmp_path)}
    with pytest.raises(ValueError, match=r"^train.preference.init: .* is no model: wanted a folder with config.json"):
        steps(values(tmp_path, lid_model, tokenizer=words, train={"preference": run}))
    both = {"pretrain": {"config": "debug_cpu"}, "preference": run}
    with pytest.raises(ValueError, match=r"train.preference.init stands beside train.pretrain"):
        steps(values(tmp_path, lid_model, tokenizer=words, train=both))


def test_settings_reach_the_trainer_as_they_were_written() -> None:
    run = TrainRun("debug_cpu", set={"seed": 7, "optimizer": {"lr": 1e-5}, "model.tied": True, "validation": "no"})
    (missing,) = check.problems({"pretrain": run.arguments()}, {})
    assert missing.startswith("train.pretrain.set.validation: there is no dataset at no; name a curriculum")
    settings = ["model.tied=true", "optimizer.lr=1e-05", "seed=7", 'validation="no"']
    assert run.arguments() == ["debug_cpu", *settings]
    loaded = configs.load(PretrainConfig, "pretrain", [*run.arguments(), "data=d", "tokenizer=t", "output=o"])
    assert (loaded.seed, loaded.optimizer.lr, loaded.model.tied, loaded.validation) == (7, 1e-5, True, "no")
    with pytest.raises(SettingError, match=r"set names optimizer.lr twice"):
        TrainRun("debug_cpu", set={"optimizer": {"lr": 1}, "optimizer.lr": 2})
    with pytest.raises(SettingError, match=r"set.optimizer is empty; name one of its settings, or leave it out"):
        TrainRun("debug_cpu", set={"optimizer": {}})
    with pytest.raises(SettingError, match=r"set.tokenizer.path is what the build decides"):
        TrainRun("debug_cpu", set={"tokenizer": {"path": "x"}})


def test_any_character_of_a_setting_reaches_the_trainer() -> None:
    run = TrainRun("debug_cpu", set={"validation": 'd\u00e9\U0001f600"\n'})
    loaded = configs.load(PretrainConfig, "pretrain", [*run.arguments(), "data=d", "tokenizer=t", "output=o"])
    assert loaded.validation == 'd\u00e9\U0001f600"\n'


def test_a_section_of_set_leaves_its_other_keys_to_the_configuration() -> None:
    """`optimizer: {lr: …}` changes lr, and not the rest of the optimizer to its defaults."""
    nested = TrainRun("qwen3_0.6b", set={"optimizer": {"lr": 1e-5}})
    assert nested.arguments() == TrainRun("qwen3_0.6b", set={"optimizer.lr": 1e-5}).arguments()


def test_a_wrong_value_of_the_configuration_s_own_file_is_told_by_that_file(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("seed: one\n")
    (told,) = check.problems({"pretrain": [str(own), "threads=1"]}, {})
    assert told.startswith(f"train.pretrain.config: {own}: at seed: got 'one'")
    own.write_text("row_tokens: 8\n")
    assert not list(check.problems({"preference": [str(own), "row_tokens=2048"]}, {})), "set mends it"
    (told,) = check.problems({"preference": [str(own), "row_tokens=9"]}, {})
    assert told.startswith(f"train.preference.config: {own}: row_tokens 8 is below")


def test_copies_of_the_model_must_divide_the_processes() -> None:
    run = {"pretrain": ["debug_cpu", "parallel.replicate=3"]}
    assert not list(check.problems(run, {"pretrain": 6}))
    (told,) = check.problems(run, {"pretrain": 2})
    assert told.startswith("train.pretrain.processes: parallel.replicate 3 does not divide 2")


def test_the_trainers_settings_are_checked_without_torch() -> None:
    code = "import sys, trainers.check; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_page_about_build_files_names_every_key_and_no_other() -> None:
    named = re.findall(r"^\| `([\w.\[\]]+)`", DOCS, re.MULTILINE)
    found = {".".join(path).replace(".0.", "[].") for path, _ in keys(BuildFile, ())}
    known = {re.sub(r"^train\.(pretrain|preference)\b", "train.MODEL", key) for key in found} | {"tokenizer.path"}
    of_trainers = "train.MODEL.set."
    leaves = {key for key in known if not any(other.startswith((f"{key}.", f"{key}[")) for other in known)}
    assert sorted(named) == sorted({key.removeprefix(of_trainers) for key in leaves | {"train.MODEL.set"}})


@pytest.mark.parametrize(("key", "value"), [("memory", "50MB"), ("reuse", "{folder}/build.yaml")])
def test_a_setting_that_a_step_refuses_is_told_by_its_key(
    key: str, value: str, tmp_path: Path, lid_model: Path
) -> None:
    ingest = {key: value.format(folder=tmp_path)}
    (tmp_path / "build.yaml").touch()
    with pytest.raises(ValueError, match=rf"^ingest\.{key} "):
        build.run(
            strict_yaml.convert(BuildFile, values(tmp_path, lid_model, ingest=ingest), "b.yaml"), Console(quiet=True)
        )
