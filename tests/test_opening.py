"""What stands is kept until its successor is whole: a kill at any moment leaves one of the two, and a rerun the new."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import laws
from tests.small_dataset import PATHS, SPEC, build, opened, read_file, write, write_all
from transforms.datasets import lease, places
from transforms.datasets.lease import LostError, OwnedError
from transforms.datasets.manifest import load_manifest
from transforms.datasets.names import MANIFEST
from transforms.datasets.opening import begin
from transforms.datasets.standing import Existing

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
