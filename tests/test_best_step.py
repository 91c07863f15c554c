"""Runs that overfit: the best step is exported, whatever happens on the way, and at any number of ranks."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training_data import arguments, write_all
from trainers import checkpoint, configs, launch, loop, preference, pretrain
from trainers.configs import PreferenceConfig, PretrainConfig
from trainers.data.preference import Cuts
from transforms.datasets.manifest import load_manifest
from transforms.datasets.verify import find_problems

ROOT = Path(__file__).parents[1]
# 93 prompts over and over at ten times the usual rate: the validation loss is lowest early, and has doubled at the end.
OVERFITS: dict[str, object] = {"epochs": 8, "optimizer.lr": 0.01, "evaluate_every": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("best"))


@pytest.fixture(scope="module")
def told(folder: Path) -> str:
    """What the whole run says."""
    with redirect_stderr(io.StringIO()) as said:
        train(folder, folder / "whole")
    return said.getvalue()


@pytest.fixture(scope="module")
def whole(folder: Path, told: str) -> Path:
    return folder / "whole"


@pytest.fixture(scope="module")
def patient(folder: Path) -> Path:
    return train(folder, folder / "patient", patience=2)


def train(folder: Path, output: Path, **settings: object) -> Path:
    config = configs.load(
        PreferenceConfig, "preference", arguments(folder, output, "preference", **(OVERFITS | settings))
    )
    assert launch.run(config, preference.make_job) == 0
    return output


def validations(run: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if line["kind"] == "validation"}


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "export" / "model.safetensors")


def training(run: Path) -> dict[str, Any]:
    return json.loads((run / "export" / "training.json").read_text())


def same(one: Path, other: Path) -> bool:
    """The weights to the last bit, and all that is said of them."""
    here, there = weights(one), weights(other)
    manifests = [load_manifest(str(run / "export")) for run in (one, other)]
    return all(torch.equal(here[name], there[name]) for name in here) and manifests[0] == manifests[1]


def test_a_planted_overfit_is_told_and_the_best_step_is_exported(whole: Path, told: str) -> None:
    losses = validations(whole)
    best = min(losses, key=lambda step: losses[step])
    assert sorted(losses) == list(range(4, 65, 4))
    assert best < 32
    assert losses[64] > 1.5 * losses[best]
    assert f"validation after step {best}/64: loss {losses[best]:.4f}" in told
    assert f"not overfitted: the model is of step {best}. Later ones are: the validation loss rose" in told
    found = training(whole)
    assert (found["exported_step"], found["overfitted"], found["steps_taken"]) == (best, True, 64)
    assert found["validation"]["loss"] == losses[best]
    manifest = load_manifest(str(whole / "export"))
    assert manifest.counts["steps"] == {"taken": 64, "exported": best}
    assert find_problems(str(whole / "export")) == []


def test_the_last_step_is_exported_when_that_is_wanted(folder: Path, tmp_path: Path) -> None:
    settings = {"max_steps": 3, "evaluate_every": 1, "optimizer.lr": 1.0}
    losses = validations(run := train(folder, tmp_path / "run", export="last", **settings))
    assert losses[3] > min(losses.values())
    assert training(run)["exported_step"] == 3


def test_the_exported_weights_are_those_the_best_step_was_validated_with(folder: Path, whole: Path) -> None:
    """Scored anew, they have the loss that was written down."""
    again = train(
        folder, folder / "again", init=whole / "export", max_steps=1, evaluate_every=0, **{"optimizer.lr": 1e-12}
    )
    assert validations(again)[1] == pytest.approx(training(whole)["validation"]["loss"], rel=1e-5)


def dies(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    report = loop._report

    def report_and_die(log: Any, task: Any, result: Any, batch: Any, done: int, *rest: Any) -> None:
        report(log, task, result, batch, done, *rest)
        if done == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_report", report_and_die)


@pytest.mark.parametrize("step", [2, 14, 19])
def test_a_run_that_was_killed_exports_what_an_undisturbed_one_does(
    folder: Path, patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Before the first validation, and after the best one, with checkpoints that are none of the best."""
    often: dict[str, object] = {"patience": 2, "checkpoint_every": 7, "keep_checkpoints": 1}
    dies(step, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(folder, tmp_path / "run", **often)
    monkeypatch.undo()
    assert same(train(folder, tmp_path / "run", **often), patient)


def test_a_run_ends_when_its_patience_does_and_is_finished(
    folder: Path, whole: Path, patient: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    losses = validations(whole)
    best = min(losses, key=lambda step: losses[step])
    assert list(validations(patient)) == list(range(4, best + 9, 4)), "two more"
    assert validations(patient).items() <= losses.items()
    here, there = weights(patient), weights(whole)
    assert all(torch.equal(here[name], there[name]) for name in here)
    capfd.readouterr()
    train(folder, patient, patience=2)
    assert "already trained" in capfd.readouterr().err
    with pytest.raises(ValueError, match="differs in patience"):
        train(folder, patient, patience=3)


def test_a_run_that_ended_early_and_was_killed_before_its_export_takes_no_further_step(
    folder: Path, patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(launch.export, "write", die)
    with pytest.raises(KeyboardInterrupt):
        train(folder, tmp_path / "run", patience=2)
    monkeypatch.undo()
    dies(training(patient)["steps_taken"] + 1, monkeypatch)
    assert same(train(folder, tmp_path / "run", patience=2), patient)


def test_two_ranks_end_at_the_same_step_and_export_the_same(folder: Path, patient: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    settings = {**OVERFITS, "patience": 2}
    command += ["-m", "trainers.preference", *arguments(folder, tmp_path / "two", "preference", **settings)]
    for _ in range(2):  # connections may fail on a busy machine
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = training(patient), training(tmp_path / "two")
    for key in ("exported_step", "steps_taken", "validations", "overfitted"):
        assert one[key] == two[key]
    for key in ("loss", "error", "accuracy", "low", "high", "prompts"):
        assert one["validation"][key] == pytest.approx(two["validation"][key], rel=1e-3)
    here, there = weights(patient), weights(tmp_path / "two")
    for name in here:
        torch.testing.assert_close(here[name], there[name], atol=1e-3, rtol=1e-2)
    assert done.stderr.count("validation after step 4/64") == 1, "one rank speaks"


def test_a_damaged_best_checkpoint_is_told_and_the_last_step_exported_as_such(
    folder: Path, patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    best, end = (training(patient)[key] for key in ("exported_step", "steps_taken"))
    dies(end - 1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(folder, tmp_path / "run", patience=2, checkpoint_every=5)
    monkeypatch.undo()
    for path in checkpoint.folder_of(tmp_path / "run", best).glob("*.distcp"):
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    train(folder, tmp_path / "run", patience=2, checkpoint_every=5)
    said = capfd.readouterr().err
    assert f"step-{best:08d}, of the lowest validation loss, is damaged (" in said
    assert f"model of step {end} in" in said
    found = training(tmp_path / "run")
    assert found["exported_step"] == end
    assert found["validation"]["loss"] == validations(patient)[end]


def test_many_prompts_that_are_cut_are_told(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """More than a fifth, before the first step, with the settings that cut fewer."""
    assert preference.cut_warnings(Cuts(20, 0, 0, 0), 100, 512) == []
    (told,) = preference.cut_warnings(Cuts(21, 0, 0, 0), 100, 512)
    assert told.startswith("21% of the answers stand under a prompt that lost its beginning")
    assert "sequence_tokens=1024 row_tokens=2048 cuts fewer" in told
    train(folder, tmp_path / "run", max_steps=1, sequence_tokens=24)
    said = capfd.readouterr().err
    assert said.index("lost its beginning") < said.index("step 1/1")


def test_pretraining_chooses_by_its_validation_curriculum(folder: Path, tmp_path: Path) -> None:
    settings: dict[str, object] = {"evaluate_every": 2, "optimizer.lr": 0.3, "patience": 1}

    def run(name: str, **more: object) -> Path:
        given = arguments(folder, tmp_path / name, "pretrain", **{**settings, **more})
        assert launch.run(configs.load(PretrainConfig, "pretrain", given), pretrain.make_job) == 0
        return tmp_path / name

    done = run("lm", validation=folder / "validation")
    losses = validations(done)
    assert training(done)["exported_step"] == min(losses, key=lambda step: losses[step])
    parents = load_manifest(str(done / "export")).parents
    assert parents["validation"] == load_manifest(str(folder / "validation")).digest
    unvalidated = run("none", patience=0)
    assert "validation" not in load_manifest(str(unvalidated / "export")).parents
    assert training(unvalidated)["validation"] is None
