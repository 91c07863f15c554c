"""A runner that loses or doubles what goes through it ends the run: no wrong dataset is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipelines import annotate, ingest
from pipelines.annotate import chosen_settings
from pipelines.local.options import beam_pipeline
from tests.conftest import ROOT, forum_rows, write_posts
from tests.laws import assert_sound
from tests.small_dataset import some_build
from transforms.datasets import places
from transforms.ingest import join_marks, threads
from transforms.shuffle import regroup
from transforms.shuffle.regroup import Regroup, RegroupBeside
from transforms.shuffle.runs import Run
from transforms.sources.inputs import Input

ROWS = pa.schema([("value", pa.int64()), ("bucket", pa.int32())])
TABLES = 5

Change = Callable[[list[Any]], list[Any]]


def rows(number: int) -> pa.Table:
    return pa.table({"value": np.arange(30) + 30 * number, "bucket": np.arange(30) % 3}).cast(ROWS)


def on_the_way(collection: beam.PCollection, change: Change, label: str) -> beam.PCollection:
    """A collection that a runner changes: from all its elements to others."""
    return collection | f"{label}All" >> beam.combiners.ToList() | label >> beam.FlatMap(change)


def keep(elements: list[Any]) -> list[Any]:
    return elements


def lose_all(elements: list[Any]) -> list[Any]:
    return []


def lose_one(elements: list[Any]) -> list[Any]:
    return elements[1:]


def double_one(elements: list[Any]) -> list[Any]:
    return elements + elements[:1]


def lose_one_and_double_one(elements: list[Any]) -> list[Any]:
    return sorted(elements)[1:] + [(name, number + 1) for name, number in sorted(elements)[1:2]]


@pytest.fixture
def runner_changes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes every regrouping lose or double (spilled names, counts) on their way."""

    def install(spilled: Change = keep, counts: Change = keep) -> None:
        expand = regroup.Spill.expand

        def lossy(self: regroup.Spill, tables: Any) -> tuple[beam.PCollection, beam.PCollection]:
            names, numbers = expand(self, tables)
            return on_the_way(names, spilled, "Names"), on_the_way(numbers, counts, "Numbers")

        monkeypatch.setattr(regroup.Spill, "expand", lossy)

    return install


@pytest.fixture
def nothing_at_the_end_of_a_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Beam's DaskRunner does."""
    monkeypatch.setattr(regroup._SpillFn, "finish_bundle", lambda self: iter(()))


def regrouped(place: Path, num_tables: int | None = None, spill_bytes: int = 1) -> None:
    with beam_pipeline() as pipeline:
        found = (
            pipeline
            | beam.Create(range(TABLES))
            | "Rows" >> beam.Map(rows)
            | Regroup(str(place), 3, spill_bytes, num_tables)
            | "Read" >> beam.Map(lambda bucket: bucket.read(ROWS).num_rows)
        )
        assert_that(found, equal_to([10 * TABLES] * 3))


def test_a_sound_runner_is_not_suspected(tmp_path: Path, runner_changes: Callable[..., None]) -> None:
    runner_changes()
    regrouped(tmp_path)
    regrouped(tmp_path, TABLES, 1 << 20)


@pytest.mark.parametrize(
    "changes",
    [
        {"spilled": lose_all},
        {"spilled": lose_one},
        {"spilled": double_one},
        {"spilled": lose_one_and_double_one},
        {"counts": lose_all},
        {"counts": lose_one},
        {"counts": double_one},
    ],
)
def test_what_is_lost_or_doubled_on_the_way_is_told(
    tmp_path: Path, runner_changes: Callable[..., None], changes: dict[str, Change]
) -> None:
    runner_changes(**changes)
    with pytest.raises(ValueError, match=r"the Beam runner has lost or doubled rows .*Nothing was committed"):
        regrouped(tmp_path)


def test_the_loss_of_everything_is_told_where_it_is_known_what_comes(
    tmp_path: Path, runner_changes: Callable[..., None]
) -> None:
    runner_changes(lose_all, lose_all)
    with pytest.raises(
        ValueError, match=r"5 tables should have come in \(.*\), and 0 rows in 0 tables came in, and 0 files"
    ):
        regrouped(tmp_path, TABLES)


def test_a_doubled_table_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = regroup._SpillFn.process

    def twice(self: regroup._SpillFn, table: pa.Table) -> Iterator[tuple[str, int]]:
        yield from process(self, table)
        if table.column("value")[0].as_py() == 0:
            yield from process(self, table)

    monkeypatch.setattr(regroup._SpillFn, "process", twice)
    with pytest.raises(ValueError, match="150 rows in 5 tables came in, and 6 files with 180 rows came out"):
        regrouped(tmp_path)


