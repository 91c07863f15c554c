"""A build file: its sections and keys (docs/build_files.md), and what their values rule out by themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.ingest_plan import IngestSettings
from pipelines.tokenizer import TokenizerSettings
from transforms.datasets import places
from transforms.datasets.settings import SettingError
from transforms.layers import kinds
from transforms.layers.kinds import LAYERS
from transforms.sources.inputs import Input

_NEEDED = ("language", "duplicates", "split")  # layers that pairs and curricula are made with
_OF_THE_BUILD = ("data", "tokenizer", "output", "replace", "keep")  # a trainer's settings that the build gives it


@dataclass(frozen=True)
class PairsSection:
    """What pairs are made by."""

    rule: str = "worldpm"  # a rule shipped by name, or a YAML file


@dataclass(frozen=True)
class ExistingTokenizer:
    """A tokenizer that is there already, in place of one that the build trains."""

    path: str  # folder of a tokenizer dataset, or of any Hugging Face tokenizer that `agora tokenize` takes


@dataclass(frozen=True)
class CurriculumSection:
    """What a curriculum is made by."""

    recipe: str  # a recipe shipped by name, or a YAML file


@dataclass(frozen=True)
class TrainRun:
    """One training run: a configuration by name or file, how many processes, settings that override the file's, and
    the folder of a model to start from."""

    config: str
    processes: int = 1
    set: Mapping[str, object] = field(default_factory=dict)
    init: str | None = None

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise SettingError("processes", f"must be at least 1, got {self.processes}")
        keys = [key for key, _ in _flat(self.set)]
        if empty := [key for key, value in _flat(self.set) if value == {}]:
            raise SettingError(f"set.{empty[0]}", "is empty; name one of its settings, or leave it out")
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise SettingError("set", f"names {twice[0]} twice; leave one of them out")
        for key in keys:
            if key.partition(".")[0] in _OF_THE_BUILD:
                raise SettingError(f"set.{key}", "is what the build decides, from its own sections; leave it out")
            if key.partition(".")[0] == "init":
                raise SettingError("set.init", "has a key of its own: write init beside config")

    def arguments(self) -> list[str]:
        """What a trainer is told: the configuration and the settings, as key=value with the value as JSON."""
        values = [(key, json.dumps(value, default=str, ensure_ascii=False)) for key, value in sorted(_flat(self.set))]
        return [self.config, *(f"{key}={value}" for key, value in values)]


def _flat(values: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys and their values. A section gives some of its keys, and the configuration the others."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


@dataclass(frozen=True)
class TrainSection:
    """The models to train; those left out are not."""

    pretrain: TrainRun | None = None
    preference: TrainRun | None = None

    @property
    def runs(self) -> dict[str, TrainRun]:
        """Those that are there, by name."""
        found = {"pretrain": self.pretrain, "preference": self.preference}
        return {name: run for name, run in found.items() if run is not None}


@dataclass(frozen=True)
class BuildFile:
    """A build file. Places in it are relative to the folder the command runs in. Sections left out are not built."""

    output: str
    inputs: Sequence[Input]
    annotate: Mapping[str, object]  # settings by layer
    ingest: IngestSettings = field(default_factory=IngestSettings)
    pairs: PairsSection | None = None
    tokenizer: TokenizerSettings | ExistingTokenizer | None = None
    curriculum: CurriculumSection | None = None
    train: TrainSection = field(default_factory=TrainSection)
    report: bool = True

    def __post_init__(self) -> None:
        if not self.output:
            raise SettingError("output", "is empty text, which would be this folder")
        if not self.inputs:
            raise SettingError("inputs", "is empty: name at least one dump")
        layers = self.layers
        needed = [("pairs and tokens are", name) for name in _NEEDED if self.pairs or self.tokenizer]
        for layer, settings in layers.items():
            needed += [(f"the {layer} layer is", name) for name in LAYERS[layer].needs(settings)]
        for what, name in needed:
            if name not in layers:
                how = f"name its {kinds.first_setting(name)}" if kinds.must_be_told(name) else f"add `{name}: {{}}`"
                problem = f"is missing: {what} made with the {name} layer; {how}. {LAYERS[name].hint}"
                raise SettingError(f"annotate.{name}", problem.rstrip())
        for name in ("curriculum", "train"):
            if getattr(self, name) not in (None, TrainSection()) and self.tokenizer is None:
                raise SettingError(name, "needs the section tokenizer")
        self._check_training()

    def _check_training(self) -> None:
        train = self.train
        if train.pretrain and not self.curriculum:
            raise SettingError("train.pretrain", "needs the section curriculum")
        if train.preference and not self.pairs:
            raise SettingError("train.preference", "needs the section pairs")
        if train.runs and "://" in self.output:
            raise SettingError(
                "output", f"{self.output} is a URL, and training runs write to a mounted folder: leave out train, or "
                "build into a folder"
            )  # fmt: skip
        if train.pretrain and train.preference and train.preference.init:
            raise SettingError(
                "train.preference.init", "stands beside train.pretrain: the preference model starts from one of the "
                "two; leave the other out"
            )  # fmt: skip
        for name, run in train.runs.items():
            if run.init and not isinstance(self.tokenizer, ExistingTokenizer):
                raise SettingError(
                    f"train.{name}.init", "names a model, which knows the ids of its own tokenizer alone: name that "
                    "tokenizer too, as tokenizer: {path: …}"
                )  # fmt: skip

    @property
    def layers(self) -> dict[str, Any]:
        """The settings of the layers that are built. Raises ValueError for unknown ones."""
        return kinds.settings_of(self.annotate, "", "annotate")

    @property
    def tokenizer_place(self) -> str:
        """Of the tokenizer that texts are encoded with."""
        return self.tokenizer.path if isinstance(self.tokenizer, ExistingTokenizer) else self.place("tokenizer")

    def place(self, name: str) -> str:
        """Of a part of the build, below its output."""
        return places.join(self.output, name)
