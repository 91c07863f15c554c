"""Training runs as laws: repeatable, resumable at every checkpoint, the same at one rank and two."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training_data import arguments, write_all
from trainers import configs, launch, loop, parallel, preference, pretrain, stopping
from trainers.configs import Optimizer, Parallel, PreferenceConfig, PretrainConfig, Schedule
from trainers.data.rows import PairBatch, pad
from trainers.parallel import Ranks
from transforms.datasets.manifest import load_manifest
from transforms.datasets.verify import find_problems

ROOT = Path(__file__).parents[1]
ALONE = Ranks(0, 1, torch.device("cpu"), None)
TRAINERS: dict[str, tuple[Any, Any]] = {
    "pretrain": (PretrainConfig, pretrain.make_job),
    "preference": (PreferenceConfig, preference.make_job),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("training"))


def train(folder: Path, output: Path, trainer: str, **settings: object) -> list[dict[str, Any]]:
    """A run in this process; returns its metrics."""
    kind, make_job = TRAINERS[trainer]
    assert launch.run(configs.load(kind, trainer, arguments(folder, output, trainer, **settings)), make_job) == 0
    return metrics(output)


def train_on_two(folder: Path, output: Path, trainer: str, **settings: object) -> list[dict[str, Any]]:
    """The same with two gloo ranks. Connections may fail on a busy machine: then once more, resuming."""
    command = [sys.executable, "-m", "trainers.run", "--nproc-per-node", "2", trainer]
    command += arguments(folder, output, trainer, **settings)
    for _ in range(2):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode == 0:
            return metrics(output)
    raise AssertionError(done.stderr[-3000:])


def metrics(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def steps(found: Sequence[dict[str, Any]], *names: str) -> list[tuple[float, ...]]:
    return [tuple(line[name] for name in names) for line in found if line["kind"] == "train"]


def weights(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "export" / "model.safetensors")


def only_checkpoint(whole: Path, copy: Path, step: int) -> Path:
    """A run's folder as it was when that checkpoint was its newest."""
    name = f"checkpoints/step-{step:08d}"
    shutil.copytree(whole / name, copy / name)
    shutil.copy(whole / "metrics.jsonl", copy / "metrics.jsonl")
    return copy


@pytest.mark.parametrize("trainer", list(TRAINERS))
def test_resume_from_every_checkpoint_equals_the_uninterrupted_run_bit_for_bit(
    folder: Path, tmp_path: Path, trainer: str
) -> None:
    often = {"checkpoint_every": 3, "keep_checkpoints": 100}
    whole = train(folder, tmp_path / "whole", trainer, **often)
    wanted = weights(tmp_path / "whole")
    last = max(line["step"] for line in whole)
    assert last > 6
    for step in range(3, last, 3):
        copy = only_checkpoint(tmp_path / "whole", tmp_path / f"from-{step}", step)
        resumed = train(folder, copy, trainer, **often)
        assert {"kind": "resumed", "step": step} in resumed
        assert steps(resumed, "step", "loss", "grad_norm", "lr") == steps(whole, "step", "loss", "grad_norm", "lr")
        found = weights(copy)
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
        manifests = [load_manifest(str(run / "export")) for run in (copy, tmp_path / "whole")]
        assert manifests[0] == manifests[1]


@pytest.mark.parametrize("trainer", list(TRAINERS))
def test_two_ranks_equal_one_and_a_run_may_change_between_them(folder: Path, tmp_path: Path, trainer: str) -> None:
    often = {"checkpoint_every": 3, "keep_checkpoints": 100, "evaluate_every": 4, "max_steps": 7}
    if trainer == "pretrain":
        often["validation"] = folder / "validation"
    one = train(folder, tmp_path / "one", trainer, **often)
    recompute = {"parallel.activation_checkpointing": "true"}  # how it is computed may change as well
    two = train_on_two(folder, tmp_path / "two", trainer, **often, **recompute)
    copies = {"parallel.replicate": 2}
    grown = train_on_two(folder, only_checkpoint(tmp_path / "one", tmp_path / "grown", 3), trainer, **often, **copies)
    shrunk = train(folder, only_checkpoint(tmp_path / "two", tmp_path / "shrunk", 3), trainer, **often)
    wanted = steps(one, "loss", "grad_norm", "tokens")
    assert len(wanted) == 7
    for other in (two, grown, shrunk):
        for here, there in zip(wanted, steps(other, "loss", "grad_norm", "tokens"), strict=True):
            assert here == pytest.approx(there, rel=1e-4)
        for here, there in zip(validation(one), validation(other), strict=True):
            assert here == pytest.approx(there, rel=1e-4)
    for other in ("two", "grown", "shrunk"):
        found, expected = weights(tmp_path / other), weights(tmp_path / "one")
        assert set(found) == set(expected)
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], atol=1e-4, rtol=1e-3)


