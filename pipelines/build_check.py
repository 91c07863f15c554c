"""What the values of a build file must find before the first step runs: files, models, settings that trainers take.

Every error begins with the key that it is about.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipelines import curriculum, pairs
from pipelines.build_file import BuildFile, ExistingTokenizer
from tokenizer.encoder import Encoder
from transforms.curriculum.mix import Recipe
from transforms.datasets import places, strict_yaml
from transforms.datasets.dataset import check_folder
from transforms.datasets.names import MANIFEST
from transforms.datasets.settings import SettingError
from transforms.layers.kinds import LAYERS
from transforms.pairs.rule import PairRule
from transforms.sources.mapping import RowMapping

_RELATIVE = "places are relative to the folder the command runs in"


@dataclass(frozen=True)
class Named:
    """What a build file names by name or place, as it was read."""

    rule: PairRule | None
    recipe: Recipe | None


def check(build: BuildFile) -> Named:
    """Reads what the file names. Raises ValueError for whatever a later step would miss or refuse of it."""
    if places.exists(build.output) and not places.is_folder(build.output):
        raise ValueError(f"output: {build.output} is a file; name a folder")
    _check_inputs(build)
    _check_layers(build)
    rule = recipe = None
    if build.pairs:
        with _about("pairs.rule"):
            rule = strict_yaml.load_named(PairRule, build.pairs.rule, pairs.RULES)
    if isinstance(build.tokenizer, ExistingTokenizer):
        with _about("tokenizer.path"):
            check_folder(build.tokenizer.path)
            Encoder.load(build.tokenizer.path)
    if build.curriculum:
        with _about("curriculum.recipe"):
            recipe = strict_yaml.load_named(Recipe, build.curriculum.recipe, curriculum.RECIPES)
    _check_training(build)
    return Named(rule, recipe)


@contextmanager
def _about(key: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _check_inputs(build: BuildFile) -> None:
    named: dict[str, str | None] = {f"inputs[{number}].path": item.path for number, item in enumerate(build.inputs)}
    named |= {"ingest.author_secret": build.ingest.author_secret, "ingest.remove_list": build.ingest.remove_list}
    for key, place in named.items():
        if place is not None and not places.exists(place):
            raise ValueError(f"{key}: there is no {place}; {_RELATIVE}")
    for number, item in enumerate(build.inputs):
        if item.mapping is not None:
            with _about(f"inputs[{number}].mapping"):
                strict_yaml.load(RowMapping, item.mapping)


def _check_layers(build: BuildFile) -> None:
    for name, layer in LAYERS.items():
        place = places.join(build.place("layers"), name)
        if name in build.layers:
            try:
                layer.identity(build.layers[name])
            except SettingError as error:
                raise ValueError(f"annotate.{name}.{error}; {_RELATIVE}") from error
            except ValueError as error:
                raise ValueError(f"annotate.{name}: {error}; {_RELATIVE}") from error
        elif layer.for_readers and places.exists(places.join(place, MANIFEST)):
            raise ValueError(
                f"annotate: a {name} layer stands at {place}, so that pairs and tokens would heed it, but the build "
                f"does not name it; add `{name}` to the section annotate, or remove the folder"
            )


def _check_training(build: BuildFile) -> None:
    """A trainer's settings are its own: a process that has them, and no torch, checks them."""
    for name, run in build.train.runs.items():
        if run.init is not None and not _is_model(run.init):
            raise ValueError(
                f"train.{name}.init: {run.init} is no model: wanted a folder with config.json and safetensors, such as "
                f"the export/ of a pretraining run; {_RELATIVE}"
            )
    if not build.train.runs:
        return
    arguments = {name: run.arguments() for name, run in build.train.runs.items()}
    processes = {name: run.processes for name, run in build.train.runs.items()}
    command = [sys.executable, "-m", "trainers.check", json.dumps(arguments), json.dumps(processes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout or done.stderr).strip()
        raise ValueError(said or f"train: {' '.join(command[1:3])} ended with status {done.returncode}")


def _is_model(place: str) -> bool:
    files = places.list_files(place)
    return "config.json" in files and any(file.endswith(".safetensors") for file in files)
