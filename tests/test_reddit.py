"""Reddit, row by row: every year's schema, every way a post is withdrawn, damaged lines."""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.ingest import run
from pipelines.ingest_plan import IngestSettings
from tests.test_ingest import conserved
from transforms.datasets.fates import Drop, Reason
from transforms.datasets.manifest import Manifest
from transforms.sources.inputs import Input
from transforms.sources.records import Record
from transforms.sources.reddit.posts import is_reddit, read_posts
from transforms.sources.sites import SiteRule
from transforms.sources.source import Reading

FORUMS = Path(__file__).parents[2] / "shared" / "data" / "forums"
DUMP = Reading("d", None, 100_000, b"secret")
P = "reddit:reddit.com:"

Row = dict[str, Any]


def submission(name: str, **fields: Any) -> Row:
    return {"id": name, "subreddit": "Beer", "title": f"Title {name}", "selftext": "What malt?", "author": "Ann",
            "created_utc": 1_600_000_000, "score": 5, "is_self": True} | fields  # fmt: skip


def comment(name: str, link: str, parent: str | None = None, **fields: Any) -> Row:
    return {"id": name, "subreddit": "Beer", "body": f"Text {name}", "author": "Ben", "link_id": f"t3_{link}",
            "parent_id": parent or f"t3_{link}", "created_utc": 1_600_000_100, "score": 2} | fields  # fmt: skip


def lines(*rows: Row) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def read(data: bytes, dump: Reading = DUMP) -> list[Record | Drop]:
    return list(read_posts(io.BytesIO(data), 0, None, dump))


def one(row: Row) -> Record:
    (record,) = read(lines(row))
    assert isinstance(record, Record), record
    return record


def ingest(output: Path, *paths: Path, workers: int = 1, **options: Any) -> Manifest:
    chosen = IngestSettings(**{"num_shards": 4, "max_drop_rate": 1, "allow_damaged": True, **options})
    return run([Input(str(path)) for path in paths], str(output), chosen, workers)


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_submission_and_its_comments() -> None:
    asked = one(submission("abc", selftext="\n    code\ntext &amp;amp; 3 &gt; 2 \n", title=" A &amp; B "))
    assert asked.doc_id == asked.thread_id == f"{P}t3_abc"
    assert (asked.parent_id, asked.kind) == (None, "question")
    assert (asked.text, asked.title) == ("    code\ntext &amp; 3 > 2", "A & B")
    assert (asked.site, asked.url) == ("reddit.com/r/beer", "https://www.reddit.com/r/Beer/comments/abc/")
    assert (asked.created, asked.score, asked.license, asked.flags) == (1_600_000_000_000, 5, None, [])
    answer = one(comment("x1", "abc"))
    assert (answer.kind, answer.doc_id, answer.thread_id, answer.parent_id) == (
        "answer", f"{P}t1_x1", f"{P}t3_abc", f"{P}t3_abc"
    )  # fmt: skip
    assert answer.url == "https://www.reddit.com/r/Beer/comments/abc/_/x1/"
    reply = one(comment("x2", "abc", "t1_x1"))
    assert (reply.kind, reply.parent_id) == ("comment", f"{P}t1_x1")


@pytest.mark.parametrize("created", [1_600_000_000, 1_600_000_000.0, "1600000000"])
def test_times_of_every_type(created: object) -> None:
    assert one(comment("x", "a", created_utc=created)).created == 1_600_000_000_000


@pytest.mark.parametrize(
    ("edited", "time", "flags"),
    [(False, None, []), (True, None, ["edited"]), (1_600_000_009.0, 1_600_000_009_000, []), (None, None, [])],
)
def test_edits(edited: object, time: int | None, flags: list[str]) -> None:
    record = one(comment("x", "a", edited=edited))
    assert (record.edited, record.flags) == (time, flags)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("one\n\n&amp;#x200B;\n\ntwo&amp;nbsp;three", "one\n\n\n\ntwo three"),
        ("in code `&amp;nbsp;` and\n\n    &amp;#x200B; stay", "in code `&nbsp;` and\n\n    &#x200B; stay"),
        ("&amp;lt;b&amp;gt; 5 &lt; 6 &amp;amp; 7", "&lt;b&gt; 5 < 6 &amp; 7"),
        ("` one &amp;nbsp; tick", "` one   tick"),
    ],
)
def test_room_that_the_editor_makes_is_what_it_shows(written: str, text: str) -> None:
    assert one(comment("c", "s", body=written)).text == text


def test_a_comment_that_nobody_can_see_is_empty() -> None:
    (drop,) = read(lines(comment("c", "s", body="&amp;#x200B;\n\n&amp;nbsp;")))
    assert isinstance(drop, Drop)
    assert drop.reason is Reason.EMPTY


