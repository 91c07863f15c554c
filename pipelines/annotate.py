"""Annotate: documents to attribute layers that stand beside them, file for file and row for row.

    documents ──┬── language ── quality  which language each text is in, and how sure that is; what the text is like
                ├── contamination        whether it holds an item of a benchmark, where benchmarks are named
                ├── duplicates           which cluster of near-duplicates it belongs to, and whether it stands for it
                ├── repeated_lines       which of its lines stand in another document, which keeps them; by option
                ├── signatures           what later documents are compared with (--against); by option
                └── split                train, validation or holdout, by thread

Each layer is a dataset of its own: one is rebuilt without touching the others or the documents. A layer that needs
another is made when that stands, in a pipeline of its own. What a layer is, its own file says (transforms/layers); here
it gets the transform that makes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import apache_beam as beam
import typer

from pipelines.command import Keep, Output, Replace, Trust, Workers, beam_args, console, run_command
from pipelines.local.options import beam_pipeline, check_run
from pipelines.progress import progress
from transforms.datasets import places, strict_yaml
from transforms.datasets.align import check_aligned
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset
from transforms.datasets.manifest import Manifest
from transforms.datasets.standing import Existing
from transforms.datasets.step import RefusedError, Wanted, make
from transforms.dedup.earlier import Earlier
from transforms.dedup.graph import Deduplicate
from transforms.dedup.line_owners import RepeatedLines
from transforms.dedup.line_search import LineSearch
from transforms.dedup.line_spec import LineSettings
from transforms.dedup.search import Search
from transforms.dedup.spec import MinHashSpec
from transforms.io.read import ReadShards
from transforms.io.write import WriteShards, unfinished
from transforms.layers import duplicates, kinds, repeated_lines
from transforms.layers.annotate import Annotate
from transforms.layers.kinds import LAYERS
from transforms.layers.layer import Layer
from transforms.layers.read import Beside, find_layers


@dataclass(frozen=True)
class Branch:
    """One layer to be built: where it goes, its transform, the documents' shards that go through that, and the layers
    beside them that it needs."""

    layer: Layer[Any, Any]
    begun: Build
    transform: beam.PTransform
    paths: Sequence[str]
    beside: Beside


def build(p: beam.Pipeline, documents: Dataset, branches: Sequence[Branch]) -> None:
    """One branch a layer: the documents through the layer's transform, to files beside theirs."""
    for branch in branches:
        name = branch.layer.name.capitalize()
        (
            p
            | f"DocumentsFor{name}" >> ReadShards(documents, branch.paths, branch.beside.layers)
            | name >> branch.transform
            | f"Write{name}" >> WriteShards(branch.begun, branch.layer.schema, "doc_id", beside=documents)
        )


def run(
    documents: str,
    output: str,
    settings: Mapping[str, object],
    workers: int = 1,
    existing: Existing = Existing.REFUSE,
    beam_args: Sequence[str] = (),
) -> dict[str, Manifest]:
    """Builds layers at output/<layer>/, skipping those that are up to date; returns their manifests.

    settings: by layer (kinds.settings_of); the layers that are named are built. Raises ValueError for settings that
    cannot be used, for documents that are not there, and for a layer that another needs and that is neither named nor
    at the output; HeldBackError for a layer that the settings do not allow as it is (`Layer.check`).
    """
    models = [(f"--set {name}", place) for name in settings for place in LAYERS[name].opens(settings[name])]
    dry = check_run(workers, beam_args, [("DOCS", documents), ("--output", output), *models])
    described = Dataset.open(documents, "documents")
    for name in settings:
        for note in LAYERS[name].notes(settings[name], described.manifest.inputs):
            console.print(f"{name}: {note}", soft_wrap=True)
    made: dict[str, Manifest] = {}
    for layers in _rounds(settings):
        settled = {layer.name: _settled(layer, settings[layer.name], described, output) for layer in layers}
        beside = {
            layer.name: find_layers(described.manifest, output, list(layer.needs(settled[layer.name])), False)
            for layer in layers
        }

        def write(
            begun: Sequence[Build], beside: Mapping[str, Beside] = beside, settled: Mapping[str, object] = settled
        ) -> None:
            branches = [
                _branch(LAYERS[each.kind], settled[each.kind], described, beside[each.kind], each) for each in begun
            ]
            if branches := [branch for branch in branches if branch.paths]:
                with beam_pipeline(workers, beam_args) as p:
                    build(p, described, branches)

        wanted = [
            _wanted(layer, settled[layer.name], described, beside[layer.name], places.join(output, layer.name))
            for layer in layers
        ]
        made |= {manifest.kind: manifest for manifest in make(wanted, existing, write, dry)}
    for name, manifest in made.items():
        LAYERS[name].check(settings[name], manifest.counts)  # those that stood already
    return {name: made[name] for name in LAYERS if name in made}


def _rounds(settings: Mapping[str, object]) -> list[list[Layer[Any, Any]]]:
    """The layers that are built together, one round after the other: those that a layer needs are made before it."""
    rounds: list[list[Layer[Any, Any]]] = []
    left = [layer for name, layer in LAYERS.items() if name in settings]
    needs = {layer.name: set(layer.needs(settings[layer.name])) for layer in left}
    while left:
        waiting = {layer.name for layer in left}
        rounds.append([layer for layer in left if not waiting & needs[layer.name]])
        left = [layer for layer in left if waiting & needs[layer.name]]
    return rounds


