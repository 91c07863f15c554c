"""Checkpoints: whole or not there, whatever kills the run; refused for any other run, saying what differs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training_data import arguments, write_all, write_preference
from tokenizer.encoder import Encoder
from trainers import checkpoint, checkpoint_state, configs, launch, preference
from trainers.configs import PreferenceConfig
from trainers.parallel import Ranks

ROOT = Path(__file__).parents[1]
ALONE = Ranks(0, 1, torch.device("cpu"), None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("checkpoint"))


def run(folder: Path, output: Path, **settings: object) -> Path:
    config = configs.load(PreferenceConfig, "preference", arguments(folder, output, "preference", **settings))
    assert launch.run(config, preference.make_job) == 0
    return output / "export" / "model.safetensors"


def small() -> tuple[torch.nn.Module, torch.optim.AdamW]:
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


IDENTITY = {"settings": {"seed": 0, "optimizer": {"lr": 0.1}}, "data": "abc"}
STATE = {"identity": IDENTITY, "loader": {}, "skipped": 0, "ranks": 1, "exports": 0, "selection": {}}


def test_weights_and_moments_come_back(tmp_path: Path) -> None:
    model, optimizer = small()
    saved = checkpoint.save(tmp_path, 5, model, optimizer, STATE, 2, ALONE)
    wanted = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    moments = [{k: v.clone() for k, v in s.items()} for s in optimizer.state.values()]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    fresh = torch.optim.AdamW(model.parameters(), lr=0.1)
    checkpoint.load(saved, model, fresh, ALONE)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in model.state_dict().items())
    assert [s["exp_avg"].tolist() for s in fresh.state.values()] == [s["exp_avg"].tolist() for s in moments]
    assert checkpoint_state.read(saved)["step"] == 5


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    model, optimizer = small()
    for step in (2, 4, 6, 6, 8):
        checkpoint.save(tmp_path, step, model, optimizer, STATE, 2, ALONE)
    assert [path.name for path in checkpoint.complete(tmp_path)] == ["step-00000006", "step-00000008"]
    assert sorted(p.name for p in (tmp_path / checkpoint.FOLDER).iterdir()) == ["step-00000006", "step-00000008"]


def test_what_one_of_the_newest_would_export_is_kept_as_well(tmp_path: Path) -> None:
    """Also what the last but one would: a run goes on from it when the last is damaged."""
    model, optimizer = small()
    kept = []
    for step, exports in ((1, 1), (2, 1), (3, 1), (4, 1), (5, 5), (6, 5), (7, 5)):
        checkpoint.save(tmp_path, step, model, optimizer, {**STATE, "exports": exports}, 2, ALONE)
        kept.append([int(path.name[-8:]) for path in checkpoint.complete(tmp_path)])
    assert kept == [[1], [1, 2], [1, 2, 3], [1, 3, 4], [1, 4, 5], [5, 6], [5, 6, 7]]
    (tmp_path / checkpoint.FOLDER / "step-00000007" / "state.json").write_text("{}")
    checkpoint.save(tmp_path, 8, model, optimizer, {**STATE, "exports": 8}, 2, ALONE)
    assert [path.name[-1] for path in checkpoint.complete(tmp_path)] == ["7", "8"], "damaged: nothing goes on from it"


def test_weights_alone_come_back(tmp_path: Path) -> None:
    model, optimizer = small()
    saved = checkpoint.save(tmp_path, 5, model, optimizer, STATE, 2, ALONE)
    wanted = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    checkpoint.load_weights(saved, model, ALONE)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in model.state_dict().items())


def test_a_folder_without_its_state_or_of_another_name_is_no_checkpoint(tmp_path: Path) -> None:
    """Copies that were broken off, and copies that a person keeps beside the run's own."""
    model, optimizer = small()
    saved = checkpoint.save(tmp_path, 4, model, optimizer, STATE, 2, ALONE)
    for name in ("step-00000009", "step-00000004.old", "step-5", "step-000000050"):
        shutil.copytree(saved, saved.with_name(name))
    (saved.with_name("step-00000009") / "state.json").unlink()
    assert checkpoint.complete(tmp_path) == [saved]
    shutil.rmtree(saved.with_name("step-00000009"))
    saved.with_name("step-00000010").write_text("notes")
    assert checkpoint.newest_sound(tmp_path, IDENTITY, ALONE, pytest.fail) == (saved, checkpoint_state.read(saved))