def test_flags_and_hidden_scores() -> None:
    fields = {"stickied": True, "over_18": True, "locked": True, "distinguished": "moderator", "is_self": False,
              "crosspost_parent": "t3_zz", "hide_score": True, "is_gallery": True, "poll_data": "x"}  # fmt: skip
    record = one(submission("a", selftext="", **fields))
    assert (record.text, record.score) == ("", None)
    assert record.flags == ["crosspost", "distinguished:moderator", "gallery", "link", "locked", "over_18", "poll",
                            "score_hidden", "stickied"]  # fmt: skip
    said = one(comment("x", "a", score_hidden=True, is_submitter=True, controversiality=1))
    assert (said.score, said.flags) == (None, ["controversial", "score_hidden", "submitter"])


def test_times_that_no_forum_has_are_noted_and_whole_floats_are_scores() -> None:
    notes = {created: one(submission("a", created_utc=created)).note for created in (1, 1_600_000_000, 5_000_000_000)}
    assert notes == {1: "odd-date", 1_600_000_000: None, 5_000_000_000: "odd-date"}
    assert one(comment("x", "a", score=3.0)).score == 3


def test_authors_are_keys() -> None:
    ann, again, other = (one(comment("x", "a", author=name)).author_key for name in ("Ann", "aNN", "Ben"))
    assert ann == again != other
    for nobody in ("[deleted]", "[removed]", None, ""):
        assert one(comment("x", "a", author=nobody)).author_key is None
    (unkeyed,) = read(lines(comment("x", "a")), Reading("d", None, 1000))
    assert isinstance(unkeyed, Record)
    assert unkeyed.author_key is None


def test_a_users_own_page_is_not_named() -> None:
    record = one(submission("a", subreddit="u_Jane_Doe", author="Jane_Doe", permalink="/r/u_Jane_Doe/comments/a/"))
    assert (record.site, record.url) == ("reddit.com", "https://www.reddit.com/comments/a/")
    assert "jane" not in str(record._replace(authors=())).lower()
    assert one(comment("x", "a", subreddit=None)).url == "https://www.reddit.com/comments/a/_/x/"


def test_parents_without_a_kind() -> None:
    assert one(comment("x", "abc", parent_id=int("abc", 36))).kind == "answer"
    assert one(comment("x", "abc", parent_id=None)).kind == "answer"
    assert one(comment("x", "abc", parent_id=int("k0d0", 36))).parent_id == f"{P}t1_k0d0"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (comment("x", "a", body="[deleted]"), Reason.DELETED),
        (comment("x", "a", body="[removed]"), Reason.REMOVED),
        (comment("x", "a", body="[ Removed by Reddit ]"), Reason.REMOVED),
        (submission("a", selftext="[deleted]"), Reason.DELETED),
        (submission("a", title="[deleted by user]", selftext=""), Reason.DELETED),
        (submission("a", selftext="[removed]"), Reason.REMOVED),
        (submission("a", selftext="", removed_by_category="moderator"), Reason.REMOVED),
        (submission("a", removed_by_category="deleted"), Reason.DELETED),
        (submission("a", promoted=True), Reason.NOT_A_POST),
        (submission("a", title="", selftext=" \n"), Reason.EMPTY),
        (comment("x", "a", body=" \n "), Reason.EMPTY),
        (comment("x", "a", body=None), Reason.EMPTY),
        (comment("x", "a", body=["x"]), Reason.MISSING_FIELD),
        (comment("X!", "a"), Reason.MISSING_FIELD),
        (comment("x", "a", id=None), Reason.MISSING_FIELD),
        (comment("x", "a", link_id=None), Reason.MISSING_FIELD),
        (comment("x", "a", link_id="t1_a", parent_id="t1_a"), Reason.MISSING_FIELD),
        (comment("x", "a", parent_id="t3_b"), Reason.MISSING_FIELD),
        (comment("x", "a", parent_id="b"), Reason.MISSING_FIELD),
        (comment("x", "a", parent_id=True), Reason.MISSING_FIELD),
    ],
)
def test_rows_that_are_no_posts(row: Row, reason: Reason) -> None:
    (drop,) = read(lines(row))
    assert isinstance(drop, Drop), drop
    assert drop.reason is reason
    assert "Text" not in drop.detail


def test_text_that_only_begins_like_a_notice_stays() -> None:
    for text in ("[removed] they say", "[deleted] scenes [1]", "[Removed by mods] but why [again]"):
        assert one(comment("x", "a", body=text)).text == text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": "x", "body": "\xff"}', Reason.BAD_ENCODING),
        (b'{"id": "x", "body": "a\x00b"}', Reason.MALFORMED),
        (b'{"id": "x"', Reason.MALFORMED),
        (b"[" * 50_000, Reason.MALFORMED),
        (b'{"a":' * 9_000 + b"1" + b"}" * 9_000, Reason.MALFORMED),
        (b'"text"', Reason.MALFORMED),
        (b"\x00" * 20, Reason.MALFORMED),
        (b'{"id": "' + b"9" * 200_000 + b'"}', Reason.OVERSIZED),
    ],
)
def test_damaged_lines_cost_only_themselves(line: bytes, reason: Reason) -> None:
    good = lines(comment("x", "a"))
    first, drop, last = read(good + line + b"\r\n" + good.rstrip())
    assert isinstance(first, Record)
    assert isinstance(last, Record)
    assert isinstance(drop, Drop)
    assert (drop.reason, drop.offset) == (reason, len(good))


