"""What stands is kept until its successor is whole: a kill at any moment leaves one of the two, and a rerun the new."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import laws
from tests.small_dataset import PATHS, SPEC, build, opened, read_file, write, write_all
from transforms.datasets import lease, places
from transforms.datasets.checks import DamagedError
from transforms.datasets.dataset import check_folder
from transforms.datasets.lease import LostError, OwnedError
from transforms.datasets.manifest import DatasetSpec, Manifest, load_manifest
from transforms.datasets.names import MANIFEST
from transforms.datasets.opening import begin
from transforms.datasets.standing import Existing
from transforms.datasets.verify import find_problems

OTHER = replace(SPEC, settings={"holdout": 0.5})
WRITES = ("create", "write_atomically", "remove", "move", "remove_empty_folders")


class Killed(BaseException):
    """Ends a build as a kill does: nothing that would clean up can write any more."""


def killed_after(number: int, monkeypatch: pytest.MonkeyPatch, run: Callable[[], object]) -> bool:
    """Runs, with an end like a kill's before the write of that number; whether it came so far."""
    left = number
    with monkeypatch.context() as patch:

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                return function(*arguments)

            return call

        for name in WRITES:
            patch.setattr(places, name, counted(getattr(places, name)))
        patch.setattr(lease.Lease, "let_go", lambda self: self._ended.set())
        try:
            run()
            return False
        except Killed:
            return True


def dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on a lease that was taken before is a dead process's."""
    monkeypatch.setattr(lease, "_started", lambda pid: "another start")


@pytest.mark.parametrize("existing", [Existing.REFUSE, Existing.REPLACE])
def test_a_kill_before_any_write_leaves_a_build_that_is_finished(
    existing: Existing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "whole", OTHER)
    for number in range(200):
        place = tmp_path / str(number)
        if existing is Existing.REPLACE:
            build(place)
            before = laws.files_of(place)
        with monkeypatch.context() as patch:
            if not killed_after(number, patch, partial(build, place, OTHER, existing)):
                break
            dead(patch)
            stood = (place / MANIFEST).exists() and load_manifest(str(place)).fingerprint
            if stood == SPEC.fingerprint:
                now = laws.files_of(place)
                assert {name: now[name] for name in before} == before, "what stands was touched"
            elif stood:
                assert [read_file(place, path).num_rows for path in PATHS] == [10, 10]
            elif existing is Existing.REPLACE:
                assert lease.is_begun(str(place)), "neither the old nor a build that can be gone on with"
            build(place, OTHER, Existing.REPLACE if stood == SPEC.fingerprint else Existing.REFUSE)
            laws.assert_same_bytes(place, tmp_path / "whole")
            assert laws.assert_sound(place).fingerprint == OTHER.fingerprint
    assert number > 12, "the kills did not reach the end"


def test_what_stands_is_read_while_its_successor_is_built_and_kept_when_that_fails(tmp_path: Path) -> None:
    before = build(tmp_path)
    with opened(tmp_path, OTHER, Existing.REPLACE) as begun:
        write_all(begun.build)
        assert laws.files_of(tmp_path).items() >= {MANIFEST: before.to_json()}.items()
        assert read_file(tmp_path, PATHS[0]).num_rows == 10

        def refuse(manifest: object) -> None:
            raise ValueError("tokens were lost")

        with pytest.raises(ValueError, match="tokens were lost"):
            begun.commit(PATHS, check=refuse)
    assert laws.assert_sound(tmp_path) == before


def test_a_replacement_that_was_interrupted_is_gone_on_with(tmp_path: Path) -> None:
    build(tmp_path / "a")
    with opened(tmp_path / "a", OTHER, Existing.REPLACE) as begun:
        write(begun.build, PATHS[0])
    with opened(tmp_path / "a", OTHER, Existing.REPLACE) as again:
        assert again.build.finished(PATHS[0]) is not None
    assert build(tmp_path / "a") == load_manifest(str(tmp_path / "a")), "the old one is as good as ever"
    laws.assert_sound(tmp_path / "a")


def test_a_rerun_of_what_stands_leaves_a_living_build_alone(tmp_path: Path) -> None:
    build(tmp_path)
    with opened(tmp_path, OTHER, Existing.REPLACE) as begun:
        write(begun.build, PATHS[0])
        build(tmp_path)
        assert begun.build.finished(PATHS[0]) is not None
        with pytest.raises(OwnedError):
            begin(str(tmp_path), replace(SPEC, settings={}), Existing.REPLACE)
        write(begun.build, PATHS[1], 10)
        begun.commit(PATHS)
    assert laws.assert_sound(tmp_path).fingerprint == OTHER.fingerprint