def validation(found: Sequence[dict[str, Any]]) -> list[float]:
    losses = [line["loss"] for line in found if line["kind"] == "validation"]
    assert len(losses) == 2, "after steps 4 and 7"
    return losses


def test_an_error_on_one_rank_ends_the_job_and_is_told_once(folder: Path, tmp_path: Path) -> None:
    """The first rank alone looks at what is there; the other must not wait for it for ever."""
    train(folder, tmp_path / "run", "pretrain", max_steps=2)
    command = [sys.executable, "-m", "trainers.run", "--nproc-per-node", "2", "pretrain"]
    command += arguments(folder, tmp_path / "run", "pretrain", max_steps=2, seed=5)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "differs in seed (0 there, 5 here)" in line


def test_the_seed_changes_the_run_and_the_same_seed_repeats_it(folder: Path, tmp_path: Path) -> None:
    runs = {
        name: train(folder, tmp_path / name, "preference", seed=seed, max_steps=3)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    }
    assert steps(runs["a"], "loss", "grad_norm") == steps(runs["b"], "loss", "grad_norm")
    assert all(torch.equal(weights(tmp_path / "a")[n], t) for n, t in weights(tmp_path / "b").items())
    assert steps(runs["a"], "loss") != steps(runs["c"], "loss")


def test_micro_batches_and_recomputing_layers_do_not_change_the_gradient(folder: Path, tmp_path: Path) -> None:
    small = steps(train(folder, tmp_path / "small", "preference", max_steps=3, micro_rows=1), "loss", "grad_norm")
    big = train(folder, tmp_path / "big", "preference", max_steps=3, micro_rows=64)
    again = {"parallel.activation_checkpointing": "true"}
    recomputed = train(folder, tmp_path / "recomputed", "preference", max_steps=3, **again)
    for other in (big, recomputed):
        for here, there in zip(small, steps(other, "loss", "grad_norm"), strict=True):
            assert here == pytest.approx(there, rel=1e-4)


def test_swapping_chosen_and_rejected_turns_the_gradient_around_at_equal_rewards(folder: Path) -> None:
    rewards = torch.nn.Parameter(torch.zeros(2))

    class Equal(torch.nn.Module):
        def forward(self, *_: torch.Tensor) -> torch.Tensor:
            return rewards * 1.0

    task = preference.PreferenceTask.__new__(preference.PreferenceTask)
    gradients = []
    for chosen, rejected in ((0, 1), (1, 0)):
        batch = one_pair(chosen, rejected)
        loss, _ = task.loss(Equal(), batch, ALONE)
        (gradient,) = torch.autograd.grad(loss, rewards)
        gradients.append(gradient)
    assert gradients[0].tolist() == [-0.5, 0.5]
    assert torch.equal(gradients[0], -gradients[1])


def one_pair(chosen: int, rejected: int) -> PairBatch:
    one = np.ones(1, np.float32)
    places = np.arange(2)
    at = [np.array([index]) for index in (chosen, rejected)]
    return PairBatch(pad([], 4), places, *at, one, one, np.array([1]), places, places)


def test_a_preference_model_learns_what_the_votes_say(folder: Path, tmp_path: Path) -> None:
    train(folder, tmp_path / "lm", "pretrain")
    found = train(folder, tmp_path / "pm", "preference", init=tmp_path / "lm" / "export", epochs=6)
    last = [line for line in found if line["kind"] == "validation"][-1]
    assert last["accuracy"] > 0.65
    assert last["loss"] < 0.65


def test_a_finished_run_is_not_run_again_and_another_one_is_refused_by_name(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(folder, tmp_path / "run", "preference", max_steps=2)
    before = (tmp_path / "run" / "metrics.jsonl").stat().st_mtime_ns
    capfd.readouterr()
    train(folder, tmp_path / "run", "preference", max_steps=2)
    assert "already trained" in capfd.readouterr().err
    assert (tmp_path / "run" / "metrics.jsonl").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"differs in optimizer\.lr \(0\.003 there, 0\.004 here\)"):
        train(folder, tmp_path / "run", "preference", max_steps=2, **{"optimizer.lr": 0.004})
    before = sorted((tmp_path / "run").rglob("*"))
    with pytest.raises(ValueError, match="replace and keep exclude each other"):
        train(folder, tmp_path / "run", "preference", max_steps=2, replace="true", keep="true")
    assert sorted((tmp_path / "run").rglob("*")) == before
    train(folder, tmp_path / "run", "preference", max_steps=2, replace="true", **{"optimizer.lr": 0.004})
    assert steps(metrics(tmp_path / "run"), "step") == [(1,), (2,)]
    assert find_problems(str(tmp_path / "run" / "export")) == []


