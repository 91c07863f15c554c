"""Ingest: forum dumps and text corpora to documents, the only step in which text moves between files.

byte ranges of files ── parse ── rows by thread ─────────────────┬─ regroup ── join threads, sort ── data/ and rejects/
                          ├── votes, links, comments by post ── join ┘                │
                          └── rows read ── account: read = kept + used + dropped ─────┘  for every file
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import apache_beam as beam
import typer

from pipelines import memory
from pipelines.command import Output, Replace, Workers, beam_args, console, run_command
from pipelines.io import reject_name, scratch_place, shard_name
from pipelines.options import beam_pipeline
from pipelines.progress import human_bytes, progress, summary
from transforms import accounts, parse_cache, places, removal, shards, strict_yaml
from transforms.accounts import Account
from transforms.ids import fingerprint
from transforms.join_marks import JoinMarks, JoinSpec
from transforms.parse import FileRange, Parse, ParseSpec, cut, is_cached, sites_of
from transforms.reblock import Reblock, Unpack, UnpackArchives, by_archive
from transforms.regroup import Beside, Regroup
from transforms.sources import jsonl, parquet, reddit, stackexchange
from transforms.sources.inputs import SOURCES, InputFile, find_files
from transforms.sources.inputs import Input as Input
from transforms.sources.mapping import RowMapping
from transforms.sources.unpack import USUAL_LIMITS, Limits
from transforms.thread_rules import ThreadRules
from transforms.threads import FinishThreads, Target

KIND = "documents"

# Raised when documents may change though settings did not: it is part of the fingerprint.
_VERSION = 3
HEADLESS = ("drop", "keep")
_GOOD_SHARD_BYTES = 64 << 20
_LARGE_SHARD_BYTES = 512 << 20
_REDDIT_FIELDS = 3  # a Reddit row in Arrow has 0.43 of its bytes in JSON: a third, times what memory.py adds for ids
_BLOCKS_PACK = 3  # tables in blocks of scratch space are at least so many times smaller than they are


@dataclass(frozen=True)
class IngestSettings:
    """Settings of ingest.

    num_shards: of the output, the same however the rows are stored; later steps hold a shard in memory, so that large
    inputs want more. max_record_bytes: a longer row is dropped. range_bytes: what one worker reads at a time.
    author_secret: a file whose content keys the author keys; None: no authors are stored. max_drop_rate: the step fails
    when a larger share of the posts is dropped. allow_damaged: what could be read of truncated and damaged files is
    kept; else they fail the step.
    headless_threads: what becomes of posts whose question is not in the input: "drop", or "keep" as threads without a
    question. max_thread_posts: of a longer thread the question, the best answers and the first comments stay.
    limits: how much a packed file may unpack to. mapping: a file that says what the fields of JSONL and Parquet
    rows are. remove_list: a file of posts, URLs and authors to leave out. reuse: a folder that keeps parsed rows, so
    that a later run reads new files only. memory: a bound for all local processes together, such as 1GB. reuse and
    memory change no byte of the output. strip_edit_labels: labels such as `EDIT 2:` are taken off Stack Exchange posts;
    what follows them stays.
    """

    num_shards: int = 16
    max_record_bytes: int = 8 << 20
    range_bytes: int = 32 << 20
    author_secret: str | None = None
    max_drop_rate: float = 0.1
    allow_damaged: bool = False
    headless_threads: str = "drop"
    max_thread_posts: int | None = None
    limits: Limits = USUAL_LIMITS
    mapping: str | None = None
    remove_list: str | None = None
    reuse: str | None = None
    memory: str | None = None
    strip_edit_labels: bool = False

    def __post_init__(self) -> None:
        for name in ("num_shards", "max_record_bytes", "range_bytes", "max_thread_posts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.headless_threads not in HEADLESS:
            raise ValueError(f"headless_threads is one of {', '.join(HEADLESS)}; got {self.headless_threads!r}")
        if self.memory is not None:
            memory.parse_size(self.memory)
        if not 0 <= self.max_drop_rate <= 1:
            raise ValueError(f"max_drop_rate is a share between 0 and 1, got {self.max_drop_rate}")


def build(
    p: beam.Pipeline,
    ranges: Sequence[FileRange],
    spec: ParseSpec,
    join: JoinSpec,
    target: Target,
    reblock: Reblock,
    shared: bool = False,
) -> None:
    """Byte ranges -> parsed rows -> posts beside their votes -> threads in shards; and the account of every row.

    shared: large packed files become ranges for several workers; else one worker reads each from end to end.
    """
    single, archives = by_archive(ranges)
    spread = p | "Ranges" >> beam.Create(single) | "Spread" >> beam.Reshuffle()
    if shared:
        spread = spread | "Unpack" >> Unpack(reblock)
    unpacked = p | "Archives" >> beam.Create(archives) | "SpreadArchives" >> beam.Reshuffle()
    members = unpacked | "UnpackArchives" >> UnpackArchives(reblock)
    scratch, num_buckets, spill = scratch_place(target.place), spec.num_buckets, spec.spill_bytes
    every = (spread, members) | "AllRanges" >> beam.Flatten()
    tables, marks, comments, half_read, read = every | "Parse" >> Parse(spec)
    joined, facts, used = (marks, comments) | "JoinMarks" >> JoinMarks(scratch, join)
    posts = (tables, joined) | "Regroup" >> Regroup(scratch, num_buckets, spill)
    said = facts | "RegroupFacts" >> Regroup(scratch, num_buckets, spill)
    finished = (posts, said) | "Beside" >> Beside() | "FinishThreads" >> FinishThreads(target, half_read)
    (
        (read, used, finished)
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

    Raises ValueError for inputs that cannot be read at all, for damaged ones unless they are allowed, when more posts
    are dropped than max_drop_rate allows, and when another dataset is at `output` and `replace` is False.
    """
    settings = settings or IngestSettings()
    files = find_files(inputs, settings.limits)
    num_shards = settings.num_shards
    unpacked = _unpacked_bytes(files)
    archived = sum(file.bytes for file in files if file.member is not None)
    plan = memory.plan(settings.memory, workers, settings.range_bytes, num_shards, unpacked)
    spec = _parse_spec(settings, files, num_shards, plan)
    rules = _thread_rules(settings, files)
    dataset = _dataset(files, spec, num_shards, rules)
    if manifest := shards.begin(output, dataset, replace):
        return manifest
    shared = plan.workers > 1 or bool(beam_args)
    packed = sum(file.bytes for file in files if file.packed and not file.member)
    blocks = archived // _BLOCKS_PACK + (packed * 3 // 2 if shared else 0)
    memory.check_disk(output, memory.scratch_bytes(unpacked, plan.num_parts, blocks))
    ranges, reuse = _ranges(files, spec, plan.range_bytes)
    target = Target(
        output,
        dataset.fingerprint,
        tuple(shard_name(index, num_shards) for index in range(num_shards)),
        tuple(reject_name(index, num_shards) for index in range(num_shards)),
        rules,
        plan.num_parts,
        scratch_place(output),
        plan.run_bytes,
    )
    reblock = Reblock(scratch_place(output), plan.range_bytes, settings.limits)
    if settings.memory:
        memory.give_back_freed()
    with beam_pipeline(plan.workers, beam_args) as p:
        build(p, ranges, spec, _join_spec(files, spec), target, reblock, shared=shared)
    account = _read_account(output)
    if reuse and spec.parse_cache:
        _keep_parsed(spec.parse_cache, files, reuse)
    _check(account, files, settings, output)
    entries = [{**entry, **account.of_file(file.name)} for entry, file in zip(dataset.inputs, files, strict=True)]
    paths, counts = (*target.data_paths, *target.reject_paths), _remove_counts(account, spec.remove)
    return shards.commit(output, dataset, paths, entries, counts, {"files": reuse.to_dict()} if reuse else None)


