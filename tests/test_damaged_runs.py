"""A run whose newest checkpoint was damaged ends with the bits of an undisturbed run, on one rank and on two."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training_data import arguments, write_all
from trainers import configs, launch, pretrain
from trainers.configs import PretrainConfig

ROOT = Path(__file__).parents[1]
OFTEN = {"checkpoint_every": 2, "keep_checkpoints": 100, "max_steps": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("damaged"))


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    return train(folder, folder / "whole", **OFTEN)


@pytest.fixture(scope="module")
def whole_on_two(folder: Path) -> Path:
    assert train_on_two(folder, folder / "whole-on-two").returncode == 0
    return folder / "whole-on-two"


def train(folder: Path, output: Path, **settings: object) -> Path:
    config = configs.load(PretrainConfig, "pretrain", arguments(folder, output, "pretrain", **settings))
    assert launch.run(config, pretrain.make_job) == 0
    return output


def train_on_two(folder: Path, output: Path) -> subprocess.CompletedProcess[str]:
    """With two gloo ranks. Connections may fail on a busy machine: then once more."""
    command = [sys.executable, "-m", "trainers.run", "--nproc-per-node", "2", "pretrain"]
    command += arguments(folder, output, "pretrain", **OFTEN)
    said = ""
    for _ in range(2):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
        said += done.stderr
        if done.returncode == 0 or "cannot resume" in done.stderr:
            return subprocess.CompletedProcess(command, done.returncode, done.stdout, said)
    raise AssertionError(said[-3000:])


def killed(run: Path, copy: Path) -> Path:
    """A run's folder as it was after its second save."""
    for step in (2, 4):
        shutil.copytree(run / "checkpoints" / f"step-{step:08d}", copy / "checkpoints" / f"step-{step:08d}")
    shutil.copy(run / "metrics.jsonl", copy)
    return copy


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def assert_the_same(found: Path, wanted: Path) -> None:
    tensors = [load_file(run / "export" / "model.safetensors") for run in (found, wanted)]
    assert tensors[0].keys() == tensors[1].keys()
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    lines: list[list[Any]] = [
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (found, wanted)
    ]
    assert {"kind": "resumed", "step": 2} in lines[0]
    assert not any(line["kind"] == "resumed" for line in lines[1])
    steps = [[(line["step"], line["loss"]) for line in found if line["kind"] == "train"] for found in lines]
    assert steps[0] == steps[1]
    assert [step for step, _ in steps[0]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", [".metadata", "__0_0.distcp", "state.json"])
def test_the_run_ends_as_if_nothing_had_happened(
    folder: Path, whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    copy = killed(whole, tmp_path / "copy")
    flip(copy / "checkpoints" / "step-00000004" / name)
    assert_the_same(train(folder, copy, **OFTEN), whole)
    told = capfd.readouterr().err
    assert f"step-00000004 is damaged ({name} " in told
    assert "going on from step-00000002" in told
    assert sorted(path.name for path in (copy / "checkpoints").iterdir()) == [
        *(f"step-{step:08d}" for step in (2, 4, 5)),
    ]


def test_two_ranks_go_back_together(folder: Path, whole_on_two: Path, tmp_path: Path) -> None:
    """The second rank alone sees the fault."""
    copy = killed(whole_on_two, tmp_path / "copy")
    flip(copy / "checkpoints" / "step-00000004" / "__1_0.distcp")
    done = train_on_two(folder, copy)
    assert done.returncode == 0
    assert "step-00000004 is damaged (__1_0.distcp has the hash " in done.stderr
    assert_the_same(copy, whole_on_two)


def test_one_rank_checks_the_files_of_two(folder: Path, whole_on_two: Path, tmp_path: Path) -> None:
    copy = killed(whole_on_two, tmp_path / "copy")
    flip(copy / "checkpoints" / "step-00000004" / "__1_0.distcp")
    (copy / "checkpoints" / "step-00000002" / "__1_0.distcp").unlink()
    with pytest.raises(ValueError, match=r"none .* is sound \(step-00000004: __1_0.distcp .*step-00000002: __1_0"):
        train(folder, copy, **OFTEN)


def test_two_ranks_are_refused_together(folder: Path, whole_on_two: Path, tmp_path: Path) -> None:
    copy = killed(whole_on_two, tmp_path / "copy")
    flip(copy / "checkpoints" / "step-00000004" / "__0_0.distcp")
    flip(copy / "checkpoints" / "step-00000002" / "__1_0.distcp")
    done = train_on_two(folder, copy)
    assert done.returncode != 0
    assert "none of its checkpoints is sound" in done.stderr
    assert not (copy / "export" / "manifest.json").exists()


def test_replace_trains_anew_where_none_is_sound(folder: Path, whole: Path, tmp_path: Path) -> None:
    copy = killed(whole, tmp_path / "copy")
    for step in (2, 4):
        flip(copy / "checkpoints" / f"step-{step:08d}" / "state.json")
    with pytest.raises(ValueError, match="pass replace=true"):
        train(folder, copy, **OFTEN)
    found = load_file(train(folder, copy, replace="true", **OFTEN) / "export" / "model.safetensors")
    wanted = load_file(whole / "export" / "model.safetensors")
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
