"""A field that a row can do without costs itself only, in every source, and is counted; one that it cannot, the row."""

from __future__ import annotations

import html
import io
from pathlib import Path
from typing import Any

import pytest

from pipelines.ingest import run
from pipelines.ingest_plan import IngestSettings
from pipelines.progress import summary
from tests import laws
from tests.test_ingest import conserved, write
from tests.test_marks import vote, votes
from tests.test_reddit import comment, lines, submission
from tests.test_reddit import read as read_reddit
from tests.test_stackexchange import posts, read, row
from transforms.datasets.fates import Drop, Reason
from transforms.sources.fields import Notes, UnusableError
from transforms.sources.inputs import Input
from transforms.sources.records import Record
from transforms.sources.source import Holds, Reading
from transforms.sources.stackexchange import post_rows

TIME = 1577934245678  # 2020-01-02T03:04:05.678
SECONDS = 1_600_000_000


def test_what_is_unreadable_and_what_is_absent_are_told_apart() -> None:
    def fail(note: str | None = None) -> int:
        raise UnusableError(Reason.MISSING_FIELD, "", note)

    notes = Notes()
    assert [notes.read("a", fail), notes.read("b", lambda: None), notes.read("c", lambda: 3)] == [
        None,
        None,
        3,
    ]
    assert [notes.expect("d", fail), notes.expect("e", lambda: None), notes.expect("f", lambda: 0)] == [
        None, None, 0
    ]  # fmt: skip
    notes.read("g", lambda: fail("g-in-milliseconds"))
    assert notes == ["unreadable-a", "unreadable-d", "no-e", "g-in-milliseconds"]


# ------------------------------------------------------------------------------------------ Stack Exchange


@pytest.mark.parametrize(
    ("field", "value", "column", "read_as", "note"),
    [
        ("CreationDate", "0000-00-00", "created", None, "unreadable-created"),
        ("CreationDate", "2020", "created", None, "unreadable-created"),
        ("CreationDate", "", "created", None, "no-created"),
        ("CreationDate", "2020-01-02 03:04:05.678 UTC", "created", TIME, None),
        ("CreationDate", "1577934245", "created", None, "unreadable-created"),
        ("LastEditDate", "later", "edited", None, "unreadable-edited"),
        ("LastEditDate", "2020-01-02 03:04:05.678 UTC", "edited", TIME, None),
        ("LastEditDate", "", "edited", None, None),
        ("Score", "many", "score", None, "unreadable-score"),
        ("Score", "9" * 19, "score", None, "unreadable-score"),
        ("Score", "1.5", "score", None, "unreadable-score"),
        ("Score", "", "score", None, "no-score"),
        ("Score", "-3.0", "score", -3, None),
        ("AcceptedAnswerId", "none", "accepted_id", None, "unreadable-accepted_answer"),
        ("AcceptedAnswerId", "-1", "accepted_id", None, "unreadable-accepted_answer"),
        ("AcceptedAnswerId", str(1 << 40), "accepted_id", None, "unreadable-accepted_answer"),
        ("AcceptedAnswerId", "6.0", "accepted_id", "stackexchange:x.example:6", None),
        ("Title", " ", "title", None, None),
        ("Title", "2020", "title", "2020", None),
        ("ContentLicense", "  ", "license", None, None),
        ("ContentLicense", " CC\nBY-SA 4.0 ", "license", "CC BY-SA 4.0", None),
        ("OwnerUserId", "", "author_key", None, None),
        ("Tags", "a", "tags", ["a"], "malformed-tags"),
        ("Tags", "a|b", "tags", ["a", "b"], "malformed-tags"),
        ("Tags", "|a|b", "tags", ["a", "b"], "malformed-tags"),
        ("Tags", "<a>b>", "tags", ["a", "b"], "malformed-tags"),
        ("Tags", "<a>b<c>", "tags", ["a", "b", "c"], "malformed-tags"),
        ("Tags", "<a|b>", "tags", ["a", "b"], "malformed-tags"),
        ("Tags", "|", "tags", [], "malformed-tags"),
        ("Tags", "<a><b", "tags", ["a", "b"], "malformed-tags"),
        ("Tags", "<a, b><c d>", "tags", ["a, b", "c d"], None),
    ],
)
def test_an_unreadable_field_of_a_post(field: str, value: str, column: str, read_as: Any, note: str | None) -> None:
    data = posts(row(1), row(9, **{field: html.escape(value)}), row(2))
    dump = Reading("Posts.xml", "x.example", 1 << 20, b"secret")
    _, found, _ = read(data, dump)
    assert isinstance(found, Record), found
    good = read(posts(row(1), row(9)), dump)[1]
    assert isinstance(good, Record)
    assert (getattr(found, column), found.note) == (read_as, note)
    assert found._replace(**{column: getattr(good, column)}, note=None, authors=()) == good._replace(authors=())


