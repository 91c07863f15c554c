"""The account of an ingestion: what came in, was kept and was dropped, by file and reason, with an example of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from transforms.datasets import shown
from transforms.datasets.fates import WITHDRAWN, Drop, Reason, check_conserved
from transforms.datasets.ids import canonical_json
from transforms.sources.inputs import ONE_DUMP_A_SITE
from transforms.sources.records import DAMAGE, FILE_REASONS
from transforms.sources.source import InputFile

Example = tuple[str, int, str | None, str]  # file, offset, record id, detail of a drop


def _counts() -> Counter[str]:
    return Counter()


@dataclass
class FileAccount:
    """The account of one input file: what became of each of its rows, counted by reason or kind."""

    rows: int = 0
    kept: int = 0
    replies: int = 0  # of those that are kept: what answers or comments on a post
    dropped: Counter[str] = field(default_factory=_counts)
    used: Counter[str] = field(default_factory=_counts)  # rows that became part of a post: votes and links
    unused: Counter[str] = field(default_factory=_counts)  # such rows, left out: too many and small to be written out
    noted: Counter[str] = field(default_factory=_counts)  # what else is to be known of its rows
    outcomes: Counter[str] = field(default_factory=_counts)  # of the file itself
    shared: Counter[str] = field(default_factory=_counts)  # posts whose number stands in another table of its forum too

    def add(self, other: FileAccount) -> None:
        """Adds the counts of the same file from elsewhere."""
        self.rows += other.rows
        self.kept += other.kept
        self.replies += other.replies
        for own, more in zip(self._counters(), other._counters(), strict=True):
            own.update(more)

    def _counters(self) -> list[Counter[str]]:
        return [self.dropped, self.used, self.unused, self.noted, self.outcomes, self.shared]

    def entry(self) -> dict[str, object]:
        """What the manifest says of the file."""
        groups = ("dropped", "used", "unused", "noted", "outcomes")
        counts = {name: dict(sorted(getattr(self, name).items())) for name in groups}
        return {"rows": self.rows, "kept": self.kept, **counts}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> FileAccount:
        """What JSON gives back of `Account.to_dict`."""
        counters = {name: Counter(value) for name, value in values.items() if isinstance(value, dict)}
        return FileAccount(values["rows"], values["kept"], values["replies"], **counters)


@dataclass
class Account:
    """Adding is all it does, in any order."""

    files: dict[str, FileAccount] = field(default_factory=dict)
    examples: dict[str, Example] = field(default_factory=dict)  # by reason: the first by file and offset
    entries: set[int] = field(default_factory=set)  # of the remove list, that matched: at most as many as it has
    facts_made: int = 0  # rows about a post, made of votes and links: until they arrive they are in no other count
    facts_found: int = 0  # such rows where they have arrived

    def of_file(self, file: str) -> FileAccount:
        """The account of a file, to be added to."""
        return self.files.setdefault(file, FileAccount())

    @property
    def num_rows(self) -> int:
        """Rows read, of all files."""
        return sum(file.rows for file in self.files.values())

    def dropped(self, drop: Drop) -> None:
        """Counts a row, or an outcome of a file, and keeps the first of each reason as an example."""
        file = self.of_file(drop.file)
        (file.outcomes if drop.reason in FILE_REASONS else file.dropped)[drop.reason.value] += 1
        self._example(drop.reason.value, (drop.file, drop.offset, drop.record_id, drop.detail))

    def _example(self, reason: str, example: Example) -> None:
        known = self.examples.get(reason)
        if known is None or _order(example) < _order(known):
            self.examples[reason] = example

    def merge(self, other: Account) -> Account:
        """Adds another account to this one, and returns it."""
        for name, file in other.files.items():
            self.of_file(name).add(file)
        for reason, example in other.examples.items():
            self._example(reason, example)
        self.entries |= other.entries
        self.facts_made += other.facts_made
        self.facts_found += other.facts_found
        return self

    def to_dict(self) -> dict[str, object]:
        """For JSON; `from_dict` reads it."""
        return {
            **vars(self),
            "files": {name: vars(f) for name, f in self.files.items()},
            "entries": sorted(self.entries),
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Account:
        """What JSON gives back of `to_dict`."""
        files = {name: FileAccount.from_dict(file) for name, file in values["files"].items()}
        examples: dict[str, Example] = {reason: (*example,) for reason, example in values["examples"].items()}
        return Account(files, examples, set(values["entries"]), values["facts_made"], values["facts_found"])


def _order(example: Example) -> tuple[object, ...]:
    file, offset, record_id, detail = example
    return file, offset, record_id or "", detail


class Total(beam.CombineFn):
    """Adds accounts up. Each is added once: a function of several would add the sum so far with every few."""

    def create_accumulator(self) -> Account:
        return Account()

    def add_input(self, total: Account, account: Account) -> Account:
        return total.merge(account)

    def merge_accumulators(self, totals: Iterable[Account]) -> Account:
        whole = Account()
        for total in totals:
            whole.merge(total)
        return whole

    def extract_output(self, total: Account) -> Account:
        return total


# Dropped as they should be: they count on neither side of the drop rate.
_WANTED = frozenset({Reason.NOT_A_POST, Reason.QUESTION_REMOVED, *WITHDRAWN})
_WORST_FILES = 5
_MOST_ORPHANS = 0.5  # of votes and links
_KEEP = (
    "keep answers without one with --headless-threads keep (in a build file ingest.headless_threads: keep; "
    "they give no pairs)"
)


def check_dumps(account: Account, files: Sequence[InputFile]) -> None:
    """Raises ValueError for tables of one site that hold posts of the same numbers.

    Their answers would stand under each other's questions. Parts of one table share none; of a copy of a file all rows
    are the same, and dropped as duplicates.
    """
    by_name = {file.name: file for file in files}
    for file in files:
        for other, number in sorted(account.of_file(file.name).shared.items()):
            raise ValueError(
                f"{file.told} and {by_name[other].told} were read as {file.site}, and {number} posts of the one have "
                f"numbers of posts of the other: dumps of two forums, or two of one forum. {ONE_DUMP_A_SITE}"
            )


def check_mappings(account: Account, files: Sequence[InputFile], max_drop_rate: float) -> None:
    """Raises ValueError for a mapping that tells of answers when no row it reads is one: a path in it is misspelt.

    A bound of 1 takes sets of questions alone.
    """
    read_by: dict[tuple[str, str], list[InputFile]] = {}
    for file in files:
        if file.mapping and (looked_for := file.mapping.names_answers):
            read_by.setdefault((canonical_json(file.mapping.identity()), looked_for), []).append(file)
    for (_, looked_for), of_mapping in read_by.items():
        entries = [account.of_file(file.name) for file in of_mapping]
        if max_drop_rate < 1 and any(entry.kept for entry in entries) and not any(entry.replies for entry in entries):
            raise ValueError(
                f"no row of {of_mapping[0].told} is an answer, as its mapping reads it: it looks for {looked_for}. Is "
                "that misspelt? Questions alone are taken with --max-drop-rate 1"
            )


@dataclass(frozen=True)
class _Rate:
    """How many of a file's posts were dropped."""

    file: str
    dropped: int
    posts: int

    @property
    def share(self) -> float:
        return self.dropped / self.posts if self.posts else 0.0


