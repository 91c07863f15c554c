"""Whose a run's folder is, and what a run starts from: one trainer at a time, and nothing that is damaged."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines import build
from tests.test_training import metrics, train
from tests.training_data import write_all
from trainers import checkpoint
from transforms.datasets.checks import DamagedError
from transforms.datasets.lease import Lease, OwnedError
from transforms.datasets.manifest import load_manifest
from transforms.datasets.verify import find_problems


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("training"))


def test_two_trainers_do_not_go_on_in_one_folder(folder: Path, tmp_path: Path) -> None:
    export = tmp_path / "run" / "export"
    held = Lease.take(str(export), "f", [])
    with pytest.raises(OwnedError, match=f"{export} is being built by process {os.getpid()} on"):
        train(folder, tmp_path / "run", "pretrain")
    assert not (tmp_path / "run" / "checkpoints").exists()
    held.end()
    train(folder, tmp_path / "run", "pretrain")
    assert find_problems(str(export)) == []


def test_damaged_data_stops_a_run_before_anything_is_saved(folder: Path, tmp_path: Path) -> None:
    """Also in a shard that no step has come to."""
    data = tmp_path / "curriculum"
    shutil.copytree(folder / "curriculum", data)
    (*_, last) = sorted((data / "data").iterdir())
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    with pytest.raises(DamagedError, match=f"{data} is damaged: data/{last.name}"):
        train(folder, tmp_path / "run", "pretrain", data=str(data), max_steps=2, checkpoint_every=1)
    assert not list((tmp_path / "run").rglob("*.safetensors"))
    assert not list((tmp_path / "run").rglob("step-*"))


def test_a_damaged_model_is_not_started_from(folder: Path, tmp_path: Path) -> None:
    train(folder, tmp_path / "run", "pretrain")
    weights = tmp_path / "run" / "export" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DamagedError, match=r"export is damaged: model\.safetensors"):
        train(folder, tmp_path / "preference", "preference", init=str(weights.parent))
    with pytest.raises(ValueError, match=r"export is damaged: model\.safetensors .*--replace"):
        train(folder, tmp_path / "run", "pretrain")


@pytest.mark.parametrize("damage", ["flip", "cut", "manifest", None])
def test_a_build_takes_no_damaged_model_for_a_finished_one(damage: str | None, folder: Path, tmp_path: Path) -> None:
    train(folder, tmp_path / "run", "pretrain")
    export = tmp_path / "run" / "export"
    stamp = tmp_path / "steps.json"
    stamp.write_text(json.dumps({"fingerprint": "f", "digest": load_manifest(str(export)).digest}))
    weights = export / "model.safetensors"
    content = bytearray(weights.read_bytes())
    if damage == "flip":
        content[-5] ^= 1
    weights.write_bytes(content[:1000] if damage == "cut" else content)
    if damage == "manifest":
        (export / "manifest.json").write_bytes(b"{")
    assert build._is_done(str(stamp), "f", str(export)) is (damage is None)
    assert not build._is_done(str(stamp), "g", str(export))
    stamp.write_bytes(b"{")
    assert not build._is_done(str(stamp), "f", str(export))


def test_a_preempted_run_goes_on_when_it_is_told_to_replace(folder: Path, tmp_path: Path) -> None:
    """Its own checkpoints are none that are to be replaced; those of another configuration are."""
    train(folder, tmp_path / "whole", "pretrain", checkpoint_every=2)
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "export")
    train(folder, tmp_path / "run", "pretrain", checkpoint_every=2, replace="true")
    lines = metrics(tmp_path / "run")
    assert [line["kind"] for line in lines].count("resumed") == 1
    train(folder, tmp_path / "run", "pretrain", checkpoint_every=2, replace="true", seed=5)
    assert [line["kind"] for line in metrics(tmp_path / "run")].count("resumed") == 0
    assert find_problems(str(tmp_path / "run" / "export")) == []


def test_a_trainer_that_lost_its_folder_saves_nothing_more(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = checkpoint.save
    saved: list[int] = []

    def taken_over(output: Path, step: int, *rest: Any) -> Path:
        saved.append(step)
        (marker,) = (output / "export" / "building").glob("*.json")
        shutil.copy(marker, marker.with_name("000009.json"))  # a process elsewhere goes on
        return save(output, step, *rest)

    monkeypatch.setattr(checkpoint, "save", taken_over)
    with pytest.raises(ValueError, match="another process has taken over this build"):
        train(folder, tmp_path / "run", "pretrain", checkpoint_every=1)
    assert saved == [1]


def test_a_run_of_another_configuration_is_refused_and_leaves_the_first_as_it_was(folder: Path, tmp_path: Path) -> None:
    train(folder, tmp_path / "run", "pretrain", checkpoint_every=2)
    shutil.rmtree(tmp_path / "run" / "export")
    with pytest.raises(ValueError, match="seed"):
        train(folder, tmp_path / "run", "pretrain", checkpoint_every=2, seed=5)
    train(folder, tmp_path / "run", "pretrain", checkpoint_every=2)
    assert find_problems(str(tmp_path / "run" / "export")) == []
