"""The training loop piece by piece: which steps count, what a resumed run remembers, how the optimizer is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from trainers import checkpoint, loop
from trainers.configs import Optimizer
from trainers.data.rows import GlobalBatch
from trainers.parallel import Ranks
from trainers.runlog import RunLog
from trainers.selection import Selection

ALONE = Ranks(0, 1, torch.device("cpu"), None)


class Line:
    """A task whose loss is the sum of the weights and what is added to it: the gradient is 1 everywhere."""

    names = ("loss",)

    def __init__(self, added: float = 0.0) -> None:
        self.added = added

    def loss(self, model: torch.nn.Module, micro_batch: Any, ranks: Ranks) -> tuple[torch.Tensor, list[torch.Tensor]]:
        loss = sum(parameter.sum() for parameter in model.parameters()) + torch.tensor(self.added)
        assert isinstance(loss, torch.Tensor)
        return loss, [loss]

    def report(self, sums: Mapping[str, float], count: int) -> dict[str, float]:
        return dict(sums)

    def evaluate(self, model: torch.nn.Module, ranks: Ranks, check: Callable[[], None]) -> dict[str, Any]:
        return {}


def small() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    return model, loop.make_optimizer(model, Optimizer(lr=0.1, weight_decay=0.0))


@pytest.mark.parametrize("added", [0.0, float("inf"), float("nan")])
def test_a_step_needs_a_finite_loss_even_when_its_gradient_is_finite(added: float) -> None:
    model, optimizer = small()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    batch = GlobalBatch(0, [None], 1, 1, [])  # type: ignore[list-item]
    result = loop.train_step(model, optimizer, Line(added), batch, 1.0, ALONE, check=lambda: None)
    assert result.grad_norm == pytest.approx(6**0.5)
    moved = not all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert result.finite == moved == (added == 0.0)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_settings_reach_the_optimizer_under_their_own_names() -> None:
    settings = Optimizer(lr=0.2, beta1=0.7, beta2=0.8, eps=1e-5)
    for group in loop.make_optimizer(torch.nn.Linear(2, 2), settings).param_groups:
        assert (group["lr"], group["betas"], group["eps"]) == (0.2, (0.7, 0.8), 1e-5)


class Nothing:
    """A loader whose state is its step."""

    steps = 9

    def batch(self, step: int, rank: int, world: int) -> GlobalBatch:
        raise AssertionError("nothing is read here")

    def state(self, step: int) -> Mapping[str, object]:
        return {"step": step}


def test_skipped_steps_count_on_after_a_resume(tmp_path: Path) -> None:
    """Else a run that is interrupted often enough would skip as many as it likes."""
    model, optimizer = small()
    selection = Selection(9, keeps_best=True, patience=0)
    state = {"identity": {"seed": 0}, "loader": {"step": 5}, "skipped": 2, "ranks": 1, **selection.state(5)}
    log = RunLog(tmp_path, "test", 9, speak=False)
    assert loop._resume(tmp_path, {"seed": 0}, model, optimizer, Nothing(), selection, ALONE, log, replace=False) == (
        0,
        0,
    )
    checkpoint.save(tmp_path, 5, model, optimizer, state, 1, ALONE)
    assert loop._resume(tmp_path, {"seed": 0}, model, optimizer, Nothing(), selection, ALONE, log, replace=False) == (
        5,
        2,
    )


def test_a_resumed_run_keeps_the_lines_of_its_steps_and_of_validations_it_knows_of(tmp_path: Path) -> None:
    """The one after its last step may have been written by a run that was killed before it could save that."""
    lines = [("train", 1), ("validation", 1), ("train", 2), ("validation", 2), ("train", 3)]
    for validated, kept in ((1, lines[:3]), (2, lines[:4])):
        log = RunLog(tmp_path, "test", 9, speak=True)
        log.open(0, 0)
        for kind, step in lines:
            log.write(kind, step, {})
        log.open(2, validated)
        found = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
        assert [(line["kind"], line["step"]) for line in found] == kept
