"""Pairs: documents, their layers and a rule become preference pairs, one shard for each document shard and split.

Threads are contiguous in a document shard, so nothing is shuffled: each shard is read, paired and written where it is.
Memory: one document shard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import apache_beam as beam
import typer

from pipelines.command import Keep, Layers, Output, Replace, Trust, Workers, beam_args, console, run_command
from pipelines.local.options import beam_pipeline
from pipelines.progress import progress, summary
from transforms.datasets import shards, strict_yaml
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset
from transforms.datasets.manifest import Manifest
from transforms.datasets.names import shard_index, shard_name
from transforms.datasets.schema import PAIRS, SPLITS
from transforms.datasets.standing import Existing
from transforms.datasets.step import Step, Wanted, make_one
from transforms.layers.read import find_layers, read_layers
from transforms.pairs.rule import PairRule
from transforms.pairs.shard import DOCUMENT_COLUMNS, pairs_from_shard

STEP = Step("pairs", version=1)
LAYER_COLUMNS = {"language": ["language"], "duplicates": ["cluster"], "split": ["split"]}
RULES = Path(__file__).parent / "rules"


@dataclass(frozen=True)
class PairsJob:
    """What a worker needs: what is read, by what rule, and where it goes."""

    documents: Dataset
    layers: Mapping[str, Dataset]
    rule: PairRule
    build: Build


def build(p: beam.Pipeline, job: PairsJob, document_shards: Sequence[str]) -> beam.PCollection:
    """Document shards to preference pairs."""
    return (
        p
        | "DocumentShards" >> beam.Create(list(document_shards), reshuffle=True)
        | "PairsFromShard" >> beam.Map(write_pairs_from_shard, job)
    )


def write_pairs_from_shard(path: str, job: PairsJob) -> str:
    """Pairs one document shard and writes a shard for each split, unless an interrupted run has; returns its path."""
    targets = pair_shards(path)
    if all(job.build.finished(target) for target in targets.values()):
        return path
    found = pairs_from_shard(
        shards.read_shard(job.documents, path, DOCUMENT_COLUMNS),
        read_layers(job.layers, path, LAYER_COLUMNS),
        job.rule,
    )
    for split, target in targets.items():
        counts = found.counts[split].to_dict()
        shards.write_shard(job.build, target, PAIRS, [found.tables[split]], "pair_id", counts)
    return path


def pair_shards(path: str) -> dict[str, str]:
    """The pair shards of a document shard, by split."""
    index, num_shards = shard_index(path)
    return {split: shard_name(index, num_shards, split) for split in SPLITS}


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
    source = Dataset.open(documents, "documents")
    beside = find_layers(source.manifest, layers, needed=list(LAYER_COLUMNS))
    spec = STEP.spec({"rule": rule}, {"documents": source.digest, **beside.parents})

    def write(begun: Build) -> None:
        with beam_pipeline(workers, beam_args) as p:
            build(p, PairsJob(source, beside.layers, rule, begun), source.paths)

    written = [target for path in source.paths for target in pair_shards(path).values()]
    return make_one(Wanted(output, spec, written, [documents, *beside.places]), existing, write)


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
    with progress(console, "pairs", output):
        manifest = run(documents, layers, output, pair_rule, workers, Existing.of(replace, keep), beam_args(context))
    console.print(f"pairs: {summary(manifest)}", soft_wrap=True)


if __name__ == "__main__":
    run_command(command)