def check(
    account: Account,
    files: Iterable[str],
    max_drop_rate: float,
    allow_damaged: bool = False,
    questions: Mapping[str, str] | None = None,
) -> None:
    """Law 1. Raises ValueError for lost rows, when none was kept, for damaged files, and for too many dropped posts.

    max_drop_rate is a share of the rows that are posts: wikis and nominations, which are none, count on neither side,
    nor does what was removed on request. questions: of a file where the questions of its answers are.
    """
    entries = {file: account.of_file(file) for file in files}
    questions = questions or {}
    check_conserved("facts on posts", account.facts_made, account.facts_found, 0)
    kept = unusable = 0
    dropped: Counter[str] = Counter()
    rates: list[_Rate] = []
    damaged: list[str] = []
    for file, entry in entries.items():
        damaged += _damage(file, entry)
        left_out = entry.dropped.total() + entry.unused.total()
        check_conserved(f"rows of {file}", entry.rows, entry.kept + entry.used.total(), left_out)
        file_unusable = sum(number for reason, number in entry.dropped.items() if reason not in _WANTED)
        rates.append(_Rate(file, file_unusable, entry.kept + file_unusable))
        kept, unusable = kept + entry.kept, unusable + file_unusable
        dropped.update(entry.dropped)
    if kept == 0:
        raise ValueError(
            "nothing could be read from the inputs:\n" + "\n".join(_explained(account, dropped, entries, questions))
        )
    if damaged and not allow_damaged:
        raise ValueError(
            f"{len(damaged)} of {len(rates)} input files are not whole. Get them again, or keep what could be read of "
            "them with --allow-damaged (in a build file ingest.allow_damaged: true):\n" + "\n".join(damaged)
        )
    _check_marks(entries, max_drop_rate)
    if unusable > max_drop_rate * (kept + unusable):
        raise ValueError(
            f"{unusable} of {kept + unusable} posts or documents were dropped "
            f"({unusable / (kept + unusable):.1%}), more than --max-drop-rate {max_drop_rate:.1%} allows. Repair the "
            "input or raise the bound:\n"
            + "\n".join([*_explained(account, dropped, entries, questions), *_worst(rates)])
        )


