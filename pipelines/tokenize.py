"""Tokenize: documents become token shards, pairs become preference shards, each beside the shard it comes from.

Nothing is shuffled: a shard is read, encoded and written where it is, under the same file name. Memory: one shard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import typer

from pipelines.command import Keep, Output, Replace, Trust, Workers, beam_args, console, run_command
from pipelines.local.options import beam_pipeline
from pipelines.progress import progress, summary
from tokenizer.encoder import Encoder
from transforms.datasets import shards
from transforms.datasets.align import check_rows_aligned
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset, check_folder
from transforms.datasets.manifest import Counts, Manifest
from transforms.datasets.schema import preference_schema, tokens_schema
from transforms.datasets.standing import Existing
from transforms.datasets.step import Step, Wanted, make_one
from transforms.layers.read import find_layers
from transforms.tokens.encode import count_groups, count_tokens, encode_documents, encode_groups

TOKENS = Step("tokens", version=1, libraries=("tokenizers",))
PREFERENCE = Step("preference", version=1, libraries=("tokenizers",))
DOCUMENT_COLUMNS = ("doc_id", "source", "text", "title")


@dataclass(frozen=True)
class TokenizeJob:
    """What a worker needs. languages: the language layer, or None. build: of TOKENS or PREFERENCE."""

    data: Dataset
    tokenizer: str
    tokenizer_sha256: str
    languages: Dataset | None
    build: Build


def build(p: beam.Pipeline, job: TokenizeJob, data_shards: Sequence[str]) -> beam.PCollection:
    """Text shards to token shards."""
    return (
        p
        | "TextShards" >> beam.Create(list(data_shards), reshuffle=True)
        | "EncodeShard" >> beam.ParDo(EncodeShard(job))
    )


class EncodeShard(beam.DoFn):
    """Encodes and writes one shard, unless an interrupted run has. The tokenizer is loaded once per process."""

    def __init__(self, job: TokenizeJob) -> None:
        self._job = job

    def setup(self) -> None:
        self._encoder = Encoder.load(self._job.tokenizer, self._job.tokenizer_sha256)

    def process(self, path: str) -> list[str]:
        if not self._job.build.finished(path):
            encode = write_tokens if self._job.build.kind == TOKENS.kind else write_preference
            encode(path, self._job, self._encoder)
        return [path]


def write_tokens(path: str, job: TokenizeJob, encoder: Encoder) -> None:
    documents = shards.read_shard(job.data, path, DOCUMENT_COLUMNS)
    languages = None
    if job.languages is not None:
        layer = shards.read_shard(job.languages, path, ["doc_id", "language"])
        check_rows_aligned(documents, {"language": layer})
        languages = layer.column("language")
    rows = encode_documents(documents, languages, encoder)
    counts = count_tokens(rows, pc.list_value_length(rows.column("tokens")), "documents")
    _write(path, job, tokens_schema(encoder.token_type), rows, "doc_id", counts.to_dict())


def write_preference(path: str, job: TokenizeJob, encoder: Encoder) -> None:
    rows = encode_groups(shards.read_shard(job.data, path), encoder)
    _write(path, job, preference_schema(encoder.token_type), rows, "group_id", count_groups(rows).to_dict())


def _write(path: str, job: TokenizeJob, schema: pa.Schema, rows: pa.Table, ids: str, counts: Counts) -> None:
    shards.write_shard(job.build, path, schema, [rows], ids, counts)


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
    """
    dataset = Dataset.open(data)
    source = dataset.manifest
    if source.kind not in ("documents", "pairs"):
        raise ValueError(f"{data} is a {source.kind} dataset; tokenize takes documents or pairs")
    parents = {source.kind: source.digest}
    languages = None
    if layers is not None and source.kind == "documents":
        beside = find_layers(source, layers, needed=["language"], others=False)
        languages, parents = beside.layers["language"], {**parents, **beside.parents}
    check_folder(tokenizer)
    encoder = Encoder.load(tokenizer)
    step = TOKENS if source.kind == "documents" else PREFERENCE
    spec = step.spec({"tokenizer_sha256": encoder.sha256, "vocab_size": encoder.vocab_size}, parents)

    def write(begun: Build) -> None:
        job = TokenizeJob(dataset, tokenizer, encoder.sha256, languages, begun)
        with beam_pipeline(workers, beam_args) as p:
            build(p, job, dataset.paths)

    reads = [data, tokenizer, *([languages.place] if languages else [])]
    return make_one(Wanted(output, spec, dataset.paths, reads), existing, write)


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
    with progress(console, "tokenize", output):
        manifest = run(data, tokenizer, output, layers, workers, Existing.of(replace, keep), beam_args(context))
    console.print(f"{manifest.kind}: {summary(manifest)}", soft_wrap=True)


if __name__ == "__main__":
    run_command(command)
