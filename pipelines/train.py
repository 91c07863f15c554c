"""Training and evaluation, as processes of their own: a pipeline loads no torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated

import typer

from pipelines.command import Keep, Replace, Told, Trust, console
from pipelines.local import stops
from transforms.datasets import parent, stop_signals
from transforms.datasets.manifest import load_manifest
from transforms.datasets.standing import Existing
from transforms.datasets.step import MODEL

_STOP_TIMEOUT_S = 600.0
_KINDS = ("pretrain", "preference")
_PREEMPTED = 75  # a trainer's status: told to stop, saved
_CHECK_S = 0.1
_LONGER_S = 10  # than the ranks' own launcher, which says so


def launch(name: str, arguments: Sequence[str], processes: int = 1, stop_timeout: float = _STOP_TIMEOUT_S) -> int:
    """Runs a trainer as a process, or as that many, and hands on the signals that this process gets: the trainer saves
    and ends, and a second Ctrl-C ends it at once.

    stop_timeout: seconds that it may take to save. Returns the signal that came while it ended all the same, or 0, so
    that who would go on with something else does not. Raises Told when it failed, was told to stop, or saved because it
    was, with the status for this process; the trainer has said why. Raises ValueError when something killed it.
    """
    module = [f"trainers.{name}"]
    if processes > 1:
        ours = ["--nproc-per-node", str(processes), "--stop-timeout", f"{stop_timeout:g}"]
        module = ["trainers.run", *ours, name]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}  # the configuration's `threads` decides
    with _listening() as signals, parent.started([sys.executable, "-m", *module, *arguments], environment) as trainer:
        status = _wait(trainer, signals, stop_timeout)
    if status == _PREEMPTED:
        raise Told(status)
    if status == 0:
        return signals[0] if signals else 0
    if signals:
        if status < 0:  # it was still importing, or Ctrl-C came twice: it has said nothing
            console.print(stops.told(signals[0]), soft_wrap=True)
        raise Told(128 + signals[0])
    if status < 0:
        raise ValueError(f"the step {name} was ended by {signal.Signals(-status).name}: run the same command again")
    raise Told(status)


@contextmanager
def _listening() -> Iterator[list[int]]:
    """The signals that arrive while the block runs, in place of what they do else."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # which alone hears signals
        yield received
        return
    before = {
        number: signal.signal(number, lambda number, _: received.append(number)) for number in stop_signals.heeded()
    }
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(trainer: subprocess.Popen[bytes], signals: Sequence[int], stop_timeout: float) -> int:
    """The trainer's status; it is left running at a second Ctrl-C, and by a ValueError when it took too long to end."""
    sent, deadline = 0, float("inf")
    while signals.count(signal.SIGINT) < 2:
        with suppress(subprocess.TimeoutExpired):
            return trainer.wait(_CHECK_S)
        if len(signals) > sent:
            deadline = min(deadline, time.monotonic() + stop_timeout + _LONGER_S)
            for number in {number if number == signal.SIGUSR1 else signal.SIGTERM for number in signals[sent:]}:
                trainer.send_signal(number)
            sent = len(signals)
        if time.monotonic() > deadline:
            name = signal.Signals(signals[0]).name
            raise ValueError(
                f"the trainer was killed: it had not ended {stop_timeout:g} s after {name} (--stop-timeout)"
            )
    return -signal.SIGKILL


def told(existing: Existing) -> list[str]:
    """What a trainer is told of results that stand where it writes."""
    return [] if existing is Existing.REFUSE else [f"{existing.value}=true"]


def train(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="pretrain|preference", help="What to train.")],
    config: Annotated[str, typer.Argument(help="A configuration shipped by name (debug_cpu), or a YAML file.")],
    processes: Annotated[int, typer.Option(help="Processes on this machine.")] = 1,
    stop_timeout: Annotated[float, typer.Option(help="Seconds to save in after SIGTERM or Ctrl-C.")] = _STOP_TIMEOUT_S,
    trust: Trust = False,
) -> None:
    """Train a language model on curriculum shards, or a preference model on preference shards.

    Settings follow as key=value: data=…, tokenizer=…, init=…, output=…, optimizer.lr=3e-4 and so on. On several
    machines, run python -m trainers.run. Told to stop by SIGTERM, SIGUSR1 or Ctrl-C it saves and ends with status 75;
    the same command goes on.
    """
    if kind not in _KINDS:
        raise ValueError(f"cannot train {kind!r}; it is one of {', '.join(_KINDS)}")
    launch(kind, [config, *context.args], processes, stop_timeout)


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