def _packed_place(file: InputFile) -> str:
    """What says how far a file unpacks: its name, but of a member of an archive the unpacked size is known."""
    return file.place if file.member is None else ""


def _thread_rules(settings: IngestSettings, files: Sequence[InputFile]) -> ThreadRules:
    voted = {file.site or "" for file in files if file.table is stackexchange.Table.VOTES and file.readable}
    return ThreadRules(settings.headless_threads == "keep", settings.max_thread_posts, tuple(sorted(voted)))


def _join_spec(files: Sequence[InputFile], spec: ParseSpec) -> JoinSpec:
    names = tuple(file.name for file in files)
    return JoinSpec(tuple(sites_of(files)), names, spec.num_buckets, spec.num_posts_buckets, spec.spill_bytes)


def _unpacked_bytes(files: Sequence[InputFile]) -> int:
    """About how many bytes of posts the files hold; an archive says exactly how many its tables do."""
    archived = sum(file.bytes for file in files if file.member is not None)
    others = [file for file in files if file.member is None]
    rows = memory.unpacked_bytes((_packed_place(file), file.bytes) for file in others if file.source != reddit.SOURCE)
    months = memory.unpacked_bytes((_packed_place(file), file.bytes) for file in others if file.source == reddit.SOURCE)
    return archived + rows + months // _REDDIT_FIELDS