@pytest.mark.usefixtures("nothing_at_the_end_of_a_bundle")
def test_what_the_end_of_a_bundle_yields_is_missed(tmp_path: Path) -> None:
    regrouped(tmp_path)  # every table filled a spill of its own
    with pytest.raises(ValueError, match="150 rows in 5 tables came in, and 0 files with 0 rows came out"):
        regrouped(tmp_path, spill_bytes=1 << 20)


@pytest.mark.parametrize("lossy", [0, 1])
def test_each_of_two_sides_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lossy: int) -> None:
    monkeypatch.setattr(regroup, "_count", lambda table: table.num_rows + (table.num_rows == 30 * lossy))

    def build() -> None:
        with beam_pipeline() as pipeline:
            one = pipeline | "One" >> beam.Create(range(3)) | "Rows" >> beam.Map(rows)
            two = pipeline | "Two" >> beam.Create([4]) | "Empty" >> beam.Map(lambda n: rows(n).slice(0, 0))
            sides = (one, two) if lossy else (two, one)
            _ = sides | RegroupBeside(str(tmp_path), 3)

    with pytest.raises(ValueError, match="the Beam runner has lost or doubled rows"):
        build()


@pytest.mark.parametrize("bucket", [3, 7, -1, None])
def test_a_row_of_a_bucket_that_nobody_reads_is_told(tmp_path: Path, bucket: int | None) -> None:
    table = pa.table({"value": [1, 2], "bucket": [0, bucket]}, schema=ROWS)
    with pytest.raises(ValueError, match=r"of which only 0 to 2 are read"):
        regroup.spill([table], str(tmp_path), 3)


@pytest.mark.parametrize("buckets", [[1], [1, 4, 4], [1, 1], [0, 4], [1, 4, 7]])
def test_a_shard_is_not_written_without_all_its_parts(tmp_path: Path, buckets: list[int]) -> None:
    paths = ("a", "b", "c")
    target = threads.Target(some_build(tmp_path), paths, paths, threads.ThreadRules(), num_parts=2)
    assert target.parts_of(1) == [1, 4]
    with pytest.raises(ValueError, match=r"lost or doubled parts of shard 1 of .*Nothing was committed"):
        threads.merge_runs((1, [Run(bucket, "", "", {}, {}) for bucket in buckets]), target)
    assert places.list_files(str(tmp_path)) == []


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dump")
    write_posts(folder / "Posts.xml", forum_rows(8))
    (folder / "Votes.xml").write_bytes((ROOT / "examples" / "forum" / "Votes.xml").read_bytes())
    return folder


def read(dump: Path, output: Path) -> None:
    settings = ingest.IngestSettings(num_shards=2, max_drop_rate=1.0)
    ingest.run([Input(str(dump), None, "tiny.example")], str(output), settings)


@pytest.mark.usefixtures("nothing_at_the_end_of_a_bundle")
def test_no_documents_are_committed(tmp_path: Path, dump: Path) -> None:
    with pytest.raises(ValueError, match="the Beam runner has lost or doubled rows"):
        read(dump, tmp_path / "docs")
    assert not (tmp_path / "docs" / "manifest.json").exists()


def test_no_documents_without_the_facts_that_votes_made(
    tmp_path: Path, dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost before they are counted: the account is kept by whoever makes and whoever finds them."""
    process = join_marks._JoinFn.process

    def lossy(self: join_marks._JoinFn, buckets: Any) -> Iterator[Any]:
        return (item for item in process(self, buckets) if getattr(item, "tag", "") != join_marks._FACTS)

    monkeypatch.setattr(join_marks._JoinFn, "process", lossy)
    with pytest.raises(ValueError, match="facts on posts were lost"):
        read(dump, tmp_path / "docs")
    assert not (tmp_path / "docs" / "manifest.json").exists()


def test_no_duplicates_are_committed_and_a_sound_run_finishes(
    tmp_path: Path, dump: Path, runner_changes: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every digest may be lost, and a layer without a duplicate is as good as any other."""
    read(dump, tmp_path / "docs")
    layers = tmp_path / "layers"
    settings = chosen_settings(["duplicates"], ["duplicates.across_languages=true"])
    runner_changes(lose_all, lose_all)
    with pytest.raises(ValueError, match="2 tables should have come in"):
        annotate.run(str(tmp_path / "docs"), str(layers), settings)
    monkeypatch.undo()
    assert not (layers / "duplicates" / "manifest.json").exists()
    annotate.run(str(tmp_path / "docs"), str(layers), settings)
    assert_sound(layers / "duplicates")
