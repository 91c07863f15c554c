"""Runs: any division of sorted rows merges back to the sorted whole."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.local import memory
from transforms.shuffle.runs import merge, write_run

SCHEMA = pa.schema([("file", pa.string()), ("offset", pa.int64()), ("id", pa.string())])
_ROW = st.tuples(st.sampled_from("abß"), st.integers(0, 5), st.none() | st.sampled_from(["x", "y", "\U0001f600"]))


def table(rows: list[tuple[str, int, str | None]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [[], [], []]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def key(row: tuple[str, int, str | None]) -> tuple[str, int, str]:
    return row[0], row[1], row[2] or ""


@given(st.lists(st.lists(_ROW, max_size=30), max_size=5), st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_merging(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[tuple[str, int, str | None]]], size: int
) -> None:
    place = str(tmp_path_factory.mktemp("runs"))
    runs = [write_run(table(sorted(part, key=key)), place, size) for part in parts]
    found = [tuple(row.values()) for rows in merge(runs, SCHEMA, SCHEMA.names) for row in rows.to_pylist()]
    assert found == sorted((row for part in parts for row in part), key=key)


def test_rows_of_a_thread_keep_their_order(tmp_path: Path) -> None:
    first = [("a", number, None) for number in (9, 3, 7, 1)] + [("c", 1, None)]
    second = [("b", number, None) for number in (5, 4, 6)]
    runs = [write_run(table(rows), str(tmp_path), 1) for rows in (first, second)]
    found = [row["offset"] for rows in merge(runs, SCHEMA, ("file",)) for row in rows.to_pylist()]
    assert found == [9, 3, 7, 1, 5, 4, 6, 1]


@pytest.mark.parametrize(
    ("text", "size"),
    [("1GB", 10**9), ("250 MB", 250 * 10**6), ("2GiB", 2 << 30), ("1.5g", 15 * 10**8), ("4096", 4096), ("3kb", 3000)],
)
def test_sizes(text: str, size: int) -> None:
    assert memory.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "1XB", "-1GB", "1 GB 2", "0"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="no size"):
        memory.parse_size(text)


def test_plans() -> None:
    assert memory.plan_memory(None, 2, 5, 4, 10**8) == memory.MemoryPlan(2, 5)
    assert (
        memory.plan_memory(None, 2, 5, 4, 10**10).num_parts == 32
    )  # shards far larger than usual, by the user's number
    tight, wide = (memory.plan_memory(bound, 2, 1 << 25, 4, 10**9) for bound in ("500MB", "8GB"))
    assert (tight.workers, wide.workers) == (1, 2)
    assert tight.num_parts > wide.num_parts
    assert tight.spill_bytes < wide.spill_bytes
    with pytest.raises(ValueError, match=r"unpacking an input 2\.0 GB \(its window\); give at least 2\.4 GB"):
        memory.plan_memory("1GB", 1, 1, 16, 10**9, 2 * 10**9)
    assert memory.plan_memory("4GB", 2, 1, 16, 10**9, 2 * 10**9).workers == 1  # either may get the file
    with pytest.raises(ValueError, match="too little: Python"):
        memory.plan_memory("100MB", 1, 1, 1, 1)
    assert memory.plan_memory("400MB", 1, 1, 32, 2 * 10**9).num_parts == 8
    assert memory.plan_memory("400MB", 1, 1, 512, 20 * 10**9).num_parts == 8  # the shards are smaller, too
    with pytest.raises(ValueError, match="more than 512 parts; give more memory, or 32 shards"):
        memory.plan_memory("400MB", 1, 1, 16, 10**11)
    assert memory.plan_memory("400MB", 1, 1, 32, 10**11).num_parts == 512


def test_disk_is_checked_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.shutil, "disk_usage", lambda folder: SimpleNamespace(free=5_000_000))
    memory.check_disk(str(tmp_path / "not" / "there"), 5_000_000)
    with pytest.raises(ValueError, match=r"about 5\.1 MB of disk.*5\.0 MB are free"):
        memory.check_disk(str(tmp_path / "not" / "there"), 5_100_000)


def test_no_worker_waits_long_for_the_last_range_of_another() -> None:
    usual = 32 << 20
    for num_bytes in (10**7, 5 * 10**8, 10**10):
        for workers in (2, 3, 16):
            ranges = memory.plan_memory(None, workers, usual, 16, num_bytes).range_bytes
            assert num_bytes >= 16 * workers * ranges or ranges == 4 << 20
            assert ranges <= usual
    assert memory.plan_memory(None, 2, usual, 16, 10**10).range_bytes == usual
    assert memory.plan_memory(None, 1, usual, 16, 10**7).range_bytes == usual  # nobody waits
    assert memory.plan_memory(None, 2, 1000, 16, 10**7).range_bytes == 1000
