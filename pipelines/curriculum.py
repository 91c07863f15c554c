"""Curriculum: a token pool, its layers and a recipe become training sequences whose order is the schedule.

Documents are chosen and packed by their lengths alone (transforms/curriculum/layout.py); tokens move once, from their
token shard to their output shard. Output shards are numbered stage by stage; reading them in order is the schedule.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import apache_beam as beam
import pyarrow as pa
import typer

from pipelines.command import Keep, Layers, Output, Replace, Trust, Workers, beam_args, console, run_command
from pipelines.local.options import beam_pipeline
from pipelines.progress import progress, summary
from transforms.curriculum.layout import (
    DocumentIndex,
    Layout,
    Pieces,
    ShardIndex,
    assemble,
    count_sequences,
    cut_pieces,
    index_shard,
    lay_out,
    place,
    spill_schema,
)
from transforms.curriculum.mix import Quota, Recipe, Stage, plan
from transforms.datasets import places, shards, strict_yaml
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset
from transforms.datasets.fates import Tally, check_conserved
from transforms.datasets.manifest import Manifest
from transforms.datasets.names import shard_name
from transforms.datasets.places import join
from transforms.datasets.schema import curriculum_schema
from transforms.datasets.standing import Existing
from transforms.datasets.step import Step, Wanted, Whole, make_one
from transforms.layers.read import find_layers, read_layers
from transforms.shuffle.regroup import Bucket, Regroup

STEP = Step("curriculum", version=1)
LAYER_COLUMNS = {"language": ["language"], "duplicates": [], "split": ["split"]}
RECIPES = Path(__file__).parent / "recipes"
_COUNTS = "counts.json"  # in scratch: what is known of the whole and of no one shard


@dataclass(frozen=True)
class CurriculumJob:
    """What a worker needs: what is read, by what recipe, and where it goes."""

    tokens: Dataset
    layers: Mapping[str, Dataset]
    recipe: Recipe
    token_type: pa.DataType
    build: Build


def output_shards(recipe: Recipe) -> list[tuple[str, Stage]]:
    """The path and the stage of every output shard, in order."""
    stages = [stage for stage in recipe.stages for _ in range(stage.shards)]
    return [(shard_name(number, len(stages)), stage) for number, stage in enumerate(stages)]


def build(p: beam.Pipeline, job: CurriculumJob) -> beam.PCollection:
    """Token shards to curriculum shards."""
    indexed = (
        p
        | "TokenShards" >> beam.Create(range(len(job.tokens.paths)), reshuffle=True)
        | "IndexShard" >> beam.Map(read_index, job)
    )
    counts = indexed | "CountsOfShards" >> beam.Map(lambda index: index.counts)
    quotas = (
        counts
        | "SumOfShards" >> beam.CombineGlobally(merge_tallies)
        | "Plan" >> beam.Map(lambda total: plan(job.recipe, total.to_dict().get("available_tokens", {})))
    )
    laid_out = (
        indexed
        | "ByLanguage" >> beam.FlatMap(lambda index: list(index.languages.items()))
        | "GroupByLanguage" >> beam.GroupByKey()  # group: the documents of a language, 20 bytes each; stated there
        | "LayOut"
        >> beam.FlatMap(lay_out_language, beam.pvalue.AsSingleton(quotas), job).with_outputs("counts", main="layouts")
    )
    num_sequences = (
        laid_out.layouts
        | "SequencesOfLayout" >> beam.Map(lambda layout: ((layout.stage, layout.language), layout.num_sequences))
        | "SumOfSequences" >> beam.CombinePerKey(sum)
    )
    _ = (
        (counts, laid_out.counts)
        | "AllCounts" >> beam.Flatten()
        | "SumOfCounts" >> beam.CombineGlobally(merge_tallies)
        | "WriteCounts" >> beam.Map(write_counts, job)
    )
    return (
        laid_out.layouts
        | "Place" >> beam.FlatMap(place, beam.pvalue.AsDict(num_sequences), job.recipe)
        | "GroupByTokenShard" >> beam.GroupByKey()  # group: the pieces of a token shard, 28 bytes each
        | "CutPieces" >> beam.FlatMap(read_pieces, job)
        | "ToOutputShard" >> Regroup(job.build.scratch, job.recipe.num_shards)
        | "WriteShard" >> beam.Map(write_sequences, job)
    )


def merge_tallies(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.merge(tally)
    return total


def read_index(number: int, job: CurriculumJob) -> ShardIndex:
    path = job.tokens.paths[number]
    return index_shard(
        number,
        shards.read_shard(job.tokens, path, ["doc_id", "tokens"]),
        read_layers(job.layers, path, LAYER_COLUMNS),
        job.recipe,
    )


def lay_out_language(
    item: tuple[str, Iterable[DocumentIndex]], quotas: Sequence[Quota], job: CurriculumJob
) -> Iterator[Layout | beam.pvalue.TaggedOutput]:
    language, parts = item
    for found in lay_out(language, list(parts), quotas, job.recipe):
        yield beam.pvalue.TaggedOutput("counts", found) if isinstance(found, Tally) else found


def write_counts(counts: Tally, job: CurriculumJob) -> None:
    places.write_atomically(join(job.build.scratch, _COUNTS), json.dumps(counts.to_dict()).encode())


def read_pieces(item: tuple[int, Iterable[Pieces]], job: CurriculumJob) -> Iterator[pa.Table]:
    number, groups = item
    batches = shards.iter_batches(job.tokens, job.tokens.paths[number], ["doc_id", "source", "tokens"])
    return cut_pieces(batches, list(groups), job.token_type)


def write_sequences(bucket: Bucket, job: CurriculumJob) -> str:
    """Writes an output shard, unless an interrupted run has; returns its path. Memory: three times the shard."""
    path, stage = output_shards(job.recipe)[bucket.index]
    if not job.build.finished(path):
        rows = assemble(bucket.read(spill_schema(job.token_type)), stage.name, job.token_type)
        counts = count_sequences(rows, stage.name, stage.sequence_length)
        schema = curriculum_schema(job.token_type)
        shards.write_shard(job.build, path, schema, [rows], counts=counts.to_dict())
    return path


def run(
    tokens: str,
    layers: str,
    output: str,
    recipe: Recipe,
    workers: int = 1,
    existing: Existing = Existing.REFUSE,
    beam_args: Sequence[str] = (),
) -> Manifest:
    """Builds the curriculum dataset; does nothing when it is there.

    Its manifest counts, by "stage/language": planned_tokens and tokens (equal), sequences, capacity_tokens (fill is
    tokens / capacity_tokens), planned_documents, pieces, repeated_tokens; and the documents of the pool by fate.
    Raises ValueError, with the numbers, when a stage cannot have its budget.
    """
    dataset = Dataset.open(tokens, "tokens")
    pool = dataset.manifest
    beside = find_layers(pool, layers, needed=list(LAYER_COLUMNS))
    tokenizer = {key: pool.settings[key] for key in ("tokenizer_sha256", "vocab_size")}
    spec = STEP.spec({"recipe": recipe, **tokenizer}, {"tokens": pool.digest, **beside.parents})

    def write(begun: Build) -> Whole:
        first = shards.read_shard(dataset, dataset.paths[0], ["tokens"])
        token_type = first.schema.field("tokens").type.value_type
        with beam_pipeline(workers, beam_args) as p:
            build(p, CurriculumJob(dataset, beside.layers, recipe, token_type, begun))
        return Whole(counts=json.loads(places.read_bytes(join(begun.scratch, _COUNTS))))

    def check(manifest: Manifest) -> None:
        """Law 1: every document of the pool has a fate, and every planned token was written."""
        fates = manifest.counts.get("documents", {})
        used = fates.get("used", 0)
        check_conserved("documents of the pool", pool.rows, used, sum(fates.values()) - used)
        for name, planned in manifest.counts.get("planned_tokens", {}).items():
            check_conserved(f"tokens of {name}", planned, manifest.counts["tokens"].get(name, 0), 0)

    expected = [path for path, _ in output_shards(recipe)]
    return make_one(Wanted(output, spec, expected, [tokens, *beside.places], check), existing, write)


def command(
    context: typer.Context,
    tokens: Annotated[str, typer.Argument(metavar="TOKENS", help="Folder of a token pool.")],
    layers: Layers,
    output: Output,
    recipe: Annotated[str, typer.Option(help="A recipe shipped by name (demo, polylm), or a YAML file.")],
    workers: Workers = 1,
    replace: Replace = False,
    keep: Keep = False,
    trust: Trust = False,
) -> None:
    """Mix and pack a token pool into training sequences, stage by stage; their order is the schedule."""
    chosen = strict_yaml.load_named(Recipe, recipe, RECIPES)
    with progress(console, "curriculum", output):
        manifest = run(tokens, layers, output, chosen, workers, Existing.of(replace, keep), beam_args(context))
    console.print(f"curriculum: {summary(manifest)}", soft_wrap=True)


if __name__ == "__main__":
    run_command(command)