@pytest.mark.parametrize("moment", ["weights", "state", "rename", "delete"])
def test_a_save_cut_short_leaves_only_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    model, optimizer = small()
    checkpoint.save(tmp_path, 1, model, optimizer, STATE, 1, ALONE)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if moment == "weights":
        monkeypatch.setattr(checkpoint.dcp, "save", die)
    elif moment == "state":
        monkeypatch.setattr(checkpoint, "_write", die)
    elif moment == "rename":
        monkeypatch.setattr(checkpoint.os, "replace", die)
    else:
        monkeypatch.setattr(checkpoint.shutil, "rmtree", die)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, 2, model, optimizer, STATE, 1, ALONE)
    monkeypatch.undo()
    wanted = "step-00000002" if moment == "delete" else "step-00000001"
    assert [path.name for path in checkpoint.complete(tmp_path)] == [wanted]
    checkpoint.load(checkpoint.complete(tmp_path)[-1], model, optimizer, ALONE)
    checkpoint.save(tmp_path, 3, model, optimizer, STATE, 1, ALONE)
    assert [p.name for p in (tmp_path / checkpoint.FOLDER).iterdir()] == ["step-00000003"], "leftovers are swept"


@pytest.mark.parametrize("keep", [1, 2])
def test_a_save_cut_short_at_any_touch_of_the_disk_leaves_a_sound_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    model, optimizer = small()

    def loads(output: Path) -> str:
        found = checkpoint.newest_sound(output, IDENTITY, ALONE, print)
        assert found is not None
        checkpoint.load(found[0], model, optimizer, ALONE)
        return found[0].name

    ends = []
    for last in range(1, 100):
        output = tmp_path / str(last)
        for step in (1, 2, 3):
            checkpoint.save(output, step, model, optimizer, STATE, keep + 1, ALONE)
        (output / checkpoint.FOLDER / "step-00000003" / ".metadata").write_bytes(b"")
        assert loads(output) == "step-00000002"
        with monkeypatch.context() as patch:
            touches = Touches(last)
            for place, name in ((os, "fsync"), (os, "replace"), (os, "rename"), (os, "rmdir"), (Path, "mkdir")):
                patch.setattr(place, name, touches.counted(getattr(place, name)))
            with suppress(KeyboardInterrupt):
                checkpoint.save(output, 3, model, optimizer, STATE, keep, ALONE)
        ends.append(loads(output))
        checkpoint.save(output, 4, model, optimizer, STATE, keep, ALONE)
        assert loads(output) == "step-00000004"
        assert len(list((output / checkpoint.FOLDER).iterdir())) == keep, "leftovers are swept"
        if touches.made < last:
            break
    assert ends == sorted(ends)
    assert set(ends) == {"step-00000002", "step-00000003"}
    assert len(ends) > 8


class Touches:
    """Calls of some functions; the one of that number raises instead, and all after it: the process is dead."""

    def __init__(self, last: int) -> None:
        self.made, self._last = 0, last

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.made += 1
            if self.made >= self._last:
                raise KeyboardInterrupt
            return function(*arguments, **named)

        return call


def test_other_settings_are_refused_with_every_difference(tmp_path: Path) -> None:
    model, optimizer = small()
    checkpoint.save(tmp_path, 1, model, optimizer, STATE, 1, ALONE)
    checkpoint.refuse_another_run(tmp_path, IDENTITY)
    other = {"settings": {"seed": 1, "optimizer": {"lr": 0.2}}, "data": "abc"}
    with pytest.raises(ValueError, match=r"settings.optimizer.lr: 0.1 there, 0.2 here; settings.seed: 0 there, 1 here"):
        checkpoint.refuse_another_run(tmp_path, other)


def test_a_checkpoint_of_other_data_is_refused(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "run", max_steps=2)
    encoder = Encoder.load(str(folder / "tokenizer"))
    write_preference(tmp_path / "other", encoder, 60, name="other")
    with pytest.raises(ValueError, match=r"a model dataset .* that differs in data"):
        run(folder, tmp_path / "run", max_steps=2, data=tmp_path / "other")
    shutil.rmtree(tmp_path / "run" / "export")  # as when the run was killed before its end
    with pytest.raises(ValueError, match=r"made with other data or settings.*data: "):
        run(folder, tmp_path / "run", max_steps=2, data=tmp_path / "other")


def test_sigkill_while_saving_and_training_leaves_a_run_that_ends_the_same(folder: Path, tmp_path: Path) -> None:
    often = {"checkpoint_every": 1, "keep_checkpoints": 2, "epochs": 3}
    wanted = load_file(run(folder, tmp_path / "whole", **often))
    output = tmp_path / "killed"
    command = [sys.executable, "-m", "trainers.preference", *arguments(folder, output, "preference", **often)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    saving = output / checkpoint.FOLDER
    until = time.monotonic() + 120
    while not (
        checkpoint.complete(output) and list(saving.glob("saving-*"))
    ):  # the second save, or later, is under way
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < until
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (output / "export" / "manifest.json").exists()
    found = load_file(run(folder, output, **often))
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert not list(saving.glob("saving-*"))
