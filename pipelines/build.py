"""A build: every step from a forum dump to a report, described by one file; unchanged steps are skipped.

Each step is a dataset that knows what it was made from, so the order below is all there is to schedule. Trainers run as
processes of their own (a pipeline loads no torch).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from pipelines import annotate, curriculum, ingest, pairs, report, tokenize, tokenizer
from pipelines.ingest import IngestSettings, Input
from pipelines.progress import progress, summary
from pipelines.tokenizer import TokenizerSettings
from transforms import places, strict_yaml
from transforms.ids import fingerprint
from transforms.langid import LanguageSettings
from transforms.minhash import MinHashSpec
from transforms.mix import Recipe
from transforms.pairs import PairRule
from transforms.shards import MANIFEST, RUN, load_manifest
from transforms.split import SplitSettings

TRAINERS = Path(__file__).parents[1] / "trainers"
SHOWN = {"pretrain": "pretrain/export", "preference": "preference_model/export"}


@dataclass(frozen=True)
class AnnotateSection:
    """What annotate is told: the fastText model file of the language layer, and the settings of the others."""

    language: str
    duplicates: MinHashSpec = field(default_factory=MinHashSpec)
    split: SplitSettings = field(default_factory=SplitSettings)

    def settings(self) -> annotate.AnnotateSettings:
        return annotate.AnnotateSettings(LanguageSettings(self.language), self.duplicates, self.split)


@dataclass(frozen=True)
class PairsSection:
    rule: str = "worldpm"  # a rule shipped by name, or a YAML file


@dataclass(frozen=True)
class CurriculumSection:
    recipe: str  # a recipe shipped by name, or a YAML file


@dataclass(frozen=True)
class TrainStep:
    """One training run: a configuration by name or file, how many processes, and settings that override the file's."""

    config: str
    processes: int = 1
    set: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainSection:
    pretrain: TrainStep | None = None
    preference: TrainStep | None = None


@dataclass(frozen=True)
class Build:
    """A build file. Places in it are relative to the folder the command runs in. Sections left out are not built."""

    output: str
    inputs: Sequence[Input]
    annotate: AnnotateSection
    ingest: IngestSettings = field(default_factory=IngestSettings)
    pairs: PairsSection | None = None
    tokenizer: TokenizerSettings | None = None
    curriculum: CurriculumSection | None = None
    train: TrainSection = field(default_factory=TrainSection)
    report: bool = True

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ValueError("inputs is empty: name at least one dump")
        for name, wanted in (("curriculum", self.tokenizer), ("train", self.tokenizer)):
            if getattr(self, name) not in (None, TrainSection()) and wanted is None:
                raise ValueError(f"the section {name} needs the section tokenizer")
        if self.train.pretrain and not self.curriculum:
            raise ValueError("train.pretrain needs the section curriculum")
        if self.train.preference and not self.pairs:
            raise ValueError("train.preference needs the section pairs")

    def place(self, name: str) -> str:
        return places.join(self.output, name)


@dataclass(frozen=True)
class Step:
    """A named piece of a build: the folder it fills, and what fills it (or finds it filled)."""

    name: str
    output: str
    run: Callable[[], object]


def load_build(place: str) -> Build:
    return strict_yaml.load(Build, place)


def steps(build: Build, workers: int, replace: bool) -> list[Step]:
    """The steps of a build in order. Each reads what those before it wrote."""
    documents, layers = build.place("documents"), build.place("layers")
    tokenizer_place, settings = build.place("tokenizer"), build.annotate.settings()
    found = [
        Step("ingest", documents, lambda: ingest.run(build.inputs, documents, build.ingest, workers, replace)),
        Step(
            "annotate",
            places.join(layers, settings.layers[-1]),
            lambda: annotate.run(documents, layers, settings, settings.layers, workers, replace),
        ),
    ]
    if build.pairs:
        rule = strict_yaml.load_named(PairRule, build.pairs.rule, pairs.RULES)
        output = build.place("pairs")
        found.append(Step("pairs", output, lambda: pairs.run(documents, layers, output, rule, workers, replace)))
    if build.tokenizer:
        found += _token_steps(build, build.tokenizer, documents, layers, tokenizer_place, workers, replace)
    found += _train_steps(build, replace)
    return found


def _token_steps(
    build: Build,
    settings: TokenizerSettings,
    documents: str,
    layers: str,
    tokenizer_place: str,
    workers: int,
    replace: bool,
) -> list[Step]:
    tokens, preference, shards = build.place("tokens"), build.place("preference"), build.place("curriculum")
    found = [
        Step(
            "tokenizer",
            tokenizer_place,
            lambda: tokenizer.run(documents, layers, tokenizer_place, settings, replace),
        ),
        Step(
            "tokenize documents",
            tokens,
            lambda: tokenize.run(documents, tokenizer_place, tokens, layers, workers, replace),
        ),
    ]
    if build.curriculum:
        recipe = strict_yaml.load_named(Recipe, build.curriculum.recipe, curriculum.RECIPES)
        found.append(
            Step("curriculum", shards, lambda: curriculum.run(tokens, layers, shards, recipe, workers, replace))
        )
    if build.pairs:
        pairs_place = build.place("pairs")
        found.append(
            Step(
                "tokenize pairs",
                preference,
                lambda: tokenize.run(pairs_place, tokenizer_place, preference, None, workers, replace),
            )
        )
    return found