def test_a_post_without_its_optional_fields() -> None:
    bare = b'<row Id="5" PostTypeId="1" Body="words" />'
    (found,) = read(posts(bare))
    assert isinstance(found, Record)
    assert (found.created, found.score, found.title, [*found.tags]) == (None, None, None, [])
    assert found.note == "no-created no-score"


@pytest.mark.parametrize(
    "more",
    [{"Id": "x"}, {"Id": ""}, {"Id": "-4"}, {"PostTypeId": "2"}, {"PostTypeId": "2", "ParentId": "0x1"}],
)
def test_what_a_post_cannot_do_without(more: dict[str, str]) -> None:
    (drop,) = read(posts(row(1, **more)))
    assert isinstance(drop, Drop)
    assert drop.reason is Reason.MISSING_FIELD


def test_an_answer_does_not_speak_of_what_only_questions_have() -> None:
    _, answer = read(posts(row(1), row(2, PostTypeId="2", ParentId="1.0", AcceptedAnswerId="x", Tags="a|b")))
    assert isinstance(answer, Record)
    assert (answer.parent_id, answer.note) == ("stackexchange:x.example:1", None)


def test_comments() -> None:
    def of(**fields: str) -> Record | Drop:
        values = {"Id": "3", "PostId": "1", "Score": "2", "Text": "words", "CreationDate": "2020-01-02T03:04:05.678"}
        given = "".join(f' {name}="{value}"' for name, value in (values | fields).items())
        data = f"<comments><row{given} /></comments>".encode()
        dump = Reading("Comments.xml", "x.example", 1 << 20, holds=Holds.COMMENTS)
        (found,) = post_rows.read_posts(io.BytesIO(data), 0, None, dump)
        return found

    odd = of(CreationDate="0000-00-00", Score="", ContentLicense=" ")
    assert isinstance(odd, Record)
    assert (odd.created, odd.score, odd.license, odd.note) == (None, None, None, "unreadable-created no-score")
    for needed in ({"PostId": "x"}, {"Id": ""}):
        assert isinstance(of(**needed), Drop)


def test_a_copy_with_a_time_stays_before_one_without(tmp_path: Path) -> None:
    rows = [row(1, CreationDate="soon", Body="odd"), row(1, Body="good"), row(2, CreationDate="", Body="alone")]
    place = write(tmp_path / "Posts.xml", posts(*rows))
    run([Input(str(place), site="x.example")], str(tmp_path / "out"), IngestSettings(num_shards=1, max_drop_rate=1))
    assert [post["text"] for post in laws.all_rows(tmp_path / "out")] == ["good", "alone"]


def test_a_vote_without_a_date_counts_as_any_other(tmp_path: Path) -> None:
    rows = [row(1, AcceptedAnswerId="2"), row(2, PostTypeId="2", ParentId="1"), row(3, CreationDate="soon")]
    write(tmp_path / "in" / "Posts.xml", posts(*rows))
    cast = [
        vote(1, 2, 1, date="never"), vote(2, 2, 2, date=""), vote(3, 2, 2),
        vote(4, 2, 3, date="2020-01-01 00:00:00 UTC"), b'<row Id="5" PostId="1" VoteTypeId="2" />',
    ]  # fmt: skip
    write(tmp_path / "in" / "Votes.xml", votes(*cast))
    manifest = run([Input(str(tmp_path / "in"), site="x.example")], str(tmp_path / "out"), IngestSettings(num_shards=1))
    found = {post["doc_id"][-1]: post for post in laws.all_rows(tmp_path / "out")}
    assert {number: (post["ups"], post["downs"]) for number, post in found.items()} == {
        "1": (1, 0), "2": (2, 1), "3": (0, 0)
    }  # fmt: skip
    assert (found["2"]["accepted"], found["2"]["accepted_at"]) == (True, None)
    entries = {entry["name"]: entry for entry in manifest.inputs}
    assert entries["Votes.xml"]["used"] == {"accept": 1, "down": 1, "up": 3}
    assert entries["Votes.xml"]["noted"] == {"unreadable-created": 3}
    assert manifest.counts["note"] == {"unreadable-created": 1}
    assert "noted 4 unreadable-created" in summary(manifest)
    conserved(tmp_path / "out")


