"""Told to stop: all ranks before the same micro-batch, nothing of the step is left, and what was due is done later."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ROOT
from tests.test_loop import Line, small
from tests.test_training import ALONE, metrics, train, weights
from tests.training_data import arguments, write_all
from trainers import checkpoint, configs, launch, loop, preference, pretrain, stopping
from trainers.configs import PreferenceConfig, PretrainConfig
from trainers.data.rows import GlobalBatch

SECONDS = 120
OFTEN = {"evaluate_every": 2, "checkpoint_every": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datasets, and a language model with dropout, as one may come from elsewhere."""
    folder = write_all(tmp_path_factory.mktemp("stopping"))
    train(folder, folder / "run", "pretrain", max_steps=1)
    shutil.copytree(folder / "run" / "export", folder / "model", ignore=shutil.ignore_patterns("manifest.json"))
    config = json.loads((folder / "model" / "config.json").read_text())
    (folder / "model" / "config.json").write_text(json.dumps({**config, "attention_dropout": 0.3}))
    return folder


def stop_at(call: int, monkeypatch: pytest.MonkeyPatch, number: int = signal.SIGTERM) -> list[bool]:
    """Sends this process a signal in that call of the loss; which calls were of training."""
    seen: list[bool] = []
    pretraining, of_pairs = pretrain._PretrainTask, preference.PreferenceTask
    whole_losses = ((pretraining, "loss", pretraining.loss), (of_pairs, "_loss", of_pairs._loss))
    for task, name, whole in whole_losses:

        def loss(self: Any, model: Any, batch: Any, ranks: Any, of: Callable[..., Any] = whole) -> Any:
            seen.append(torch.is_grad_enabled())
            if len(seen) == call:
                os.kill(os.getpid(), number)
            return of(self, model, batch, ranks)

        monkeypatch.setattr(task, name, loss)
    return seen


def run(folder: Path, output: Path, trainer: str, **settings: object) -> int:
    kind, make_job = {
        "pretrain": (PretrainConfig, pretrain.make_job),
        "preference": (PreferenceConfig, preference.make_job),
    }[trainer]
    return launch.run(configs.load(kind, trainer, arguments(folder, output, trainer, **settings)), make_job)  # type: ignore[type-var, arg-type]


def told(output: Path) -> list[tuple[str, int]]:
    return [(line["kind"], line["step"]) for line in metrics(output) if line["kind"] != "resumed"]


@pytest.mark.parametrize("trainer", ["pretrain", "preference"])
def test_wherever_it_stops_the_run_goes_on_as_if_it_had_not(folder: Path, tmp_path: Path, trainer: str) -> None:
    """At each place in turn, in one run: within a validation, in the one that was due, a step later; with dropout."""
    settings = {**OFTEN, "init": folder / "model", "max_steps": 5}
    if trainer == "pretrain":
        settings |= {"validation": folder / "validation", "micro_sequences": 1}
    with pytest.MonkeyPatch.context() as patch:
        calls = stop_at(0, patch)
        assert run(folder, tmp_path / "whole", trainer, **settings) == 0
    first = calls.index(False)  # two steps, then a validation
    validated = calls.index(True, first)
    places = [first + 1, 1, validated - first + first // 2 + 2, 2, 1]
    stops = []
    for call, number in zip(places, [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT] * 2, strict=False):
        with pytest.MonkeyPatch.context() as patch:
            seen = stop_at(call, patch, number)
            stops.append(run(folder, tmp_path / "run", trainer, **settings))
            if stops[-1]:
                assert len(seen) == call, "it is the last micro-batch"
                done = max((step for _, step in told(tmp_path / "run")), default=0)
                saved = [path.name for path in checkpoint.complete(tmp_path / "run")]
                assert saved[-1:] == ([f"step-{done:08d}"] if done else []), "no step that was done is lost"
    assert stops.count(stopping.PREEMPTED) > 3
    assert run(folder, tmp_path / "run", trainer, **settings) == 0
    assert told(tmp_path / "run") == told(tmp_path / "whole")
    found, wanted = weights(tmp_path / "run"), weights(tmp_path / "whole")
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_dropout_is_on_in_every_step_and_off_in_validation(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same: dict[bool, set[bool]] = {True: set(), False: set()}
    loss = pretrain._PretrainTask.loss

    def twice(self: Any, model: Any, batch: Any, ranks: Any) -> Any:
        with torch.no_grad():
            losses = [loss(self, model, batch, ranks)[0].item() for _ in range(2)]
        same[torch.is_grad_enabled()].add(losses[0] == losses[1])
        return loss(self, model, batch, ranks)

    monkeypatch.setattr(pretrain._PretrainTask, "loss", twice)
    settings = {"evaluate_every": 1, "validation": folder / "validation", "init": folder / "model", "max_steps": 3}
    assert run(folder, tmp_path / "run", "pretrain", **settings) == 0
    assert same == {True: {False}, False: {True}}


def test_a_step_is_given_up_without_a_trace() -> None:
    model, optimizer = small()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    left = [1, 1, 0]

    def check() -> None:
        if not left.pop(0):
            raise stopping.ToldToStop

    batch = GlobalBatch(0, [None] * 5, 1, 1, [])  # type: ignore[list-item]
    with pytest.raises(stopping.ToldToStop):
        loop.train_step(model, optimizer, Line(), batch, 1.0, ALONE, check)
    assert not left
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_no_micro_batch_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[str] = []
    for name in ("__float__", "__int__", "__bool__", "item", "tolist", "cpu", "numpy"):
        real = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda self, *a, real=real, name=name: (waits.append(name), real(self, *a))[1]
        )
    counts = []
    for number in (1, 7):
        model, optimizer = small()
        waits.clear()
        batch = GlobalBatch(0, [None] * number, 1, 1, [])  # type: ignore[list-item]
        with stopping.Stopping(ALONE) as told:
            loop.train_step(model, optimizer, Line(), batch, 1.0, ALONE, told.check)
        counts.append(len(waits))
    assert 0 < counts[0] == counts[1]


RANK = """
import datetime, os, signal, sys
import torch.distributed as dist
from trainers.parallel import Ranks
from trainers.stopping import Stopping, ToldToStop
import torch

rank = int(os.environ["RANK"])
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
stopped = []
for teller in (0, 1):
    with Stopping(Ranks(rank, 2, torch.device("cpu"), None)) as stopping:
        try:
            for number in range(9):
                if number == 4 and rank == teller:
                    os.kill(os.getpid(), signal.SIGUSR1)
                stopping.check()
        except ToldToStop:
            stopped.append(number)
print(stopped)
dist.barrier()
dist.destroy_process_group()
"""


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def test_whoever_is_told_all_ranks_stop_before_the_same_micro_batch() -> None:
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK], cwd=ROOT, env={**shared, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    said = [rank.communicate(timeout=SECONDS)[0].strip() for rank in ranks]
    assert said == ["[5, 5]"] * 2, "it is told at 4, and all have begun 4 when they know"


def test_ctrl_c_again_ends_at_once() -> None:
    code = (
        "import os, signal, time, torch; from trainers.parallel import Ranks; from trainers.stopping import Stopping\n"
        "with Stopping(Ranks(0, 1, torch.device('cpu'), None)):\n"
        "    os.kill(os.getpid(), signal.SIGINT); print('goes on', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT); time.sleep(60)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "goes on\n", "")