def _train_steps(build: Build, replace: bool) -> list[Step]:
    found: list[Step] = []
    tokenizer_place = build.place("tokenizer")
    model, preference_model = build.place("pretrain"), build.place("preference_model")
    if build.train.pretrain:
        reads = {"data": build.place("curriculum"), "tokenizer": tokenizer_place}
        found.append(_process("pretrain", build, build.train.pretrain, reads, model, replace))
    if build.train.preference:
        reads = {"data": build.place("preference"), "tokenizer": tokenizer_place}
        if build.train.pretrain:
            reads["init"] = places.join(model, "export")
        found.append(_process("preference", build, build.train.preference, reads, preference_model, replace))
        reads = {"data": build.place("preference"), "model": places.join(preference_model, "export")}
        found.append(_process("evaluate", build, None, reads, build.place("evaluation"), replace))
    return found


# ------------------------------------------------------------------------------------- trainers, as processes


def _process(
    name: str, build: Build, step: TrainStep | None, reads: Mapping[str, str], output: str, replace: bool
) -> Step:
    shown = places.join(output, "export") if step else output

    def run() -> None:
        stamp = build.place(f"steps/{name}.json")
        settings = train_arguments(step, name)
        wanted = fingerprint([name, settings, {role: load_manifest(place).digest for role, place in reads.items()}])
        if _is_done(stamp, wanted, shown):
            return
        arguments = [*settings["arguments"], *(f"{role}={place}" for role, place in reads.items()), f"output={output}"]
        launch(name, arguments + (["replace=true"] if replace else []), step.processes if step else 1)
        done = {"fingerprint": wanted, "digest": load_manifest(shown).digest}
        places.write_atomically(stamp, json.dumps(done, sort_keys=True).encode())

    return Step(name, shown, run)


def train_arguments(step: TrainStep | None, name: str) -> dict[str, list[str]]:
    """A step's arguments, and the text of the configuration they name, which decides as well what is trained."""
    if step is None:
        return {"arguments": [], "config": []}
    shipped = TRAINERS / "configs" / name / f"{step.config}.yaml"
    text = shipped.read_text() if shipped.exists() else places.read_bytes(step.config).decode()
    overrides = [f"{key}={value}" for key, value in sorted(step.set.items())]
    return {"arguments": [step.config, *overrides], "config": [text]}


def _is_done(stamp: str, wanted: str, shown: str) -> bool:
    if not places.exists(stamp):
        return False
    done = json.loads(places.read_bytes(stamp))
    if done["fingerprint"] != wanted or not places.exists(places.join(shown, MANIFEST)):
        return False
    return bool(load_manifest(shown).digest == done["digest"])


def launch(name: str, arguments: Sequence[str], processes: int = 1) -> None:
    """Runs a trainer as a process, or as that many under torchrun. Raises ValueError when it fails; its own last
    lines, already on the terminal, say why."""
    python = [sys.executable, "-m"]
    if processes > 1:
        python += ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), "-m"]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}  # else torchrun warns; the configuration's `threads` decides
    status = subprocess.run([*python, f"trainers.{name}", *arguments], check=False, env=environment).returncode
    if status:
        raise ValueError(f"the step {name} ended with status {status}: see its message above, mend it and run again")


# ------------------------------------------------------------------------------------- running


def _finished_at(step: Step) -> bytes | None:
    run = places.join(step.output, RUN)
    return places.read_bytes(run) if places.exists(run) else None


def run(build: Build, console: Console, workers: int = 1, replace: bool = False) -> None:
    """Runs every step that is not up to date, then the report, and prints where everything is.

    Raises ValueError when a step refuses or fails; the steps before it stay, and the next run goes on from there.
    """
    found = steps(build, workers, replace)
    width = max(len(step.name) for step in found) + 2
    for step in found:
        before, started = _finished_at(step), time.monotonic()
        try:
            if step.name in SHOWN or step.name == "evaluate":  # they show their own progress
                console.print(f"{step.name} …")
                step.run()
            else:
                with progress(console, step.name, step.output):
                    step.run()
        except ValueError as error:
            error.add_note(f"in the step {step.name!r}")
            raise
        unchanged = before is not None and _finished_at(step) == before
        took = "unchanged, skipped" if unchanged else f"{time.monotonic() - started:.1f} s"
        console.print(f"[bold]{step.name:<{width}}[/]{took:<20} {summary(load_manifest(step.output))}", soft_wrap=True)
    if build.report:
        page = build.place("report.html")
        report.run(build.output, page)
    console.print()
    for step in found:
        console.print(f"  {step.name:<{width}}{step.output}")
    if build.report:
        console.print(f"  {'report':<{width}}{page}")
