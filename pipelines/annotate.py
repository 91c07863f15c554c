"""Annotate: documents to attribute layers that stand beside them, file for file and row for row.

    documents ──┬── language    which language each text is in, and how sure that is
                ├── duplicates  which cluster of near-duplicates it belongs to, and whether it stands for it
                └── split       train, validation or holdout, by thread

Each layer is a dataset of its own: one is rebuilt without touching the others or the documents.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated

import apache_beam as beam
import typer

from pipelines.command import Keep, Output, Replace, Workers, beam_args, console, run_command
from pipelines.local.options import beam_pipeline
from pipelines.progress import progress, summary
from transforms.datasets import building, places
from transforms.datasets.align import check_aligned
from transforms.datasets.manifest import Manifest, ShardFile, load_manifest
from transforms.datasets.names import LAYERS, scratch_place
from transforms.datasets.standing import Existing
from transforms.datasets.step import Step, Wanted, make
from transforms.layers.dedup import Deduplicate, Search
from transforms.layers.langid import TABLE_FINGERPRINT, LanguageSettings, ModelHandle, WriteLanguage
from transforms.layers.minhash import MinHashSpec
from transforms.layers.split import SplitSettings, WriteSplit
from transforms.layers.write import Target

STEPS = {
    "language": Step("language", version=1, libraries=("fasttext-community",)),
    "duplicates": Step("duplicates", version=1, libraries=("datasketch",)),
    "split": Step("split", version=1),
}


@dataclass(frozen=True)
class AnnotateSettings:
    """Settings of every layer. language is None when no model is at hand; then that layer cannot be built."""

    language: LanguageSettings | None = None
    duplicates: MinHashSpec = field(default_factory=MinHashSpec)
    split: SplitSettings = field(default_factory=SplitSettings)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that these settings can build."""
        return tuple(name for name in LAYERS if name != "language" or self.language)


@dataclass(frozen=True)
class Layer:
    """One layer to be built: its dataset, and its transform over the documents' shards."""

    name: str
    wanted: Wanted
    transform: WriteLanguage | WriteSplit | Deduplicate

    def missing(self, files: Sequence[ShardFile]) -> list[ShardFile]:
        """The documents' shards that go through the transform: those whose layer an interrupted run did not finish.

        Clusters need all documents, whatever is missing.
        """
        missing = [file for file in files if building.finished(self.wanted.place, file.path) is None]
        return list(files) if missing and isinstance(self.transform, Deduplicate) else missing


def build(p: beam.Pipeline, files: Sequence[ShardFile], layers: Sequence[Layer]) -> None:
    """One branch a layer: the documents' shards, spread over the workers, through the layer's transform."""
    for layer in layers:
        name = layer.name.capitalize()
        (
            p
            # Names only: texts are read where they are worked on.
            | f"{name}Shards" >> beam.Create(layer.missing(files), reshuffle=True)
            | name >> layer.transform
        )


def run(
    documents: str,
    output: str,
    settings: AnnotateSettings,
    layers: Sequence[str] = LAYERS,
    workers: int = 1,
    existing: Existing = Existing.REFUSE,
    beam_args: Sequence[str] = (),
) -> dict[str, Manifest]:
    """Builds the named layers at output/<layer>/, skipping those that are up to date; returns their manifests.

    Raises ValueError for an unknown layer, for documents that are not there, and for a language layer without a model.
    """
    _check_names(layers)
    described = load_manifest(documents, "documents")
    names = [name for name in LAYERS if name in layers]
    layers_of = [_layer(name, documents, described, places.join(output, name), settings) for name in names]
    files = described.data_files

    def write(missing: Sequence[Wanted]) -> None:
        to_build = [layer for layer in layers_of if layer.wanted in missing and layer.missing(files)]
        if to_build:
            with beam_pipeline(workers, beam_args) as p:
                build(p, files, to_build)

    manifests = make([layer.wanted for layer in layers_of], existing, write)
    return dict(zip(names, manifests, strict=True))


def _check_names(layers: Sequence[str]) -> None:
    if not layers:
        raise ValueError(f"no layer to build; name some of {', '.join(LAYERS)}")
    for name in layers:
        if name not in LAYERS:
            nearest = difflib.get_close_matches(name, LAYERS, n=1, cutoff=0.0)[0]
            raise ValueError(f"unknown layer {name!r}; one of {', '.join(LAYERS)}, nearest: {nearest}")


def _layer(name: str, documents: str, described: Manifest, place: str, settings: AnnotateSettings) -> Layer:
    """The layer's dataset and transform. Places are in the transform only: they are no part of the fingerprint."""
    handle: ModelHandle | None = None
    if name == "language":
        if settings.language is None:
            raise ValueError(
                "the language layer needs a fastText model: name one with --model (`make models` fetches "
                "models/lid.176.ftz), or "
                "leave language out of --layers"
            )
        handle = ModelHandle.of(settings.language.model)
        chosen: dict[str, object] = {"model": handle.sha256, "languages": TABLE_FINGERPRINT}
    else:
        chosen = asdict(settings.duplicates if name == "duplicates" else settings.split)
    spec = STEPS[name].spec(chosen, {"documents": described.digest})
    paths = [file.path for file in described.data_files]
    wanted = Wanted(place, spec, paths, lambda manifest: check_aligned(described, manifest, name))
    target = Target(documents, place, name, spec.fingerprint)
    if handle is not None:
        return Layer(name, wanted, WriteLanguage(target, handle))
    if name == "duplicates":
        search = Search(target, settings.duplicates, described.data_files, scratch_place(place))
        return Layer(name, wanted, Deduplicate(search))
    return Layer(name, wanted, WriteSplit(target, settings.split))


def command(
    context: typer.Context,
    documents: Annotated[str, typer.Argument(metavar="DOCS", help="Folder of documents.")],
    output: Output,
    layers: Annotated[str, typer.Option(help="Which layers, separated by commas.")] = ",".join(LAYERS),
    model: Annotated[str | None, typer.Option(help="fastText model for the language layer.")] = None,
    bands: Annotated[int, typer.Option(help="MinHash bands.")] = MinHashSpec.bands,
    rows: Annotated[int, typer.Option(help="MinHash rows per band.")] = MinHashSpec.rows,
    ngram: Annotated[int, typer.Option(help="Tokens per shingle.")] = MinHashSpec.ngram,
    holdout: Annotated[float, typer.Option(help="Share of threads held out.")] = SplitSettings.holdout,
    validation: Annotated[float, typer.Option(help="Share of threads for validation.")] = SplitSettings.validation,
    workers: Workers = 1,
    replace: Replace = False,
    keep: Keep = False,
) -> None:
    """Describe documents in attribute layers that stand beside them: language, duplicates, split."""
    existing = Existing.of(replace, keep)
    language = LanguageSettings(model) if model else None
    duplicates = MinHashSpec(ngram=ngram, bands=bands, rows=rows)
    settings = AnnotateSettings(language, duplicates, SplitSettings(holdout, validation))
    with progress(console, "annotate", output):
        built = run(documents, output, settings, layers.split(","), workers, existing, beam_args(context))
    for name, manifest in built.items():
        console.print(f"{name}: {summary(manifest)}", soft_wrap=True)


if __name__ == "__main__":
    run_command(command)
