"""The account of an ingestion: what came in, was kept and was dropped, by file and reason, with an example of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.fates import Drop, Reason, Tally, check_conserved
from transforms.sources.records import FILE_REASONS

Example = tuple[str, int, str | None, str]  # file, offset, record id, detail of a drop


@dataclass
class Account:
    """Adding is all it does, in any order. Groups of counts: read, kept (by file), `drop FILE` and `file FILE`."""

    counts: Tally = field(default_factory=Tally)
    examples: dict[str, Example] = field(default_factory=dict)  # by reason: the first by file and offset

    def read(self, file: str, number: int) -> None:
        self.counts.add("read", file, number)

    def kept(self, file: str, number: int) -> None:
        self.counts.add("kept", file, number)

    def dropped(self, drop: Drop) -> None:
        group = "file" if drop.reason in FILE_REASONS else "drop"
        self.counts.add(f"{group} {drop.file}", drop.reason.value)
        self._example(drop.reason.value, (drop.file, drop.offset, drop.record_id, drop.detail))

    def _example(self, reason: str, example: Example) -> None:
        known = self.examples.get(reason)
        if known is None or example[:2] < known[:2]:
            self.examples[reason] = example

    def merge(self, other: Account) -> Account:
        self.counts.merge(other.counts)
        for reason, example in other.examples.items():
            self._example(reason, example)
        return self

    def of_file(self, file: str) -> dict[str, object]:
        """A file's entry in the manifest: rows read, kept, dropped by reason, and outcomes of the file itself."""
        counts = self.counts.to_dict()
        return {
            "rows": counts.get("read", {}).get(file, 0),
            "kept": counts.get("kept", {}).get(file, 0),
            "dropped": counts.get(f"drop {file}", {}),
            "outcomes": counts.get(f"file {file}", {}),
        }

    def to_dict(self) -> dict[str, object]:
        return {"counts": self.counts.to_dict(), "examples": self.examples}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Account:
        return Account(Tally(values["counts"]), {reason: (*example,) for reason, example in values["examples"].items()})


def total(accounts: Iterable[Account]) -> Account:
    whole = Account()
    for account in accounts:
        whole.merge(account)
    return whole


def check(account: Account, files: Iterable[str], max_drop_rate: float) -> None:
    """Law 1. Raises ValueError when rows were lost, when none was kept, or when too many posts were dropped.

    max_drop_rate is a share of the rows that are posts: wikis and nominations, which are none, count on neither side.
    """
    kept = unusable = 0
    dropped: dict[str, int] = {}
    for file in files:
        entry = account.of_file(file)
        reasons = entry["dropped"]
        assert isinstance(reasons, dict)
        check_conserved(f"rows of {file}", int(str(entry["rows"])), int(str(entry["kept"])), sum(reasons.values()))
        kept += int(str(entry["kept"]))
        for reason, number in reasons.items():
            dropped[reason] = dropped.get(reason, 0) + number
            unusable += 0 if reason == Reason.NOT_A_POST else number
    if kept == 0:
        raise ValueError("nothing could be read from the inputs:\n" + "\n".join(_explained(account, dropped)))
    if unusable > max_drop_rate * (kept + unusable):
        raise ValueError(
            f"{unusable} of {kept + unusable} posts were dropped ({unusable / (kept + unusable):.1%}), more than "
            f"--max-drop-rate {max_drop_rate:.1%} allows. Repair the input or raise the bound:\n"
            + "\n".join(_explained(account, dropped))
        )


def _explained(account: Account, dropped: Mapping[str, int]) -> Iterator[str]:
    for reason, (file, offset, record_id, detail) in sorted(account.examples.items()):
        number = f"{dropped[reason]} rows" if reason in dropped else "file"
        yield f"  {reason}: {number}, such as {record_id or 'a record'} at byte {offset} of {file}: {detail}"
    if not account.examples:
        yield "  the inputs hold no rows"
