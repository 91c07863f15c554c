"""Nothing in a checkpoint can run code, even where every hash is right: whoever forges a file can hash it, too."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint import FileSystemReader, filesystem
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING, Metadata

from tests.training_data import arguments, write_all
from trainers import checkpoint, checkpoint_state, model, pretrain
from trainers.checkpoint_state import STATE
from trainers.configs import ModelShape
from trainers.dcp_reader import METADATA, Reader, _Unpickler, read_metadata
from trainers.parallel import Ranks

ALONE = Ranks(0, 1, torch.device("cpu"), None)
OWN: dict[str, Any] = {"identity": {"seed": 0}, "loader": {}, "skipped": 0, "ranks": 1, "exports": 0, "selection": {}}


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return open, (str(self.marker), "w")


def small() -> tuple[torch.nn.Module, torch.optim.AdamW]:
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return layer, optimizer


def forge(saved: Path, metadata: object) -> None:
    """Another table of contents, with its hash in a state whose digest is right."""
    (saved / METADATA).write_bytes(pickle.dumps(metadata))
    restate(saved)


def restate(saved: Path) -> None:
    state = json.loads((saved / STATE).read_text())
    (saved / STATE).unlink()
    files = checkpoint_state.record(saved, 0, 1)
    (saved / STATE).write_bytes(checkpoint_state.text(state, state["step"], files))


def table(saved: Path) -> Metadata:
    with (saved / METADATA).open("rb") as file:
        return pickle.load(file)  # it was written by this test


@pytest.mark.parametrize("where", ["all", "planner_data", "storage_meta", "version", "a key"])
def test_hostile_metadata_is_refused_and_not_run(tmp_path: Path, where: str) -> None:
    """Refused, not passed over: somebody was at the run's folder."""
    layer, optimizer = small()
    saved = [checkpoint.save(tmp_path, step, layer, optimizer, OWN, 9, ALONE) for step in (3, 6)][-1]
    marker = tmp_path / "marker"
    contents: Any = table(saved)
    if where == "all":
        contents = Evil(marker)
    elif where == "a key":
        contents.state_dict_metadata[Evil(marker)] = contents.state_dict_metadata["model.weight"]
    else:
        setattr(contents, where, Evil(marker))
    forge(saved, contents)
    pickle.loads((saved / METADATA).read_bytes())
    assert marker.exists(), "a reader without limits runs it"
    marker.unlink()
    found = checkpoint.newest_sound(tmp_path, OWN["identity"], ALONE, print)
    assert found is not None
    assert found[0] == saved, "its hashes are right"
    with pytest.raises(ValueError, match=rf"{METADATA} is refused: it names .*open, which has no place"):
        checkpoint.load(saved, layer, optimizer, ALONE)
    assert not marker.exists()


@pytest.mark.parametrize("payload", ["value", "tensor"])
def test_hostile_values_and_tensors_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, payload: str) -> None:
    layer, optimizer = small()
    marker = tmp_path / "marker"
    if payload == "value":
        get_state_dict = checkpoint.get_state_dict

        def with_evil(*_: object) -> object:
            weights, moments = get_state_dict(layer, optimizer)
            return weights, {**moments, "param_groups": [{**moments["param_groups"][0], "lr": Evil(marker)}]}

        monkeypatch.setattr(checkpoint, "get_state_dict", with_evil)
    else:
        save = torch.save
        monkeypatch.setattr(filesystem.torch, "save", lambda data, file: save(Evil(marker), file))
    saved = checkpoint.save(tmp_path, 3, layer, optimizer, OWN, 9, ALONE)
    monkeypatch.undo()
    name = "optimizer.param_groups.0.lr" if payload == "value" else "model.weight"
    (at,) = [info for index, info in table(saved).storage_data.items() if index.fqn == name]
    data = (saved / at.relative_path).read_bytes()[at.offset : at.offset + at.length]
    torch.load(io.BytesIO(data), weights_only=False)
    assert marker.exists(), "a reader without limits runs it"
    marker.unlink()
    with pytest.raises(RuntimeError, match=r"step-00000003 could not be loaded: it holds what is no plain data"):
        checkpoint.load(saved, layer, optimizer, ALONE)
    assert not marker.exists()


@pytest.mark.parametrize("place", ["../../../secret.distcp", "/dev/zero", "__1_0.distcp"])
def test_a_file_that_was_not_verified_is_not_read(tmp_path: Path, place: str) -> None:
    layer, optimizer = small()
    saved = checkpoint.save(tmp_path, 3, layer, optimizer, OWN, 9, ALONE)
    contents = table(saved)
    next(iter(contents.storage_data.values())).relative_path = place
    forge(saved, contents)
    with pytest.raises(ValueError, match=rf"points to {place}, which is no file of the checkpoint"):
        checkpoint.load(saved, layer, optimizer, ALONE)


