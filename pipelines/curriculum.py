"""Curriculum: a token pool, its layers and a recipe become training sequences whose order is the schedule.

Documents are chosen and packed by their lengths alone; tokens move once, from their token shard to their output shard.
Output shards are numbered stage by stage; reading them in order is the schedule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import apache_beam as beam
import pyarrow as pa
import typer

from pipelines.command import Keep, Layers, Output, Replace, Trust, Workers, beam_args, console, run_command
from pipelines.local.options import beam_pipeline, check_run
from pipelines.progress import progress
from transforms.curriculum.index import LAYER_COLUMNS, IndexShards
from transforms.curriculum.layout import USED, LayOut
from transforms.curriculum.mix import PlanStages, Recipe
from transforms.curriculum.pieces import CutPieces
from transforms.curriculum.positions import AssignPositions
from transforms.curriculum.sequences import AssembleShards, output_shards
from transforms.datasets import shards, strict_yaml
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset
from transforms.datasets.fates import check_conserved
from transforms.datasets.manifest import Manifest
from transforms.datasets.schema import curriculum_schema
from transforms.datasets.standing import Existing
from transforms.datasets.step import Step, Wanted, Whole, make_one
from transforms.io.counts import WriteCounts, read_counts
from transforms.io.read import ReadShards
from transforms.io.write import WriteShards, unfinished
from transforms.layers.read import find_layers
from transforms.shuffle.regroup import Regroup

_STEP = Step("curriculum", version=1)
RECIPES = Path(__file__).parent / "recipes"


def build(
    p: beam.Pipeline,
    pool: Dataset,
    layers: Mapping[str, Dataset],
    recipe: Recipe,
    token_type: pa.DataType,
    begun: Build,
    finished: Sequence[str],
) -> beam.PCollection:
    """Token shards to the part-records of curriculum shards. finished: paths of those that stand already."""
    tokens = p | "Tokens" >> ReadShards(pool, layers=layers)
    indexed, offered = tokens | "IndexShards" >> IndexShards(recipe)
    quotas = offered | "PlanStages" >> PlanStages(recipe)
    layouts, used = (indexed, quotas) | "LayOut" >> LayOut(recipe)
    pieces = layouts | "AssignPositions" >> AssignPositions(recipe)
    _ = (offered, used) | "WriteCounts" >> WriteCounts(begun.scratch)
    return (
        (tokens, pieces)
        | "CutPieces" >> CutPieces(token_type)
        | "ToOutputShard" >> Regroup(begun.scratch, recipe.num_shards)
        | "AssembleShards" >> AssembleShards(recipe, token_type, but_for=finished)
        | "WriteSequences" >> WriteShards(begun, curriculum_schema(token_type))
    )


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
    dry = check_run(workers, beam_args, [("TOKENS", tokens), ("--layers", layers), ("--output", output)])
    dataset = Dataset.open(tokens, "tokens")
    pool = dataset.manifest
    beside = find_layers(pool, layers, needed=list(LAYER_COLUMNS))
    tokenizer = {key: pool.settings[key] for key in ("tokenizer_sha256", "vocab_size")}
    spec = _STEP.spec({"recipe": recipe, **tokenizer}, {"tokens": pool.digest, **beside.parents})

    expected = [path for path, _ in output_shards(recipe)]

    def write(begun: Build) -> Whole:
        first = shards.read_shard(dataset, dataset.paths[0], ["tokens"])
        token_type = first.schema.field("tokens").type.value_type
        missing = set(unfinished(begun, expected))
        finished = [path for path in expected if path not in missing]
        with beam_pipeline(workers, beam_args) as p:
            build(p, dataset, beside.layers, recipe, token_type, begun, finished)
        return Whole(counts=read_counts(begun.scratch))

    def check(manifest: Manifest) -> None:
        """Law 1: every document of the pool has a fate, and every planned token was written."""
        fates = manifest.counts.get("documents", {})
        used = fates.get(USED, 0)
        check_conserved("documents of the pool", pool.rows, used, sum(fates.values()) - used)
        for name, planned in manifest.counts.get("planned_tokens", {}).items():
            check_conserved(f"tokens of {name}", planned, manifest.counts["tokens"].get(name, 0), 0)

    return make_one(Wanted(output, spec, expected, [tokens, *beside.places], check), existing, write, dry)


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
    with progress(console, "curriculum", output) as runs:
        manifest = run(tokens, layers, output, chosen, workers, Existing.of(replace, keep), beam_args(context))
    console.print(f"curriculum: {runs.told(output, manifest)}", soft_wrap=True)


if __name__ == "__main__":
    run_command(command)
