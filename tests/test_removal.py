"""Remove lists: what they name is gone, however it is spelled; what they do not name stays."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from transforms.datasets.fates import Drop, Reason
from transforms.ingest.removal import keep_out, load, normal_urls, parse, unmatched
from transforms.sources.records import Record

SITE = "beer.stackexchange.com"
PREFIX = f"stackexchange:{SITE}:"


def record(number: str, url: str | None = None, *authors: str) -> Record:
    doc_id = f"{PREFIX}{number}"
    return Record(5, doc_id, doc_id, None, "question", "text", None, (), "stackexchange", SITE,
                  url, None, None, None, None, None, None, None, authors=authors)  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        f"{PREFIX}6", "6", "  6  ",
        f"https://{SITE}/questions/6/why-is-beer", f"http://www.{SITE}/q/6/123",
        f"HTTPS://{SITE.upper()}/questions/6?a=b#c",
        "author:42", f"author:{SITE}:42", f"https://{SITE}/users/42", f"https://{SITE}/users/42/jane-doe?tab=profile",
        "author:Jane  DOE", "Jane Doe", f"author:{SITE}:jane doe",
    ],
)  # fmt: skip
def test_what_names_a_post(line: str) -> None:
    asked = record("6", f"https://{SITE}/questions/6", "42", "Jane Doe")
    other = record("7", f"https://{SITE}/questions/7", "43", "Jane Does")
    dropped, kept = keep_out([asked, other], "f", parse([line]))
    assert isinstance(dropped, Drop)
    assert (dropped.reason, dropped.offset, dropped.entry) == (Reason.REMOVED_ON_REQUEST, 5, 0)
    assert line.strip() not in dropped.detail
    assert kept is other


@pytest.mark.parametrize(
    "line", ["", "# 6", "42", "66", "author:6", "author:other.example:42", "https://x.example/questions/6"]
)
def test_what_does_not(line: str) -> None:
    asked = record("6", f"https://{SITE}/questions/6", "42")
    assert list(keep_out([asked], "f", parse([line]))) == [asked]


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        (f"https://{SITE}/questions/6/title/9#9", f"{SITE}/a/9"),
        (f"https://{SITE}/questions/6/title#9", f"{SITE}/a/9"),
        (f"https://{SITE}/a/9/1", f"{SITE}/a/9"),
        (f"https://{SITE}/questions/6/t#comment33_6", f"{SITE}#comment33"),
        (f"https://{SITE}/posts/comments/33", f"{SITE}#comment33"),
        ("https://old.reddit.com/r/AskX/comments/ab1/title/cd2/?context=3", "reddit.com/comments/ab1/_/cd2"),
        ("https://www.reddit.com/gallery/ab1", "reddit.com/comments/ab1"),
        ("https://reddit.com/ab1", "reddit.com/comments/ab1"),
        ("https://reddit.com/ab1/?utm_source=share", "reddit.com/comments/ab1"),
        ("https://np.reddit.com/tb/ab1", "reddit.com/comments/ab1"),
        ("https://reddit.com/duplicates/ab1/title", "reddit.com/comments/ab1"),
        ("https://redd.it/ab1", "reddit.com/comments/ab1"),
        ("https://www.reddit.com/wiki/index", "reddit.com/wiki/index"),  # a section, no post called "wiki"
        ("https://reddit.com/gallery/ab1/title?x=y", "reddit.com/comments/ab1"),
        ("https://www.reddit.com/r/AskX/comments/ab1/_/cd2", "reddit.com/comments/ab1/_/cd2"),
        ("https://www.reddit.com/r/AskX/comments/ab1/a_title/", "reddit.com/comments/ab1"),
        ("https://www.reddit.com/r/askx/comments/ab1/comment/cd2/", "reddit.com/comments/ab1/_/cd2"),
        ("https://www.reddit.com/user/Jane/comments/ab1/a_title/", "reddit.com/comments/ab1"),
        ("https://www.reddit.com/comments/ab1/", "reddit.com/comments/ab1"),
        ("https://redd.it/ab1?x=y", "reddit.com/comments/ab1"),
        ("https://forum.example/r/a/comments/ab1/", "forum.example/r/a/comments/ab1"),
        ("https://forum.example/view?id=5", "forum.example/view?id=5"),
    ],
)
def test_spellings_of_an_address(url: str, normal: str) -> None:
    assert normal_urls(url) == [normal]


@pytest.mark.parametrize(
    "rest",
    ["/a/" + "1" * 200_000 + "!", "/questions/" + "1" * 200_000, "/questions/1/" + "a?" * 100_000,
     "/q/1" + "#comment1" * 50_000, "/r/a/comments/" + "b" * 200_000 + "!", "/" + "r/" * 100_000],
)  # fmt: skip
@pytest.mark.parametrize("host", [SITE, "reddit.com", "redd.it"])
def test_a_hostile_address_takes_linear_time(host: str, rest: str) -> None:
    started = time.process_time()
    normal_urls(f"https://{host}{rest}")
    assert time.process_time() - started < 1  # minutes, where it is quadratic


@pytest.mark.parametrize(
    "line",
    ["u/Jane_Doe", "/u/jane_doe", "author:reddit.com:Jane_Doe", "author:reddit.com/r/beer:jane_doe", "Jane_Doe",
     "https://www.reddit.com/user/Jane_Doe/", "https://old.reddit.com/u/jane_doe",
     "https://www.reddit.com/r/Beer/comments/ab1/a_title/"],
)  # fmt: skip
def test_what_names_a_post_of_reddit(line: str) -> None:
    url = "https://www.reddit.com/r/beer/comments/ab1/"
    asked = record("6", url, "Jane_Doe")._replace(doc_id="reddit:reddit.com:t3_ab1", site="reddit.com/r/beer")
    elsewhere = record("7", None, "jane_doe")
    dropped, kept = keep_out([asked, elsewhere], "f", parse([line]))
    assert isinstance(dropped, Drop)
    assert (kept is elsewhere) == (line != "Jane_Doe")


def test_order_and_duplicates_do_not_matter() -> None:
    lines = ["6", "author:jane", "https://x.example/1", "# note", "7"]
    assert parse(lines) == parse([*reversed(lines), "7", " 6"])
    assert parse(lines).num_entries == 4
    assert parse(lines) != parse(lines[1:])


def test_ids_of_posts_dropped_for_another_reason_are_not_written() -> None:
    drops = [Drop("f", 0, f"{PREFIX}6", Reason.EMPTY, "no text"), Drop("f", 9, f"{PREFIX}6", Reason.DELETED, "gone")]
    empty, deleted = keep_out(drops, "f", parse(["6"]))
    assert isinstance(empty, Drop)
    assert isinstance(deleted, Drop)
    assert (empty.record_id, empty.reason) == (None, Reason.EMPTY)
    assert deleted.reason is Reason.REMOVED_ON_REQUEST


def test_files() -> None:
    assert load("list", "\ufeff6\r\n".encode()) == parse(["6"])
    with pytest.raises(ValueError, match="remove list list has no entries"):
        load("list", b"# nothing\n")
    with pytest.raises(ValueError, match="not UTF-8 at byte 0"):
        load("list", b"\xff")


def test_the_object_does_not_show_its_entries() -> None:
    entries = parse(["author:Jane Doe", "6"])
    assert "ane" not in repr(entries)
    assert b"ane" not in entries.hashes


@pytest.mark.parametrize("rest", ["", "/", "/revisions", "/timeline?filter=all", "/edit#x"])
def test_a_post_by_its_number_is_a_question_or_an_answer(rest: str) -> None:
    named = parse([f"https://{SITE}/posts/6{rest}"])
    assert named.num_entries == 1
    assert named.post("q", f"https://{SITE}/questions/6") == 0
    assert named.post("a", f"https://{SITE}/a/6") == 0
    assert named.post("a", f"https://{SITE}/a/66") is None
    assert named.post("q", "https://other.example/questions/6") is None


def test_entries_that_name_no_post_are_told_by_their_lines(tmp_path: Path) -> None:
    lines = ["# a comment", "6", "", f"https://{SITE}/questions/7/x", "Jane Doe", " 99 ", "Jane  doe"]
    (tmp_path / "list").write_text("\n".join(lines))
    listed = parse(lines)
    assert listed.num_entries == 4
    posts = [record("6"), record("8", None, "Jane Doe"), record("9")]
    found = {drop.entry for drop in keep_out(posts, "f", listed) if isinstance(drop, Drop)}
    assert len(found) == 2
    assert unmatched(str(tmp_path / "list"), {number for number in found if number is not None}) == [4, 6]
