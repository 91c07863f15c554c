"""Pairs: documents, their layers and a rule become preference pairs, one shard for each document shard and split.

Threads are contiguous in a document shard, so nothing is shuffled: each shard is read, paired and written where it is.
Memory: one document shard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import apache_beam as beam
import typer

from pipelines import headless
from pipelines.command import Keep, Layers, Output, Replace, Trust, Workers, beam_args, console, run_command
from pipelines.local.options import beam_pipeline, check_run
from pipelines.progress import progress
from transforms.datasets import strict_yaml
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset
from transforms.datasets.manifest import Manifest, load_manifest
from transforms.datasets.names import in_split
from transforms.datasets.schema import PAIRS, SPLITS
from transforms.datasets.standing import Existing
from transforms.datasets.step import Step, Wanted, make_one
from transforms.io.read import ReadShards
from transforms.io.write import WriteShards, unfinished
from transforms.layers.read import find_layers
from transforms.pairs.rule import PairRule
from transforms.pairs.shard import LAYER_COLUMNS, PairsFromShard

_STEP = Step("pairs", version=1)
RULES = Path(__file__).parent / "rules"


def build(
    p: beam.Pipeline,
    documents: Dataset,
    paths: Sequence[str],
    layers: Mapping[str, Dataset],
    rule: PairRule,
    begun: Build,
) -> beam.PCollection:
    """Document shards to the part-records of pair shards. paths: of the documents' shards to be paired."""
    return (
        p
        | "Documents" >> ReadShards(documents, paths, layers)
        | "PairsFromShard" >> PairsFromShard(rule)
        | "WritePairs" >> WriteShards(begun, PAIRS, "pair_id")
    )


def _pair_shards(path: str) -> list[str]:
    """The pair shards of a document shard."""
    return [in_split(path, split) for split in SPLITS]


def run(
    documents: str,
    layers: str,
    output: str,
    rule: PairRule,
    workers: int = 1,
    existing: Existing = Existing.REFUSE,
    beam_args: Sequence[str] = (),
) -> Manifest:
    """Builds the pairs dataset; does nothing when it is there. Raises ValueError for layers of other documents."""
    dry = check_run(workers, beam_args, [("DOCS", documents), ("--layers", layers), ("--output", output)])
    source = Dataset.open(documents, "documents")
    beside = find_layers(source.manifest, layers, needed=list(LAYER_COLUMNS))
    spec = _STEP.spec({"rule": rule}, {"documents": source.digest, **beside.parents})
    written = [target for path in source.paths for target in _pair_shards(path)]

    def write(begun: Build) -> None:
        missing = set(unfinished(begun, written))
        paths = [path for path in source.paths if not missing.isdisjoint(_pair_shards(path))]
        with beam_pipeline(workers, beam_args) as p:
            build(p, source, paths, beside.layers, rule, begun)

    return make_one(Wanted(output, spec, written, [documents, *beside.places]), existing, write, dry)


def command(
    context: typer.Context,
    documents: Annotated[str, typer.Argument(metavar="DOCS", help="Folder of documents.")],
    layers: Layers,
    output: Output,
    rule: Annotated[str, typer.Option(help="A pair rule shipped by name, or a YAML file.")] = "worldpm",
    workers: Workers = 1,
    replace: Replace = False,
    keep: Keep = False,
    trust: Trust = False,
) -> None:
    """Make preference pairs from the answers of each thread by their votes."""
    pair_rule = strict_yaml.load_named(PairRule, rule, RULES)
    with progress(console, "pairs", output) as runs:
        manifest = run(documents, layers, output, pair_rule, workers, Existing.of(replace, keep), beam_args(context))
    console.print(f"pairs: {runs.told(output, manifest)}", soft_wrap=True)
    for line in headless.of_pairs(manifest, load_manifest(documents)):
        console.print(f"  {line}", soft_wrap=True)


if __name__ == "__main__":
    run_command(command)
