"""Tries with models and tokenizers from outside: damaged, foreign, hostile, elsewhere; and no room for an export."""

from __future__ import annotations

import io
import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT
from benchmarks.try_forum import Forum, Outcome, Result, Tries, Try, emptied, last_line, wrong
from trainers import launch, preference
from trainers.configs import PreferenceConfig

_SHAPE = ("hidden_size=32", "layers=1", "heads=2", "kv_heads=1", "head_dim=16", "intermediate_size=64")
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"

_Spoil = Callable[[Path], object]


def _spoiled_models() -> Iterator[tuple[str, str, _Spoil]]:
    """What is done to a model's folder, and the file that must be named."""
    yield "weights cut to half", _WEIGHTS, lambda to: _cut(to / _WEIGHTS, 2)
    yield "weights cut to nothing", _WEIGHTS, lambda to: (to / _WEIGHTS).write_bytes(b"")
    yield "no weights", "safetensors", lambda to: (to / _WEIGHTS).unlink()
    yield "pickled weights alone", "safetensors", lambda to: (to / _WEIGHTS).rename(to / "pytorch_model.bin")
    yield "an index that names a missing file", _INDEX, _missing_part
    yield "an index that is no JSON", _INDEX, lambda to: (_missing_part(to), (to / _INDEX).write_text("{"))
    yield "config.json cut to half", "config.json", lambda to: _cut(to / "config.json", 2)
    yield "no config.json", "config.json", lambda to: (to / "config.json").unlink()
    yield "an unknown model_type", "config.json", lambda to: _set(to / "config.json", model_type="own")
    yield "no model_type", "config.json", lambda to: _set(to / "config.json", model_type=None)
    yield "code of its own", "config.json", lambda to: _set(to / "config.json", model_type="own", auto_map={"": "a.b"})
    yield "another width", "config.json", lambda to: _set(to / "config.json", hidden_size=64)
    yield "a width that is no number", "config.json", lambda to: _set(to / "config.json", hidden_size="x")
    yield "a smaller vocabulary", "model", lambda to: _set(to / "config.json", vocab_size=64)
    yield "an empty folder", "config.json", lambda to: [file.unlink() for file in to.iterdir()]
    yield "a file in its place", "model", lambda to: (shutil.rmtree(to), to.write_text("x"))


def _spoiled_tokenizers() -> Iterator[tuple[str, str, _Spoil]]:
    name = "tokenizer.json"
    yield "tokenizer.json cut to half", name, lambda to: _cut(to / name, 2)
    yield "no tokenizer.json", name, lambda to: (to / name).unlink()
    yield "a tokenizer.json that is a list", name, lambda to: (to / name).write_text("[]")
    yield "one nested too deeply", name, lambda to: (to / name).write_text("[" * 100_000)
    yield "added tokens that are none", name, lambda to: _set(to / name, added_tokens=[{"id": "a"}])
    yield "no added tokens", "tokenizer", lambda to: _set(to / name, added_tokens=[])
    yield "no model", name, lambda to: _set(to / name, model=None)
    yield "tokenizer_config.json cut to half", "tokenizer_config.json", lambda to: _cut(to / "tokenizer_config.json", 2)
    yield (
        "a stripping normalizer",
        "tokenizer",
        lambda to: _set(to / name, normalizer={"type": "Strip", "strip_left": True, "strip_right": True}),
    )


def _cut(file: Path, share: int) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // share])


def _set(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **values}))


def _missing_part(folder: Path) -> None:
    (folder / _WEIGHTS).unlink()
    (folder / _INDEX).write_text(json.dumps({"metadata": {}, "weight_map": {"model.norm.weight": "b.safetensors"}}))


def models(forum: Forum, seed: int) -> Tries:
    """A preference run that starts from such a folder ends with status 1 and one line that names the file."""
    for what, named, spoil in _spoiled_models():
        yield Try(f"init: {what}", partial(_spoiled, forum, "init", named, spoil))
    for what, named, spoil in _spoiled_tokenizers():
        yield Try(f"tokenizer: {what}", partial(_spoiled, forum, "tokenizer", named, spoil))
    elsewhere = ("nowhere", "someone/model", "someone/model@main", "https://example.com/model", "s3://bucket/model")
    for place in elsewhere:
        yield Try(f"init={place}", partial(_refused, forum, {"init": place}, place))
    yield Try("no room for the export", partial(_no_room, forum))


def _spoiled(forum: Forum, key: str, named: str, spoil: _Spoil) -> Result:
    whole = _model(forum) if key == "init" else forum.folder / "tokenizer"
    place = emptied(forum.folder / "tries") / "model"
    ours = ("manifest.json", "run.json")  # without which it is nobody's, and no checksum speaks before the reader
    shutil.copytree(whole, place, ignore=lambda _, names: [name for name in names if name in ours])
    spoil(place)
    return _refused(forum, {key: str(place)}, named)


def _refused(forum: Forum, given: dict[str, str], named: str) -> Result:
    output = forum.folder / "refused"
    shutil.rmtree(output, ignore_errors=True)
    status, said = _train(forum, output, given)
    told = said.strip().splitlines()
    if status != 1 or len(told) != 1 or named not in told[0]:
        return wrong(f"ended with {status} and {len(told)} lines: {last_line(said)}")
    return Result(Outcome.TOLD, told[0])


def _no_room(forum: Forum) -> Result:
    """Files of the export may not grow; what a run saved before is there, and is enough to finish it."""
    output = emptied(forum.folder / "tries")
    checkpoint = _model(forum).parent / "checkpoints" / "step-00000001" / "__0_0.distcp"
    shutil.copytree(checkpoint.parent, output / "checkpoints" / checkpoint.parent.name)
    size = (_model(forum) / _WEIGHTS).stat().st_size // 2
    done = subprocess.run(
        [sys.executable, "-m", "trainers.preference", *_arguments(forum, output, {})],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    told = last_line(done.stderr)
    if done.returncode != 1 or "Traceback" in done.stderr or str(output / "export") not in told:
        return wrong(f"ended with {done.returncode}: {told}")
    status, said = _train(forum, output, {})
    return Result(Outcome.TOLD, told) if status == 0 else wrong(f"a rerun failed: {last_line(said)}")


def _model(forum: Forum) -> Path:
    """A preference model that our own training made."""
    folder = forum.folder / "model"
    if not folder.exists():
        status, said = _train(forum, folder, {})
        assert status == 0, said
    return folder / "export"


def _train(forum: Forum, output: Path, given: dict[str, str]) -> tuple[int, str]:
    """A run of one step: its status, and what it said on errors."""
    said = io.StringIO()
    with redirect_stderr(said):
        status = launch.main(_arguments(forum, output, given), "", PreferenceConfig, "preference", preference.make_job)
    return status, said.getvalue()


def _arguments(forum: Forum, output: Path, given: dict[str, str]) -> list[str]:
    places = {"data": forum.folder / "preference", "tokenizer": forum.folder / "tokenizer", "output": output}
    settings = {**places, **given}
    shape = [f"model.{each}" for each in _SHAPE]
    return ["debug_cpu", "max_steps=1", *shape, *(f"{key}={value}" for key, value in settings.items())]