def test_lone_surrogates_are_mended() -> None:
    assert one(comment("x", "a", body="ok \ud800 ok", author="\ud800")).text == "ok � ok"


def test_a_file_that_ends_inside_a_row() -> None:
    found = read(lines(comment("x", "a"), comment("y", "a"))[:-9])
    assert [item.reason if isinstance(item, Drop) else "kept" for item in found] == [
        "kept", Reason.TRUNCATED, Reason.TRUNCATED_FILE
    ]  # fmt: skip


def test_recognised_by_its_fields() -> None:
    assert is_reddit(lines(comment("x", "a")))
    assert is_reddit(b"{broken\n" + lines(submission("a")))
    assert not is_reddit(b'{"text": "a", "title": "b", "subreddit": "c"}\n')
    assert not is_reddit(b"")
    with pytest.raises(ValueError, match="leave it out"):
        SiteRule.IN_ROWS.check("reddit.com", "RC")


LINE = st.sampled_from([lines(comment("x", "a")), lines(submission("a")), b"\n", b"{\n", b"\xff\n", b" " * 700 + b"\n"])


@given(st.lists(LINE, max_size=6), st.integers(20, 900))
@settings(max_examples=100, deadline=None)
def test_any_cut_into_ranges_is_the_whole(rows: list[bytes], step: int) -> None:
    data, dump = b"".join(rows), Reading("d", None, 600)
    found = [
        item
        for start in range(0, max(len(data), 1), step)
        for item in read_posts(io.BytesIO(data), start, start + step, dump)
    ]
    assert found == read(data, dump)


def _value(types: list[Row], chance: random.Random) -> Any:
    """A value of one of a schema field's types, within its range."""
    kind = chance.choice(types)
    schema = kind["schema"]
    match kind["type"]:
        case "null":
            return None
        case "bool":
            return chance.random() * (schema["true"] + schema["false"]) < schema["true"]
        case "int":
            return chance.randint(int(schema["min_value"]), int(schema["max_value"]))
        case "float":
            return chance.uniform(schema["min_value"], schema["max_value"])
        case "string":
            if schema.get("values"):
                return chance.choice(schema["values"])["value"]
            return "a b " * min(schema["max_length"] // 4 + 1, 50)
        case "object":
            return {}
        case _:
            return []


SCHEMAS = sorted((FORUMS / "reddit-schemas").glob("R*.json"))


@pytest.mark.skipif(not SCHEMAS, reason="needs the real data in ../shared/data")
@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_every_years_fields(path: Path) -> None:
    """Rows with the fields, types and ranges that the dumps of the year have."""
    fields = json.loads(path.read_text())[0]["schema"]
    chance = random.Random(path.stem)
    found: Counter[str] = Counter()
    for _ in range(300):
        row = {name: _value(types, chance) for name, types in fields.items() if chance.random() < 0.9}
        row["id"] = "abc12"
        if isinstance(row.get("created_utc"), str):
            row["created_utc"] = str(chance.randint(1_100_000_000, 1_700_000_000))
        elif not row.get("created_utc"):
            row["created_utc"] = 1_200_000_000
        if path.stem.startswith("RC"):
            row |= {"link_id": "t3_9z", "parent_id": chance.choice(["t3_9z", "t1_c7"])}
        else:
            row |= {"subreddit": "beer", "promoted": chance.random() < 0.1}  # the schemas count advertisements alone
            row.pop("link_id", None)
        (item,) = read(lines(row))
        found["kept" if isinstance(item, Record) else item.reason.value] += 1
    assert set(found) <= {"kept", "deleted", "removed", "not-a-post", "empty"}
    assert found["kept"] >= 40, found


@pytest.mark.skipif(not (FORUMS / "reddit-modern").exists(), reason="needs the real data in ../shared/data")
def test_real_rows(tmp_path: Path) -> None:
    folder = FORUMS / "reddit-modern"
    manifest = ingest(tmp_path / "out", folder / "test_comments.json", folder / "test_submissions.json")
    assert manifest.counts["kind"] == {"question": 30}
    assert manifest.counts["drop"] == {"deleted": 2, "orphan": 23, "removed": 3}
    conserved(tmp_path / "out")
    kept = ingest(tmp_path / "kept", folder, headless_threads="keep")
    assert kept.counts["kind"] == {"answer": 15, "comment": 8, "question": 30}
    assert kept.counts["note"] == {"missing-parent": 8}
    conserved(tmp_path / "kept")
