"""A build: every step from a forum dump to a report, described by one file; unchanged steps are skipped.

Each step is a dataset that knows what it was made from, so the order below is all there is to schedule. Trainers run as
processes of their own (a pipeline loads no torch).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pipelines import annotate, curriculum, headless, ingest, log, pairs, tokenize, tokenizer
from pipelines.build_check import check
from pipelines.build_file import BuildFile, TrainRun
from pipelines.command import Keep, Replace, Told, Trust, Workers, console, run_command
from pipelines.local import stops
from pipelines.progress import Runs, progress, summary
from pipelines.report import page as report
from pipelines.tokenizer import TokenizerSettings
from pipelines.train import launch, told
from transforms.curriculum.mix import Recipe
from transforms.datasets import places, strict_json, strict_yaml
from transforms.datasets.ids import fingerprint
from transforms.datasets.manifest import UnreadableError, load_manifest
from transforms.datasets.names import MANIFEST
from transforms.datasets.settings import SettingError
from transforms.datasets.standing import Existing, damage
from transforms.datasets.step import EVALUATION, MODEL

_EXAMPLE = Path(__file__).parents[1] / "examples" / "demo.yaml"
_TRAINERS = Path(__file__).parents[1] / "trainers"


@dataclass(frozen=True)
class BuildStep:
    """A named piece of a build: the dataset it makes (or datasets, by name), and what makes them or finds them made."""

    name: str
    outputs: Mapping[str, str]
    run: Callable[[], object]
    speaks: bool = False  # a trainer: it shows its own progress
    notes: Callable[[], Iterable[str]] = tuple  # what else a user should know of it


def _one(name: str, output: str, run: Callable[[], object]) -> BuildStep:
    return BuildStep(name, {name: output}, run)


def steps(build: BuildFile, workers: int, existing: Existing) -> list[BuildStep]:
    """The steps of a build in order. Each reads what those before it wrote.

    Raises ValueError, naming the key, for a value of the file that one of them would refuse.
    """
    named = check(build)
    documents, layers, settings = build.place("documents"), build.place("layers"), build.layers
    found = [
        BuildStep(
            "ingest",
            {"ingest": documents},
            lambda: ingest.run(build.inputs, documents, build.ingest, workers, existing),
            notes=lambda: ingest.notes(load_manifest(documents), documents, build.ingest),
        ),
        BuildStep(
            "annotate",
            {name: places.join(layers, name) for name in settings},
            lambda: annotate.run(documents, layers, settings, workers, existing),
        ),
    ]
    if (rule := named.rule) is not None:
        output = build.place("pairs")
        found.append(
            BuildStep(
                "pairs",
                {"pairs": output},
                lambda: pairs.run(documents, layers, output, rule, workers, existing),
                notes=lambda: headless.of_pairs(load_manifest(output), load_manifest(documents)),
            )
        )
    if build.tokenizer:
        found += _token_steps(build, named.recipe, documents, layers, workers, existing)
    found += _train_steps(build, existing)
    return found


def _token_steps(
    build: BuildFile, recipe: Recipe | None, documents: str, layers: str, workers: int, existing: Existing
) -> list[BuildStep]:
    tokens, preference, shards = build.place("tokens"), build.place("preference"), build.place("curriculum")
    tokenizer_place, settings = build.tokenizer_place, build.tokenizer
    found = []
    if isinstance(settings, TokenizerSettings):
        found.append(
            _one(
                "tokenizer",
                tokenizer_place,
                lambda: tokenizer.run(documents, layers, tokenizer_place, settings, existing),
            )
        )
    found.append(
        _one(
            "tokenize documents",
            tokens,
            lambda: tokenize.run(documents, tokenizer_place, tokens, layers, workers, existing),
        )
    )
    if recipe is not None:
        found.append(
            _one("curriculum", shards, lambda: curriculum.run(tokens, layers, shards, recipe, workers, existing))
        )
    if build.pairs:
        pairs_place = build.place("pairs")
        found.append(
            _one(
                "tokenize pairs",
                preference,
                lambda: tokenize.run(pairs_place, tokenizer_place, preference, None, workers, existing),
            )
        )
    return found


def _train_steps(build: BuildFile, existing: Existing) -> list[BuildStep]:
    found: list[BuildStep] = []
    tokenizer_place = build.tokenizer_place
    model, preference_model = build.place("pretrain"), build.place("preference_model")
    if build.train.pretrain:
        reads = {"data": build.place("curriculum"), "tokenizer": tokenizer_place, **_init(build.train.pretrain)}
        found.append(_process("pretrain", build, build.train.pretrain, reads, model, existing))
    if build.train.preference:
        reads = {"data": build.place("preference"), "tokenizer": tokenizer_place, **_init(build.train.preference)}
        if build.train.pretrain:
            reads["init"] = places.join(model, "export")
        found.append(_process("preference", build, build.train.preference, reads, preference_model, existing))
        reads = {"data": build.place("preference"), "model": places.join(preference_model, "export")}
        found.append(_process("evaluate", build, None, reads, build.place("evaluation"), existing))
    return found


def _init(step: TrainRun) -> dict[str, str]:
    return {"init": step.init} if step.init else {}


# ------------------------------------------------------------------------------------- trainers, as processes


def _process(
    name: str, build: BuildFile, step: TrainRun | None, reads: Mapping[str, str], output: str, existing: Existing
) -> BuildStep:
    shown = places.join(output, "export") if step else output

    def run() -> None:
        stamp = build.place(f"steps/{name}.json")
        settings = _train_arguments(step, name)
        parents = {role: _digest(place) for role, place in reads.items()}
        wanted = fingerprint([name, settings, (MODEL if step else EVALUATION).versions(), parents])
        if _is_done(stamp, wanted, shown):
            return
        arguments = [*settings["arguments"], *(f"{role}={place}" for role, place in reads.items()), f"output={output}"]
        stopped_by = launch(name, arguments + told(existing), step.processes if step else 1)
        done = {"fingerprint": wanted, "digest": load_manifest(shown).digest}
        places.write_alone(stamp, json.dumps(done, sort_keys=True).encode())
        if stopped_by:
            console.print(stops.told(stopped_by), soft_wrap=True)
            raise Told(128 + stopped_by)

    return BuildStep(name, {name: shown}, run, speaks=True)


def _train_arguments(step: TrainRun | None, name: str) -> dict[str, list[str]]:
    """A step's arguments, and the text of the configuration they name, which decides as well what is trained."""
    if step is None:
        return {"arguments": [], "config": []}
    text = strict_yaml.text_of(strict_yaml.place_of(step.config, _TRAINERS / "configs" / name))
    return {"arguments": step.arguments(), "config": [text]}


