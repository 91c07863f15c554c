"""The plan of an ingestion: what the settings and the input files say is to be done, decided before a row is read."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pipelines.local import memory
from transforms.datasets.building import Build
from transforms.datasets.ids import fingerprint
from transforms.datasets.manifest import DatasetSpec
from transforms.datasets.names import reject_name, shard_name
from transforms.datasets.settings import SettingError
from transforms.datasets.step import Step
from transforms.ingest.find_threads import ThreadSearch
from transforms.ingest.join_marks import JoinSpec
from transforms.ingest.parse import LIBRARIES, ParseSpec, forums_of
from transforms.ingest.spread import Reblock
from transforms.ingest.thread_rules import ThreadRules
from transforms.ingest.threads import Target
from transforms.ingest.withheld import withhold
from transforms.sources.inputs import Input
from transforms.sources.kinds import SOURCES
from transforms.sources.source import Holds, InputFile
from transforms.sources.streams.unpack import USUAL_LIMITS, Limits, window_bytes

_STEP = Step("documents", version=7, libraries=LIBRARIES)

_HEADLESS = ("drop", "keep")
_SITE = re.compile(r"[\w.-]*")  # as far as it can be told from a path
_OPTION = re.compile(r"(?P<before>.*),(?P<name>source|mapping)=(?P<value>[^=]*)", re.DOTALL)
_WAYS = "write --input PATH=SITE, or --input PATH; behind it where needed ,source=S and ,mapping=FILE"
_SEARCHED = 2  # times what their files unpack to, replies take in scratch space while their threads are found
_BLOCKS_PACK = 3  # tables in blocks of scratch space are at least so many times smaller than they are


@dataclass(frozen=True)
class IngestSettings:
    """Settings of ingest.

    num_shards: of the output, the same however the rows are stored; later steps hold a shard in memory, so that large
    inputs want more. max_record_bytes: a longer row is dropped. range_bytes: what one worker reads at a time.
    author_secret: a file of at least 16 random bytes, which key the author keys; None: no authors are stored.
    max_drop_rate: the step fails when a larger share of the posts is dropped. allow_damaged: what could be read of
    truncated and damaged files is kept; else they fail the step.
    headless_threads: what becomes of posts whose question is not in the input: "drop", or "keep" as threads without a
    question. max_thread_posts: of a longer thread the question, the best answers and the first comments stay.
    limits: how much a packed file may unpack to. remove_list: a file of posts, URLs and authors to leave out. Every
    worker reads it, and the secret. reuse: a folder that keeps parsed rows, so that a later run reads new files only.
    memory: a bound for all local processes together, such as 1GB. reuse and memory change no byte of the output.
    strip_edit_labels: labels such as `EDIT 2:` are taken off Stack Exchange posts; what follows them stays.
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
    remove_list: str | None = None
    reuse: str | None = None
    memory: str | None = None
    strip_edit_labels: bool = False

    def __post_init__(self) -> None:
        for name in ("num_shards", "max_record_bytes", "range_bytes", "max_thread_posts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingError(name, f"must be at least 1, got {value}")
        if self.headless_threads not in _HEADLESS:
            raise SettingError("headless_threads", f"is one of {', '.join(_HEADLESS)}; got {self.headless_threads!r}")
        if self.memory is not None:
            try:
                memory.parse_size(self.memory)
            except ValueError as error:
                raise SettingError("memory", str(error)) from None
        if not 0 <= self.max_drop_rate <= 1:
            raise SettingError("max_drop_rate", f"is a share between 0 and 1, got {self.max_drop_rate}")


@dataclass(frozen=True)
class IngestPlan:
    """All that an ingestion's graph is built from, but for where it goes.

    search: how threads are found that rows do not name; None where all name theirs. shared: large packed files are
    worth a copy, since several workers wait for their rows.
    """

    files: Sequence[InputFile]
    within: memory.MemoryPlan
    parse: ParseSpec
    join: JoinSpec
    search: ThreadSearch | None
    dataset: DatasetSpec
    data_paths: tuple[str, ...]
    reject_paths: tuple[str, ...]
    rules: ThreadRules
    shared: bool
    scratch_bytes: int

    def target(self, build: Build) -> Target:
        """Where finished buckets go."""
        parts, run_bytes = self.within.num_parts, self.within.run_bytes
        return Target(build, self.data_paths, self.reject_paths, self.rules, parts, run_bytes)

    def reblock(self, build: Build) -> Reblock:
        """How packed files are unpacked into scratch space."""
        return Reblock(build.scratch, self.within.range_bytes, self.parse.limits, self.shared)


def plan_ingest(files: Sequence[InputFile], settings: IngestSettings, workers: int, on_cluster: bool) -> IngestPlan:
    """Raises ValueError for settings that do not fit the files, or a bound on memory that nothing fits."""
    num_shards, unpacked = settings.num_shards, _unpacked_bytes(files)
    window = max(map(_window_bytes, files)) if settings.memory else 0
    within = memory.plan_memory(settings.memory, workers, settings.range_bytes, num_shards, unpacked, window)
    shared = within.workers > 1 or on_cluster
    parse = _parse_spec(settings, files, num_shards, within)
    rules = _thread_rules(settings, files)
    dataset = _dataset(files, parse, num_shards, rules)
    names = tuple(file.name for file in files)
    return IngestPlan(
        files=files,
        within=within,
        parse=parse,
        join=JoinSpec(
            tuple(forums_of(files)),
            names,
            parse.num_buckets,
            parse.num_posts_buckets,
            parse.spill_bytes,
            _copies(files),
        ),
        search=_search(files, parse),
        dataset=dataset,
        data_paths=tuple(shard_name(index, num_shards) for index in range(num_shards)),
        reject_paths=tuple(reject_name(index, num_shards) for index in range(num_shards)),
        rules=rules,
        shared=shared,
        scratch_bytes=memory.scratch_bytes(unpacked, within.num_parts, _blocks_bytes(files, shared))
        + _SEARCHED * _unpacked_bytes([file for file in files if file.holds is Holds.REPLIES]),
    )


def _copies(files: Sequence[InputFile]) -> tuple[int, ...]:
    """For each file the number of the first one with the same content."""
    first: dict[str, int] = {}
    return tuple(first.setdefault(file.sha256, number) for number, file in enumerate(files))


def _window_bytes(file: InputFile) -> int:
    """What its decoder holds in memory."""
    unpacked_here = file.packed and file.member is None and file.readable
    return max(file.dictionary_bytes, window_bytes(file.place) if unpacked_here else 0)


def _blocks_bytes(files: Sequence[InputFile], shared: bool) -> int:
    """About how much the copies of packed files and archives take in scratch space."""
    archived = sum(file.bytes for file in files if file.member is not None)
    packed = sum(file.bytes for file in files if file.packed and file.member is None)
    return archived // _BLOCKS_PACK + (packed * 3 // 2 if shared else 0)


def _search(files: Sequence[InputFile], parse: ParseSpec) -> ThreadSearch | None:
    if not any(file.holds is Holds.REPLIES for file in files):
        return None
    return ThreadSearch(parse.num_buckets, parse.num_posts_buckets, parse.spill_bytes)


def _thread_rules(settings: IngestSettings, files: Sequence[InputFile]) -> ThreadRules:
    voted = {file.forum for file in files if file.holds is Holds.VOTES and file.readable}
    flat = frozenset(file.name for file in files if file.flat_comments)
    keep_headless = settings.headless_threads == "keep"
    return ThreadRules(keep_headless, settings.max_thread_posts, tuple(sorted(voted)), flat)


def _unpacked_bytes(files: Sequence[InputFile]) -> int:
    """About how many bytes of posts the files hold; an archive says exactly how many its members do."""
    total = 0
    for source in SOURCES.values():
        own = [file for file in files if file.source == source.name]
        archived = sum(file.bytes for file in own if file.member is not None)
        others = memory.unpacked_bytes((file.place, file.bytes) for file in own if file.member is None)
        total += round((archived + others) * source.arrow_share)
    return total


def _num_posts_buckets(files: Sequence[InputFile], bucket_bytes: int) -> int:
    """What names a post, but not its thread, meets its post so many bytes of tables at a time."""
    posts = [file for file in files if file.holds is Holds.POSTS and SOURCES[file.source].numbered]
    others = [file for file in files if file.holds is not Holds.POSTS]
    num_bytes = _unpacked_bytes(others) + _unpacked_bytes(posts) // 20  # a row of ids for each post
    return max(1, -(-num_bytes // bucket_bytes))


def _parse_spec(
    settings: IngestSettings, files: Sequence[InputFile], num_shards: int, plan: memory.MemoryPlan
) -> ParseSpec:
    return ParseSpec(
        num_shards * plan.num_parts,
        settings.max_record_bytes,
        withhold(settings.author_secret, settings.remove_list),
        settings.limits,
        num_posts_buckets=_num_posts_buckets(files, plan.spill_bytes),
        batch_chars=plan.batch_chars,
        spill_bytes=plan.spill_bytes,
        cache=settings.reuse,
        strip_edit_labels=settings.strip_edit_labels,
    )


def _mapping_of(file: InputFile) -> str | None:
    """What names the mapping that a file's rows are read by."""
    return fingerprint(file.mapping.identity()) if file.mapping else None


def _dataset(files: Sequence[InputFile], spec: ParseSpec, num_shards: int, rules: ThreadRules) -> DatasetSpec:
    return _STEP.spec(
        settings={
            "num_shards": num_shards,
            "max_record_bytes": spec.max_record_bytes,
            "headless_threads": "keep" if rules.keep_headless else "drop",
            "max_thread_posts": rules.max_thread_posts,
            "limits": asdict(spec.limits),
            "strip_edit_labels": spec.strip_edit_labels,
            **spec.withheld.digests,
            "mappings": sorted({name for file in files if (name := _mapping_of(file))}),
            "sites": sorted({f"{file.source}:{file.site or ''}" for file in files}),
        },
        inputs=[
            {
                "name": file.name,
                "bytes": file.bytes,
                "sha256": file.sha256,
                "source": file.source,
                "site": file.site,
                "mapping": _mapping_of(file),
            }
            for file in files
        ],
    )


def parse_input(text: str) -> Input:
    """What `--input` is given: PATH[=SITE][,source=S][,mapping=FILE].

    The options are read from the end, then what follows the last `=` is the site. So a path may hold any character;
    where it has a `=` and no site is to be given, it ends with a `=` of its own. Raises ValueError.
    """
    options: dict[str, str] = {}
    path = text
    while found := _OPTION.fullmatch(path):
        path, name, value = found["before"], found["name"], found["value"]
        if name in options or not value:
            raise ValueError(f"--input {text}: {name} is {'given twice' if name in options else 'empty'}; {_WAYS}")
        options[name] = value
    path, site = path.rsplit("=", 1) if "=" in path else (path, "")
    misspelt = difflib.get_close_matches(path.rpartition(",")[2], ("source", "mapping", "site"), n=1, cutoff=0.8)
    if site and "," in path and misspelt:
        raise ValueError(f"--input {text}: there is no option {path.rpartition(',')[2]!r} behind a path; {_WAYS}")
    if not path or not _SITE.fullmatch(site):
        raise ValueError(
            f"--input {text}: got the path {path!r} and the site {site!r}, which is what follows the last '='; want a "
            f"host or a name of letters, digits, '.', '_' and '-'. {_WAYS}; a path that holds a '=' itself and has no "
            "site ends with one more '='"
        )
    try:
        return Input(path, options.get("source"), site or None, options.get("mapping"))
    except SettingError as error:  # of this text, not of a flag
        raise ValueError(f"--input {text}: {error}") from None


def inputs_of(
    paths: Sequence[str],
    named: Sequence[str],
    source: str | None = None,
    site: str | None = None,
    mapping: str | None = None,
) -> list[Input]:
    """The inputs of a command line, bare paths and those of `--input`. source, site, mapping: said of the bare ones.

    Raises ValueError where there is none of these.
    """
    given = {"source": source, "site": site, "mapping": mapping}
    if named and not paths and (idle := [f"--{name} {value}" for name, value in given.items() if value]):
        raise ValueError(
            f"{' '.join(idle)} is said of the inputs without --input, and there are none; say it of each: --input "
            "PATH=SITE,source=S,mapping=FILE"
        )
    return [*(Input(path, source, site, mapping) for path in paths), *map(parse_input, named)]
