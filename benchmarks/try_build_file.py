"""Tries on a build file: each key misspelt, of another type, or of a value that cannot be.

All must be told before any step, by the key's name: nothing is written.
"""

from __future__ import annotations

import copy
import random
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.try_forum import Forum, Outcome, Result, Try, wrong
from pipelines import build
from pipelines.build_file import BuildFile, ExistingTokenizer, TrainRun
from tests.conftest import LID_MODEL, ROOT
from trainers.configs import PreferenceConfig, PretrainConfig
from transforms.datasets import strict_yaml
from transforms.datasets.standing import Existing
from transforms.layers.kinds import LAYERS
from transforms.sources.inputs import Input

_TRAINERS = {"pretrain": PretrainConfig, "preference": PreferenceConfig}
_NOT_SET = ("data", "tokenizer", "output", "init", "replace", "keep")  # of a trainer: the build's own
# Values of the right type that cannot be.
_CANNOT_BE: Mapping[str, object] = {
    "output": "",
    "inputs": [],
    "inputs.0.path": "no/such/dump",
    "inputs.0.source": "beer",
    "inputs.0.mapping": "no/such/mapping.yaml",
    "ingest.num_shards": 0,
    "ingest.max_record_bytes": -1,
    "ingest.range_bytes": 0,
    "ingest.author_secret": "no/such/secret",
    "ingest.max_drop_rate": 1.5,
    "ingest.headless_threads": "keeep",
    "ingest.max_thread_posts": 0,
    "ingest.limits.max_ratio": 0.5,
    "ingest.limits.max_unpacked_bytes": 0,
    "ingest.remove_list": "no/such/list",
    "ingest.memory": "much",
    "annotate.language": "no/such/model.ftz",
    "annotate.duplicates.bands": 0,
    "annotate.split.holdout": 1.0,
    "pairs.rule": "worldmp",
    "tokenizer.vocab_size": 9,
    "tokenizer.alpha": 2,
    "tokenizer.sample_bytes": 0,
    "tokenizer.document_bytes": 0,
    "tokenizer.validation_bytes": 0,
    "tokenizer.character_coverage": 0.5,
    "tokenizer": {"path": "no/such/tokenizer"},
    "curriculum.recipe": "polyln",
    "train.pretrain.config": "debug_gpu",
    "train.preference.processes": 0,
    "train.preference.set.row_tokens": 9,
    "train.preference.set.sequence_tokens": 2,
    "train.preference.set.optimizer.lr": 0,
    "train.preference.set.optimizer.clip": -1,
    "train.preference.set.schedule.warmup": 2,
    "train.preference.set.output": "elsewhere",
    "train.preference.init": "no/such/model",
    "train.pretrain.set.model.heads": 0,
    "train.pretrain.set.model.layers": 0,
    "train.pretrain.set.parallel.replicate": 0,
    "train.pretrain.set.global_sequences": 0,
    "train.pretrain.set.keep_checkpoints": 0,
}


def build_file(forum: Forum, seed: int) -> Iterator[Try]:
    """The file as it is, and every way to spoil one key of it."""
    whole = _whole(forum)
    yield Try("as it is", lambda: _taken(whole))
    for path, kind in keys(BuildFile, ()):
        yield from _spoilt(whole, path, kind, seed)
    for name, value in _CANNOT_BE.items():
        path = tuple(name.split("."))
        yield _refused(f"{name}: {value!r}", _set(whole, path, value), [_dotted(path).split("[")[0]])


def _spoilt(whole: Mapping[str, Any], path: tuple[str, ...], kind: object, seed: int) -> Iterator[Try]:
    misspelt = path[-1] + "".join(random.Random(f"{seed} {path}").sample("qxyz", 2))
    above = [name for name in path[:-1] if not name.isdigit()]
    yield _refused(f"{'.'.join(path)} misspelt", _renamed(whole, path, misspelt), [repr(misspelt), *above])
    other: object = ["a list"] if kind is not list else "no list"
    yield _refused(f"{'.'.join(path)} of another type", _set(whole, path, other), [_dotted(path)])


def _refused(name: str, values: Mapping[str, Any], named: list[str]) -> Try:
    """A try whose error must name these."""
    return Try(name, lambda: _told(values, named))


def _whole(forum: Forum) -> dict[str, Any]:
    return {
        "output": str(forum.folder.parent / "never"),
        "inputs": [{"path": str(forum.folder / "dump" / "forum"), "source": "stackexchange", "site": "golden.example"}],
        "ingest": {"author_secret": str(ROOT / "examples" / "author_secret.txt")},
        "annotate": {"language": {"model": str(LID_MODEL)}, "duplicates": {}, "split": {}},
        "pairs": {"rule": "worldpm"},
        "tokenizer": {"vocab_size": 1600},
        "curriculum": {"recipe": "demo"},
        "train": {name: {"config": "debug_cpu"} for name in _TRAINERS},
    }


def keys(kind: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every key of a dataclass and of those within it, with what its value is: list, or anything else."""
    hints = typing.get_type_hints(kind)
    for field in fields(kind):
        path, hint = (*above, field.name), hints[field.name]
        known = [hint, *typing.get_args(hint)]
        is_list = Input in known
        if kind in _TRAINERS.values() and field.name in _NOT_SET:
            continue
        yield path, list if is_list else hint
        for part in known:
            if is_dataclass(part) and part is not ExistingTokenizer:
                yield from keys(part, (*path, "0") if is_list else path)
        if path == ("annotate",):
            for name, layer in LAYERS.items():
                yield from keys(layer.settings, (*path, name))
        if kind is TrainRun and field.name == "set":
            yield from keys(_TRAINERS[above[-1]], path)


def _set(whole: Mapping[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """The file with another value at a key, and sections on the way to it where it has none."""
    changed = copy.deepcopy(dict(whole))
    at: Any = changed
    for key in path[:-1]:
        at = at[int(key)] if key.isdigit() else at.setdefault(key, {})
    at[path[-1]] = value
    return changed


def _renamed(whole: Mapping[str, Any], path: tuple[str, ...], name: str) -> dict[str, Any]:
    """The file with a key under another name."""
    changed = _set(whole, (*path[:-1], name), 1)
    at: Any = changed
    for key in path[:-1]:
        at = at[int(key)] if key.isdigit() else at[key]
    at[name] = at.pop(path[-1], 1)
    return changed


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(path).replace(".0", "[0]")


def _steps(values: Mapping[str, Any]) -> list[build.BuildStep]:
    text = yaml.safe_dump(dict(values))
    return build.steps(strict_yaml.parse(BuildFile, text, "build.yaml"), 1, Existing.REFUSE)


def _taken(values: Mapping[str, Any]) -> Result:
    try:
        _steps(values)
    except ValueError as error:
        return wrong(f"refused: {error}")
    return Result(Outcome.UNDISTURBED)


def _told(values: Mapping[str, Any], named: list[str]) -> Result:
    try:
        _steps(values)
    except ValueError as error:
        told = str(error)
        if missing := [name for name in named if name not in told]:
            return wrong(f"does not name {missing}: {told}")
        if values.get("output") and Path(str(values["output"])).exists():
            return wrong(f"something was written: {told}")
        return Result(Outcome.TOLD, told)
    return wrong("was taken")