def _digest(place: str) -> str:
    """What names a dataset, or a model or tokenizer from elsewhere: its manifest, or the files that are read of it."""
    if places.exists(places.join(place, MANIFEST)):
        return load_manifest(place).digest
    names = [name for name in places.list_files(place) if name.endswith((".json", ".jinja", ".safetensors"))]
    return fingerprint([[name, places.xxh3(places.join(place, name))] for name in names])


def _is_done(stamp: str, wanted: str, shown: str) -> bool:
    if not places.exists(stamp) or not places.exists(places.join(shown, MANIFEST)):
        return False
    try:
        done = strict_json.load(stamp)
        known = (done["fingerprint"], done["digest"])
    except (ValueError, KeyError, TypeError):  # the trainer itself knows
        return False
    try:
        manifest = load_manifest(shown)
    except UnreadableError:
        return False
    return known == (wanted, manifest.digest) and damage(shown, manifest) is None


# ------------------------------------------------------------------------------------- running


def run(build: BuildFile, console: Console, workers: int = 1, existing: Existing = Existing.REFUSE) -> None:
    """Runs every step that is not up to date, then the report, and prints where everything is.

    Raises ValueError when a step refuses or fails; the steps before it stay, and the next run goes on from there.
    """
    found = steps(build, workers, existing)
    log.begin(build.output)
    width = max(len(name) for step in found for name in step.outputs) + 2
    for step in found:
        runs, started = Runs(list(step.outputs.values())), time.monotonic()
        try:
            if step.speaks:
                console.print(f"{step.name} …")
                with log.hearing():
                    step.run()
            else:
                with progress(console, step.name, *step.outputs.values()):
                    step.run()
        except SettingError as error:  # of the settings of the section that the step goes by
            raise ValueError(f"{step.name}.{error}") from error
        except (ValueError, OSError) as error:
            error.add_note(f"in the step {step.name!r}")
            raise
        seconds = time.monotonic() - started
        for name, output in step.outputs.items():
            took = "unchanged, skipped" if runs.unchanged(output) else f"{seconds:.1f} s"
            told = escape(summary(load_manifest(output)))
            console.print(f"[bold]{name:<{width}}[/]{took:<20}{told}", soft_wrap=True, markup=True)
        for line in step.notes():
            console.print(f"  {line}", soft_wrap=True)
    found_at = {name: output for step in found for name, output in step.outputs.items()}
    if build.report:
        found_at["report"] = build.place("report.html")
        report.run(build.output, found_at["report"])
    if at := log.place():
        found_at["log"] = at
    console.print()
    for name, output in found_at.items():
        console.print(f"  {name:<{width}}{output}", soft_wrap=True)


def command(
    file: Annotated[str, typer.Argument(metavar="BUILD.yaml", help="The build file; examples/demo.yaml is one.")],
    workers: Workers = 1,
    replace: Replace = False,
    keep: Keep = False,
    trust: Trust = False,
) -> None:
    """Run every step of a build file; unchanged steps are skipped.

    After a change in the file, --replace builds the steps that it concerns anew and skips the others. After an upgrade
    of Agora or of a library, --keep goes on with the datasets that stand.
    """
    run(strict_yaml.load(BuildFile, file), console, workers, Existing.of(replace, keep))


def demo(workers: Workers = 1) -> None:
    """Run the whole path on the embedded sample (made-up forum, see examples/), ending with a report."""
    if not _EXAMPLE.exists():
        raise ValueError(f"the sample is part of the repository and not at {_EXAMPLE}: run this from a checkout")
    run(strict_yaml.load(BuildFile, str(_EXAMPLE)), console, workers)


if __name__ == "__main__":
    run_command(command)
