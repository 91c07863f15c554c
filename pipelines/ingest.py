"""Ingest: forum dumps and text corpora to documents, the only step in which text moves between files.

byte ranges of files ── parse ── rows by bucket ── regroup ── join threads, sort ── data/ and rejects/
                          └── rows read ─────────────┬──────── kept and dropped
                                                  account: read = kept + dropped, for every file
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import apache_beam as beam
import typer

from pipelines.command import Output, Replace, Workers, beam_args, console, run_command
from pipelines.io import reject_name, scratch_place, shard_name
from pipelines.options import beam_pipeline
from pipelines.progress import progress, summary
from transforms import accounts, places, shards
from transforms.accounts import Account
from transforms.parse import FileRange, Parse, ParseSpec, cut
from transforms.regroup import Regroup
from transforms.sources.inputs import SOURCES, InputFile, find_files
from transforms.sources.inputs import Input as Input
from transforms.threads import FinishThreads, Target

KIND = "documents"

# Raised when documents may change though settings did not: it is part of the fingerprint.
_VERSION = 1
_SHARD_INPUT_BYTES = 64 << 20
_MIN_SHARDS = 4


@dataclass(frozen=True)
class IngestSettings:
    """Settings of ingest.

    num_shards: of the output; None: a power of two, one per 64 MiB of input, at least 4. max_record_bytes: a longer row
    is dropped. range_bytes: what one worker reads at a time. author_secret: a file whose content keys the author keys;
    None: no authors are stored. max_drop_rate: the step fails when a larger share of the posts is dropped.
    """

    num_shards: int | None = None
    max_record_bytes: int = 8 << 20
    range_bytes: int = 32 << 20
    author_secret: str | None = None
    max_drop_rate: float = 0.1

    def __post_init__(self) -> None:
        for name in ("num_shards", "max_record_bytes", "range_bytes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not 0 <= self.max_drop_rate <= 1:
            raise ValueError(f"max_drop_rate is a share between 0 and 1, got {self.max_drop_rate}")


def build(p: beam.Pipeline, ranges: Sequence[FileRange], spec: ParseSpec, target: Target) -> None:
    """Byte ranges -> parsed rows -> threads in shards; beside them the account of every row."""
    tables, read = p | "Ranges" >> beam.Create(ranges) | "Spread" >> beam.Reshuffle() | "Parse" >> Parse(spec)
    buckets = tables | "Regroup" >> Regroup(scratch_place(target.place), spec.num_buckets)
    finished = buckets | "FinishThreads" >> FinishThreads(target)
    (
        (read, finished)
        | "Accounts" >> beam.Flatten()
        | "AddUp" >> beam.CombineGlobally(accounts.total)
        | "WriteAccount" >> beam.Map(_write_account, _account_place(target.place))
    )


def run(
    inputs: Sequence[Input],
    output: str,
    settings: IngestSettings | None = None,
    workers: int = 1,
    replace: bool = False,
    beam_args: Sequence[str] = (),
) -> shards.Manifest:
    """Reads the inputs into a documents dataset at `output` and returns its manifest.

    Raises ValueError for inputs that cannot be read at all, when more posts are dropped than max_drop_rate allows, and
    when another dataset is at `output` and `replace` is False.
    """
    settings = settings or IngestSettings()
    files = find_files(inputs)
    secret = _author_key(settings.author_secret)
    num_shards = settings.num_shards or _num_shards(files)
    spec = ParseSpec(num_shards, settings.max_record_bytes, secret)
    ranges = cut(files, settings.range_bytes)
    dataset = _dataset(files, spec)
    if manifest := shards.begin(output, dataset, replace):
        return manifest
    target = Target(
        output,
        dataset.fingerprint,
        tuple(shard_name(index, num_shards) for index in range(num_shards)),
        tuple(reject_name(index, num_shards) for index in range(num_shards)),
    )
    with beam_pipeline(workers, beam_args) as p:
        build(p, ranges, spec, target)
    account = _read_account(output)
    accounts.check(account, [file.name for file in files], settings.max_drop_rate)
    entries = [{**entry, **account.of_file(file.name)} for entry, file in zip(dataset.inputs, files, strict=True)]
    return shards.commit(output, dataset, (*target.data_paths, *target.reject_paths), entries)


def _num_shards(files: Sequence[InputFile]) -> int:
    wanted = max(_MIN_SHARDS, -(-sum(file.bytes for file in files) // _SHARD_INPUT_BYTES))
    return 1 << (wanted - 1).bit_length()


def _dataset(files: Sequence[InputFile], spec: ParseSpec) -> shards.DatasetSpec:
    secret = spec.author_secret
    return shards.DatasetSpec(
        kind=KIND,
        settings={
            "version": _VERSION,
            "num_shards": spec.num_buckets,
            "max_record_bytes": spec.max_record_bytes,
            "author_secret": hashlib.blake2b(secret, person=b"agora-digest").hexdigest()[:16] if secret else None,
            "sites": sorted({f"{file.source}:{file.site or ''}" for file in files}),
        },
        inputs=[
            {"name": file.name, "bytes": file.bytes, "sha256": file.sha256, "source": file.source, "site": file.site}
            for file in files
        ],
    )


def _author_key(place: str | None) -> bytes | None:
    if place is None:
        return None
    secret = places.read_bytes(place).strip()
    if not secret:
        raise ValueError(f"the author secret {place} is empty; write a line of random characters into it, and keep it")
    return hashlib.blake2b(secret, digest_size=32, person=b"agora-author").digest()


def _account_place(output: str) -> str:
    return places.join(scratch_place(output), "account.json")


def _write_account(account: Account, place: str) -> None:
    places.write_atomically(place, json.dumps(account.to_dict()).encode())


def _read_account(output: str) -> Account:
    return Account.from_dict(json.loads(places.read_bytes(_account_place(output))))


def command(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT…", help="Folder of a Stack Exchange dump, Posts.xml, or JSONL; also as .gz."),
    ],
    output: Output,
    source: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(SOURCES)}; by default recognised from the content.")
    ] = None,
    site: Annotated[
        str | None, typer.Option(help="Host of the forum, such as beer.stackexchange.com, or a name for the corpus.")
    ] = None,
    num_shards: Annotated[
        int | None, typer.Option(help="Output shards; by default one per 64 MiB of input, at least 4.")
    ] = None,
    max_record_bytes: Annotated[int, typer.Option(help="A longer row is dropped.")] = IngestSettings.max_record_bytes,
    author_secret: Annotated[
        str | None, typer.Option(help="File whose content keys the author keys; without it none are stored.")
    ] = None,
    max_drop_rate: Annotated[
        float, typer.Option(help="Fail when a larger share of the posts is dropped.")
    ] = IngestSettings.max_drop_rate,
    workers: Workers = 1,
    replace: Replace = False,
) -> None:
    """Read forum dumps and text corpora into documents."""
    settings = IngestSettings(
        num_shards=num_shards,
        max_record_bytes=max_record_bytes,
        author_secret=author_secret,
        max_drop_rate=max_drop_rate,
    )
    named = [Input(path, source, site) for path in inputs]
    with progress(console, "ingest", output):
        manifest = run(named, output, settings, workers, replace, beam_args(context))
    console.print(f"ingest: {summary(manifest)}", soft_wrap=True)


if __name__ == "__main__":
    run_command(command)
