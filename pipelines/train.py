"""Training and evaluation, as processes of their own: a pipeline loads no torch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from pipelines.command import Keep, Replace, Trust
from transforms.datasets.manifest import load_manifest
from transforms.datasets.standing import Existing
from transforms.datasets.step import MODEL

_KINDS = ("pretrain", "preference")


def launch(name: str, arguments: Sequence[str], processes: int = 1) -> None:
    """Runs a trainer as a process, or as that many under torchrun. Raises ValueError when it fails; its own last
    lines, already on the terminal, say why."""
    python = [sys.executable, "-m"]
    if processes > 1:
        python += ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), "-m"]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}  # else torchrun warns; the configuration's `threads` decides
    status = subprocess.run([*python, f"trainers.{name}", *arguments], check=False, env=environment).returncode
    if status:
        raise ValueError(f"the step {name} ended with status {status}: see its message above, mend it and run again")


def told(existing: Existing) -> list[str]:
    """What a trainer is told of results that stand where it writes."""
    return [] if existing is Existing.REFUSE else [f"{existing.value}=true"]


def train(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="pretrain|preference", help="What to train.")],
    config: Annotated[str, typer.Argument(help="A configuration shipped by name (debug_cpu), or a YAML file.")],
    processes: Annotated[int, typer.Option(help="Processes on this machine, under torchrun.")] = 1,
    trust: Trust = False,
) -> None:
    """Train a language model on curriculum shards, or a preference model on preference shards.

    Settings follow as key=value: data=…, tokenizer=…, init=…, output=…, optimizer.lr=3e-4 and so on. On a cluster, run
    torchrun -m trainers.pretrain or trainers.preference with the same arguments.
    """
    if kind not in _KINDS:
        raise ValueError(f"cannot train {kind!r}; it is one of {', '.join(_KINDS)}")
    launch(kind, [config, *context.args], processes)


def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Folder of a preference model.")],
    pairs: Annotated[str, typer.Option(help="Folder of preference shards.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for the evaluation.")],
    split: Annotated[str, typer.Option(help="train, validation or holdout.")] = "holdout",
    replace: Replace = False,
    keep: Keep = False,
    trust: Trust = False,
) -> None:
    """Measure a preference model: accuracy and loss with intervals, beside trivial baselines.

    Settings follow as key=value.
    """
    _check_evaluated(model, pairs)
    given = [f"model={model}", f"data={pairs}", f"output={output}", f"split={split}"]
    launch("evaluate", [*given, *told(Existing.of(replace, keep)), *context.args])


def _check_evaluated(model: str, pairs: str) -> None:
    """Raises ValueError, by the names of the command line, for what is no preference model or no preference shards."""
    for flag, place, kind, trainer, wanted in (
        ("MODEL", model, MODEL.kind, "preference", "a preference model: the folder export of agora train preference"),
        ("--pairs", pairs, "preference", None, "preference shards: what agora tokenize makes of pairs"),
    ):
        try:
            manifest = load_manifest(place)
        except ValueError as error:
            raise ValueError(f"{flag}: {error}. Wanted is {wanted}") from error
        made_by = manifest.settings.get("trainer", trainer)
        if (manifest.kind, made_by) != (kind, trainer):
            of = f" of agora train {made_by}" if made_by and manifest.kind == MODEL.kind else ""
            raise ValueError(f"{flag}: {place} is a {manifest.kind} dataset{of}. Wanted is {wanted}")
