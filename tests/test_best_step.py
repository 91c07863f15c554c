"""Runs that overfit: the best step is exported, whatever happens on the way, and at any number of ranks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training_data import arguments, write_all, write_preference
from tokenizer.encoder import Encoder
from trainers import checkpoint, configs, launch, loop, preference, pretrain, stopping
from trainers.configs import PreferenceConfig, PretrainConfig
from trainers.data.preference import Cuts
from transforms.datasets.manifest import load_manifest
from transforms.datasets.verify import find_problems

ROOT = Path(__file__).parents[1]
# Validated after every fourth step, the loss falls at 8, is higher at 12 and 16, and lower again at 20.
SETTINGS: dict[str, object] = {"epochs": 8, "evaluate_every": 4}
PATIENCE: dict[str, object] = {"patience": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("best"))


@pytest.fixture(scope="module")
def patient(folder: Path) -> Path:
    return train(folder, folder / "patient", **PATIENCE)


def train(folder: Path, output: Path, **settings: object) -> Path:
    config = configs.load(
        PreferenceConfig, "preference", arguments(folder, output, "preference", **(SETTINGS | settings))
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


def test_a_planted_overfit_is_told_and_the_best_step_is_exported(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The votes of the validation split are turned around: what is learnt makes it worse."""
    write_preference(tmp_path / "contrary", Encoder.load(str(folder / "tokenizer")), 120, contrary=True)
    run = train(folder, tmp_path / "run", data=tmp_path / "contrary", epochs=2)
    losses, told = validations(run), capfd.readouterr().err
    assert losses[4] == min(losses.values())
    assert losses[16] > losses[4] + 0.1
    assert f"validation after step 4/16: loss {losses[4]:.4f}" in told
    assert "not overfitted: the model is of step 4. Later ones are: the validation loss rose from" in told
    found = training(run)
    assert (found["exported_step"], found["overfitted"], found["steps_taken"]) == (4, True, 16)
    assert found["validation"]["loss"] == losses[4]
    assert load_manifest(str(run / "export")).counts["steps"] == {"taken": 16, "exported": 4}
    assert find_problems(str(run / "export")) == []
    last = train(folder, tmp_path / "last", data=tmp_path / "contrary", epochs=2, export="last")
    assert training(last)["exported_step"] == 16
    assert "overfitted: the model is of step 16 (export=best exports the best)" in capfd.readouterr().err
    assert validations(last) == losses


def test_the_exported_weights_are_those_the_best_step_was_validated_with(folder: Path, patient: Path) -> None:
    """Scored anew, they have the loss that was written down."""
    hardly: dict[str, object] = {"max_steps": 1, "evaluate_every": 0, "optimizer.lr": 1e-12}
    again = train(folder, folder / "again", init=patient / "export", **hardly)
    assert validations(again)[1] == pytest.approx(training(patient)["validation"]["loss"], rel=1e-5)


def dies(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    report = loop._report

    def report_and_die(log: Any, task: Any, result: Any, batch: Any, done: int, *rest: Any) -> None:
        report(log, task, result, batch, done, *rest)
        if done == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_report", report_and_die)


@pytest.mark.parametrize("step", [2, 10, 15])
def test_a_run_that_was_killed_exports_what_an_undisturbed_one_does(
    folder: Path, patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Before the first validation, and after the best one, with checkpoints that are none of the best."""
    often: dict[str, object] = {**PATIENCE, "checkpoint_every": 7, "keep_checkpoints": 1}
    dies(step, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(folder, tmp_path / "run", **often)
    monkeypatch.undo()
    assert same(train(folder, tmp_path / "run", **often), patient)


@pytest.mark.parametrize("number", [2, 4])
def test_a_run_told_to_stop_while_it_validates_chooses_as_an_undisturbed_one(
    folder: Path, patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """In the validation that finds the best step, and in that which ends the run."""
    evaluate, calls = preference.PreferenceTask.evaluate, iter(range(1, 9))

    def stopped(*given: Any) -> dict[str, Any]:
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(*given)

    monkeypatch.setattr(preference.PreferenceTask, "evaluate", stopped)
    given = arguments(folder, tmp_path / "run", "preference", **SETTINGS, **PATIENCE)
    config = configs.load(PreferenceConfig, "preference", given)
    assert launch.run(config, preference.make_job) == stopping.PREEMPTED
    monkeypatch.undo()
    assert list(validations(tmp_path / "run")) == [4, 8, 12][: number - 1]
    assert same(train(folder, tmp_path / "run", **PATIENCE), patient)
    assert validations(tmp_path / "run") == validations(patient)


def test_a_run_killed_while_it_saves_a_step_anew_goes_on_from_that_step(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Told to stop while it validates, it saves that step again when the validation has found the best. There may be no
    other checkpoint: it is deleted last."""
    evaluate, remove = preference.PreferenceTask.evaluate, checkpoint.shutil.rmtree

    def stopped(*given: Any) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(*given)

    def dies_at(path: Path) -> None:
        if path.name.startswith("saving-step"):
            raise KeyboardInterrupt
        remove(path)

    given = arguments(folder, tmp_path / "run", "preference", **SETTINGS, keep_checkpoints=1, max_steps=8)
    config = configs.load(PreferenceConfig, "preference", given)
    monkeypatch.setattr(preference.PreferenceTask, "evaluate", stopped)
    assert launch.run(config, preference.make_job) == stopping.PREEMPTED
    monkeypatch.undo()
    monkeypatch.setattr(checkpoint.shutil, "rmtree", dies_at)
    with pytest.raises(KeyboardInterrupt):
        launch.run(config, preference.make_job)
    monkeypatch.undo()
    capfd.readouterr()
    assert launch.run(config, preference.make_job) == 0
    assert "going on from step-00000004" in capfd.readouterr().err


def test_a_run_ends_when_its_patience_does_and_is_finished(
    folder: Path, patient: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    losses, found = validations(patient), training(patient)
    assert list(losses) == [4, 8, 12, 16]
    assert losses[8] == min(losses.values())
    assert (found["exported_step"], found["steps_taken"], found["steps"]) == (8, 16, 64)
    capfd.readouterr()
    train(folder, patient, **PATIENCE)
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
        train(folder, tmp_path / "run", **PATIENCE)
    monkeypatch.undo()
    dies(training(patient)["steps_taken"] + 1, monkeypatch)
    assert same(train(folder, tmp_path / "run", **PATIENCE), patient)


def test_two_ranks_end_at_the_same_step_and_export_the_same(folder: Path, patient: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    settings = {**SETTINGS, **PATIENCE}
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
        train(folder, tmp_path / "run", **PATIENCE, checkpoint_every=5)
    monkeypatch.undo()
    for path in checkpoint.folder_of(tmp_path / "run", best).glob("*.distcp"):
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    train(folder, tmp_path / "run", **PATIENCE, checkpoint_every=5)
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
