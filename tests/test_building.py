"""Datasets are built atomically, deterministically, unseen until committed, and nothing of others is touched."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from tests import laws
from tests.small_dataset import PATHS, SPEC, build, rows, write
from transforms.datasets import building, places, shards
from transforms.datasets.manifest import DatasetSpec
from transforms.datasets.standing import Existing
from transforms.datasets.verify import find_problems
from transforms.layers.split import SCHEMA as SPLIT


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
    assert build(tmp_path / "a", other, existing=Existing.REPLACE).fingerprint == other.fingerprint
    laws.assert_idempotent(tmp_path / "a", lambda: build(tmp_path / "a", other, existing=Existing.REPLACE))
    laws.assert_sound(tmp_path / "a")


def test_the_same_settings_on_other_inputs_are_refused(tmp_path: Path) -> None:
    first = DatasetSpec("split", {}, inputs=({"name": "x", "sha256": "1"},))
    second = DatasetSpec("split", {}, inputs=({"name": "x", "sha256": "2"},))
    assert first.fingerprint == second.fingerprint
    build(tmp_path / "a", first)
    laws.assert_refuses_other(lambda: build(tmp_path / "a", second), "other input files")


def test_an_interrupted_build_keeps_what_it_finished(tmp_path: Path) -> None:
    place = tmp_path / "a"
    assert building.begin(str(place), SPEC) is None
    write(place, PATHS[0])
    (place / "data" / ".tmp-1-x").write_bytes(b"half")
    (place / "scratch").mkdir()
    (place / "scratch" / "s.arrow").write_bytes(b"spill")
    assert building.begin(str(place), SPEC) is None
    assert building.finished(str(place), PATHS[0]) is not None
    assert building.finished(str(place), PATHS[1]) is None
    assert laws.no_strays(place) or places.list_files(str(place)) == [
        "building.json",
        PATHS[0],
        "parts/data__00000-of-00002.arrow.json",
    ]
    with pytest.raises(ValueError, match="1 files were not written"):
        building.commit(str(place), SPEC, PATHS)
    write(place, PATHS[1], 10)
    building.commit(str(place), SPEC, PATHS)
    build(tmp_path / "whole")
    laws.assert_same_bytes(place, tmp_path / "whole")


def test_leftovers_of_another_build_are_swept(tmp_path: Path) -> None:
    place = tmp_path / "a"
    building.begin(str(place), DatasetSpec("split", {"holdout": 0.5}))
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
        building.begin(str(tmp_path), SPEC)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_what_a_user_keeps_in_a_dataset_folder_stays(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "NOTES.txt").write_text("mine")
    build(tmp_path / "inner")
    other = DatasetSpec("split", {"holdout": 0.2}, {"documents": "abc"})
    for spec, existing in ((SPEC, Existing.REFUSE), (other, Existing.REPLACE), (SPEC, Existing.REPLACE)):
        build(tmp_path, spec, existing)
        assert (tmp_path / "NOTES.txt").read_text() == "mine"
        laws.assert_sound(tmp_path / "inner")
        laws.assert_sound(tmp_path)


def test_a_full_disk_leaves_no_dataset(tmp_path: Path) -> None:
    def tables() -> Iterator[pa.Table]:
        yield rows(0, 5000)
        raise OSError(28, "No space left on device")

    building.begin(str(tmp_path), SPEC)
    with pytest.raises(OSError, match="No space"):
        shards.write_shard(str(tmp_path), PATHS[0], SPLIT, tables(), SPEC.fingerprint, "split")
    assert places.list_files(str(tmp_path)) == ["building.json"]


def test_datasets_live_on_any_file_system() -> None:
    place = "memory://bucket/split"
    if building.begin(place, SPEC) is None:
        for index, path in enumerate(PATHS):
            shards.write_shard(place, path, SPLIT, [rows(index * 10, 10)], SPEC.fingerprint, "split", "doc_id")
        building.commit(place, SPEC, PATHS)
    assert find_problems(place) == []
    assert shards.read_shard(place, PATHS[1], ["doc_id"]).column("doc_id")[0].as_py() == "d000010"


def cut_short(file: Path) -> None:
    """The file without its last byte, as a full disk or a broken copy leaves it."""
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [cut_short, Path.unlink])
def test_a_damaged_dataset_is_not_taken_for_a_whole_one(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    build(tmp_path)
    damage(tmp_path / PATHS[1])
    laws.assert_refuses_other(lambda: build(tmp_path), f"is damaged: {PATHS[1]} should have")
    build(tmp_path, existing=Existing.REPLACE)
    laws.assert_sound(tmp_path)


def test_a_shard_cut_short_is_not_finished(tmp_path: Path) -> None:
    building.begin(str(tmp_path), SPEC)
    write(tmp_path, PATHS[0])
    cut_short(tmp_path / PATHS[0])
    assert building.finished(str(tmp_path), PATHS[0]) is None


def test_shards_finished_with_other_settings_or_inputs_are_not_kept(tmp_path: Path) -> None:
    others = (
        dataclasses.replace(SPEC, settings={"holdout": 0.5}),
        dataclasses.replace(SPEC, inputs=({"name": "x", "sha256": "1"},)),
    )
    for number, other in enumerate(others):
        place = tmp_path / str(number)
        building.begin(str(place), SPEC)
        write(place, PATHS[0])
        building.begin(str(place), other)
        assert building.finished(str(place), PATHS[0]) is None


def test_a_commit_adds_counts_of_the_whole_and_does_not_depend_on_the_order_of_its_files(tmp_path: Path) -> None:
    for name, paths in (("a", PATHS), ("b", PATHS[::-1])):
        building.begin(str(tmp_path / name), SPEC)
        for path in paths:
            write(tmp_path / name, path, 10 * PATHS.index(path))
        manifest = building.commit(
            str(tmp_path / name), SPEC, paths, counts={"split": {"train": 1}, "forums": {"all": 2}}
        )
        assert manifest.counts == {"split": {"train": 21}, "forums": {"all": 2}}
    laws.assert_same_bytes(tmp_path / "a", tmp_path / "b")
