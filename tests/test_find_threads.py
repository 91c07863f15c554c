"""Threads of posts that name only what they reply to: found by asking upwards, as by a dictionary of all posts."""

from __future__ import annotations

import random
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.local.options import beam_pipeline
from transforms.datasets.fates import Drop, Reason
from transforms.ingest import find_threads
from transforms.ingest.find_threads import FindThreads, ThreadSearch, ask_above, first_steps, step_up, steps_table
from transforms.sources.records import PARSED, Record, to_table

Tree = dict[str, str | None]


def post(number: str, parent: str | None, kind: str | None = None) -> Record:
    return Record(
        0, number, None, parent, kind, "text", None, (), "s", "site", None, None, None, None, None, None, None, None
    )


def links(steps: list[tuple[str, str | None]], num_buckets: int = 1) -> pa.Table:
    return steps_table(to_table("f", [post(*step) for step in steps], [], 4), num_buckets)


def asked_upwards(steps: list[tuple[str, str | None]], rounds: int) -> tuple[dict[str, str], set[str]]:
    """(the thread of each post, the posts without one), by the rounds of one bucket."""
    going, found = first_steps(links(steps)), []
    for _ in range(rounds):
        going, done = step_up(ask_above(going, 1), going, 1)
        found.append(done)
    whole = pa.concat_tables([*found, going]).to_pylist()
    assert len({row["post"] for row in whole}) == len(whole)
    return {row["post"]: row["above"] for row in whole if row["found"]}, {r["post"] for r in whole if not r["found"]}


def walked(tree: Tree) -> tuple[dict[str, str], set[str]]:
    """The same by walking up, post by post. A parent that is not there is the top, and so is what replies to itself."""
    tree = {post: None if post == above else above for post, above in tree.items()}
    threads, lost = {}, set()
    for start in tree:
        at, seen = start, {start}
        while (above := tree.get(at)) is not None and above not in seen:
            at = above
            seen.add(at)
        if above is None:
            threads[start] = at
        else:
            lost.add(start)
    return threads, lost


@given(st.dictionaries(st.integers(0, 12), st.none() | st.integers(0, 14), max_size=13))
@settings(max_examples=600, deadline=None)
def test_any_graph_of_parents(parents: dict[int, int | None]) -> None:
    tree = {f"p{post}": None if parent is None else f"p{parent}" for post, parent in parents.items()}
    assert asked_upwards([*tree.items()], rounds=4) == walked(tree)


@pytest.mark.parametrize(("length", "found"), [(7, True), (8, True), (9, False)])
def test_k_rounds_reach_two_to_the_k_posts(length: int, found: bool) -> None:
    steps = [(f"p{n}", f"p{n - 1}" if n else None) for n in range(length)]
    _, lost = asked_upwards(steps, rounds=3)
    assert (not lost) is found


def test_whoever_is_done_and_not_asked_takes_no_further_part() -> None:
    steps = [("top", None), *((f"a{n}", "top") for n in range(50)), ("deep", "a0"), ("deeper", "deep")]
    going = first_steps(links(steps))
    taking_part = []
    for _ in range(4):
        going, _ = step_up(ask_above(going, 1), going, 1)
        taking_part.append(going.num_rows)
    assert taking_part == [53, 4, 0, 0]


def test_of_two_rows_with_one_id_that_which_replies_to_nothing_decides() -> None:
    for steps in ([("a", "x"), ("a", None), ("b", "a")], [("b", "a"), ("a", None), ("a", "x")]):
        assert asked_upwards(steps, 4)[0] == {"a": "a", "b": "a"}
    for steps in ([("a", "y"), ("a", "x")], [("a", "x"), ("a", "y"), ("a", "x")]):
        assert asked_upwards(steps, 4)[0] == {"a": "x"}


def test_a_post_that_was_kept_decides_and_copies_that_reply_elsewhere_are_dropped() -> None:
    posts = [post("2", "1"), post("2", "9"), post("3", "2")]
    gone = Drop("f", 7, "2", Reason.EMPTY, "no text")  # a copy that replies to nothing
    tables = to_table("f", [post("1", None), *posts], [gone], 4)
    steps = first_steps(steps_table(tables, 1))
    assert {row["post"]: row["above"] for row in steps.to_pylist()} == {"1": "1", "2": "1", "3": "2"}
    threads = pa.table([["1", "2", "3"], ["1"] * 3, [True] * 3, [0] * 3], schema=find_threads._LINKS)
    rows = find_threads.with_threads(tables.filter(tables.column("reason").is_null()), threads, 4).to_pylist()
    kept = [(row["doc_id"], row["parent_id"], row["kind"]) for row in rows if row["reason"] is None]
    assert kept == [("1", None, "question"), ("2", "1", "answer"), ("3", "2", "comment")]
    assert [row["reason"] for row in rows if row["reason"]] == ["duplicate-id"]


def found_by_beam(tables: list[pa.Table], folder: Path, num_buckets: int, workers: int = 1) -> pa.Table:
    links = [steps_table(table, num_buckets) for table in tables]
    replies = [
        find_threads.replies_table(table.filter(table.column("reason").is_null()), num_buckets) for table in tables
    ]
    out = str(folder / "out.arrow")
    with beam_pipeline(workers) as p:
        pairs = (p | "Links" >> beam.Create(links), p | "Replies" >> beam.Create(replies))
        _ = (
            pairs
            | FindThreads(str(folder / "scratch"), ThreadSearch(4, num_buckets))
            | beam.combiners.ToList()
            | beam.Map(_write, out)
        )
    with pa.memory_map(out) as file:
        return pa.ipc.open_file(file).read_all()


def _write(tables: list[pa.Table], place: str) -> None:
    with pa.OSFile(place, "wb") as file, pa.ipc.new_file(file, PARSED) as writer:
        writer.write_table(pa.concat_tables(tables))


def test_the_graph_gives_thread_kind_and_bucket_whatever_the_buckets(tmp_path: Path) -> None:
    rng = random.Random(5)
    tree: Tree = {"q": None, "r": None, "lone": "away", "x": "y", "y": "x", "below": "x"}
    for number in range(300):
        tree[f"n{number}"] = rng.choice(["q", "r", *(f"n{n}" for n in range(number))])
    posts = [post(*step) for step in tree.items() if step[0] != "n3"]
    gone = Drop("f", 7, "n3", Reason.DELETED, "gone", parent_id=tree["n3"])  # what it replied to is still said
    rng.shuffle(posts)
    tables = [to_table("f", posts[:150], [gone], 4), to_table("f", posts[150:], [], 4)]
    threads, lost = walked(tree)
    results = []
    for number, workers in ((1, 1), (3, 2)):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        rows = found_by_beam(tables, folder, number, workers).to_pylist()
        results.append(sorted((str(row["doc_id"] or row["record_id"]), str(row)) for row in rows))
        kept = {row["doc_id"]: row for row in rows if row["reason"] is None}
        assert {name: row["thread_id"] for name, row in kept.items()} == {n: t for n, t in threads.items() if n != "n3"}
        assert {row["record_id"] for row in rows if row["reason"] == Reason.CYCLE} == lost == {"x", "y", "below"}
        for name, row in kept.items():
            is_answer = row["parent_id"] == row["thread_id"]
            wanted = "question" if row["parent_id"] is None else "answer" if is_answer else "comment"
            assert row["kind"] == wanted, name
        assert len({(row["thread_id"], row["bucket"]) for row in kept.values()}) == 3  # one bucket a thread
    assert results[0] == results[1]
