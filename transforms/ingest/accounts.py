"""The account of an ingestion: what came in, was kept and was dropped, by file and reason, with an example of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from transforms.datasets import shown
from transforms.datasets.fates import WITHDRAWN, Drop, Reason, Tally, check_conserved
from transforms.sources.inputs import ONE_DUMP_A_SITE
from transforms.sources.records import DAMAGE, FILE_REASONS
from transforms.sources.source import InputFile

Example = tuple[str, int, str | None, str]  # file, offset, record id, detail of a drop


@dataclass
class Account:
    """Adding is all it does, in any order. Groups of counts: read, kept (by file), facts, and for each FILE
    `drop FILE`, `file FILE`, `used FILE`, `unused FILE`, `noted FILE`, `shared FILE`."""

    counts: Tally = field(default_factory=Tally)
    examples: dict[str, Example] = field(default_factory=dict)  # by reason: the first by file and offset
    entries: set[int] = field(default_factory=set)  # of the remove list, that matched: at most as many as it has

    def removed(self, entry: int) -> None:
        self.entries.add(entry)

    def read(self, file: str, number: int) -> None:
        self.counts.add("read", file, number)

    @property
    def num_read(self) -> int:
        return self.counts.total("read")

    def kept(self, file: str, number: int) -> None:
        self.counts.add("kept", file, number)

    def used(self, file: str, kind: str, number: int) -> None:
        """Rows that became part of a post: votes and links."""
        self.counts.add(f"used {file}", kind, number)

    def facts_made(self, number: int) -> None:
        """Rows about a post, made of votes and links: on their way to their thread they are in no other count."""
        self.counts.add("facts", "made", number)

    def facts_found(self, number: int) -> None:
        """Such rows where they have arrived."""
        self.counts.add("facts", "found", number)

    def unused(self, file: str, reason: Reason, number: int) -> None:
        """Rows that say something of a post and are left out: too many and too small to be written out."""
        self.counts.add(f"unused {file}", reason.value, number)

    def noted(self, file: str, note: str, number: int) -> None:
        """Rows without a text of their own of which something could not be read."""
        self.counts.add(f"noted {file}", note, number)

    def shared(self, file: str, other: str, number: int) -> None:
        """Posts whose number stands in two tables of one site."""
        self.counts.add(f"shared {file}", other, number)

    def dropped(self, drop: Drop) -> None:
        group = "file" if drop.reason in FILE_REASONS else "drop"
        self.counts.add(f"{group} {drop.file}", drop.reason.value)
        self._example(drop.reason.value, (drop.file, drop.offset, drop.record_id, drop.detail))

    def _example(self, reason: str, example: Example) -> None:
        known = self.examples.get(reason)
        if known is None or _order(example) < _order(known):
            self.examples[reason] = example

    def merge(self, other: Account) -> Account:
        self.counts.merge(other.counts)
        for reason, example in other.examples.items():
            self._example(reason, example)
        self.entries |= other.entries
        return self

    def of_file(self, file: str) -> dict[str, object]:
        """A file's entry in the manifest: rows read, kept, dropped by reason, and outcomes of the file itself."""
        kinds = {"dropped": "drop", "used": "used", "unused": "unused", "noted": "noted", "outcomes": "file"}
        return {
            "rows": self.counts.group("read").get(file, 0),
            "kept": self.counts.group("kept").get(file, 0),
            **{kind: dict(sorted(self.counts.group(f"{group} {file}").items())) for kind, group in kinds.items()},
        }

    def to_dict(self) -> dict[str, object]:
        return {"counts": self.counts.to_dict(), "examples": self.examples, "entries": sorted(self.entries)}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Account:
        examples = {reason: (*example,) for reason, example in values["examples"].items()}
        return Account(Tally(values["counts"]), examples, set(values["entries"]))


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
_ORPHANS = "give the file with the questions too, or keep answers without one with --headless-threads keep"


