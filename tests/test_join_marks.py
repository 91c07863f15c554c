"""Votes, links and comments meet their posts: against a brute-force join, and through a whole ingestion."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.ingest import run
from pipelines.ingest_plan import IngestSettings
from tests import laws
from tests.test_ingest import conserved, rejects, write
from tests.test_stackexchange import posts, row
from transforms.datasets.fates import Drop, Reason
from transforms.datasets.manifest import Manifest
from transforms.ingest.facts import FACTS
from transforms.ingest.join_marks import COMMENTS, JoinSpec, comments_table, join_marks
from transforms.ingest.thread_rules import ThreadRules
from transforms.ingest.threads import finish
from transforms.sources.inputs import Input
from transforms.sources.marks import DUPLICATE, MARKS, Marks, marks_table, posts_table
from transforms.sources.records import PARSED, Record, to_table
from transforms.sources.stackexchange.tables import id_prefix

DATA = Path(__file__).parents[2] / "shared" / "data" / "forums" / "stackexchange"
SITE = "x.example"
PREFIX = id_prefix(SITE)
FLAT = frozenset({"a.xml", "b.xml", "f", "Posts.xml", "Comments.xml"})
SPEC = JoinSpec(
    ("stackexchange:other.example", f"stackexchange:{SITE}"), ("Votes.xml", "PostLinks.xml", "more.xml"), 4, 1
)


def record(number: int, thread: int, kind: str = "answer", **more: object) -> Record:
    values = dict.fromkeys(Record._fields) | {
        "offset": number, "doc_id": f"{PREFIX}{number}", "thread_id": f"{PREFIX}{thread}", "kind": kind, "text": "x",
        "tags": (), "flags": (), "source": "stackexchange", "site": SITE, "created": number, "score": 0, "authors": (),
    }  # fmt: skip
    return Record(**{**values, **more})  # type: ignore[arg-type]


def marks_of(rows: list[tuple[int, int, int, int, int]]) -> pa.Table:
    """rows: (id, post, kind, value, file)."""
    tables = [MARKS.empty_table()]
    for *mark, file in rows:
        tables.append(marks_table(Marks(*(np.array([value]) for value in mark)), 1, file, 1))
    return pa.concat_tables(tables)


# ------------------------------------------------------------------------------------------ the join itself

_NUMBER = st.integers(1, 6)
_MARK = st.tuples(
    st.integers(1, 8), _NUMBER, st.sampled_from([1, 2, 3, 8, 9, DUPLICATE]), st.integers(1, 5), st.integers(0, 2)
)


_THREADS = st.dictionaries(_NUMBER, _NUMBER, max_size=6)


@given(_THREADS, st.lists(_MARK, max_size=25), st.lists(_NUMBER, max_size=8), st.randoms())
@settings(max_examples=300, deadline=None)
def test_the_join_equals_brute_force(
    thread_of: dict[int, int], given_marks: list[tuple[int, int, int, int, int]], parents: list[int], random: object
) -> None:
    parsed = to_table("Posts.xml", [record(post, thread) for post, thread in thread_of.items()], [], SPEC.num_buckets)
    written = [record(n, 0, "comment", parent_id=f"{PREFIX}{post}") for n, post in enumerate(parents)]
    comments = to_table("Comments.xml", written, [], SPEC.num_buckets)
    table = pa.concat_tables([marks_of(given_marks), posts_table(parsed, 1, PREFIX, 1)])
    order = list(range(table.num_rows))
    random.shuffle(order)  # type: ignore[attr-defined]
    keyed = comments_table(comments, 1, PREFIX, 1) if parents else COMMENTS.empty_table()
    joined = join_marks(table.take(pa.array(order, pa.int64())), keyed, SPEC)

    used: Counter[tuple[int, int]] = Counter()
    unused: Counter[tuple[int, str]] = Counter()
    facts: dict[int, dict[str, object]] = {}
    seen = set()
    for number, post, kind, value, file in sorted(given_marks, key=lambda mark: (mark[2], mark[3], mark[4])):
        if (identity := (kind == DUPLICATE, post, number)) in seen:
            unused[file, "duplicate-id"] += 1
        elif post not in thread_of:
            unused[file, "orphan"] += 1
        elif kind == DUPLICATE and (value == post or thread_of[post] != post):
            unused[file, "other-link"] += 1
        else:
            used[file, kind] += 1
            fact = facts.setdefault(post, {"ups": 0, "downs": 0, "accepted": 0, "linked": 99, "bounty": False})
            fact["ups"] += kind == 2  # type: ignore[operator]
            fact["downs"] += kind == 3  # type: ignore[operator]
            fact["accepted"] = max(fact["accepted"], value * (kind == 1))  # type: ignore[call-overload]
            fact["linked"] = min(fact["linked"], value if kind == DUPLICATE else 99)  # type: ignore[call-overload]
            fact["bounty"] |= kind in (8, 9)  # type: ignore[operator]
        seen.add(identity)

    found = {int(row["doc_id"].removeprefix(PREFIX)): row for row in joined.facts.to_pylist()}
    assert found.keys() == facts.keys()
    for post, fact in facts.items():
        row = found[post]
        accepted = row["accepted_at"]
        linked = row["duplicate_of"]
        assert row["thread_id"] == f"{PREFIX}{thread_of[post]}"
        assert [row[name] for name in ("ups", "downs", "bounty")] == [fact[name] for name in ("ups", "downs", "bounty")]
        assert not row["elsewhere"]
        assert (0 if accepted is None else round(accepted.timestamp() * 1000)) == fact["accepted"]
        assert (99 if linked is None else int(linked.removeprefix(PREFIX))) == fact["linked"]
        bucket = {r["doc_id"]: r["bucket"] for r in parsed.select(["doc_id", "bucket"]).to_pylist()}
        assert row["bucket"] == bucket[row["doc_id"]]
    entries = [joined.account.of_file(file) for file in SPEC.files]
    assert [entry.used.total() for entry in entries] == [
        sum(number for (file, _), number in used.items() if file == place) for place in range(3)
    ]
    for place, entry in enumerate(entries):
        assert entry.unused == {reason: number for (file, reason), number in unused.items() if file == place}
    rows = joined.comments.to_pylist()
    assert joined.comments.schema.equals(PARSED)
    assert sorted(row["reason"] is None for row in rows) == sorted(post in thread_of for post in parents)
    for row in rows:
        if row["reason"] is None:
            assert row["thread_id"] == f"{PREFIX}{thread_of[int(row['parent_id'].removeprefix(PREFIX))]}"


def test_an_id_in_two_threads_stays_in_one() -> None:
    one = to_table("a.xml", [record(5, 3)], [], 4)
    other = to_table("b.xml", [record(5, 5, "question")], [], 4)
    table = pa.concat_tables([posts_table(part, 1, PREFIX, 1) for part in (other, one, one)])
    joined = join_marks(table, COMMENTS.empty_table(), SPEC)
    assert [(row["thread_id"], row["elsewhere"]) for row in joined.facts.to_pylist()] == [(f"{PREFIX}5", True)]
    finished = finish(other, ThreadRules(flat_files=FLAT), joined.facts)
    assert [drop.reason for drop in finished.drops] == [Reason.DUPLICATE_ID]
    assert finished.documents.num_rows == 0


# ------------------------------------------------------------------------------------------ a thread that is too long


def test_the_posts_that_stay_of_a_long_thread() -> None:
    thread = [record(1, 1, "question")]
    thread += [record(number, 1, score=number % 5, parent_id=f"{PREFIX}1") for number in range(2, 12)]
    thread += [
        record(number, 1, "comment", doc_id=f"{PREFIX}c{number}", parent_id=f"{PREFIX}4") for number in range(100, 150)
    ]
    other = [record(200, 200, "question"), record(201, 200, parent_id=f"{PREFIX}200")]
    table = to_table("Posts.xml", thread + other, [], 1)

    def kept(cap: int | None) -> list[str]:
        finished = finish(table, ThreadRules(max_thread_posts=cap, flat_files=FLAT))
        assert finished.documents.num_rows + len(finished.drops) == len(thread) + len(other)
        assert {drop.reason for drop in finished.drops} <= {Reason.OVER_THREAD_CAP}
        ids = [doc_id.removeprefix(PREFIX) for doc_id in finished.documents.column("doc_id").to_pylist()]
        assert ids[-2:] == ["200", "201"]
        return ids[:-2]

    assert len(kept(None)) == 61
    assert kept(4) == ["1", "3", "4", "9"]  # 4 and 9 have score 4; of 3 and 8, with score 3, the earlier
    assert kept(13) == ["1", *map(str, range(2, 12)), "c100", "c101"]


def test_a_thread_of_a_hundred_thousand_comments_is_linear() -> None:
    def seconds(number: int) -> float:
        rows = [record(1, 1, "question")]
        rows += [record(n, 1, "comment", doc_id=f"{PREFIX}c{n}", parent_id=f"{PREFIX}1") for n in range(2, number + 2)]
        table = to_table("Comments.xml", rows, [], 1)
        start = dt.datetime.now()
        finished = finish(table, ThreadRules(max_thread_posts=number // 2, flat_files=FLAT))
        assert finished.documents.num_rows == number // 2
        return (dt.datetime.now() - start).total_seconds()

    small, large = seconds(10_000), seconds(100_000)
    assert large < 60 * max(small, 0.05), (small, large)


# ------------------------------------------------------------------------------------------ a whole dump


def table(root: str, *rows: dict[str, object]) -> bytes:
    lines = "".join("  <row " + " ".join(f'{k}="{v}"' for k, v in values.items()) + " />\r\n" for values in rows)
    return f'\ufeff<?xml version="1.0" encoding="utf-8"?>\r\n<{root}>\r\n{lines}</{root}>'.encode()


def vote(number: int, post: int, kind: int, day: int = 1) -> dict[str, object]:
    return {"Id": number, "PostId": post, "VoteTypeId": kind, "CreationDate": f"2020-02-{day:02}T00:00:00.000"}


def comment(number: int, post: int, text: str = "why?", **more: object) -> dict[str, object]:
    return {"Id": number, "PostId": post, "Score": 2, "Text": text, "CreationDate": "2020-03-01T00:00:00.5"} | more


DUMP = {
    "posts.XML": posts(
        row(1, AcceptedAnswerId="3", ClosedDate="2021-01-01T00:00:00", CommunityOwnedDate="2021-01-01T00:00:00"),
        row(2, PostTypeId="2", ParentId="1"), row(3, PostTypeId="2", ParentId="1"), row(4), row(5, PostTypeId="5"),
        row(6, PostTypeId="2", ParentId="99"),
    ),
    "Votes.xml": table(
        "votes", vote(1, 1, 2), vote(2, 2, 2), vote(3, 2, 3), vote(4, 3, 1, 7), vote(5, 2, 1, 9), vote(6, 3, 9),
        vote(7, 77, 2), vote(8, 1, 5), vote(9, 5, 2), vote(9, 1, 2), vote(2, 2, 2), {"Id": 10, "PostId": 1},
    ),
    "Comments.xml": table(
        "comments", comment(1, 3, "a &amp;lt; `b` &amp; *c*", UserId=4), comment(2, 99), comment(3, 6),
        comment(4, 1, "  "),
    ),
    "PostLinks.xml": table(
        "postlinks",
        *({"Id": n, "CreationDate": "2020-01-01T00:00:00", "PostId": post, "RelatedPostId": to, "LinkTypeId": kind}
          for n, (post, to, kind) in enumerate([(4, 9, 3), (4, 1, 3), (4, 1, 1), (2, 1, 3), (88, 1, 3), (1, 1, 3)])),
    ),
    "Users.xml": b"<users></users>",
}  # fmt: skip


def ingest(place: Path, output: Path, workers: int = 1, **more: object) -> Manifest:
    rules = IngestSettings(**{"num_shards": 4, "max_drop_rate": 1.0, "allow_damaged": True, **more})  # type: ignore[arg-type]
    return run([Input(str(place), site=SITE)], str(output), rules, workers)


def dump(folder: Path, *without: str, **changed: bytes) -> Path:
    for name, data in {**DUMP, **{f"{key}.xml": value for key, value in changed.items()}}.items():
        if name not in without:
            write(folder / name, data)
    return folder


def test_a_whole_dump(tmp_path: Path) -> None:
    manifest = ingest(dump(tmp_path / "dump"), tmp_path / "out")
    found = {post["doc_id"].removeprefix(PREFIX): post for post in laws.all_rows(tmp_path / "out")}
    votes = {number: (post["ups"], post["downs"]) for number, post in found.items()}
    assert votes == {"1": (2, 0), "2": (1, 1), "3": (0, 0), "4": (0, 0), "3/c1": (None, None)}
    day = dt.datetime(2020, 2, 7, tzinfo=dt.UTC)
    assert {number: post["accepted_at"] for number, post in found.items() if post["accepted_at"]} == {"3": day}
    duplicates = {number: post["duplicate_of"] for number, post in found.items() if post["duplicate_of"]}
    assert duplicates == {"4": f"{PREFIX}1"}
    flags = {number: post["flags"] for number, post in found.items()}
    assert flags == {"1": ["closed", "community-owned"], "2": [], "3": ["bounty"], "4": [], "3/c1": []}
    said = found["3/c1"]
    assert (said["text"], said["parent_id"], said["thread_id"]) == ("a &lt; `b` & *c*", f"{PREFIX}3", f"{PREFIX}1")
    assert (said["url"], said["score"], said["kind"]) == ("https://x.example/posts/comments/1", 2, "comment")
    entries = {entry["name"]: entry for entry in manifest.inputs}
    assert entries.keys() == {"posts.XML", "Votes.xml", "Comments.xml", "PostLinks.xml"}
    assert entries["Votes.xml"]["used"] == {"up": 3, "down": 1, "accept": 2, "bounty-close": 1}
    # vote 9 stands under two posts, so its two rows are two votes: one under a tag wiki, one used
    assert entries["Votes.xml"]["unused"] == {"orphan": 2, "other-vote": 1, "duplicate-id": 1}
    assert entries["Votes.xml"]["dropped"] == {"missing-field": 1}
    assert entries["PostLinks.xml"]["used"] == {"duplicate": 2}
    assert entries["PostLinks.xml"]["unused"] == {"orphan": 1, "other-link": 3}
    assert entries["Comments.xml"]["dropped"] == {"orphan": 2, "empty": 1}
    assert {drop["record_id"] for drop in rejects(tmp_path / "out") if drop["file"] == "Comments.xml"} == {
        f"{PREFIX}99/c2", f"{PREFIX}6/c3", f"{PREFIX}1/c4"
    }  # fmt: skip
    conserved(tmp_path / "out")


def test_a_comment_number_under_posts_of_two_threads_is_two_comments(tmp_path: Path) -> None:
    twice = table("comments", comment(1, 3, "a"), comment(1, 4, "b"), comment(1, 4, "c"))
    manifest = ingest(dump(tmp_path / "dump", Comments=twice), tmp_path / "out")
    found = [post["doc_id"].removeprefix(PREFIX) for post in laws.all_rows(tmp_path / "out")]
    assert len(found) == len(set(found))
    assert {number for number in found if "c" in number} == {"3/c1", "4/c1"}
    (entry,) = (entry for entry in manifest.inputs if entry["name"] == "Comments.xml")
    assert entry["dropped"] == {"duplicate-id": 1}


def test_same_bytes_for_workers_ranges_and_buckets_of_posts(tmp_path: Path) -> None:
    place = dump(tmp_path / "dump")
    ingest(place, tmp_path / "one")
    ingest(place, tmp_path / "cut", range_bytes=1000)
    ingest(place, tmp_path / "two", workers=2)
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "cut")
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.ingest_plan._num_posts_buckets", lambda files, bucket_bytes: 3)
        ingest(place, tmp_path / "three")
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "three")


def test_without_votes_nobody_knows_them(tmp_path: Path) -> None:
    ingest(dump(tmp_path / "dump", "Votes.xml"), tmp_path / "out")
    found = laws.all_rows(tmp_path / "out")
    assert {(post["ups"], post["downs"], post["accepted_at"]) for post in found} == {(None, None, None)}


def test_votes_that_were_not_all_read_count_for_nobody(tmp_path: Path) -> None:
    manifest = ingest(dump(tmp_path / "dump", Votes=DUMP["Votes.xml"][:-60]), tmp_path / "out")
    assert manifest.counts["file"] == {"truncated-file": 1}
    assert {(post["ups"], post["downs"]) for post in laws.all_rows(tmp_path / "out")} == {(None, None)}
    conserved(tmp_path / "out")


def test_two_sites_do_not_meet(tmp_path: Path) -> None:
    first = dump(tmp_path / "a")
    second = write(tmp_path / "b" / "Posts.xml", posts(row(1), row(2, PostTypeId="2", ParentId="1"))).parent
    inputs = [Input(str(first), site="a.example"), Input(str(second), site="b.example")]
    run(inputs, str(tmp_path / "out"), IngestSettings(num_shards=2, max_drop_rate=1))
    ups = {post["doc_id"]: post["ups"] for post in laws.all_rows(tmp_path / "out") if post["doc_id"].endswith(":1")}
    assert ups == {"stackexchange:a.example:1": 2, "stackexchange:b.example:1": None}


def test_odd_dates_are_kept_and_counted(tmp_path: Path) -> None:
    rows = [row(1), row(2, CreationDate="2999-01-01T00:00:00"), row(3, CreationDate="1970-01-01T00:00:00")]
    manifest = ingest(write(tmp_path / "Posts.xml", posts(*rows)), tmp_path / "out")
    assert (manifest.rows, manifest.counts["note"]) == (3, {"odd-date": 2})


@pytest.mark.parametrize("site", ["french-meta", "conlang-meta"])
def test_votes_of_real_dumps_add_up_to_their_scores(tmp_path: Path, site: str) -> None:
    if not (DATA / site).exists():
        pytest.skip("needs the real data in ../shared/data")
    ingest(DATA / site, tmp_path / "out")
    found = [post for post in laws.all_rows(tmp_path / "out") if post["kind"] != "comment"]
    assert all(post["ups"] - post["downs"] == post["score"] for post in found)
    assert all((post["accepted_at"] is not None) == bool(post["accepted"]) for post in found)
    conserved(tmp_path / "out")


def test_facts_are_for_posts_only() -> None:
    finished = finish(PARSED.empty_table(), ThreadRules(voted=(f"stackexchange:{SITE}",)), FACTS.empty_table())
    assert finished.documents.num_rows == 0
    drop = Drop("f", 0, None, Reason.MALFORMED, "x")
    assert finish(to_table("f", [], [drop], 1)).drops == [drop]
