"""Reddit, thread by thread: trees, cycles, what is missing, threads of 100,000, however the dump is packed."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from pipelines import pairs
from pipelines.ingest_plan import IngestSettings
from tests import laws
from tests.forum import write_layers
from tests.test_ingest import conserved, rejects
from tests.test_reddit import P, comment, ingest, lines, one, submission, write
from transforms.datasets import strict_yaml
from transforms.datasets.fates import Reason
from transforms.datasets.schema import KIND_ORDER
from transforms.ingest.thread_rules import ThreadRules
from transforms.ingest.threads import finish
from transforms.pairs.rule import PairRule
from transforms.sources.records import to_table


def month() -> tuple[bytes, bytes]:
    """Submissions and comments: trees, a withdrawn question and one not in the dump, cycles, duplicates."""
    asked = [submission(f"s{n}") for n in range(9)]
    asked += [submission("gone", selftext="[deleted]"), submission("s1"), submission("s1", selftext="other")]
    said = [comment(f"a{n}", f"s{n % 9}", created_utc=1_600_000_200 - n) for n in range(40)]
    said += [comment(f"b{n}", f"s{n % 9}", f"t1_a{n}") for n in range(40)]
    said += [
        comment("lost", "s2", "t1_zzz"),
        comment("g1", "gone"),
        comment("g2", "gone", "t1_g1"),
        comment("o", "away"),
    ]
    said += [comment("c1", "s3", "t1_c3"), comment("c2", "s3", "t1_c1"), comment("c3", "s3", "t1_c2")]
    said += [comment("c4", "s3", "t1_c3"), comment("self", "s4", "t1_self")]
    random.Random(5).shuffle(said)
    return lines(*asked), lines(*said)


def test_trees_cycles_and_what_is_missing(tmp_path: Path) -> None:
    asked, said = month()
    ours = write(tmp_path / "in" / "RS_2020-09", asked), write(tmp_path / "in" / "RC_2020-09", said)
    manifest = ingest(tmp_path / "out", tmp_path / "in")
    assert manifest.counts["kind"] == {"answer": 40, "comment": 42, "question": 9}
    assert manifest.counts["drop"] == {"cycle": 4, "deleted": 1, "duplicate-id": 2, "orphan": 1, "question-removed": 2}
    assert manifest.counts["note"] == {"missing-parent": 2}
    assert [entry["source"] for entry in manifest.inputs] == ["reddit", "reddit"]
    conserved(tmp_path / "out")
    laws.assert_rows_sorted(
        tmp_path / "out", lambda post: (post["thread_id"], KIND_ORDER[post["kind"]], post["created"], post["doc_id"])
    )
    cycles = sorted(str(drop["record_id"]) for drop in rejects(tmp_path / "out") if drop["reason"] == "cycle")
    assert cycles == [f"{P}t1_{name}" for name in ("c1", "c2", "c3", "self")]
    kept = ingest(tmp_path / "kept", *ours, headless_threads="keep")
    assert kept.counts["kind"] == {"answer": 42, "comment": 43, "question": 9}
    with pytest.raises(ValueError, match="headless_threads"):
        IngestSettings(headless_threads="perhaps")


def test_same_bytes_however_it_is_packed_and_shared(tmp_path: Path) -> None:
    asked, said = month()
    ingest(tmp_path / "one", write(tmp_path / "p" / "RS", asked), write(tmp_path / "p" / "RC", said))
    ingest(tmp_path / "cut", tmp_path / "p" / "RC", tmp_path / "p" / "RS", range_bytes=500)
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "cut")
    frames = [zstandard.compress(said[start : start + 1000]) for start in range(0, len(said), 1000)]
    packed = write(tmp_path / "z" / "RS", gzip.compress(asked)), write(tmp_path / "z" / "RC", b"".join(frames))
    ingest(tmp_path / "packed", *packed)
    ingest(tmp_path / "shared", *packed, range_bytes=700, workers=2)
    laws.assert_same_bytes(tmp_path / "packed", tmp_path / "shared")
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "packed", ignore=["manifest.json"])
    conserved(tmp_path / "shared")


def test_damaged_archives_keep_what_was_read(tmp_path: Path) -> None:
    asked, said = month()
    many = b"".join(lines(comment(f"m{n}", f"s{n % 9}", body=f"{n * n}")) for n in range(3000))
    packed = zstandard.ZstdCompressor().compress(many)
    paths = [write(tmp_path / "RS", asked), write(tmp_path / "RC_1.zst", packed[: len(packed) // 2])]
    paths.append(write(tmp_path / "RC_2.zst", zstandard.compress(said)[:30]))
    for output, options in (("one", {}), ("two", {"workers": 2, "range_bytes": 3000})):
        manifest = ingest(tmp_path / output, *paths, **options)  # type: ignore[arg-type]
        entries = {entry["name"]: entry for entry in manifest.inputs}
        assert entries["RC_1.zst"]["outcomes"] == {"truncated-file": 1}
        assert entries["RC_1.zst"]["kept"] >= 300
        assert entries["RC_2.zst"]["outcomes"] == {"truncated-file": 1}
        conserved(tmp_path / output)
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "two")


def test_deleted_posts_do_not_count_as_damage(tmp_path: Path) -> None:
    rows = [submission("a"), *(comment(f"x{n}", "a", body="[deleted]") for n in range(50)), comment("y", "a")]
    manifest = ingest(tmp_path / "out", write(tmp_path / "RC", lines(*rows)), max_drop_rate=0.0)
    assert manifest.counts["drop"] == {"deleted": 50}


@pytest.mark.parametrize("chain", [False, True])
def test_a_thread_of_100_000_comments(chain: bool) -> None:
    """One bucket, one thread: every comment kept, at whatever depth, in time."""
    number = 100_000
    records = [one(submission("a"))]
    template = one(comment("x", "a", "t1_x"))
    for n in range(number):
        parent = f"{P}t1_{n - 1}" if chain and n else f"{P}t3_a"
        kind = "comment" if chain and n else "answer"
        records.append(template._replace(doc_id=f"{P}t1_{n}", parent_id=parent, kind=kind, created=number - n))
    finished = finish(to_table("f", records, [], 1))
    assert finished.documents.num_rows == number + 1
    assert finished.notes == []


def test_pairs_come_from_the_top_level(tmp_path: Path) -> None:
    rows = [
        submission("a"),
        comment("x", "a", score=9),
        comment("y", "a", score=1),
        comment("z", "a", "t1_x", score=50),
    ]
    ingest(tmp_path / "documents", write(tmp_path / "RC", lines(*rows)))
    write_layers(tmp_path / "layers", tmp_path / "documents")
    rule = strict_yaml.load_named(PairRule, "worldpm", pairs.RULES)
    pairs.run(str(tmp_path / "documents"), str(tmp_path / "layers"), str(tmp_path / "pairs"), rule)
    found = laws.all_rows(tmp_path / "pairs")
    assert [(pair["chosen_id"], pair["rejected_id"], pair["margin"]) for pair in found] == [(f"{P}t1_x", f"{P}t1_y", 8)]
    assert found[0]["prompt"] == [{"role": "user", "content": "Title a\n\nWhat malt?"}]


def test_beside_a_forum_of_flat_comments_a_reply_stays_without_what_it_replies_to() -> None:
    records = [one(submission("a")), one(comment("x", "a", "t1_gone"))]
    flat = records[0]._replace(doc_id="s:x:1", thread_id="s:x:1", source="s")
    others = [flat, flat._replace(doc_id="s:x:2/c5", kind="comment", parent_id="s:x:2")]
    both = pa.concat_tables([to_table("tree", records, [], 1), to_table("flat", others, [], 1)])
    finished = finish(both, ThreadRules(flat_files=frozenset({"flat"})))
    assert sorted(finished.documents.column("doc_id").to_pylist()) == [f"{P}t1_x", f"{P}t3_a", "s:x:1"]
    assert [(drop.record_id, drop.reason) for drop in finished.drops] == [("s:x:2/c5", Reason.ORPHAN)]
