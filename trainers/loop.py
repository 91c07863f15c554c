"""The one training loop: accumulate, reduce, clip, step, log, evaluate, checkpoint. Both trainers run it.

A task says what a micro-batch loses; everything else is here. The gradient of a step is that of
sum(losses of the global batch) / count, whatever the number of ranks and micro-batches. Nothing in a micro-batch waits
for the device.

Told to stop, the ranks give up the step, or the validation, that they are in, and save what stood before it: the run
that goes on does it again from its beginning.

Non-finite losses and gradients: every rank sees the same reduced numbers, so all skip the step or none does; the
skipped batch's ids are written to metrics.jsonl, and after `nonfinite_skips` of them the run stops.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from trainers import checkpoint, parallel
from trainers.configs import Optimizer, RunConfig, Schedule
from trainers.data.rows import GlobalBatch, Loader, Micro, check_state
from trainers.parallel import Ranks
from trainers.runlog import RunLog
from trainers.selection import Selection
from trainers.stopping import Stopping, ToldToStop
from transforms.datasets.ids import keyed_hash

_NAMED_IDS = 20  # of a skipped batch, in the log


_Taken = TypeVar("_Taken", contravariant=True)


class Task(Protocol[_Taken]):
    """What is trained: the loss of a micro-batch, and what is reported of it."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sums below; the first is the loss."""

    def loss(self, model: nn.Module, micro_batch: _Taken, ranks: Ranks) -> tuple[Tensor, list[Tensor]]:
        """The micro-batch's summed loss, with its graph, and one number for each of `names`."""

    def report(self, sums: Mapping[str, float], count: int) -> dict[str, float]:
        """Metrics of a global batch from its sums over all ranks."""

    def evaluate(self, model: nn.Module, ranks: Ranks, check: Callable[[], None]) -> dict[str, Any]:
        """Validation metrics; empty when there is nothing to validate on. Every rank calls it. check: called before
        each micro-batch, ends it by an exception."""


@dataclass(frozen=True)
class StepResult:
    """What a step did. finite is False when it was skipped."""

    sums: Mapping[str, float]
    grad_norm: float
    finite: bool


def learning_rate(schedule: Schedule, peak: float, step: int, steps: int) -> float:
    """Learning rate of a step, 0 <= step < steps. Warmup is linear and reaches the peak at its last step."""
    warmup = math.ceil(schedule.warmup * steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule.kind == "constant":
        return peak
    if schedule.kind == "cosine":
        through = (step - warmup) / max(1, steps - 1 - warmup)
        return peak * (schedule.floor + (1 - schedule.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, through))))
    decay = math.ceil(schedule.decay * steps)
    through = max(0.0, (step + 1 - (steps - decay)) / decay) if decay else 0.0
    return peak * (1 - (1 - schedule.floor) * through)


def make_optimizer(model: nn.Module, settings: Optimizer) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    betas = (settings.beta1, settings.beta2)
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.lr, betas=betas, eps=settings.eps)


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    task: Task[Micro],
    batch: GlobalBatch[Micro],
    largest: float,
    ranks: Ranks,
    check: Callable[[], None],
) -> StepResult:
    """One optimizer step on a global batch; no step when its loss or gradient is not finite on any rank.

    check: called before each micro-batch; by an exception it gives up the step, whose gradients stay to be dropped.
    """
    sums = ranks.zeros(len(task.names))
    last = len(batch.micro_batches) - 1
    for number, micro_batch in enumerate(batch.micro_batches):
        check()
        parallel.reduce_gradients(model, now=number == last)
        loss, numbers = task.loss(model, micro_batch, ranks)
        (loss * (ranks.world / batch.count)).backward()  # FSDP averages over ranks; the loss is a global mean
        sums += torch.stack([value.detach() for value in numbers])
    totals = ranks.sum(sums)
    norm = parallel.clip(model, largest)
    finite = math.isfinite(norm) and math.isfinite(totals[0])
    if finite:
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return StepResult(dict(zip(task.names, totals, strict=True)), norm, finite)


