"""Checkpoints that are whole or not there, and resume that is exact or refused.

A checkpoint is a folder `step-00000050`: model and optimizer as torch.distributed.checkpoint writes them (any number of
ranks can read them), and `state.json`: step, loader state, run identity, counters, and a hash of every file. It is
written under another name and renamed when all of it is on disk, so a kill at any moment leaves at most a folder that
resume does not look at. The learning rate and the random state of dropout are functions of (seed, step, rank) and need
no saving.

What is not as it was written is never loaded: a run goes on from the newest checkpoint that is sound. Newer ones are
put aside as `damaged-00000050`, where they are in nobody's way and can be looked at until the next save removes them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_state_dict,
    set_model_state_dict,
    set_state_dict,
)
from torch.optim import Optimizer

from trainers import checkpoint_state
from trainers.checkpoint_state import STATE, State
from trainers.data.rows import check_state
from trainers.dcp_reader import Planner, Reader, read_metadata
from trainers.parallel import Ranks
from transforms.datasets import disk
from transforms.datasets.checks import DamagedError

FOLDER = "checkpoints"
_NAME = re.compile(r"step-(\d{8})")
_ASIDE = "damaged-" + "[0-9]" * 8


def _numbered(output: Path) -> list[Path]:
    """What stands where checkpoints stand, oldest first."""
    return sorted(path for path in (output / FOLDER).glob("step-*") if _NAME.fullmatch(path.name) and path.is_dir())


def complete(output: Path) -> list[Path]:
    """Checkpoints of a run that were written to their end, oldest first; not whether they are still sound."""
    return [path for path in _numbered(output) if (path / STATE).is_file()]


def folder_of(output: Path, step: int) -> Path:
    """Where a run keeps the checkpoint of a step."""
    return output / FOLDER / checkpoint_state.folder_name(step)


def save(
    output: Path,
    step: int,
    model: nn.Module,
    optimizer: Optimizer,
    state: Mapping[str, object],
    keep: int,
    ranks: Ranks,
) -> Path:
    """Writes the checkpoint that stands before `step`, and removes all but the last `keep` and those that one of them
    would export. Every rank must call it."""
    folder = output / FOLDER
    final, unfinished = folder_of(output, step), folder / f"saving-{step:08d}"
    if ranks.first:
        for left in folder.glob("saving-*"):
            shutil.rmtree(left)
        unfinished.mkdir(parents=True)
    ranks.wait()
    weights, moments = get_state_dict(model, optimizer)
    with _dcp(f"{unfinished} could not be written"):
        dcp.save({"model": weights, "optimizer": moments}, checkpoint_id=str(unfinished), no_dist=ranks.mesh is None)
    shares = ranks.gather(checkpoint_state.record(unfinished, ranks.rank, ranks.world))
    if ranks.first:
        files = {name: record for share in shares for name, record in share.items()}
        _write(unfinished / STATE, checkpoint_state.text(state, step, files))
        _sync_folder(unfinished)
        # The same step of this run, saved before a restart: it may be the only one, so the other takes its place first.
        replaced = [_out_of_sight(final)] if final.exists() else []
        os.replace(unfinished, final)
        _sync_folder(folder)
        kept = complete(output)[-keep:]
        exported = {name for path in kept for name in _exported_by(path)}
        older = [path for path in _numbered(output) if path < kept[0] and path.name not in exported]
        for doomed in [*replaced, *map(_out_of_sight, [*older, *folder.glob(_ASIDE)])]:
            shutil.rmtree(doomed)
    ranks.wait()
    return final


def _exported_by(checkpoint: Path) -> list[str]:
    """The checkpoint whose weights a run would export that goes on from this one and finds none better."""
    try:
        return [checkpoint_state.folder_name(checkpoint_state.read(checkpoint)["exports"])]
    except ValueError:  # damaged: no run goes on from it
        return []


def _out_of_sight(checkpoint: Path) -> Path:
    """Renames what is to be deleted, so that a kill while deleting leaves nothing that looks complete."""
    doomed = checkpoint.with_name(f"saving-{checkpoint.name}")
    os.replace(checkpoint, doomed)
    return doomed


def newest_sound(
    output: Path, identity: Mapping[str, object], ranks: Ranks, say: Callable[[str], None]
) -> tuple[Path, State] | None:
    """The newest checkpoint that is as it was written, and its state; None when the run has none yet.

    Every rank must call it, and gets the same. Damaged ones that are newer are told to `say` and put aside. Raises
    ValueError for a checkpoint of another run or version of Agora, and when there are checkpoints and none is sound:
    then a person has to say what becomes of the run.
    """
    damaged: dict[Path, str] = {}
    for path in reversed(ranks.from_first(_numbered(output) if ranks.first else [])):
        state, fault = read_sound(path, identity, ranks)
        if state is not None:
            for other, why in damaged.items():
                aside = other.with_name(other.name.replace("step", "damaged"))
                say(f"{other.name} is damaged ({why}): passed over, and kept as {aside.name} until the next save")
                if ranks.first:
                    _put_aside(other, aside)
            return path, state
        damaged[path] = fault
    if damaged:
        told = "; ".join(f"{path.name}: {why}" for path, why in damaged.items())
        raise ValueError(
            f"cannot resume from {output / FOLDER}: none of its checkpoints is sound ({told}). "
            "Bring back a copy of one; or, to train anew from the first step, remove that folder or pass replace=true"
        )
    return None


def read_sound(checkpoint: Path, identity: Mapping[str, object], ranks: Ranks) -> tuple[State | None, str]:
    """The state of a checkpoint that is as it was written; else None, and what is wrong with it.

    Every rank must call it, and gets the same. Raises ValueError for a checkpoint of another run or version of Agora.
    """
    state, fault = ranks.from_first(_read(checkpoint) if ranks.first else (None, ""))
    if state is not None:
        _check(checkpoint, state, identity)
        faults = ranks.gather(checkpoint_state.fault(checkpoint, state["files"], ranks.rank, ranks.world))
        fault = next(filter(None, faults), "")
    return (None, fault) if fault else (state, "")


def _read(checkpoint: Path) -> tuple[State | None, str]:
    try:
        return checkpoint_state.read(checkpoint), ""
    except DamagedError as error:
        return None, str(error)


def _put_aside(checkpoint: Path, aside: Path) -> None:
    if aside.exists():  # damaged once before
        shutil.rmtree(_out_of_sight(aside))
    os.replace(checkpoint, aside)


def load(checkpoint: Path, model: nn.Module, optimizer: Optimizer, ranks: Ranks) -> None:
    """Puts saved weights and moments into model and optimizer, at any number of ranks. Every rank must call it.

    Raises ValueError or RuntimeError when the checkpoint holds anything but the data of this model, before any of it is
    run.
    """
    weights, moments = get_state_dict(model, optimizer)
    state = {"model": weights, "optimizer": moments}
    _fill(state, checkpoint, ranks)
    set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])


def load_weights(checkpoint: Path, model: nn.Module, ranks: Ranks) -> None:
    """`load` of the weights alone: of a model that is not trained any further."""
    state = {"model": get_model_state_dict(model)}
    _fill(state, checkpoint, ranks)
    set_model_state_dict(model, state["model"])


def _fill(state: dict[str, Any], checkpoint: Path, ranks: Ranks) -> None:
    metadata = read_metadata(checkpoint, checkpoint_state.read(checkpoint)["files"])
    with _dcp(f"{checkpoint} could not be loaded"):
        dcp.load(state, storage_reader=Reader(checkpoint, metadata), planner=Planner(), no_dist=ranks.mesh is None)


@contextmanager
def _dcp(failed: str) -> Iterator[None]:
    """Without the warning that a run of one process has no process group, which `no_dist` does not silence.

    Raises RuntimeError for dcp's CheckpointException, which is no Exception and shows the traces of all ranks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        try:
            yield
        except dcp.CheckpointException as error:
            cause, _ = next(iter(error.failures.values()))
            if not isinstance(cause, Exception):  # Ctrl-C
                raise cause from None
            if isinstance(cause, UnpicklingError):  # torch's own text tells how to load it all the same
                cause = ValueError("it holds what is no plain data; find out who changed it, and remove it")
            raise RuntimeError(f"{failed}: {cause}") from error


def refuse_another_run(output: Path, identity: Mapping[str, object]) -> None:
    """ValueError when a checkpoint here is of another run or version of Agora. Damaged ones are `newest_sound`'s."""
    for path in complete(output):
        state, _ = _read(path)
        if state is not None:
            _check(path, state, identity)


def _check(checkpoint: Path, state: State, identity: Mapping[str, object]) -> None:
    """ValueError listing what differs between the checkpoint's run and this one."""
    check_state(_flat(state["identity"]), _flat(json.loads(json.dumps(identity))), str(checkpoint))


def _flat(values: Mapping[str, object], above: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return flat


def _write(path: Path, data: bytes) -> None:
    with disk.naming(str(path)), path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
