"""Damage to a dataset's files is found and named."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests import laws
from tests.small_dataset import PATHS, SPEC, build, opened, with_content, write, write_all
from transforms.datasets import opening
from transforms.datasets.names import MANIFEST
from transforms.datasets.opening import begin
from transforms.datasets.standing import Existing
from transforms.datasets.verify import find_problems, unfinished


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
    assert len(find_problems(str(tmp_path))) == 1
    if damage != "stray":
        with pytest.raises(ValueError, match="damaged"):
            begin(str(tmp_path), SPEC)
        build(tmp_path, existing=Existing.REPLACE)
        laws.assert_sound(tmp_path)


def test_verify_adds_the_counts_up(tmp_path: Path) -> None:
    manifest = build(tmp_path)
    for change in ({"counts": {"split": {"train": 21}}}, {"counts": {}}, {"whole": {"split": {"train": 1}}}):
        (tmp_path / MANIFEST).write_bytes(replace(manifest, **change).to_json())
        assert find_problems(str(tmp_path)) == ["counts of 'split': the manifest's are not those of its files"]


def test_verify_finds_the_shard_of_another_build(tmp_path: Path) -> None:
    """Of the same rows and ids, and with the hash that the manifest wants."""
    build(tmp_path / "here")
    for name, spec in (("settings", replace(SPEC, settings={})), ("kind", replace(SPEC, kind="tokens"))):
        build(tmp_path / name, spec)
        with_content(tmp_path / "here", PATHS[0], (tmp_path / name / PATHS[0]).read_bytes())
        assert all("it is of another build" in problem for problem in find_problems(str(tmp_path / "here")))
        assert find_problems(str(tmp_path / "here"))


def test_a_build_that_was_begun_where_a_dataset_stands_is_no_damage(tmp_path: Path) -> None:
    build(tmp_path)
    with opened(tmp_path, replace(SPEC, settings={}), Existing.REPLACE) as begun:
        write(begun.build, PATHS[0])
        assert find_problems(str(tmp_path)) == []
        assert f"of process {os.getpid()} on" in unfinished(str(tmp_path))
    assert "a process that let go, is not finished" in unfinished(str(tmp_path))
    build(tmp_path)
    laws.assert_sound(tmp_path)


def test_a_run_that_is_refused_after_it_finished_a_swap_leaves_no_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(SPEC, settings={})
    build(tmp_path)
    with opened(tmp_path, other, Existing.REPLACE) as begun, monkeypatch.context() as patch:
        write_all(begun.build)
        patch.setattr(opening, "take_place", lambda place: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            begun.commit(PATHS)
    with pytest.raises(ValueError, match="already holds"):
        build(tmp_path)
    assert laws.assert_sound(tmp_path).fingerprint == other.fingerprint
