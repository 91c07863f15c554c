"""Ingest: forum dumps and text corpora to documents, the only step in which text moves between files.

byte ranges of files ── parse ── rows by thread ─────────────────┬─ regroup ── join threads, sort ── data/ and rejects/
                          ├── votes, links, comments by post ── join ┤                │
                          ├── replies by post ────── find their thread ┘              │
                          └── rows read ── account: read = kept + used + dropped ─────┘  for every file
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any

import apache_beam as beam
import typer

from pipelines import headless
from pipelines.command import Keep, Output, Replace, Workers, beam_args, console, run_command
from pipelines.ingest_plan import IngestPlan, IngestSettings, inputs_of, plan_ingest
from pipelines.local import memory, nursery
from pipelines.local.options import beam_pipeline, check_run
from pipelines.progress import human_bytes, progress
from transforms.datasets import places, shown, strict_json
from transforms.datasets.building import Build
from transforms.datasets.manifest import Manifest
from transforms.datasets.names import RUN
from transforms.datasets.standing import Existing
from transforms.datasets.step import RefusedError, Wanted, Whole, make_one
from transforms.ingest import accounts, parse_cache, removal
from transforms.ingest.accounts import Account
from transforms.ingest.find_threads import FindThreads
from transforms.ingest.join_marks import JoinMarks
from transforms.ingest.parse import FileRange, Parse, cut, is_cached
from transforms.ingest.spread import Unpack, by_archive
from transforms.ingest.threads import FinishThreads
from transforms.ingest.withheld import Withheld, withhold
from transforms.shuffle.regroup import RegroupBeside
from transforms.sources.inputs import Input, find_files
from transforms.sources.kinds import SOURCES
from transforms.sources.source import InputFile
from transforms.sources.streams.unpack import Limits

_SHOWN_LINES = 50  # of a remove list
_SHOWN_FILES = 5
_SHOWN_LANGUAGES = 8
_GOOD_SHARD_BYTES = 64 << 20
_LARGE_SHARD_BYTES = 512 << 20


def build(p: beam.Pipeline, ranges: Sequence[FileRange], plan: IngestPlan, begun: Build) -> None:
    """Byte ranges -> parsed rows -> posts with their threads and votes -> threads in shards; and the account of all."""
    every = p | "Ranges" >> beam.Create(by_archive(ranges), reshuffle=True) | "Unpack" >> Unpack(plan.reblock(begun))
    parsed = every | "Parse" >> Parse(plan.parse)
    scratch, num_buckets, spill = begun.scratch, plan.parse.num_buckets, plan.parse.spill_bytes
    joined, facts, used = (parsed.marks, parsed.comments) | "JoinMarks" >> JoinMarks(scratch, plan.join)
    posts = [parsed.tables, joined]
    if plan.search:
        posts.append((parsed.steps, parsed.replies) | "FindThreads" >> FindThreads(scratch, plan.search))
    finished = (
        (tuple(posts), facts)
        | "Regroup" >> RegroupBeside(scratch, num_buckets, spill)
        | "FinishThreads" >> FinishThreads(plan.target(begun), parsed.half_read)
    )
    (
        (parsed.accounts, used, finished)
        | "Accounts" >> beam.Flatten()
        | "AddUp" >> beam.CombineGlobally(accounts.Total())
        | "WriteAccount" >> beam.Map(_write_account, _account_place(begun))
    )


def run(
    inputs: Sequence[Input],
    output: str,
    settings: IngestSettings | None = None,
    workers: int = 1,
    existing: Existing = Existing.REFUSE,
    beam_args: Sequence[str] = (),
) -> Manifest:
    """Reads the inputs into a documents dataset at `output` and returns its manifest.

    Raises ValueError for inputs that cannot be read at all, for damaged ones unless they are allowed, when more posts
    are dropped than max_drop_rate allows, and when another dataset is at `output` unless `existing` allows it.
    """
    settings = settings or IngestSettings()
    dry = check_run(workers, beam_args, _opened(inputs, output, settings))
    if workers > 1 and not (beam_args or settings.memory):
        nursery.ready()  # it imports while the inputs are looked through
    files = find_files(inputs, settings.limits)
    plan = plan_ingest(files, settings, workers, on_cluster=bool(beam_args))
    if plan.parse.parse_cache:
        plan.parse.parse_cache.check()

    def write(begun: Build) -> Whole:
        ranges, reuse = _prepare(plan, begun, dry)
        if settings.memory:
            memory.give_back_freed()
        with beam_pipeline(plan.within.workers, beam_args) as p:
            build(p, ranges, plan, begun)
        account = _read_account(begun)
        _keep_parsed(plan, reuse)
        _check(account, files, settings, output)
        return _whole(plan, account, reuse)

    paths = (*plan.data_paths, *plan.reject_paths)
    return make_one(Wanted(output, plan.dataset, paths), existing, write, dry)


def _opened(inputs: Sequence[Input], output: str, settings: IngestSettings) -> list[tuple[str, str | None]]:
    """The places that workers open; mappings are read here, and sent."""
    named = [("--author-secret", settings.author_secret), ("--remove-list", settings.remove_list)]
    return [*(("INPUT", item.path) for item in inputs), ("--output", output), *named, ("--reuse", settings.reuse)]


def _prepare(plan: IngestPlan, begun: Build, dry: bool) -> tuple[list[FileRange], parse_cache.Reuse | None]:
    """Raises RefusedError for a run that cannot be made."""
    try:
        memory.check_disk(begun.work, plan.scratch_bytes)
        if not dry:
            _forget(plan)
        return _ranges(plan)
    except (ValueError, OSError) as error:
        raise RefusedError(str(error)) from error


def _whole(plan: IngestPlan, account: Account, reuse: parse_cache.Reuse | None) -> Whole:
    """The account of every file, and what else is known of the whole."""
    files = zip(plan.dataset.inputs, plan.files, strict=True)
    entries = [{**entry, **account.of_file(file.name).entry()} for entry, file in files]
    told: dict[str, object] = {"files": reuse.to_dict()} if reuse else {}
    if plan.parse.withheld.remove_list:
        told["remove_entries_matched"] = sorted(account.entries)  # numbers in the order of hashes: they name nobody
    return Whole(entries, _remove_counts(account, plan.parse.withheld), told)


def _ranges(plan: IngestPlan) -> tuple[list[FileRange], parse_cache.Reuse | None]:
    """Byte ranges to parse, and in place of those of a file that was parsed before, its rows."""
    cache, range_bytes = plan.parse.parse_cache, plan.within.range_bytes
    if not cache:
        return cut(plan.files, range_bytes), None
    reuse = parse_cache.reuse(cache, [file for file in plan.files if is_cached(file)])
    return cut(plan.files, range_bytes, reuse.parts), reuse


def _forget(plan: IngestPlan) -> None:
    """What a remove list names does not live on in rows that were parsed without it."""
    if plan.parse.parse_cache and plan.parse.withheld.remove_list:
        plan.parse.parse_cache.drop_others()


def _keep_parsed(plan: IngestPlan, reuse: parse_cache.Reuse | None) -> None:
    """Says of the files that were read now that all their rows are in the cache."""
    if (cache := plan.parse.parse_cache) and reuse:
        read = dict(reuse.read)
        for file in plan.files:
            if file.name in read:
                pieces = cut([file], plan.within.range_bytes)
                cache.complete(file, [(piece.start, piece.end) for piece in pieces])


def _remove_counts(account: Account, withheld: Withheld) -> dict[str, dict[str, int]] | None:
    """How many entries of the remove list named a post. What they are is told to nobody."""
    if not withheld.remove_list:
        return None
    entries = withheld.open().remove.num_entries
    return {"remove_list": {"entries": entries, "entries_matched": len(account.entries)}}


def _check(account: Account, files: Sequence[InputFile], settings: IngestSettings, output: str) -> None:
    """The checks of accounts, as refusals."""
    names = [file.name for file in files]
    questions = {file.name: SOURCES[file.source].questions_of(file.name) for file in files}
    try:
        accounts.check_dumps(account, files)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    try:
        accounts.check(account, names, settings.max_drop_rate, settings.allow_damaged, questions)
        accounts.check_mappings(account, files, settings.max_drop_rate)
    except ValueError as error:
        refused = RefusedError(str(error))
        if any(account.of_file(name).kept for name in names):
            refused.add_note(
                f"Nothing was kept at {output}. With --max-drop-rate 1 --allow-damaged it is written in spite of all "
                "this; its rejects/ folder then says which rows were left out, and why."
            )
        else:
            refused.add_note(_looked_at(files))
        raise refused from error


def _looked_at(files: Sequence[InputFile]) -> str:
    """Where files are of which nothing was kept, and what was wanted of them."""
    read = [f"{shown.name(file.place)} as {SOURCES[file.source].says}" for file in files]
    more = f" and {len(read) - _SHOWN_FILES} more" if len(read) > _SHOWN_FILES else ""
    return f"Read: {'; '.join(read[:_SHOWN_FILES])}{more}. Wanted: whole files with posts in them; check the path"


def _size_hint(manifest: Manifest) -> Iterator[str]:
    """What to do about shards that later steps can hardly hold in memory."""
    if (largest := max(file.bytes for file in manifest.data_files)) > _LARGE_SHARD_BYTES:
        number = -(-sum(file.bytes for file in manifest.data_files) // _GOOD_SHARD_BYTES)
        yield (
            f"its largest shard has {human_bytes(largest)}, and later steps hold a few times that for each worker; "
            f"--num-shards {1 << (number - 1).bit_length()} would make smaller ones"
        )


def _account_place(build: Build) -> str:
    return places.join(build.scratch, "account.json")


def _write_account(account: Account, place: str) -> None:
    places.write_atomically(place, json.dumps(account.to_dict()).encode())


def _read_account(build: Build) -> Account:
    return Account.from_dict(json.loads(places.read_bytes(_account_place(build))))


def command(
    context: typer.Context,
    output: Output,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help=f"{', '.join(source.says for source in SOURCES.values())}; packed as .gz, .bz2, .xz or .zst, too.",
        ),
    ] = None,
    named: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="PATH[=SITE][,source=S][,mapping=FILE]",
            help="One more input, with a site, source and mapping of its own; may be given several times. The site is "
            "what follows the last `=` before the options.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help=f"Of each INPUT: {', '.join(SOURCES)}; by default recognised from the content."),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(
            help="Of each INPUT that does not name it: the forum's host, such as beer.stackexchange.com; of a corpus "
            "any name."
        ),
    ] = None,
    num_shards: Annotated[
        int, typer.Option(help="Output shards; large inputs want about one per 100 MB of text.")
    ] = IngestSettings.num_shards,
    max_record_bytes: Annotated[int, typer.Option(help="A longer row is dropped.")] = IngestSettings.max_record_bytes,
    author_secret: Annotated[
        str | None,
        typer.Option(help="File that keys the author keys (`agora secret` makes one); without it none are stored."),
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
        str | None,
        typer.Option(
            help="Of each INPUT: a YAML file that says what the fields of its rows are "
            f"({', '.join(source.name for source in SOURCES.values() if source.mapped)})."
        ),
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
    keep: Keep = False,
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
        remove_list=remove_list,
        strip_edit_labels=strip_edit_labels,
        reuse=reuse,
        memory=memory,
    )
    found = inputs_of(inputs or (), named or (), source, site, mapping)
    with progress(console, "ingest", output) as runs:
        manifest = run(found, output, settings, workers, Existing.of(replace, keep), beam_args(context))
    console.print(f"ingest: {runs.told(output, manifest)}", soft_wrap=True)
    for line in notes(manifest, output, settings):
        console.print(f"  {line}", soft_wrap=True)


def notes(manifest: Manifest, output: str, settings: IngestSettings) -> Iterator[str]:
    """What a user should know of a run beside its summary: shards that are too large, what rows state of themselves,
    answers without their questions, what was read and what reused, entries of the remove list that name no post."""
    yield from _size_hint(manifest)
    yield from _stated(manifest)
    yield from headless.of_files(manifest)
    if not (settings.reuse or settings.remove_list):
        return
    account = strict_json.load(places.join(output, RUN))
    if settings.reuse:
        yield from _told(account.get("files", {}))
    matched = account.get("remove_entries_matched")
    if settings.remove_list and matched is not None:
        yield from _unmatched(manifest, settings, settings.remove_list, matched)


def _stated(manifest: Manifest) -> Iterator[str]:
    """The languages that documents state, the most common first, and how many documents have which attribute."""
    if languages := manifest.counts.get("language", {}):
        ordered = sorted(languages.items(), key=lambda item: (-item[1], item[0]))
        told = ", ".join(f"{number:,} {name}" for name, number in ordered[:_SHOWN_LANGUAGES])
        more = ", …" if len(ordered) > _SHOWN_LANGUAGES else ""
        yield f"language stated of {sum(languages.values()):,} documents: {told}{more}"
    if attributes := manifest.counts.get("attribute", {}):
        yield f"attributes: {', '.join(f'{number:,} {name}' for name, number in sorted(attributes.items()))}"


def _unmatched(
    manifest: Manifest, settings: IngestSettings, remove_list: str, matched: Collection[int]
) -> Iterator[str]:
    """What named no post; the list may be another one by now."""
    try:
        now = withhold(settings.author_secret, remove_list).digests
    except ValueError:
        now = {}
    if now.get("remove_list") != manifest.settings["remove_list"]:
        yield "the remove list was changed since the run began, which went by what it said then: run it again"
    elif lines := removal.unmatched(remove_list, matched):
        shown = ", ".join(map(str, lines[:_SHOWN_LINES])) + (" …" if len(lines) > _SHOWN_LINES else "")
        yield f"lines of the remove list that name no post of these inputs: {shown}"


def _told(files: dict[str, Any]) -> Iterator[str]:
    """What a run reused and what it read, and why."""
    if files:
        yield f"reused the parsed rows of {len(files['reused'])} files, read {len(files['read'])}"
        yield from (f"reused {name}" for name in files["reused"])
        yield from (f"read {name}: {why}" for name, why in files["read"].items())


if __name__ == "__main__":
    run_command(command)