def _settled(layer: Layer[Any, Any], settings: object, documents: Dataset, place: str) -> Any:
    """The settings of a layer, now that those stand that it is made from."""
    return layer.settle(
        settings, lambda name: find_layers(documents.manifest, place, [name], False).layers[name].manifest
    )


def _wanted(layer: Layer[Any, Any], settings: object, documents: Dataset, beside: Beside, place: str) -> Wanted:
    """The layer's dataset. Places of models are no part of what it is made from: their digests are."""
    spec = layer.step.spec(layer.identity(settings), {"documents": documents.digest, **beside.parents})

    def check(manifest: Manifest) -> None:
        check_aligned(documents.manifest, manifest, layer.name)
        layer.check(settings, manifest.counts)

    return Wanted(place, spec, documents.paths, [documents.place, *beside.places], check)


def _branch(layer: Layer[Any, Any], settings: object, documents: Dataset, beside: Beside, begun: Build) -> Branch:
    """The layer's transform, and what goes through it: shards that an interrupted run has not finished, or all of them
    where all documents are needed for any."""
    missing = unfinished(begun, documents.paths)
    if layer.rows is not None:
        return Branch(layer, begun, Annotate(layer, settings), missing, beside)
    transform = WHOLE[layer.name](settings, documents, begun, missing)
    return Branch(layer, begun, transform, documents.paths if missing else [], beside)


def _deduplicate(spec: MinHashSpec, documents: Dataset, begun: Build, missing: Sequence[str]) -> beam.PTransform:
    against = [Earlier.open(place) for place in spec.earlier]
    if documents.digest in [earlier.documents for earlier in against]:
        raise RefusedError(
            f"{documents.place} is held against layers of itself ({', '.join(spec.earlier)}): each one would go "
            "for itself. Name builds of other documents"
        )
    search = Search.of(spec, begun.scratch, len(documents.paths), documents.manifest.rows, against)
    return Deduplicate(search, but_for=set(documents.paths) - set(missing))


def _find_repeated(settings: LineSettings, documents: Dataset, begun: Build, missing: Sequence[str]) -> beam.PTransform:
    search = LineSearch(settings, begun.scratch, len(documents.paths))
    return RepeatedLines(search, but_for=set(documents.paths) - set(missing))


_MakesWhole = Callable[[Any, Dataset, Build, Sequence[str]], beam.PTransform]

# The transforms of layers that need all documents at once: from settings, documents, the layer's build, and the paths
# of the shards that are missing there.
WHOLE: Mapping[str, _MakesWhole] = {
    duplicates.LAYER.name: _deduplicate,
    repeated_lines.LAYER.name: _find_repeated,
}


def chosen_settings(layers: Sequence[str], given: Sequence[str], against: Sequence[str] = ()) -> dict[str, object]:
    """The settings of the named layers. given: as on the command line, LAYER=VALUE or LAYER.KEY=VALUE. against: folders
    of layers that the duplicates are held against.

    Raises ValueError for an unknown layer or setting, for settings of a layer that is not named, and for a layer that
    has to be told something and was not.
    """
    if not layers:
        raise ValueError(f"no layer to build; name some of {', '.join(LAYERS)}")
    kinds.check_names(layers)
    values: dict[str, object] = {}
    for item in given:
        strict_yaml.override(values, item)
    if against:
        strict_yaml.override(values, f"duplicates.against={json.dumps(list(against))}")
    if others := sorted(set(values) - set(layers)):
        kinds.check_names(others)
        raise ValueError(f"settings for {', '.join(others)}, which --layers does not name")
    for name in layers:
        if name not in values and kinds.must_be_told(name):
            raise ValueError(
                f"the {name} layer has to be told its {kinds.first_setting(name)}: --set {name}=…, or leave {name} out "
                f"of --layers. {LAYERS[name].hint}"
            )
    return kinds.settings_of(dict.fromkeys(layers) | values, "--set")


# Those that need not be told anything, but for those of `by_default` false.
DEFAULT_LAYERS = ",".join(name for name, layer in LAYERS.items() if layer.by_default and not kinds.must_be_told(name))


def command(
    context: typer.Context,
    documents: Annotated[str, typer.Argument(metavar="DOCS", help="Folder of documents.")],
    output: Output,
    layers: Annotated[str, typer.Option(help="Which layers, separated by commas.")] = DEFAULT_LAYERS,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="LAYER.KEY=VALUE",
            help="A setting, as in the section annotate of a build file: language=models/glotlid.bin, "
            "duplicates.bands=20, split.holdout=0.05. Repeat it for more.",
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYERS",
            help="Layers of a finished build, with duplicates and signatures: its documents come before these, and "
            "stay what they are. Repeat it for more, the first first.",
        ),
    ] = None,
    workers: Workers = 1,
    replace: Replace = False,
    keep: Keep = False,
    trust: Trust = False,
) -> None:
    """Describe documents in attribute layers that stand beside them, such as their languages and duplicates."""
    existing = Existing.of(replace, keep)
    chosen = chosen_settings(
        [name.strip() for name in layers.split(",") if name.strip()], settings or (), against or ()
    )
    at = {name: places.join(output, name) for name in chosen}
    with progress(console, "annotate", *at.values()) as runs:
        built = run(documents, output, chosen, workers, existing, beam_args(context))
    for name, manifest in built.items():
        console.print(f"{name}: {runs.told(at[name], manifest)}", soft_wrap=True)


if __name__ == "__main__":
    run_command(command)
