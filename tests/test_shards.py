"""Shards: the same bytes however rows were cut, open to any Arrow reader."""

from __future__ import annotations

import itertools
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.small_dataset import PATHS, build, dataset_of, read_unfinished, some_build
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.datasets.manifest import DatasetSpec
from transforms.datasets.schema import DOCUMENTS
from transforms.layers.split import SCHEMA as SPLIT


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 6000), min_size=0, max_size=5), st.data())
def test_bytes_do_not_depend_on_how_rows_were_cut(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], data: st.DataObject
) -> None:
    place = tmp_path_factory.mktemp("cut")
    number = 9000
    nullable = [None if index % 7 == 0 else f"t{index}" for index in range(number)]
    values: dict[str, list[object]] = {name: [None] * number for name in DOCUMENTS.names} | {"flags": [[]] * number}
    values |= {
        "attributes": [[{"name": "a", "value": f"v{index}"}] * (index % 2) for index in range(number)],
        "language": [None if index % 5 else "eng_Latn" for index in range(number)],
    }
    values |= {
        name: [f"{name}{index}" for index in range(number)]
        for name in ("doc_id", "thread_id", "kind", "text", "source", "site")
    }
    values |= {
        "tags": [["a"] * (index % 3) for index in range(number)],
        "title": nullable,
        "score": list(range(number)),
    }
    table = pa.table(values, schema=DOCUMENTS)
    edges = sorted({0, number, *cuts})
    pieces = [table.slice(start, end - start) for start, end in itertools.pairwise(edges)]
    whole = shards.write_shard(some_build(place, "documents"), "data/w.arrow", DOCUMENTS, [table])
    cut = shards.write_shard(some_build(place, "documents"), "data/c.arrow", DOCUMENTS, iter(pieces))
    assert whole.sha256 == cut.sha256
    assert read_unfinished(some_build(place), "data/c.arrow").equals(table.cast(DOCUMENTS))


def test_shards_open_without_our_code(tmp_path: Path) -> None:
    build(tmp_path)
    with pa.OSFile(str(tmp_path / PATHS[0])) as file:
        assert pa.ipc.open_file(file).schema.metadata[b"agora.kind"] == b"split"
    loaded = datasets.load_dataset(
        "arrow", data_files=[str(tmp_path / path) for path in PATHS], cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert loaded.num_rows == 20
    assert loaded[19]["doc_id"] == "d000019"


@pytest.mark.parametrize("kind", ["tokens", "preference", "curriculum"])
@pytest.mark.parametrize("columns", [None, ["lists"], ["position", "lists"]])
def test_token_shards_are_read_from_the_map_without_a_copy(
    tmp_path: Path, kind: str, columns: list[str] | None
) -> None:
    number = pa.field("item", pa.int64(), nullable=False)
    schema = pa.schema(
        [pa.field("position", pa.int64(), nullable=False), pa.field("lists", pa.list_(number)), ("text", pa.string())]
    )
    values = {"position": [0] * 50_000, "lists": [[1, 2, 3]] * 50_000, "text": ["abc"] * 50_000}
    dataset_of(tmp_path, DatasetSpec(kind, {}), {PATHS[0]: pa.table(values, schema)}, None)
    dataset = Dataset.open(str(tmp_path))
    before = pa.total_allocated_bytes()
    table = shards.read_shard(dataset, PATHS[0], columns)
    batches = list(shards.iter_batches(dataset, PATHS[0], columns))
    held = pa.total_allocated_bytes() - before
    assert table.nbytes >= 1_400_000
    assert table.equals(pa.Table.from_batches(batches))
    assert held < 10_000


@pytest.mark.parametrize("kind", ["preference", "pairs"])  # mapped, and packed
def test_columns_are_those_that_were_asked_for_in_the_order_of_the_file(tmp_path: Path, kind: str) -> None:
    table = pa.table({"a": [1, 2], "b": ["x", "y"], "c": [[3], []]})
    dataset_of(tmp_path, DatasetSpec(kind, {}), {PATHS[0]: table}, None)
    dataset = Dataset.open(str(tmp_path))
    for columns, wanted in ((["c", "a"], ["a", "c"]), (["b"], ["b"]), (None, ["a", "b", "c"])):
        assert shards.read_shard(dataset, PATHS[0], columns).to_pydict() == table.select(wanted).to_pydict()
        (batch,) = shards.iter_batches(dataset, PATHS[0], columns)
        assert batch.to_pydict() == table.select(wanted).to_pydict()
    with pytest.raises(ValueError, match=r"has no column 'd'; it has \['a', 'b', 'c'\]"):
        shards.read_shard(dataset, PATHS[0], ["a", "d"])


def test_other_ids_have_another_digest_wherever_one_ends(tmp_path: Path) -> None:
    digests = {
        shards.write_shard(
            some_build(tmp_path),
            PATHS[0],
            SPLIT,
            [pa.table({"doc_id": ids, "split": ["train"] * len(ids)})],
            "doc_id",
        ).ids_sha256
        for ids in (["a", "bc"], ["ab", "c"], ["abc"], ["bc", "a"])
    }
    assert len(digests) == 4


@pytest.mark.parametrize("kind", ["documents", "tokens"])
def test_rows_are_read_by_number_and_only_their_batches(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BATCH_ROWS", 3)
    table = pa.table({"doc_id": [f"d{row}" for row in range(11)], "n": range(11)})
    dataset_of(tmp_path, DatasetSpec(kind, {}), {PATHS[0]: table})
    dataset = Dataset.open(str(tmp_path))
    for rows in ([0], [10], [2, 3], [0, 1, 8, 9], list(range(11))):
        assert shards.read_rows(dataset, PATHS[0], rows).to_pydict() == table.take(rows).to_pydict()
        assert shards.read_rows(dataset, PATHS[0], rows, ["n"]).to_pydict() == {"n": rows}
    with pytest.raises(ValueError, match=r"00000-of-00002.arrow has no row 11: it has 11 rows, from 0$"):
        shards.read_rows(dataset, PATHS[0], [0, 11])