def train(
    config: RunConfig,
    steps: int,
    identity: Mapping[str, object],
    model: nn.Module,
    loader: Loader[Micro],
    task: Task[Micro],
    ranks: Ranks,
    log: RunLog,
    selection: Selection,
    may_save: Callable[[], None],
) -> bool:
    """Runs to `steps`, or until the selection says that it is over, from the newest sound checkpoint of this run when
    it has any. may_save: raises when the data is damaged or the folder is another process's by now; nothing is saved
    then.

    Returns True when done, False when it was told to stop and saved (exit with PREEMPTED and run it again). Raises
    ValueError for a checkpoint of another run or when none is sound, RuntimeError after too many non-finite steps.
    """
    output = Path(config.output)
    optimizer = make_optimizer(model, config.optimizer)
    step, skipped = _resume(output, identity, model, optimizer, loader, selection, ranks, log, config.replace)
    log.open(step, selection.heard)
    if step:
        log.write("resumed", step, {})
    saved = step

    def validate(check: Callable[[], None]) -> None:
        due = step == steps or _due(step, config.validation_steps(steps))
        if due and (found := task.evaluate(model, ranks, check)):
            log.write("validation", step, found)
            log.say(selection.hear(step, found))

    def save() -> None:
        state = {"identity": identity, "loader": loader.state(step), "skipped": skipped, "ranks": ranks.world}
        may_save()
        state |= selection.state(step)
        checkpoint.save(output, step, model, optimizer, state, config.keep_checkpoints, ranks)

    model.train()  # a model that was loaded comes without dropout
    with Stopping(ranks) as stopping:
        try:
            if selection.heard < step:  # stopped while it validated
                validate(stopping.check)
                if selection.needs(step):
                    save()
            while step < steps and not selection.stopped:
                began = time.monotonic()
                torch.manual_seed(keyed_hash("dropout", str(config.seed), str(step), str(ranks.rank)) >> 1)
                batch = loader.batch(step, ranks.rank, ranks.world)
                rate = learning_rate(config.schedule, config.optimizer.lr, step, steps)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                result = train_step(model, optimizer, task, batch, config.optimizer.clip, ranks, stopping.check)
                step += 1
                if result.finite:
                    _report(log, task, result, batch, step, rate, time.monotonic() - began)
                else:
                    skipped += 1
                    _skip(log, batch, result, step, skipped, config.nonfinite_skips)
                validate(stopping.check)
                if step == steps or selection.needs(step) or _due(step, config.checkpoint_every):
                    save()
                    saved = step
        except ToldToStop:
            parallel.reshard(model)
            optimizer.zero_grad(set_to_none=True)
            if step > saved:
                save()
            log.say(f"told to stop after {step:,} of {steps:,} steps; run the same command again to go on")
            return False
    return True


def _resume(
    output: Path,
    identity: Mapping[str, object],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loader: Loader[Micro],
    selection: Selection,
    ranks: Ranks,
    log: RunLog,
    replace: bool,
) -> tuple[int, int]:
    try:
        found = checkpoint.newest_sound(output, identity, ranks, log.say)
    except ValueError as error:  # none is sound: every rank is told
        if not replace:
            raise
        log.say(f"{error}. As told to replace it, this run begins anew")
        ranks.wait()
        if ranks.first:
            shutil.rmtree(output / checkpoint.FOLDER)
        ranks.wait()
        found = None
    if found is None:
        return 0, 0
    path, state = found
    check_state(state["loader"], loader.state(state["step"]), str(path))
    checkpoint.load(path, model, optimizer, ranks)
    selection.resume(state["selection"])
    log.say(f"going on from {path.name} (saved with {state['ranks']} ranks, now {ranks.world})")
    return state["step"], state["skipped"]


def _report(
    log: RunLog,
    task: Task[Micro],
    result: StepResult,
    batch: GlobalBatch[Micro],
    step: int,
    rate: float,
    seconds: float,
) -> None:
    values = task.report(result.sums, batch.count)
    speed = batch.tokens / seconds if seconds else 0.0
    work = {"tokens": batch.tokens, "seconds": seconds, "tokens_per_s": speed}
    log.write("train", step, {**values, "lr": rate, "grad_norm": result.grad_norm, **work})
    shown = "  ".join(f"{name} {value:.4f}" for name, value in values.items() if name in ("loss", "accuracy"))
    log.progress(step, f"{shown}  {speed:,.0f} tokens/s")


def _skip(log: RunLog, batch: GlobalBatch[Micro], result: StepResult, step: int, skipped: int, allowed: int) -> None:
    loss = next(iter(result.sums.values()))
    ids = list(batch.ids)
    values = {"loss_sum": repr(loss), "grad_norm": repr(result.grad_norm), "ids": ids[:_NAMED_IDS], "num_ids": len(ids)}
    log.write("skipped", step, values)
    log.say(f"step {step} skipped: loss sum {loss}, gradient norm {result.grad_norm}; ids are in metrics.jsonl")
    if skipped > allowed:
        raise RuntimeError(
            f"{skipped} steps had a non-finite loss or gradient, {allowed} may be skipped; the last one held "
            f"{', '.join(ids[:3])} and more. Lower optimizer.lr, or look at those in the data: metrics.jsonl names them"
        )


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
