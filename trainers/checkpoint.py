"""Checkpoints that are whole or not there, and resume that is exact or refused.

A checkpoint is a folder `step-00000050`: model and optimizer as torch.distributed.checkpoint writes them (any number of
ranks can read them), and `state.json`: step, loader state, run identity, counters. It is written under another name and
renamed when all of it is on disk, so a kill at any moment leaves at most a folder that resume does not look at. The
learning rate and the random state of dropout are functions of (seed, step, rank) and need no saving.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.optim import Optimizer

from trainers.data.rows import check_state
from trainers.parallel import Ranks
from transforms.datasets import strict_json

FOLDER = "checkpoints"
_NAME = re.compile(r"step-(\d{8})")
_STATE = "state.json"


def complete(output: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    found = [
        path for path in (output / FOLDER).glob("step-*") if _NAME.fullmatch(path.name) and (path / _STATE).is_file()
    ]
    return sorted(found)


def save(
    output: Path,
    step: int,
    model: nn.Module,
    optimizer: Optimizer,
    state: Mapping[str, object],
    keep: int,
    ranks: Ranks,
) -> Path:
    """Writes the checkpoint that stands before `step`, and removes all but the last `keep`. Every rank must call it."""
    folder = output / FOLDER
    final, unfinished = folder / f"step-{step:08d}", folder / f"saving-{step:08d}"
    if ranks.first:
        for left in folder.glob("saving-*"):
            shutil.rmtree(left)
        unfinished.mkdir(parents=True)
    ranks.wait()
    weights, moments = get_state_dict(model, optimizer)
    with _alone_is_meant():
        dcp.save({"model": weights, "optimizer": moments}, checkpoint_id=str(unfinished), no_dist=ranks.mesh is None)
    if ranks.first:
        _write(unfinished / _STATE, json.dumps({**state, "step": step}, sort_keys=True, indent=1) + "\n")
        _sync_folder(unfinished)
        if final.exists():  # the same step of this run, saved before a restart
            _discard(final)
        os.replace(unfinished, final)
        _sync_folder(folder)
        for old in complete(output)[:-keep]:
            _discard(old)
    ranks.wait()
    return final


def _discard(checkpoint: Path) -> None:
    """Out of sight first, so that a kill while deleting leaves nothing that looks complete."""
    doomed = checkpoint.with_name(f"saving-{checkpoint.name}")
    os.replace(checkpoint, doomed)
    shutil.rmtree(doomed)


def read_state(checkpoint: Path) -> dict[str, object]:
    """What a checkpoint says of itself, without its weights."""
    values = strict_json.load(str(checkpoint / _STATE))
    assert isinstance(values, dict)
    return values


def load(checkpoint: Path, model: nn.Module, optimizer: Optimizer, ranks: Ranks) -> None:
    """Puts saved weights and moments into model and optimizer, at any number of ranks. Every rank must call it."""
    weights, moments = get_state_dict(model, optimizer)
    state = {"model": weights, "optimizer": moments}
    with _alone_is_meant():
        dcp.load(state, checkpoint_id=str(checkpoint), no_dist=ranks.mesh is None)
    set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])


@contextmanager
def _alone_is_meant() -> Iterator[None]:
    """Without the warning that a run of one process has no process group, which `no_dist` does not silence."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def check_identity(checkpoint: Path, identity: Mapping[str, object]) -> dict[str, object]:
    """The checkpoint's state, or ValueError listing what differs between its run and this one."""
    state = read_state(checkpoint)
    saved = state["identity"]
    assert isinstance(saved, dict)
    check_state(_flat(saved), _flat(json.loads(json.dumps(identity))), str(checkpoint))
    return state


def _flat(values: Mapping[str, object], above: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return flat


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