def check_dumps(account: Account, files: Sequence[InputFile]) -> None:
    """Raises ValueError for tables of one site that hold posts of the same numbers.

    Their answers would stand under each other's questions. Parts of one table share none; of a copy of a file all rows
    are the same, and dropped as duplicates.
    """
    by_name = {file.name: file for file in files}
    for file in files:
        for other, number in sorted(account.counts.group(f"shared {file.name}").items()):
            raise ValueError(
                f"{file.told} and {by_name[other].told} were read as {file.site}, and {number} posts of the one have "
                f"numbers of posts of the other: dumps of two forums, or two of one forum. {ONE_DUMP_A_SITE}"
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


def check(account: Account, files: Iterable[str], max_drop_rate: float, allow_damaged: bool = False) -> None:
    """Law 1. Raises ValueError for lost rows, when none was kept, for damaged files, and for too many dropped posts.

    max_drop_rate is a share of the rows that are posts: wikis and nominations, which are none, count on neither side,
    nor does what was removed on request.
    """
    files = list(files)
    facts = account.counts.group("facts")
    check_conserved("facts on posts", facts.get("made", 0), facts.get("found", 0), 0)
    kept = unusable = 0
    dropped: dict[str, int] = {}
    rates: list[_Rate] = []
    damaged: list[str] = []
    for file in files:
        entry = account.of_file(file)
        damaged += _damage(file, entry)
        reasons = entry["dropped"]
        assert isinstance(reasons, dict)
        file_kept = int(str(entry["kept"]))
        kept_or_used = file_kept + account.counts.total(f"used {file}")
        left_out = sum(reasons.values()) + account.counts.total(f"unused {file}")
        check_conserved(f"rows of {file}", int(str(entry["rows"])), kept_or_used, left_out)
        file_unusable = sum(number for reason, number in reasons.items() if reason not in _WANTED)
        rates.append(_Rate(file, file_unusable, file_kept + file_unusable))
        kept, unusable = kept + file_kept, unusable + file_unusable
        for reason, number in reasons.items():
            dropped[reason] = dropped.get(reason, 0) + number
    if kept == 0:
        raise ValueError("nothing could be read from the inputs:\n" + "\n".join(_explained(account, dropped, files)))
    if damaged and not allow_damaged:
        raise ValueError(
            f"{len(damaged)} of {len(rates)} input files are not whole. Get them again, or keep what could be read of "
            "them with --allow-damaged (in a build file ingest.allow_damaged: true):\n" + "\n".join(damaged)
        )
    _check_marks(account, files, max_drop_rate)
    if unusable > max_drop_rate * (kept + unusable):
        raise ValueError(
            f"{unusable} of {kept + unusable} posts or documents were dropped "
            f"({unusable / (kept + unusable):.1%}), more than --max-drop-rate {max_drop_rate:.1%} allows. Repair the "
            "input or raise the bound:\n" + "\n".join([*_explained(account, dropped, files), *_worst(rates)])
        )


def _check_marks(account: Account, files: Iterable[str], max_drop_rate: float) -> None:
    """Raises ValueError for votes and links most of which are about posts that are not there: those of another dump.

    What the others are about has the same number by chance. Of a dump's own 2% are orphans, whose posts were deleted.
    """
    for file in files:
        used, orphans = account.counts.total(f"used {file}"), account.counts.group(f"unused {file}").get("orphan", 0)
        if orphans > max(max_drop_rate, _MOST_ORPHANS) * (used + orphans):
            raise ValueError(
                f"{file}: {orphans} of {used + orphans} rows are about posts that are not in the input, so that it "
                "seems to be of another dump, and what it says of the others would be wrong. Give tables of one dump; "
                "or, if it is meant, --max-drop-rate 1"
            )


def _damage(file: str, entry: Mapping[str, object]) -> Iterator[str]:
    outcomes = entry["outcomes"]
    assert isinstance(outcomes, dict)
    if found := sorted(DAMAGE & outcomes.keys()):
        assert isinstance(entry["used"], dict)
        kept = int(str(entry["kept"])) + sum(entry["used"].values())
        yield f"  {shown.name(file)}: {', '.join(found)}; {kept} of the {entry['rows']} rows read can be kept"


def _explained(account: Account, dropped: Mapping[str, int], files: Sequence[str]) -> Iterator[str]:
    for reason, (file, offset, record_id, detail) in sorted(account.examples.items()):
        if reason in dropped:
            number = f"{dropped[reason]} row{'' if dropped[reason] == 1 else 's'}"
            where = f"such as {shown.name(record_id or 'a record')} at byte {offset} of "
            yield f"  {reason}: {number}, {where}{shown.name(file)}: {detail}"
            if reason == Reason.ORPHAN:
                yield f"    {_ORPHANS}"
        else:
            alike = sum(reason in account.counts.group(f"file {name}") for name in files)
            yield f"  {reason}: {f'{alike} files, such as ' if alike > 1 else ''}{shown.name(file)}: {detail}"
    if not account.examples:
        yield "  the inputs hold no rows"


def _worst(rates: list[_Rate]) -> Iterator[str]:
    """The files that lose the largest share of their posts; of equal shares those that lose more."""
    bad = sorted((rate for rate in rates if rate.dropped), key=lambda rate: (-rate.share, -rate.dropped, rate.file))
    yield f"The worst of {len(rates)} files:"
    for rate in bad[:_WORST_FILES]:
        yield f"  {shown.name(rate.file)}: {rate.dropped} of {rate.posts} dropped ({rate.share:.1%})"
