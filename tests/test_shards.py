"""Datasets: atomic, deterministic, invisible until committed, and refused when they are not what they say."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import laws
from transforms import places, shards
from transforms.ids import fingerprint, keyed_hash, unit_interval
from transforms.schema import DOCUMENTS, SPLIT
from transforms.shards import DatasetSpec

SPEC = DatasetSpec("split", {"holdout": 0.1}, {"documents": "abc"})
PATHS = ["data/00000-of-00002.arrow", "data/00001-of-00002.arrow"]


def rows(start: int, number: int) -> pa.Table:
    ids = [f"d{index:06d}" for index in range(start, start + number)]
    return pa.table({"doc_id": ids, "split": ["train"] * number}, schema=SPLIT)


def write(place: Path, path: str, start: int = 0, number: int = 10, spec: DatasetSpec = SPEC) -> shards.ShardFile:
    table = rows(start, number)
    counts = {"split": {"train": number}}
    return shards.write_shard(str(place), path, SPLIT, [table], spec.fingerprint, "split", "doc_id", counts)


def build(place: Path, spec: DatasetSpec = SPEC, replace: bool = False) -> shards.Manifest:
    manifest = shards.begin(str(place), spec, replace)
    if manifest is None:
        for index, path in enumerate(PATHS):
            write(place, path, index * 10, spec=spec)
        manifest = shards.commit(str(place), spec, PATHS)
    return manifest


def test_a_build_is_sound_repeatable_and_idempotent(tmp_path: Path) -> None:
    manifest = build(tmp_path / "a")
    build(tmp_path / "b")
    laws.assert_same_bytes(tmp_path / "a", tmp_path / "b")
    assert laws.assert_sound(tmp_path / "a") == manifest
    assert manifest.counts == {"split": {"train": 20}}
    assert manifest.rows == 20
    laws.assert_idempotent(tmp_path / "a", lambda: build(tmp_path / "a"))
    laws.assert_invisible_until_committed(tmp_path / "a")


def test_other_settings_are_refused_and_replaced_on_demand(tmp_path: Path) -> None:
    build(tmp_path / "a")
    other = DatasetSpec("split", {"holdout": 0.2}, {"documents": "abc"})
    laws.assert_refuses_other(lambda: build(tmp_path / "a", other), "differs in holdout")
    laws.assert_refuses_other(lambda: build(tmp_path / "a", DatasetSpec("split", SPEC.settings, {"documents": "x"})))
    assert build(tmp_path / "a", other, replace=True).fingerprint == other.fingerprint
    laws.assert_idempotent(tmp_path / "a", lambda: build(tmp_path / "a", other, replace=True))
    laws.assert_sound(tmp_path / "a")


def test_the_same_settings_on_other_inputs_are_refused(tmp_path: Path) -> None:
    first = DatasetSpec("split", {}, inputs=({"name": "x", "sha256": "1"},))
    second = DatasetSpec("split", {}, inputs=({"name": "x", "sha256": "2"},))
    assert first.fingerprint == second.fingerprint
    build(tmp_path / "a", first)
    laws.assert_refuses_other(lambda: build(tmp_path / "a", second), "other input files")


def test_an_interrupted_build_keeps_what_it_finished(tmp_path: Path) -> None:
    place = tmp_path / "a"
    assert shards.begin(str(place), SPEC) is None
    write(place, PATHS[0])
    (place / "data" / ".tmp-1-x").write_bytes(b"half")
    (place / "scratch").mkdir()
    (place / "scratch" / "s.arrow").write_bytes(b"spill")
    assert shards.begin(str(place), SPEC) is None
    assert shards.finished(str(place), PATHS[0]) is not None
    assert shards.finished(str(place), PATHS[1]) is None
    assert laws.no_strays(place) or places.list_files(str(place)) == [
        "building.json",
        PATHS[0],
        "parts/data__00000-of-00002.arrow.json",
    ]
    with pytest.raises(ValueError, match="1 files were not written"):
        shards.commit(str(place), SPEC, PATHS)
    write(place, PATHS[1], 10)
    shards.commit(str(place), SPEC, PATHS)
    build(tmp_path / "whole")
    laws.assert_same_bytes(place, tmp_path / "whole")


def test_leftovers_of_another_build_are_swept(tmp_path: Path) -> None:
    place = tmp_path / "a"
    shards.begin(str(place), DatasetSpec("split", {"holdout": 0.5}))
    write(place, "data/00000-of-00009.arrow")
    build(place)
    laws.assert_sound(place)


def test_a_crash_between_manifest_and_sweep_leaves_no_stray(tmp_path: Path) -> None:
    build(tmp_path / "a")
    (tmp_path / "a" / "parts").mkdir()
    (tmp_path / "a" / "parts" / "x.json").write_text("{}")
    build(tmp_path / "a")
    laws.assert_sound(tmp_path / "a")


def test_a_folder_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="not a dataset of ours"):
        shards.begin(str(tmp_path), SPEC)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_what_a_user_keeps_in_a_dataset_folder_stays(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "NOTES.txt").write_text("mine")
    build(tmp_path / "inner")
    other = DatasetSpec("split", {"holdout": 0.2}, {"documents": "abc"})
    for spec, replace in ((SPEC, False), (other, True), (SPEC, True)):
        build(tmp_path, spec, replace)
        assert (tmp_path / "NOTES.txt").read_text() == "mine"
        laws.assert_sound(tmp_path / "inner")
        laws.assert_sound(tmp_path)


def test_a_folder_of_datasets_names_them(tmp_path: Path) -> None:
    build(tmp_path / "layers" / "split")
    with pytest.raises(ValueError, match="the datasets split are below it"):
        shards.load_manifest(str(tmp_path / "layers"))


@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "stray"])
def test_verify_finds_damage(tmp_path: Path, damage: str) -> None:
    build(tmp_path)
    shard = tmp_path / PATHS[1]
    data = bytearray(shard.read_bytes())
    if damage == "cut":
        shard.write_bytes(data[:-9])
    elif damage == "flip":
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
    elif damage == "remove":
        shard.unlink()
    else:
        (tmp_path / "data" / "extra.arrow").write_bytes(b"x")
    assert len(shards.verify(str(tmp_path))) == 1
    if damage in ("cut", "remove"):
        with pytest.raises(ValueError, match="damaged"):
            shards.begin(str(tmp_path), SPEC)
        build(tmp_path, replace=True)
        laws.assert_sound(tmp_path)


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
    whole = shards.write_shard(str(place), "data/w.arrow", DOCUMENTS, [table], "f", "documents")
    cut = shards.write_shard(str(place), "data/c.arrow", DOCUMENTS, iter(pieces), "f", "documents")
    assert whole.sha256 == cut.sha256
    assert shards.read_shard(str(place), "data/c.arrow").equals(table.cast(DOCUMENTS))


def test_shards_open_without_our_code(tmp_path: Path) -> None:
    build(tmp_path)
    with pa.OSFile(str(tmp_path / PATHS[0])) as file:
        assert pa.ipc.open_file(file).schema.metadata[b"agora.kind"] == b"split"
    loaded = datasets.load_dataset(
        "arrow", data_files=[str(tmp_path / path) for path in PATHS], cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert loaded.num_rows == 20
    assert loaded[19]["doc_id"] == "d000019"


def test_a_full_disk_leaves_no_dataset(tmp_path: Path) -> None:
    def tables() -> Iterator[pa.Table]:
        yield rows(0, 5000)
        raise OSError(28, "No space left on device")

    shards.begin(str(tmp_path), SPEC)
    with pytest.raises(OSError, match="No space"):
        shards.write_shard(str(tmp_path), PATHS[0], SPLIT, tables(), SPEC.fingerprint, "split")
    assert places.list_files(str(tmp_path)) == ["building.json"]


def test_manifests_are_json_that_round_trips(tmp_path: Path) -> None:
    manifest = build(tmp_path)
    text = (tmp_path / "manifest.json").read_bytes()
    assert shards.Manifest.from_json(text).to_json() == text
    assert json.loads(text)["kind"] == "split"
    with pytest.raises(ValueError, match="a pairs dataset is needed"):
        shards.load_manifest(str(tmp_path), "pairs")
    assert manifest.digest == shards.load_manifest(str(tmp_path)).digest


def test_datasets_live_on_any_file_system() -> None:
    place = "memory://bucket/split"
    if shards.begin(place, SPEC) is None:
        for index, path in enumerate(PATHS):
            shards.write_shard(place, path, SPLIT, [rows(index * 10, 10)], SPEC.fingerprint, "split", "doc_id")
        shards.commit(place, SPEC, PATHS)
    assert shards.verify(place) == []
    assert shards.read_shard(place, PATHS[1], ["doc_id"]).column("doc_id")[0].as_py() == "d000010"


def test_hashes_are_fixed_for_ever() -> None:
    """These numbers are in users' datasets: a change reshuffles every split."""
    assert keyed_hash("split", "stackexchange:x:1") == keyed_hash("split", "stackexchange:x:1")
    assert keyed_hash("split", "a", "b") != keyed_hash("split", "ab")
    assert (keyed_hash("golden", "a"), fingerprint({"b": 1, "a": [1.5, None]})) == (GOLDEN_HASH, GOLDEN_FINGERPRINT)


def test_unit_interval_is_uniform() -> None:
    values = [unit_interval("test", str(index)) for index in range(20_000)]
    assert min(values) >= 0
    assert max(values) < 1
    assert abs(sum(values) / len(values) - 0.5) < 0.01


GOLDEN_HASH = 12082105102066068815
GOLDEN_FINGERPRINT = "cf0c4895ed707baa"