def test_whoever_lost_the_build_commits_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as begun:
        write_all(begun.build)
        (marker,) = (tmp_path / "building").glob("*")
        shutil.copy(marker, marker.with_name("000002.json"))
        with pytest.raises(LostError, match="another process has taken over"):
            begun.commit(PATHS)
    assert not (tmp_path / MANIFEST).exists()


def test_whoever_loses_the_build_while_it_commits_publishes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as begun:
        write_all(begun.build)
        (marker,) = (tmp_path / "building").glob("*")
        with pytest.raises(LostError, match="another process has taken over"):
            begun.commit(PATHS, check=lambda manifest: shutil.copy(marker, marker.with_name("000002.json")))
    assert not (tmp_path / MANIFEST).exists()


def test_a_kill_while_a_swap_is_swept_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path)
    remove = places.remove

    def killed(place: str) -> None:
        if place.endswith("/next"):
            remove(f"{place}/replaced.json")  # whatever the system takes first
            raise Killed
        remove(place)

    with monkeypatch.context() as patch:
        patch.setattr(places, "remove", killed)
        with pytest.raises(Killed):
            build(tmp_path, OTHER, Existing.REPLACE)
    build(tmp_path, OTHER)
    assert laws.assert_sound(tmp_path).fingerprint == OTHER.fingerprint


def test_the_files_of_two_builds_are_never_in_one_manifest(tmp_path: Path) -> None:
    """The second builder is refused; and what it would have written, had it not been, is none of the first's."""
    with opened(tmp_path) as begun:
        write(begun.build, PATHS[0])
        for spec in (SPEC, OTHER):
            with pytest.raises(OwnedError, match="is being built by process"):
                begin(str(tmp_path), spec, Existing.REPLACE)
        write(replace(begun.build, nonce="other"), PATHS[1], 10)
        with pytest.raises(ValueError, match="1 files were not written"):
            begun.commit(PATHS)


def test_an_edited_manifest_is_noticed(tmp_path: Path) -> None:
    build(tmp_path)
    values = json.loads((tmp_path / MANIFEST).read_text())
    for change in ({"counts": {"split": {"train": 21}}}, {"parents": {}}, {"settings": {"holdout": 0.2}}, {"more": 1}):
        (tmp_path / MANIFEST).write_text(json.dumps(values | change))
        for run in (
            lambda: build(tmp_path),
            lambda: load_manifest(str(tmp_path)),
            lambda: read_file(tmp_path, PATHS[0]),
        ):
            with pytest.raises(ValueError, match=r"manifest.json was changed after it was written"):
                run()
    build(tmp_path, existing=Existing.REPLACE)
    laws.assert_sound(tmp_path)


# ------------------------------------------------------------------------------------- whose files are whose


def test_who_lost_the_build_removes_nothing_of_its_successor(tmp_path: Path) -> None:
    with opened(tmp_path) as begun:
        write(begun.build, PATHS[0])
        (marker,) = (tmp_path / "building").glob("*")
        values = json.loads(marker.read_text())
        values["owner"]["host"], values["beat"] = "elsewhere", 0.0
        marker.write_text(json.dumps(values))
        after = build(tmp_path)
        begun.abandon()
    assert laws.assert_sound(tmp_path) == after