def test_an_upgrade_is_told_of_a_finished_run_and_of_an_unfinished_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    train(folder, tmp_path / "run", "preference", max_steps=2)
    monkeypatch.setattr(launch, "MODEL", dataclasses.replace(launch.MODEL, version=launch.MODEL.version + 1))
    with pytest.raises(ValueError, match=r"made with other versions .*--keep"):
        train(folder, tmp_path / "run", "preference", max_steps=2)
    capfd.readouterr()
    train(folder, tmp_path / "run", "preference", max_steps=2, keep="true")
    assert "already trained" in capfd.readouterr().err
    shutil.rmtree(tmp_path / "run" / "export")
    with pytest.raises(ValueError, match=r"cannot resume from .*versions\.step"):
        train(folder, tmp_path / "run", "preference", max_steps=2)


def test_the_data_ends_a_run_that_may_be_longer(folder: Path, tmp_path: Path) -> None:
    found = train(folder, tmp_path / "run", "pretrain", max_steps=1000)
    assert [step for (step,) in steps(found, "step")] == list(range(1, 10)), "54 sequences, 6 a step"
    assert load_manifest(str(tmp_path / "run" / "export")).settings["steps"] == 9


class Poisoned(preference.PreferenceTask):
    """A loss that is not a number at some steps."""

    bad: frozenset[int] = frozenset()
    calls = 0

    def loss(self, reward_model: torch.nn.Module, micro_batch: PairBatch, ranks: Ranks) -> Any:
        loss, numbers = super().loss(reward_model, micro_batch, ranks)
        if reward_model.training and torch.is_grad_enabled():
            Poisoned.calls += 1
            if Poisoned.calls in self.bad:
                loss = loss * float("nan")
                numbers[0] = loss
        return loss, numbers


def poisoned(
    folder: Path, output: Path, bad: set[int], monkeypatch: pytest.MonkeyPatch, skips: int
) -> list[dict[str, Any]]:
    Poisoned.bad, Poisoned.calls = frozenset(bad), 0
    monkeypatch.setattr(preference, "PreferenceTask", Poisoned)
    return train(folder, output, "preference", max_steps=5, micro_rows=64, nonfinite_skips=skips)


def test_a_non_finite_step_is_skipped_and_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = poisoned(folder, tmp_path / "run", {3}, monkeypatch, skips=1)
    (skipped,) = [line for line in found if line["kind"] == "skipped"]
    assert skipped["step"] == 3
    assert skipped["loss_sum"] == "nan"
    assert all(name.startswith("forum:") for name in skipped["ids"])
    assert [line["step"] for line in found if line["kind"] == "train"] == [1, 2, 4, 5]
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path / "run").values())


def test_too_many_non_finite_steps_stop_the_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=r"2 steps had a non-finite loss or gradient, 1 may be skipped.*forum:"):
        poisoned(folder, tmp_path / "run", {2, 4}, monkeypatch, skips=1)
    assert not (tmp_path / "run" / "export" / "manifest.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_the_same_command_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    whole = train(folder, tmp_path / "whole", "pretrain")
    report = loop._report

    def report_and_signal(log: Any, task: Any, result: Any, batch: Any, step: int, *rest: Any) -> None:
        report(log, task, result, batch, step, *rest)
        if step == 4:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(loop, "_report", report_and_signal)
    config = configs.load(PretrainConfig, "pretrain", arguments(folder, tmp_path / "run", "pretrain"))
    assert launch.run(config, pretrain.make_job) == stopping.PREEMPTED
    monkeypatch.undo()
    assert not (tmp_path / "run" / "export" / "manifest.json").exists()
    resumed = train(folder, tmp_path / "run", "pretrain")
    assert {"kind": "resumed", "step": 4} in resumed
    assert steps(resumed, "loss") == steps(whole, "loss")


@pytest.mark.parametrize("kind", ["constant", "cosine", "wsd"])
def test_learning_rate_warms_up_holds_and_ends_where_it_should(kind: str) -> None:
    schedule = Schedule(kind=kind, warmup=0.1, decay=0.2, floor=0.25)
    rates = [loop.learning_rate(schedule, 2.0, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == pytest.approx(2.0)
    assert max(rates) == pytest.approx(2.0)
    assert rates[-1] == pytest.approx(2.0 if kind == "constant" else 0.5)
    assert all(a <= b for a, b in pairwise(rates[:10]))
    assert all(a >= b for a, b in pairwise(rates[9:]))
    if kind == "wsd":
        assert set(rates[9:80]) == {2.0}


def test_weight_decay_is_for_matrices_only() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3))
    decayed, free = loop.make_optimizer(model, Optimizer(weight_decay=0.3)).param_groups
    assert [p.ndim for p in decayed["params"]] == [2]
    assert decayed["weight_decay"] == 0.3
    assert {p.ndim for p in free["params"]} == {1}
    assert free["weight_decay"] == 0.0


@pytest.mark.skipif(torch.cuda.is_available(), reason="bf16 is right where CUDA is")
def test_bf16_without_cuda_is_refused() -> None:
    with pytest.raises(ValueError, match="bf16 needs CUDA"):
        parallel.start(Parallel(precision="bf16"), threads=1)