@pytest.mark.parametrize("contents", [None, 7, [], Metadata({}), Metadata({}, storage_data={})])
def test_metadata_that_describes_nothing_is_an_error_of_one_line(tmp_path: Path, contents: object) -> None:
    layer, optimizer = small()
    saved = checkpoint.save(tmp_path, 3, layer, optimizer, OWN, 9, ALONE)
    forge(saved, contents)
    with pytest.raises((ValueError, RuntimeError), match=r"^[^\n]*step-00000003[^\n]*$"):
        checkpoint.load(saved, layer, optimizer, ALONE)


def test_a_whole_run_refuses_a_hostile_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_all(tmp_path / "data")
    given = arguments(folder, tmp_path / "run", "pretrain", max_steps=2)
    monkeypatch.setattr(pretrain.sys, "argv", ["pretrain", *given])
    assert pretrain.main() == 0
    shutil.rmtree(tmp_path / "run" / "export")
    forge(tmp_path / "run" / "checkpoints" / "step-00000002", Evil(tmp_path / "marker"))
    capfd.readouterr()
    assert pretrain.main() == 1
    told = capfd.readouterr().err
    assert "is refused" in told
    assert "Traceback" not in told
    assert not (tmp_path / "marker").exists()


def test_all_that_dcp_writes_is_read(tmp_path: Path) -> None:
    """Number types, ranks' shards and Python's own ways to write an enum."""

    class Many(torch.nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 4)
            for number, dtype in enumerate((torch.bfloat16, torch.float64, torch.int64, torch.bool, torch.uint8)):
                self.register_buffer(f"buffer{number}", torch.ones(3, dtype=dtype))

    layer = Many()
    optimizer = torch.optim.AdamW(layer.parameters())
    saved = checkpoint.save(tmp_path, 3, layer, optimizer, OWN, 9, ALONE)
    found = read_metadata(saved, ["__0_0.distcp"])
    wanted = FileSystemReader(saved).read_metadata()
    assert (found.state_dict_metadata, found.storage_data) == (wanted.state_dict_metadata, wanted.storage_data)
    assert Reader(saved, found).read_metadata() is found
    checkpoint.load(saved, layer, optimizer, ALONE)


class ByName:
    """As Python 3.11.0 to 3.11.3 pickle a member of an enum."""

    def __init__(self, of: object, name: str) -> None:
        self.of, self.name = of, name

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return getattr, (self.of, self.name)


def test_getattr_gives_members_of_enums_alone() -> None:
    def read(value: object) -> object:
        return _Unpickler(io.BytesIO(pickle.dumps(value))).load()

    contiguous: Enum = _MEM_FORMAT_ENCODING.TORCH_CONTIGUOUS_FORMAT
    assert read(ByName(_MEM_FORMAT_ENCODING, contiguous.name)) is contiguous
    for of, name in ((Metadata, "__init__"), (torch.Size, "__reduce__"), (_MEM_FORMAT_ENCODING, "__class__")):
        with pytest.raises((pickle.UnpicklingError, KeyError)):
            read(ByName(of, name))


@pytest.mark.parametrize("name", ["torch.load", "torch.float32.__class__", "builtins.eval", "torch.serialization.load"])
def test_only_dcp_s_own_names_are_known(name: str) -> None:
    module, _, last = name.rpartition(".")
    with pytest.raises(pickle.UnpicklingError, match="has no place"):
        _Unpickler(io.BytesIO()).find_class(module, last)
    with pytest.raises(pickle.UnpicklingError, match="has no place"):
        _Unpickler(io.BytesIO()).find_class(*name.split(".", 1))


def test_a_model_to_start_from_is_read_from_safetensors_alone(tmp_path: Path) -> None:
    shape = ModelShape(hidden_size=32, layers=1, heads=2, kv_heads=1, head_dim=16, intermediate_size=64)
    model.language_model(shape, 300, 0, 1, 0).hf.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(Evil(tmp_path / "marker"), tmp_path / "pytorch_model.bin")
    for build in (model.language_model, model.reward_model):
        with pytest.raises(ValueError, match="Only safetensors are read"):
            build(shape, 300, 0, 1, 0, str(tmp_path))
    assert not (tmp_path / "marker").exists()


def test_a_model_s_own_code_is_not_run(tmp_path: Path) -> None:
    classes = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": classes}))
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')\n")
    for build in (model.language_model, model.reward_model):
        with pytest.raises(ValueError, match=r"the model_type 'own', .*the code that comes with a model is never run"):
            build(ModelShape(), 300, 0, 1, 0, str(tmp_path))
    assert not (tmp_path / "marker").exists()
