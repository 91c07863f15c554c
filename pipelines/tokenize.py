"""Tokenize: documents become token shards, pairs become preference shards, each beside the shard it comes from.

Nothing is shuffled: a shard is read, encoded and written where it is, under the same file name. Memory: one shard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import apache_beam as beam
import typer

from pipelines.command import Keep, Output, Replace, Trust, Workers, beam_args, console, run_command
from pipelines.local.options import beam_pipeline, check_run
from pipelines.progress import progress
from tokenizer.encoder import Encoder
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset, check_folder
from transforms.datasets.manifest import Manifest
from transforms.datasets.schema import preference_schema, tokens_schema
from transforms.datasets.standing import Existing
from transforms.datasets.step import Step, Wanted, make_one
from transforms.io.read import ReadShards
from transforms.io.write import WriteShards, unfinished
from transforms.layers.read import Beside, cutting_at, find_layers
from transforms.tokens.documents import EncodeDocuments
from transforms.tokens.groups import EncodeGroups

TOKENS = Step("tokens", version=2, libraries=("tokenizers",))
_PREFERENCE = Step("preference", version=2, libraries=("tokenizers",))


def _build_tokens(p: beam.Pipeline, read: ReadShards, tokenizer: str, encoder: Encoder, begun: Build) -> None:
    """Documents, with their language layer or without, to token shards."""
    (
        p
        | "Documents" >> read
        | "EncodeDocuments" >> EncodeDocuments(tokenizer, encoder.sha256)
        | "WriteTokens" >> WriteShards(begun, tokens_schema(encoder.token_type), "doc_id")
    )


def _build_preference(p: beam.Pipeline, read: ReadShards, tokenizer: str, encoder: Encoder, begun: Build) -> None:
    """Pairs to preference shards."""
    (
        p
        | "Pairs" >> read
        | "EncodeGroups" >> EncodeGroups(tokenizer, encoder.sha256)
        | "WritePreference" >> WriteShards(begun, preference_schema(encoder.token_type), "group_id")
    )


def run(
    data: str,
    tokenizer: str,
    output: str,
    layers: str | None = None,
    workers: int = 1,
    existing: Existing = Existing.REFUSE,
    beam_args: Sequence[str] = (),
) -> Manifest:
    """Builds a tokens dataset from documents, or a preference dataset from pairs; does nothing when it is there.

    layers: where the language layer of documents is; without it tokens carry no language. Pairs carry their own.
    A layer that cuts texts is taken where it is there.
    Raises ValueError for any other dataset, for a tokenizer that is damaged or lacks a token, and for a layer of other
    documents.
    """
    opened = [("DOCS|PAIRS", data), ("--tokenizer", tokenizer), ("--layers", layers), ("--output", output)]
    dry = check_run(workers, beam_args, opened)
    dataset = Dataset.open(data)
    source = dataset.manifest
    if source.kind not in ("documents", "pairs"):
        raise ValueError(f"{data} is a {source.kind} dataset; tokenize takes documents or pairs")
    beside = Beside({})
    if layers is not None and source.kind == "documents":
        beside = find_layers(source, layers, needed=["language", *cutting_at(layers)], others=False)
    check_folder(tokenizer)
    encoder = Encoder.load(tokenizer)
    step, build = (TOKENS, _build_tokens) if source.kind == "documents" else (_PREFERENCE, _build_preference)
    parents = {source.kind: source.digest, **beside.parents}
    spec = step.spec({"tokenizer_sha256": encoder.sha256, "vocab_size": encoder.vocab_size}, parents)

    def write(begun: Build) -> None:
        read = ReadShards(dataset, unfinished(begun, dataset.paths), beside.layers)
        with beam_pipeline(workers, beam_args) as p:
            build(p, read, tokenizer, encoder, begun)

    return make_one(Wanted(output, spec, dataset.paths, [data, tokenizer, *beside.places]), existing, write, dry)


def command(
    context: typer.Context,
    data: Annotated[str, typer.Argument(metavar="DOCS|PAIRS", help="Folder of documents or of pairs.")],
    tokenizer: Annotated[
        str, typer.Option(help="Folder of a tokenizer: ours, or any with a tokenizer.json and tokenizer_config.json.")
    ],
    output: Output,
    layers: Annotated[str | None, typer.Option(help="Documents: folder of their layers, to count by language.")] = None,
    workers: Workers = 1,
    replace: Replace = False,
    keep: Keep = False,
    trust: Trust = False,
) -> None:
    """Encode documents into a token pool, or pairs into preference shards."""
    with progress(console, "tokenize", output) as runs:
        manifest = run(data, tokenizer, output, layers, workers, Existing.of(replace, keep), beam_args(context))
    console.print(f"{manifest.kind}: {runs.told(output, manifest)}", soft_wrap=True)


if __name__ == "__main__":
    run_command(command)
