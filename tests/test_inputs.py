"""Inputs: what a user points at is found whole, or told why not; a bad file is an outcome of its own."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import re
from pathlib import Path

import pytest
import zstandard

from pipelines.ingest import IngestSettings, Input, run
from tests.test_archives import archive
from tests.test_ingest import conserved, write
from tests.test_stackexchange import posts, row
from transforms.datasets.fates import Reason
from transforms.sources.inputs import find_files

ROW = b'{"text": "a"}\n'


def found(*paths: Path, source: str | None = None, site: str | None = None) -> list[str]:
    return [file.name for file in find_files([Input(str(path), source, site) for path in paths])]


def test_a_bad_file_beside_good_ones_is_an_outcome(tmp_path: Path) -> None:
    """None of them may keep the others from being read."""
    dump = archive(tmp_path / "in" / "a.example.com.7z", {"Posts.xml": posts(row(1))})
    write(tmp_path / "in" / "b.example.com.7z", b"")
    write(tmp_path / "in" / "c.example.com.7z", b"\x00" * 100)
    settings = IngestSettings(num_shards=1, allow_damaged=True)
    manifest = run([Input(str(dump.parent))], str(tmp_path / "out"), settings)
    assert {entry["name"]: entry["outcomes"] for entry in manifest.inputs if entry["outcomes"]} == {
        "b.example.com.7z": {"empty-file": 1}, "c.example.com.7z": {"wrong-format": 1},
    }  # fmt: skip
    assert manifest.rows == 1
    conserved(tmp_path / "out")
    for name, data, reason in (
        ("x.parquet", b"", Reason.EMPTY_FILE), ("y.parquet", b"\x00" * 50, Reason.TRUNCATED_FILE),
        ("z.jsonl", b"", Reason.EMPTY_FILE),
    ):  # fmt: skip
        (file,) = find_files([Input(str(write(tmp_path / name, data)))])
        assert file.problem
        assert file.problem[0] is reason


def test_a_folder_of_dumps_asks_for_their_sites(tmp_path: Path) -> None:
    for name in ("beer", "coffee"):
        write(tmp_path / name / "Posts.xml", posts(row(1)))
    with pytest.raises(ValueError, match=r"folders with dumps \(beer, coffee\).*--site"):
        found(tmp_path)


def test_a_folder_of_two_kinds_asks_which(tmp_path: Path) -> None:
    write(tmp_path / "Posts.xml", posts(row(1)))
    write(tmp_path / "rows" / "x.jsonl", ROW)
    with pytest.raises(ValueError, match=r"both a stackexchange dump \(Posts.xml\) and .*rows/x.jsonl.*--source"):
        found(tmp_path, site="a.example")
    assert found(tmp_path, source="stackexchange", site="a.example") == ["Posts.xml"]
    assert found(tmp_path, source="jsonl") == ["rows/x.jsonl"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv.gz"])
def test_csv_is_told_what_to_do(tmp_path: Path, name: str) -> None:
    table = write(tmp_path / name, b"id,text\n1,a\n")
    for path in (table, tmp_path):
        with pytest.raises(ValueError, match=r"CSV.*write it as Parquet or JSON lines"):
            found(path)


def test_a_file_given_twice_is_refused(tmp_path: Path) -> None:
    rows = write(tmp_path / "in" / "x.jsonl", ROW)
    os.symlink(rows, tmp_path / "link.jsonl")
    for twice in (rows, rows.parent, tmp_path / "in" / ".." / "in" / "x.jsonl", tmp_path / "link.jsonl"):
        with pytest.raises(ValueError, match=r"x.jsonl is among the inputs twice"):
            found(rows, twice)


def test_what_can_be_read_only_once_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(ValueError, match=r"is a pipe or a device.*write it to a file"):
            found(path)
    with pytest.raises(ValueError, match="is empty; check the path"):
        found(write(tmp_path / "nothing", b""))


@pytest.mark.parametrize(
    "name",
    ["more.csv", "RC_2011-03.tar.gz", "comments.xz", "dump.7z.001", "users.xml", "a.zip", "rows.csv.gz", "x.warc.gz"],
)
def test_what_looks_like_data_is_read_or_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "rows.jsonl").write_text('{"id": 1, "text": "a"}\n')
    for other in ("README.md", "LICENSE", "notes.txt", "checksums.sha256"):
        (tmp_path / other).write_text("x")
    assert [file.name for file in find_files([Input(str(tmp_path))])] == ["rows.jsonl"]
    (tmp_path / name).write_text("x")
    with pytest.raises(ValueError, match=rf"holds {re.escape(name)}, which looks like data and would not be read"):
        find_files([Input(str(tmp_path))])


def test_a_dump_has_tables_that_hold_no_posts(tmp_path: Path) -> None:
    for table in ("Posts", "Users", "PostHistory", "Badges"):
        (tmp_path / f"{table}.xml").write_text("<posts></posts>")
    assert [file.name for file in find_files([Input(str(tmp_path), site="x.example.com")])] == ["Posts.xml"]


def test_months_are_read_however_they_are_packed(tmp_path: Path) -> None:
    row = b'{"id": "a", "subreddit": "b", "title": "t", "selftext": "s", "created_utc": 1300000000, "score": 1}\n'
    packers = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard.compress}
    for number, (ending, pack) in enumerate(packers.items()):
        (tmp_path / f"RS_2011-0{number + 1}{ending}").write_bytes(pack(row))
    found = find_files([Input(str(tmp_path))])
    assert [(file.source, file.problem) for file in found] == [("reddit", None)] * len(packers)
    assert [file.packed for file in found] == [False, True, True, True, True]


def test_an_empty_path_is_not_this_folder() -> None:
    with pytest.raises(ValueError, match="an input is empty text"):
        Input("")


def test_a_packed_file_that_gives_nothing_is_not_called_empty(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(200_000)
    (tmp_path / "posts.bz2").write_bytes(bz2.compress(b"<posts>" + data)[:100])
    with pytest.raises(ValueError, match=r"posts\.bz2 cannot be read \(.*\); check the path, or get the file again"):
        find_files([Input(str(tmp_path / "posts.bz2"))])
