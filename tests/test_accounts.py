"""The account of an ingestion: what it refuses, and what it then says to do."""

from __future__ import annotations

import time

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipelines.local.options import beam_pipeline
from transforms.datasets.fates import Drop, Reason
from transforms.ingest.accounts import Account, FileAccount, Total, check


def test_orphans_say_what_to_do() -> None:
    account = Account()
    account.of_file("RC").rows += 2
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


def of_files(*files: str) -> Account:
    account = Account()
    for file in files:
        account.of_file(file).rows += 2
        account.of_file(file).kept += 1
        account.dropped(Drop(file, 7, None, Reason.EMPTY, "no text"))
    return account


def seconds_to_check(number: int) -> float:
    files = [str(file) for file in range(number)]
    account = of_files(*files)
    started = time.process_time()
    check(account, files, 1.0)
    assert [account.of_file(file).dropped for file in files] == [{"empty": 1}] * number
    return time.process_time() - started


def test_an_account_of_four_times_as_many_files_takes_four_times_as_long() -> None:
    """Of one that grows with the square it would be 16."""
    assert seconds_to_check(8000) < 9 * min(seconds_to_check(2000) for _ in range(3))


def test_adding_up_adds_no_sum_again(monkeypatch: pytest.MonkeyPatch) -> None:
    every = [of_files(str(file)) for file in range(400)]
    added = []
    add = FileAccount.add
    monkeypatch.setattr(FileAccount, "add", lambda entry, other: (added.append(other), add(entry, other)))
    with beam_pipeline() as p:
        whole = p | beam.Create(every) | beam.CombineGlobally(Total())
        assert_that(whole | beam.Map(lambda account: account.num_rows), equal_to([2 * len(every)]))
    assert len(added) <= 2 * len(every)


@pytest.mark.parametrize(("orphans", "refused"), [(2, False), (5, False), (6, True)])
def test_votes_most_of_which_are_about_no_post_are_of_another_dump(orphans: int, refused: bool) -> None:
    account = Account()
    account.of_file("Posts.xml").rows += 5
    account.of_file("Posts.xml").kept += 5
    account.of_file("Votes.xml").rows += 14
    account.of_file("Votes.xml").used["up"] += 10 - orphans
    account.of_file("Votes.xml").unused[Reason.ORPHAN.value] += orphans
    account.of_file("Votes.xml").unused[Reason.OTHER_VOTE.value] += 4
    files = ["Posts.xml", "Votes.xml"]
    check(account, files, max_drop_rate=1.0)
    if refused:
        with pytest.raises(ValueError, match=r"Votes\.xml: 6 of 10 rows are about posts that are not in the input"):
            check(account, files, max_drop_rate=0.1)
    else:
        check(account, files, max_drop_rate=0.1)
