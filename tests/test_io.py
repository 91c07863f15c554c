"""Shards on their way through a pipeline: where rows are read, how they are joined, what is refused."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipelines.local.options import beam_pipeline
from tests.small_dataset import PATHS, build, rows, some_build
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.datasets.fates import Tally
from transforms.datasets.names import in_split, shard_name
from transforms.datasets.schema import DOCUMENTS, required
from transforms.io.counts import SumCounts, WriteCounts, read_counts
from transforms.io.read import JoinLayers, ReadShards, join_layers
from transforms.io.shard import Shard, document_shard
from transforms.io.write import WriteShards, unfinished, write
from transforms.layers.split import SCHEMA as SPLIT

PATH = PATHS[0]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    build(tmp_path / "dataset")
    return Dataset.open(str(tmp_path / "dataset"))


def test_rows_are_the_same_wherever_they_lie(dataset: Dataset) -> None:
    stored = Shard(PATHS[1], dataset, {"split": dataset})
    held = Shard(PATHS[1], rows(10, 10), {"split": rows(10, 10)})
    for shard in (stored, held):
        assert shard.index == 1
        assert shard.read().to_pylist() == rows(10, 10).to_pylist()
        assert shard.read(["split"]).column_names == ["split"]
        assert pa.Table.from_batches(shard.batches(["doc_id"])).column("doc_id").equals(rows(10, 10).column("doc_id"))
        assert shard.read_layer("split", ["split"]).num_rows == 10
        with pytest.raises(ValueError, match=r"has no column 'text'; it has \['doc_id', 'split'\]"):
            shard.read(["text"])
        with pytest.raises(ValueError, match=r"has no language layer beside it, only \['split'\]"):
            shard.read_layer("language")


def test_a_path_tells_the_number_of_its_shard() -> None:
    assert Shard(shard_name(3, 8, "train"), rows(0, 1)).index == 3
    assert in_split(shard_name(3, 8), "holdout") == "data/holdout-00003-of-00008.arrow"
    with pytest.raises(ValueError, match=r"'mine' is no path of a shard; wanted one such as data/00000-of-00001.arrow"):
        _ = Shard("mine", rows(0, 1)).index


def test_batches_of_a_table_are_bounded() -> None:
    number = 2 * shards.BATCH_ROWS + 5
    sizes = [batch.num_rows for batch in Shard(PATH, rows(0, number)).batches()]
    assert sizes == [shards.BATCH_ROWS, shards.BATCH_ROWS, 5]


def test_a_shard_of_a_dataset_travels_as_its_name(dataset: Dataset) -> None:
    with beam_pipeline() as p:
        found = p | ReadShards(dataset, PATHS[1:], {"split": dataset})
        assert_that(found, equal_to([Shard(PATHS[1], dataset, {"split": dataset})]))


def test_a_shard_is_carried_whole_and_its_size_is_told_without_pickling(dataset: Dataset) -> None:
    coder = beam.coders.registry.get_coder(Shard)
    stored, held = Shard(PATH, dataset, {"split": dataset}), Shard(PATH, rows(0, 10), {"split": rows(0, 10)})
    assert coder.decode(coder.encode(stored)) == stored
    found = coder.decode(coder.encode(held))
    assert found.read().equals(held.read())
    assert found.read_layer("split").equals(rows(0, 10))
    sizes = coder.estimate_size(held), coder.estimate_size(stored)
    assert sizes[0] - sizes[1] == 2 * rows(0, 10).nbytes


def test_tables_of_one_s_own_get_the_types_of_documents() -> None:
    table = pa.table({"doc_id": pa.array(["a"], pa.large_string()), "text": ["x"], "score": pa.array([1], pa.int8())})
    shard = document_shard(table.append_column("more", pa.array([0.5])), 2, 3)
    assert shard.path == shard_name(2, 3)
    found = shard.read()
    for name in ("doc_id", "text", "score", "title", "accepted"):
        assert found.schema.field(name).type == DOCUMENTS.field(name).type, name
    assert found.column("title").to_pylist() == [None]
    assert found.column("more").to_pylist() == [0.5]
    assert "thread_id" not in found.column_names, "what must be there is not made up"
    assert found.schema.field("doc_id") == DOCUMENTS.field("doc_id")
    with pytest.raises(ValueError, match="column 'score' of documents must be int64"):
        document_shard(pa.table({"score": ["many"]}))
    with pytest.raises(ValueError, match="column 'text' of documents must have a value in every row; 1 lack it"):
        document_shard(pa.table({"text": ["x", None]}))


def test_layers_are_joined_by_path(dataset: Dataset) -> None:
    with beam_pipeline() as p:
        documents = p | "Documents" >> ReadShards(dataset)
        layer = p | "Layer" >> beam.Create([Shard(path, rows(10 * n, 10)) for n, path in enumerate(PATHS)][::-1])
        joined = (documents, {"split": layer}) | JoinLayers()
        found = joined | beam.Map(
            lambda shard: (shard.path, shard.rows, shard.read_layer("split").equals(shard.read()))
        )
        assert_that(found, equal_to([(path, dataset, True) for path in PATHS]))


@pytest.mark.parametrize(
    ("documents", "layer", "wrong"), [(0, 1, "documents"), (2, 1, "documents"), (1, 0, "split"), (1, 2, "split")]
)
def test_what_does_not_stand_beside_each_other_is_refused(documents: int, layer: int, wrong: str) -> None:
    shard = Shard(PATH, rows(0, 1))
    with pytest.raises(ValueError, match=rf"{PATH} comes [02] times among {wrong}, wanted once"):
        join_layers(PATH, {"documents": [shard] * documents, "split": [shard] * layer})


def test_shards_are_written_with_their_counts(tmp_path: Path) -> None:
    begun = some_build(tmp_path)
    assert unfinished(begun, PATHS) == PATHS
    with beam_pipeline() as p:
        written = (
            p
            | beam.Create([Shard(PATH, rows(0, 10), counts={"split": {"train": 10}})])
            | WriteShards(begun, SPLIT, "doc_id")
        )
        assert_that(written | beam.Map(lambda file: (file.path, file.rows)), equal_to([(PATH, 10)]))
    file = begun.finished(PATH)
    assert file is not None
    assert file.counts == {"split": {"train": 10}}
    assert file.ids_sha256
    assert unfinished(begun, PATHS) == PATHS[1:]


@pytest.mark.parametrize("wrong", [rows(1, 10), rows(0, 9)])
def test_rows_that_stand_beside_a_dataset_have_its_ids(tmp_path: Path, dataset: Dataset, wrong: pa.Table) -> None:
    write(Shard(PATH, rows(0, 10)), some_build(tmp_path), SPLIT, "doc_id", dataset)
    with pytest.raises(ValueError, match=r"the split has .* rows with ids .*these changed while they were read"):
        write(Shard(PATH, wrong), some_build(tmp_path), SPLIT, "doc_id", dataset)


def test_counts_of_several_collections_are_summed(tmp_path: Path) -> None:
    with beam_pipeline() as p:
        one = p | "One" >> beam.Create([Tally({"a": {"x": 1}}), Tally({"a": {"x": 2, "y": 5}})])
        two = p | "Two" >> beam.Create([Tally({"b": {"x": 3}})])
        assert_that(one | SumCounts() | beam.Map(Tally.to_dict), equal_to([{"a": {"x": 3, "y": 5}}]))
        _ = (one, two) | WriteCounts(str(tmp_path))
    assert read_counts(str(tmp_path)) == {"a": {"x": 3, "y": 5}, "b": {"x": 3}}


def test_two_shards_of_one_path_are_refused(tmp_path: Path) -> None:
    """One would be written over the other, and a dataset of fewer rows be whole to all who look at it."""
    schema = pa.schema([required("doc_id", pa.string())])
    tables = [pa.table([["a", "b"]], schema=schema), pa.table([["c"]], schema=schema)]
    with (
        pytest.raises(Exception, match=r"2 shards are called data/00000-of-00001\.arrow"),
        beam_pipeline() as p,
    ):
        _ = (
            p
            | beam.Create([Shard(shard_name(0, 1), table) for table in tables])
            | WriteShards(some_build(tmp_path), schema)
        )


@pytest.mark.parametrize(("name", "values"), [("created", [1_600_000_000]), ("title", [5]), ("text", [0.5])])
def test_numbers_are_no_times_and_no_texts(name: str, values: list[float]) -> None:
    with pytest.raises(ValueError, match=rf"column '{name}' of documents must be .*, not .*; convert it"):
        document_shard(pa.table({"doc_id": ["a"], "text": ["t"], name: values}))
    nothing = pa.table({"doc_id": ["a"], "text": ["t"], "created": pa.nulls(1)})
    assert document_shard(nothing).read(["created"]).column("created").null_count == 1
