"""The account of an ingestion: what it refuses, and what it then says to do."""

from __future__ import annotations

import pytest

from transforms.datasets.fates import Drop, Reason
from transforms.ingest.accounts import Account, check


def test_orphans_say_what_to_do() -> None:
    account = Account()
    account.read("RC", 2)
    for offset in (0, 9):
        account.dropped(Drop("RC", offset, f"t1_{offset}", Reason.ORPHAN, "its question is not in the input"))
    with pytest.raises(ValueError, match=r"orphan: 2 rows.*at byte 0 of RC.*\n.*--headless-threads keep"):
        check(account, ["RC"], 0.1)


def test_every_unreadable_file_is_counted() -> None:
    account = Account()
    names = ["a.json", "b.json", "c.json"]
    for name in names[:2]:
        account.dropped(Drop(name, 0, None, Reason.WRONG_FORMAT, "one JSON array"))
    account.dropped(Drop("c.json", 0, None, Reason.EMPTY_FILE, "no content"))
    with pytest.raises(ValueError, match="nothing could be read") as error:
        check(account, iter(names), 0.1)
    assert "  wrong-format: 2 files, such as a.json: one JSON array" in str(error.value)
    assert "  empty-file: c.json: no content" in str(error.value)