@pytest.mark.parametrize("folder", ["data", "scratch"])
def test_a_folder_on_another_disk_is_built_into_and_replaced(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As os.replace sees it: across the link nothing can be renamed."""
    disk, here = tmp_path / "disk", tmp_path / "here"
    build(here)
    disk.mkdir()
    if (here / folder).exists():
        shutil.move(here / folder, disk / folder)
    (disk / folder).mkdir(exist_ok=True)
    (here / folder).symlink_to(disk / folder)
    rename = os.replace

    def across(source: str, target: str) -> None:
        if {"/disk/" in os.path.realpath(place) for place in (source, target)} == {True, False}:
            raise OSError(18, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "replace", across)
    build(here, OTHER, Existing.REPLACE)
    assert laws.assert_sound(here).fingerprint == OTHER.fingerprint
    assert (here / folder).is_symlink()


def test_where_nothing_may_be_written_what_stands_is_not_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build(tmp_path)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("data") and access(path, mode))
    with pytest.raises(PermissionError, match="nothing may be written into this folder"):
        build(tmp_path, OTHER, Existing.REPLACE)
    assert load_manifest(str(tmp_path)) == before
    assert [read_file(tmp_path, path).num_rows for path in PATHS] == [10, 10]


def test_an_unchanged_dataset_is_read_where_nothing_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build(tmp_path)
    (tmp_path / "building").mkdir()
    (tmp_path / "building" / ".tmp-x").write_text("left by a kill")

    def refuse(*_: object) -> bool:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(places, "create", refuse)
    assert build(tmp_path) == before


@pytest.mark.parametrize("folder", ["data", "rejects", "parts", "scratch", "next", "building"])
@pytest.mark.parametrize("below", ["", "/layers/split"])
def test_no_dataset_is_built_in_a_folder_that_another_one_clears(folder: str, below: str, tmp_path: Path) -> None:
    build(tmp_path / "corpus")
    with pytest.raises(ValueError, match=f"lies in the folder {folder}/ of the dataset {tmp_path}/corpus"):
        build(tmp_path / "corpus" / f"{folder}{below}")
    build(tmp_path / folder / "corpus")
    build(tmp_path / "corpus" / "layers" / "split")
    build(tmp_path / "corpus")
    laws.assert_sound(tmp_path / "corpus" / "layers" / "split")


@pytest.mark.parametrize("path", ["next", "data", "building/000001.json", "manifest.json", "run.json", "scratch/x"])
def test_a_manifest_that_names_files_of_its_build_is_none(path: str, tmp_path: Path) -> None:
    manifest = build(tmp_path)
    first, *others = manifest.files
    hostile = replace(manifest, files=(replace(first, path=path), *others))
    (tmp_path / MANIFEST).write_bytes(hostile.to_json())
    with pytest.raises(ValueError, match=f"names a file of its build: '{path}'"):
        load_manifest(str(tmp_path))
    build(tmp_path, OTHER, Existing.REPLACE)
    laws.assert_sound(tmp_path)


def test_old_files_that_are_folders_are_not_removed(tmp_path: Path) -> None:
    manifest = build(tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("precious")
    first, *others = manifest.files
    (tmp_path / MANIFEST).write_bytes(replace(manifest, files=(replace(first, path="notes"), *others)).to_json())
    build(tmp_path, OTHER, Existing.REPLACE)
    assert (tmp_path / "notes" / "thesis.txt").read_text() == "precious"


# ------------------------------------------------------------------------------------- files that are not shards


MODEL = DatasetSpec("model", {"seed": 1})


def export(place: Path, seed: int, names: Sequence[str]) -> None:
    begun = begin(str(place), replace(MODEL, settings={"seed": seed}))
    assert not isinstance(begun, Manifest)
    with begun:
        for name in names:
            begun.build.write_file(name, name.encode())
        begun.commit(names)


@pytest.mark.parametrize("second", range(0, 12, 2))
def test_kills_between_top_level_files_leave_nothing_to_the_next_build(
    second: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a kill while the next build clears away what the first kill left."""
    for number in range(100):
        place = tmp_path / str(number)
        with monkeypatch.context() as patch:
            if not killed_after(number, patch, partial(export, place, 1, ["a.json", "b.json", "c.safetensors"])):
                break
            dead(patch)
            if (place / MANIFEST).exists():
                continue
            if killed_after(second, patch, partial(export, place, 2, ["b.json", "d.json"])):
                patch.setattr(lease, "_started", lambda pid: "a third start")
            if not (place / MANIFEST).exists():
                export(place, 3, ["a.json"])
                laws.assert_sound(place)
                assert sorted(path.name for path in place.iterdir()) == ["a.json", "manifest.json", "run.json"]
    assert number > 12


def test_what_is_half_built_or_has_foreign_files_is_loaded_by_nobody(tmp_path: Path) -> None:
    with opened(tmp_path, MODEL) as begun:
        begun.build.write_file("tokenizer.json", b"{}")
        with pytest.raises(ValueError, match="its build did not finish"):
            check_folder(str(tmp_path))
        begun.commit(["tokenizer.json"])
    check_folder(str(tmp_path))
    (tmp_path / "README.md").write_text("mine")
    check_folder(str(tmp_path))
    (tmp_path / "added_tokens.json").write_text("{}")
    with pytest.raises(DamagedError, match=r"added_tokens\.json is not in its manifest"):
        check_folder(str(tmp_path))
    assert find_problems(str(tmp_path)) == ["added_tokens.json: not in the manifest"]