def _check_marks(entries: Mapping[str, FileAccount], max_drop_rate: float) -> None:
    """Raises ValueError for votes and links most of which are about posts that are not there: those of another dump.

    What the others are about has the same number by chance. Of a dump's own 2% are orphans, whose posts were deleted.
    """
    for file, entry in entries.items():
        used, orphans = entry.used.total(), entry.unused[Reason.ORPHAN.value]
        if orphans > max(max_drop_rate, _MOST_ORPHANS) * (used + orphans):
            raise ValueError(
                f"{file}: {orphans} of {used + orphans} rows are about posts that are not in the input, so that it "
                "seems to be of another dump, and what it says of the others would be wrong. Give tables of one dump; "
                "or, if it is meant, --max-drop-rate 1"
            )


def _damage(file: str, entry: FileAccount) -> Iterator[str]:
    if found := sorted(DAMAGE & entry.outcomes.keys()):
        kept = entry.kept + entry.used.total()
        yield f"  {shown.name(file)}: {', '.join(found)}; {kept} of the {entry.rows} rows read can be kept"


def _explained(
    account: Account, dropped: Mapping[str, int], entries: Mapping[str, FileAccount], questions: Mapping[str, str]
) -> Iterator[str]:
    for reason, (file, offset, record_id, detail) in sorted(account.examples.items()):
        if reason in dropped:
            number = f"{dropped[reason]} row{'' if dropped[reason] == 1 else 's'}"
            where = f"such as {shown.name(record_id or 'a record')} at byte {offset} of "
            yield f"  {reason}: {number}, {where}{shown.name(file)}: {detail}"
            if reason == Reason.ORPHAN:
                yield f"    give {questions.get(file, 'the file with the questions')} too, or {_KEEP}"
        else:
            alike = sum(reason in entry.outcomes for entry in entries.values())
            yield f"  {reason}: {f'{alike} files, such as ' if alike > 1 else ''}{shown.name(file)}: {detail}"
    if not account.examples:
        yield "  the inputs hold no rows"


def _worst(rates: list[_Rate]) -> Iterator[str]:
    """The files that lose the largest share of their posts; of equal shares those that lose more."""
    bad = sorted((rate for rate in rates if rate.dropped), key=lambda rate: (-rate.share, -rate.dropped, rate.file))
    yield f"The worst of {len(rates)} files:"
    for rate in bad[:_WORST_FILES]:
        yield f"  {shown.name(rate.file)}: {rate.dropped} of {rate.posts} dropped ({rate.share:.1%})"
