"""Datasets are built atomically, deterministically, unseen until committed, and nothing of others is touched."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from tests import laws
from tests.small_dataset import PATHS, SPEC, build, opened, read_file, rows, write, write_all
from transforms.datasets import opening, places, shards
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
    with opened(place) as first:
        write(first.build, PATHS[0])
        (place / "data" / ".tmp-1-x").write_bytes(b"half")
        (place / "scratch").mkdir()
        (place / "scratch" / "s.arrow").write_bytes(b"spill")
    with opened(place) as second:
        assert second.build == first.build, "the same build goes on"
        assert second.build.finished(PATHS[0]) is not None
        assert second.build.finished(PATHS[1]) is None
        assert [path for path in places.list_files(str(place)) if not path.startswith("building/")] == [
            PATHS[0],
            "parts/data__00000-of-00002.arrow.json",
        ]
        with pytest.raises(ValueError, match="1 files were not written"):
            second.commit(PATHS)
        write(second.build, PATHS[1], 10)
        second.commit(PATHS)
    build(tmp_path / "whole")
    laws.assert_same_bytes(place, tmp_path / "whole")


def test_leftovers_of_another_build_are_swept(tmp_path: Path) -> None:
    place = tmp_path / "a"
    with opened(place, DatasetSpec("split", {"holdout": 0.5})) as other:
        write(other.build, "data/00000-of-00009.arrow")
    build(place)
    laws.assert_sound(place)


def test_a_crash_between_manifest_and_sweep_leaves_no_stray(tmp_path: Path) -> None:
    build(tmp_path / "a")
    for name in ("parts/x.json", "scratch/y", "next/data/z.arrow", "building/000001.json"):
        (tmp_path / "a" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / name).write_text("{}")
    build(tmp_path / "a")
    laws.assert_sound(tmp_path / "a")


def test_a_folder_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="not a dataset of ours"):
        opening.begin(str(tmp_path), SPEC)
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

    with opened(tmp_path) as begun, pytest.raises(OSError, match="No space"):
        shards.write_shard(begun.build, PATHS[0], SPLIT, tables())
    assert places.list_files(str(tmp_path)) == ["building/000001.json"]


def test_datasets_live_on_any_file_system() -> None:
    place = "memory://bucket/split"
    build(place)
    build(place, dataclasses.replace(SPEC, settings={"holdout": 0.5}), Existing.REPLACE)
    assert find_problems(place) == []
    assert read_file(place, PATHS[1], ["doc_id"]).column("doc_id")[0].as_py() == "d000010"


def cut_short(file: Path) -> None:
    """The file without its last byte, as a full disk or a broken copy leaves it."""
    file.write_bytes(file.read_bytes()[:-1])


def flip(file: Path) -> None:
    """The file with one bit changed, as a bad disk leaves it."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("damage", [cut_short, Path.unlink, flip])
def test_a_damaged_dataset_is_not_taken_for_a_whole_one(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    build(tmp_path)
    damage(tmp_path / PATHS[1])
    laws.assert_refuses_other(lambda: build(tmp_path), f"{tmp_path} is damaged: {PATHS[1]} .*--replace")
    build(tmp_path, existing=Existing.REPLACE)
    laws.assert_sound(tmp_path)


def test_a_dataset_that_was_copied_is_read_once_more_and_found_whole(tmp_path: Path) -> None:
    """Its stamps are others then: no damage, and no reason to build it anew."""
    build(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    laws.assert_idempotent(tmp_path / "b", lambda: build(tmp_path / "b"))


@pytest.mark.parametrize("damage", [cut_short, Path.unlink, flip])
def test_a_finished_shard_that_was_damaged_is_written_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    with opened(tmp_path / "a") as begun:
        write(begun.build, PATHS[0])
    damage(tmp_path / "a" / PATHS[0])
    build(tmp_path / "a")
    build(tmp_path / "whole")
    laws.assert_same_bytes(tmp_path / "a", tmp_path / "whole")


def test_what_was_changed_before_the_commit_is_not_committed(tmp_path: Path) -> None:
    with opened(tmp_path) as begun:
        write_all(begun.build)
        flip(tmp_path / PATHS[1])
        with pytest.raises(ValueError, match=f"{PATHS[1]} is not what was written"):
            begun.commit(PATHS)
    build(tmp_path)
    laws.assert_sound(tmp_path)


def test_shards_finished_with_other_settings_or_inputs_are_not_kept(tmp_path: Path) -> None:
    others = (
        dataclasses.replace(SPEC, settings={"holdout": 0.5}),
        dataclasses.replace(SPEC, inputs=({"name": "x", "sha256": "1"},)),
    )
    for number, other in enumerate(others):
        place = tmp_path / str(number)
        with opened(place) as first:
            write(first.build, PATHS[0])
        with opened(place, other) as second:
            assert second.build.finished(PATHS[0]) is None
            assert not (place / PATHS[0]).exists()


def test_a_record_of_another_build_is_none_of_this_one(tmp_path: Path) -> None:
    """Of equal settings, too: the inputs may be others."""
    with opened(tmp_path) as begun:
        other = dataclasses.replace(begun.build, nonce="0" * 32)
        write(other, PATHS[0])
        assert other.finished(PATHS[0]) is not None
        assert begun.build.finished(PATHS[0]) is None


def test_a_commit_adds_counts_of_the_whole_and_does_not_depend_on_the_order_of_its_files(tmp_path: Path) -> None:
    for name, paths in (("a", PATHS), ("b", PATHS[::-1])):
        with opened(tmp_path / name) as begun:
            write_all(begun.build)
            manifest = begun.commit(paths, counts={"split": {"train": 1}, "forums": {"all": 2}})
        assert manifest.counts == {"split": {"train": 21}, "forums": {"all": 2}}
    laws.assert_sound(tmp_path / "a")
    laws.assert_same_bytes(tmp_path / "a", tmp_path / "b")
