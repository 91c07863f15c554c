"""Regroup: every row reaches its bucket once, for any number of workers and any size of spill."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipelines.local.options import beam_pipeline
from transforms.shuffle.regroup import Regroup, RegroupBeside
from transforms.shuffle.spills import Bucket, spill

SCHEMA = pa.schema([("value", pa.int64()), ("text", pa.string())])
SPILLED = SCHEMA.append(pa.field("bucket", pa.int32()))


def rows(index: int) -> pa.Table:
    values = np.arange(index * 100, index * 100 + 100)
    buckets = (values % 5).astype(np.int32)
    return pa.table({"value": values, "text": [f"t{v}" for v in values], "bucket": buckets}, schema=SPILLED)


def contents(bucket: Bucket) -> tuple[int, list[int]]:
    table = bucket.read(SCHEMA)
    assert table.schema == SCHEMA
    assert table.column("text").to_pylist() == [f"t{v}" for v in table.column("value").to_pylist()]
    return bucket.index, sorted(table.column("value").to_pylist())


@pytest.mark.parametrize(("workers", "spill_bytes"), [(1, 1 << 20), (1, 1), (2, 4000)])
def test_every_row_reaches_its_bucket_once(tmp_path: Path, workers: int, spill_bytes: int) -> None:
    expected = [(index, [v for v in range(2000) if v % 5 == index]) for index in range(7)]
    with beam_pipeline(workers) as pipeline:
        found = (
            pipeline
            | beam.Create(range(20))
            | beam.Reshuffle()
            | "Rows" >> beam.Map(rows)
            | Regroup(str(tmp_path), 7, spill_bytes)
            | "Contents" >> beam.Map(contents)
        )
        assert_that(found, equal_to(expected))


def test_two_sides_of_different_schemas_meet_by_bucket(tmp_path: Path) -> None:
    other = pa.schema([("value", pa.int64()), ("bucket", pa.int32())])

    def seen(sides: tuple[Bucket, Bucket]) -> tuple[int, int, int]:
        first, second = sides
        assert first.index == second.index
        return first.index, first.read(SCHEMA).num_rows, second.read(other).num_rows

    with beam_pipeline() as pipeline:
        one = pipeline | "One" >> beam.Create(range(3)) | "Rows" >> beam.Map(rows)
        more = pipeline | "More" >> beam.Create(range(3, 5)) | "MoreRows" >> beam.Map(rows)
        two = pipeline | "Two" >> beam.Create([4]) | "OtherRows" >> beam.Map(lambda n: rows(n).select(other.names))
        found = ((one, more), two) | RegroupBeside(str(tmp_path), 6, 1 << 20) | "Seen" >> beam.Map(seen)
        assert_that(found, equal_to([(index, 100, 20) for index in range(5)] + [(5, 0, 0)]))


def test_a_spill_says_which_buckets_it_holds(tmp_path: Path) -> None:
    some = [rows(0), rows(1)]
    name = spill([table.filter(pc.not_equal(table.column("bucket"), 3)) for table in some], str(tmp_path), 6)
    found = [Bucket(index, str(tmp_path), (name,)).read(SPILLED).num_rows for index in range(6)]
    assert found == [40, 40, 40, 0, 40, 0]