# ------------------------------------------------------------------------------------------ Reddit


@pytest.mark.parametrize(
    ("field", "value", "column", "read_as", "note"),
    [
        ("created_utc", None, "created", None, "no-created"),
        ("created_utc", "", "created", None, "no-created"),
        ("created_utc", float("nan"), "created", None, "no-created"),
        ("created_utc", True, "created", None, "unreadable-created"),
        ("created_utc", "soon", "created", None, "unreadable-created"),
        ("created_utc", 10**40, "created", None, "unreadable-created"),
        ("created_utc", SECONDS * 1000, "created", None, "created-in-milliseconds"),
        ("created_utc", f"{SECONDS}.5", "created", SECONDS * 1000 + 500, None),
        ("created_utc", SECONDS + 0.001, "created", SECONDS * 1000 + 1, None),
        ("created_utc", "2020-09-13 12:26:40 UTC", "created", SECONDS * 1000, None),
        ("created_utc", -5, "created", -5000, "odd-date"),
        ("edited", "soon", "edited", None, "unreadable-edited"),
        ("edited", [1], "edited", None, "unreadable-edited"),
        ("edited", str(SECONDS), "edited", SECONDS * 1000, None),
        ("score", None, "score", None, "no-score"),
        ("score", "5", "score", 5, None),
        ("score", 5.0, "score", 5, None),
        ("score", 5.5, "score", None, "unreadable-score"),
        ("score", True, "score", None, "unreadable-score"),
        ("score", 10**40, "score", None, "unreadable-score"),
        ("subreddit", 7, "site", "reddit.com", "unreadable-subreddit"),
        ("subreddit", "a/b", "site", "reddit.com", "unreadable-subreddit"),
        ("subreddit", None, "site", "reddit.com", None),
        ("author", None, "authors", (), None),
        ("author", ["Ann"], "authors", (), "unreadable-author"),
        ("author", 1234, "authors", ("1234",), None),
        ("distinguished", 3, "flags", [], None),
        ("permalink", 3, "url", "https://www.reddit.com/r/Beer/comments/a/_/x/", None),
    ],
)
def test_an_unreadable_field_of_a_comment(field: str, value: Any, column: str, read_as: Any, note: str | None) -> None:
    _, found, _ = read_reddit(lines(comment("w", "a"), comment("x", "a", **{field: value}), comment("y", "a")))
    assert isinstance(found, Record), found
    assert (getattr(found, column), found.note) == (read_as, note)
    assert (found.author_key is None) == (found.authors == ())
    assert (found.text, found.parent_id) == ("Text x", "reddit:reddit.com:t3_a")


def test_a_placeholder_of_a_score_is_not_read() -> None:
    (found,) = read_reddit(lines(comment("x", "a", score="?", score_hidden=True)))
    assert isinstance(found, Record)
    assert (found.score, found.note) == (None, None)


def test_titles_of_submissions() -> None:
    (found,) = read_reddit(lines(submission("a", title=2020)))
    assert isinstance(found, Record)
    assert (found.title, found.text, found.note) == (None, "What malt?", "unreadable-title")
    (untitled,) = read_reddit(lines(submission("a", title=" ")))
    assert isinstance(untitled, Record)
    assert (untitled.title, untitled.note) == (None, None)
    (drop,) = read_reddit(lines(submission("a", title=2020, selftext="")))
    assert isinstance(drop, Drop)
    assert drop.reason is Reason.EMPTY, "nothing of it can be read"


@pytest.mark.parametrize(
    "needed", [{"id": 5}, {"body": 5}, {"link_id": 5}, {"link_id": None}, {"parent_id": "x!"}, {"parent_id": 1.5}]
)
def test_what_a_comment_cannot_do_without(needed: dict[str, Any]) -> None:
    (drop,) = read_reddit(lines(comment("x", "a", **needed)))
    assert isinstance(drop, Drop)
    assert drop.reason is Reason.MISSING_FIELD
