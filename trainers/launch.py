"""From a configuration to a trained, exported model: what both trainers' entry points share.

A run's folder holds `export/` (the model, a dataset), `checkpoints/` and `metrics.jsonl`. A finished run is not
repeated; an interrupted one goes on from its newest sound checkpoint; another configuration in the same folder is
refused unless replace=true.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from torch import Tensor, nn

from tokenizer.encoder import Encoder
from trainers import checkpoint, configs, export, loop, outside, parallel, stopping
from trainers.attention import isolation_leak, refuse_leak
from trainers.card import Trained
from trainers.configs import RunConfig
from trainers.data.checking import FileCheck
from trainers.data.rows import Loader, Micro
from trainers.loop import Task
from trainers.model import LanguageModel, RewardModel, layers
from trainers.parallel import Ranks
from trainers.runlog import RunLog, tell_failure
from trainers.selection import Selection
from transforms.datasets import shown
from transforms.datasets.dataset import Dataset, check_folder
from transforms.datasets.lease import LostError
from transforms.datasets.manifest import DatasetSpec, Manifest
from transforms.datasets.opening import Opened, begin
from transforms.datasets.standing import Existing
from transforms.datasets.step import MODEL

_LEAK_TOLERANCE = {"fp32": 1e-3, "bf16": 5e-2}  # float noise, as a share of what an output can move


@dataclass(frozen=True)
class Job(Generic[Micro]):
    """What one trainer brings: its data, its loss, its model, and the check that packed rows are isolated."""

    name: str
    loader: Loader[Micro]
    task: Task[Micro]
    data: Dataset
    build_model: Callable[[], LanguageModel | RewardModel]
    outputs: Callable[..., Tensor]  # (model, tokens, positions, groups, branches, places) -> a value at each place
    counts: Mapping[str, Mapping[str, int]]
    summary: str
    sequence_tokens: int = 0  # the longest text; 0: as many as the model has positions
    validation: Dataset | None = None  # where it is none of the data's own splits
    warnings: Sequence[str] = ()  # what a person should know before the first step


Config = TypeVar("Config", bound=RunConfig)
MakeJob = Callable[[Encoder, Config], Job[Micro]]


def run(config: Config, make_job: MakeJob[Config, Micro]) -> int:
    """Trains and exports; returns the exit status (0 done, stopping.PREEMPTED saved and to be run again)."""
    ranks = parallel.start(config.parallel, config.threads)
    status = _run(config, make_job, ranks)
    ranks.close()  # not after an error: it waits for the other ranks, which may never come; who started them ends them
    return status


def _run(config: Config, make_job: MakeJob[Config, Micro], ranks: Ranks) -> int:
    given = config.init
    if given:
        config = dataclasses.replace(config, init=outside.folder(given, "init"))
    tokenizer = outside.folder(config.tokenizer, "tokenizer") if config.tokenizer else config.init
    with outside.reading(tokenizer, "tokenizer"):
        for place in {tokenizer, config.init} - {""}:
            check_folder(place)
        encoder = Encoder.load(tokenizer)
    job = make_job(encoder, config)
    steps = min(config.max_steps or job.loader.steps, job.loader.steps)
    settings = {**configs.identity(config), "steps": steps}  # the schedule is over these
    parents = {"data": job.data.digest, "tokenizer": encoder.sha256, "init": outside.digest(given, config.init)}
    parents["validation"] = job.validation.digest if job.validation and config.selects else ""
    identity = {
        "trainer": job.name,
        "settings": settings,
        **parents,
        "versions": MODEL.versions(),
    }
    spec = MODEL.spec({"trainer": job.name, **settings}, {role: digest for role, digest in parents.items() if digest})
    output = Path(config.output)
    log = RunLog(output, job.name, steps, ranks.first)
    folder = str(output / export.FOLDER)
    with ExitStack() as stack:
        begun = _begin(config, folder, spec, identity) if ranks.first else None
        opened = stack.enter_context(begun) if isinstance(begun, Opened) else None
        if not ranks.from_first(opened is not None):
            log.say(f"already trained: {folder}")
            return 0
        model = _shard(job, config, ranks)
        size = sum(parameter.numel() for parameter in model.parameters())
        of = "" if steps == job.loader.steps else f" of {job.loader.steps:,}"
        log.say(f"{size:,} parameters, {job.summary}, {steps:,}{of} steps, {ranks.world} ranks")
        for line in job.warnings:
            log.say(line)
        check_isolation(model, job.outputs, encoder.vocab_size, ranks)
        files = FileCheck(job.data, ranks.rank, ranks.world)

        def may_save() -> None:
            files.wait()
            if lost := ranks.from_first(_lost(opened)):
                raise ValueError(lost)

        selection = Selection(steps, config.export == "best", config.patience)
        if not loop.train(config, steps, identity, model, job.loader, job.task, ranks, log, selection, may_save):
            return stopping.PREEMPTED
        exported = selection.load_best(output, identity, model, ranks, log.say)
        counts = {**job.counts, "steps": {"taken": selection.end, "exported": exported}}
        trained = Trained(job.name, job.sequence_tokens, counts, job.data.manifest)
        export.write(opened, model, encoder, trained, selection.account(exported), ranks)
    for line in selection.verdict(exported):
        log.say(line)
    log.say(f"model of step {exported} in {folder}")
    return 0


def _shard(job: Job[Micro], config: RunConfig, ranks: Ranks) -> LanguageModel | RewardModel:
    model = job.build_model()
    sharded = parallel.shard(
        model, layers(model), model.full_precision, ranks, config.parallel.activation_checkpointing
    )
    assert sharded is model
    return model


def check_isolation(model: nn.Module, outputs: Callable[..., Tensor], vocab_size: int, ranks: Ranks) -> None:
    """RuntimeError when packed documents or answers see each other in this very model, sharded as it is trained."""

    def on_device(*tensors: Tensor) -> Tensor:
        return outputs(model, *(tensor.to(ranks.device) for tensor in tensors))

    with parallel.inference(model):
        leak, response = isolation_leak(on_device, vocab_size)
    refuse_leak(leak, response, _LEAK_TOLERANCE[ranks.precision])


def _begin(config: RunConfig, folder: str, spec: DatasetSpec, identity: Mapping[str, object]) -> Manifest | Opened:
    """The export of this very run when it is finished; else this process's right to train it. Makes room for a new run
    when told to replace another. Raises ValueError, also while another process trains in the folder."""
    existing = Existing.of(config.replace, config.keep)
    begun = begin(folder, spec, existing)
    if isinstance(begun, Opened):
        try:
            checkpoint.refuse_another_run(Path(config.output), identity)
        except ValueError:
            if existing is not Existing.REPLACE:
                with begun:  # lets go of it
                    raise
            shutil.rmtree(Path(config.output) / checkpoint.FOLDER)
    return begun


def _lost(opened: Opened | None) -> str:
    """Why the first rank may not save any more; "" when it may."""
    try:
        if opened:
            opened.check()
    except LostError as error:
        return str(error)
    return ""


def main(
    arguments: Sequence[str], usage: str, kind: type[Config], folder: str, make_job: MakeJob[Config, Micro]
) -> int:
    """The command line of a trainer: `[CONFIG] key=value ...`."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage)
        return 0 if arguments else 2
    try:
        return run(configs.load(kind, folder, arguments), make_job)
    except (ValueError, RuntimeError, OSError) as error:
        tell_failure(shown.message(f"{folder}: {error}"))
        return 1