def _num_posts_buckets(files: Sequence[InputFile], bucket_bytes: int) -> int:
    """Votes, links and comments are joined with their posts so many bytes of tables at a time."""
    tables = [file for file in files if file.source == stackexchange.SOURCE]
    others = [file for file in tables if file.table is not stackexchange.Table.POSTS]
    posts = [file for file in tables if file.table is stackexchange.Table.POSTS]
    num_bytes = _unpacked_bytes(others) + _unpacked_bytes(posts) // 20  # a row of ids for each post
    return max(1, -(-num_bytes // bucket_bytes))


def _parse_spec(
    settings: IngestSettings, files: Sequence[InputFile], num_shards: int, plan: memory.MemoryPlan
) -> ParseSpec:
    if settings.mapping and not any(file.source in (jsonl.SOURCE, parquet.SOURCE) for file in files):
        raise ValueError(
            f"the mapping {settings.mapping} is for JSONL and Parquet, and none of the inputs was recognised as one of "
            f"them; got {sorted({file.source for file in files})}. Say it with --source"
        )
    return ParseSpec(
        num_shards * plan.num_parts,
        settings.max_record_bytes,
        _author_key(settings.author_secret),
        settings.limits,
        strict_yaml.load(RowMapping, settings.mapping) if settings.mapping else None,
        removal.load(settings.remove_list),
        num_posts_buckets=_num_posts_buckets(files, plan.spill_bytes),
        batch_chars=plan.batch_chars,
        spill_bytes=plan.spill_bytes,
        cache=settings.reuse,
        strip_edit_labels=settings.strip_edit_labels,
    )


def _ranges(
    files: Sequence[InputFile], spec: ParseSpec, range_bytes: int
) -> tuple[list[FileRange], parse_cache.Reuse | None]:
    """Byte ranges to parse, and in place of those of a file that was parsed before, its rows."""
    if not spec.parse_cache:
        return cut(files, range_bytes), None
    if spec.remove.num_entries:
        spec.parse_cache.drop_others()
    reuse = parse_cache.reuse(spec.parse_cache, [file for file in files if is_cached(file)])
    return cut(files, range_bytes, reuse.parts), reuse


def _keep_parsed(cache: parse_cache.ParseCache, files: Sequence[InputFile], reuse: parse_cache.Reuse) -> None:
    for file in files:
        if file.name in dict(reuse.read):
            cache.complete(file)


def _remove_counts(account: Account, remove: removal.RemoveList) -> dict[str, dict[str, int]] | None:
    """How many entries of the remove list named a post. What they are is told to nobody."""
    if not remove.num_entries:
        return None
    return {"remove_list": {"entries": remove.num_entries, "entries_matched": len(account.entries)}}


def _check(account: Account, files: Sequence[InputFile], settings: IngestSettings, output: str) -> None:
    """accounts.check; where it refuses, nothing is left of what was written."""
    try:
        accounts.check(account, [file.name for file in files], settings.max_drop_rate, settings.allow_damaged)
    except ValueError as error:
        shards.abandon(output)
        error.add_note(
            f"Nothing was kept at {output}. With --max-drop-rate 1 --allow-damaged it is written in spite of all this; "
            "its rejects/ folder then says which rows were left out, and why."
        )
        raise


def _size_hint(manifest: shards.Manifest) -> Iterator[str]:
    """What to do about shards that later steps can hardly hold in memory."""
    if (largest := max(file.bytes for file in manifest.data_files)) > _LARGE_SHARD_BYTES:
        number = -(-sum(file.bytes for file in manifest.data_files) // _GOOD_SHARD_BYTES)
        yield (
            f"its largest shard has {human_bytes(largest)}, and later steps hold a few times that for each worker; "
            f"--num-shards {1 << (number - 1).bit_length()} would make smaller ones"
        )


def _dataset(files: Sequence[InputFile], spec: ParseSpec, num_shards: int, rules: ThreadRules) -> shards.DatasetSpec:
    secret = spec.author_secret
    return shards.DatasetSpec(
        kind=KIND,
        settings={
            "version": _VERSION,
            "num_shards": num_shards,
            "max_record_bytes": spec.max_record_bytes,
            "headless_threads": "keep" if rules.keep_headless else "drop",
            "max_thread_posts": rules.max_thread_posts,
            "limits": asdict(spec.limits),
            "strip_edit_labels": spec.strip_edit_labels,
            "author_secret": hashlib.blake2b(secret, person=b"agora-digest").hexdigest()[:16] if secret else None,
            "mapping": fingerprint(spec.mapping) if spec.mapping else None,
            "remove_list": spec.remove.digest(secret) if spec.remove.num_entries else None,
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
        typer.Argument(
            metavar="INPUT",
            help="Stack Exchange (folder, .7z or Posts.xml), Reddit's RS_* and RC_*, JSONL, Parquet; .gz and .zst too.",
        ),
    ],
    output: Output,
    source: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(SOURCES)}; by default recognised from the content.")
    ] = None,
    site: Annotated[
        str | None, typer.Option(help="Host of the forum, such as beer.stackexchange.com, or a name for the corpus.")
    ] = None,
    num_shards: Annotated[
        int, typer.Option(help="Output shards; large inputs want about one per 100 MB of text.")
    ] = IngestSettings.num_shards,
    max_record_bytes: Annotated[int, typer.Option(help="A longer row is dropped.")] = IngestSettings.max_record_bytes,
    author_secret: Annotated[
        str | None, typer.Option(help="File whose content keys the author keys; without it none are stored.")
    ] = None,
    max_drop_rate: Annotated[
        float, typer.Option(help="Fail when a larger share of the posts is dropped.")
    ] = IngestSettings.max_drop_rate,
    allow_damaged: Annotated[
        bool, typer.Option("--allow-damaged", help="Keep what could be read of truncated and damaged files.")
    ] = False,
    headless_threads: Annotated[
        str, typer.Option(help="Posts whose question is not in the input: drop, or keep as threads without a question.")
    ] = IngestSettings.headless_threads,
    max_thread_posts: Annotated[
        int | None, typer.Option(help="Of a longer thread the question, the best answers, the first comments stay.")
    ] = None,
    max_unpack_ratio: Annotated[
        float, typer.Option(help="Stop reading a packed file that unpacks to more than so many times its size.")
    ] = Limits.max_ratio,
    max_unpacked_bytes: Annotated[
        int, typer.Option(help="Stop reading a packed file that unpacks to more bytes.")
    ] = Limits.max_unpacked_bytes,
    mapping: Annotated[
        str | None, typer.Option(help="YAML file that says what the fields of JSONL and Parquet rows are.")
    ] = None,
    remove_list: Annotated[
        str | None, typer.Option(help="File of post ids, URLs and authors, one a line, to leave out.")
    ] = None,
    reuse: Annotated[
        str | None, typer.Option(help="Folder that keeps parsed rows, so that the next run reads new files only.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Bound for all local processes together, such as 1GB (fewer workers if need be).")
    ] = None,
    strip_edit_labels: Annotated[
        bool, typer.Option("--strip-edit-labels", help="Take labels such as `EDIT 2:` off Stack Exchange posts.")
    ] = False,
    workers: Workers = 1,
    replace: Replace = False,
) -> None:
    """Read forum dumps and text corpora into documents."""
    settings = IngestSettings(
        num_shards=num_shards,
        max_record_bytes=max_record_bytes,
        author_secret=author_secret,
        max_drop_rate=max_drop_rate,
        allow_damaged=allow_damaged,
        headless_threads=headless_threads,
        max_thread_posts=max_thread_posts,
        limits=Limits(max_unpack_ratio, max_unpacked_bytes),
        mapping=mapping,
        remove_list=remove_list,
        strip_edit_labels=strip_edit_labels,
        reuse=reuse,
        memory=memory,
    )
    named = [Input(path, source, site) for path in inputs]
    with progress(console, "ingest", output):
        manifest = run(named, output, settings, workers, replace, beam_args(context))
    console.print(f"ingest: {summary(manifest)}", soft_wrap=True)
    for line in _size_hint(manifest):
        console.print(f"  {line}", soft_wrap=True)
    if reuse:
        for line in _told(json.loads(places.read_bytes(places.join(output, shards.RUN))).get("files", {})):
            console.print(f"  {line}", soft_wrap=True, markup=False)


def _told(files: dict[str, Any]) -> Iterator[str]:
    """What a run reused and what it read, and why."""
    if files:
        yield f"reused the parsed rows of {len(files['reused'])} files, read {len(files['read'])}"
        yield from (f"reused {name}" for name in files["reused"])
        yield from (f"read {name}: {why}" for name, why in files["read"].items())


if __name__ == "__main__":
    run_command(command)
