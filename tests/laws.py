"""The six laws as checks that any dataset, step or loader can be held against."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pytest

from transforms import places
from transforms.manifest import MANIFEST, RUN, Manifest, load_manifest
from transforms.shards import read_shard
from transforms.verify import find_problems


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the account of the run (clock, host)."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != RUN
    }


def assert_same_bytes(left: Path, right: Path, ignore: Sequence[str] = ()) -> None:
    """Law 2: two datasets are the same files with the same bytes (manifests too, unless ignored)."""
    ours, theirs = files_of(left), files_of(right)
    kept = [name for name in sorted({*ours, *theirs}) if not any(part in name for part in ignore)]
    differing = [name for name in kept if ours.get(name) != theirs.get(name)]
    assert kept, f"{left} and {right} hold no files to compare"
    assert not differing, f"{left} and {right} differ in {differing}"


def assert_sound(place: Path | str) -> Manifest:
    """Law 4: the manifest is there, tells the truth about every file, and nothing else lies in the folder."""
    problems = find_problems(str(place))
    assert not problems, f"{place}: {problems}"
    return load_manifest(str(place))


def assert_conserved(came_in: int, kept: int, drops: dict[str, int]) -> None:
    """Law 1: what came in is what was kept and what was dropped."""
    assert came_in == kept + sum(drops.values()), f"{came_in} in, {kept} kept, {drops}"


def assert_rows_sorted(place: Path | str, key: Callable[[dict[str, Any]], Any]) -> None:
    """Law 2: rows of every data shard stand in the stated order."""
    for file in load_manifest(str(place)).data_files:
        keys = [key(row) for row in read_shard(str(place), file.path).to_pylist()]
        assert keys == sorted(keys), f"{file.path} is not sorted"


def assert_idempotent(place: Path, build: Callable[[], object]) -> None:
    """Law 4: a second run of the same build writes nothing."""
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    build()
    after = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    assert before == after, f"rebuilt: {[str(path) for path in after if after[path] != before.get(path)]}"


def assert_refuses_other(build: Callable[[], object], match: str = "--replace") -> None:
    """Law 4: a build with other settings does not overwrite a dataset unasked."""
    with pytest.raises(ValueError, match=match):
        build()


def assert_invisible_until_committed(place: Path) -> None:
    """Law 4: without a manifest there is no dataset."""
    hidden = place.with_name(place.name + "-hidden")
    shutil.copytree(place, hidden)
    (hidden / MANIFEST).unlink()
    with pytest.raises(ValueError, match="no dataset"):
        load_manifest(str(hidden))


class Loader(Protocol):
    """Anything that is iterated and can be resumed."""

    def __iter__(self) -> Any: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def assert_resumes_exactly(make_loader: Callable[[], Loader], equal: Callable[[Any, Any], bool]) -> None:
    """Law 6: resumed at any step, a loader gives what the uninterrupted one gave."""
    loader = make_loader()
    states, items = [loader.state_dict()], []
    for item in loader:
        items.append(item)
        states.append(loader.state_dict())
    assert items, "an empty loader proves nothing"
    for step, state in enumerate(states):
        resumed = make_loader()
        resumed.load_state_dict(state)
        rest = list(resumed)
        assert len(rest) == len(items) - step, f"resumed at step {step}: {len(rest)} batches, not {len(items) - step}"
        for offset, (got, wanted) in enumerate(zip(rest, items[step:], strict=True)):
            assert equal(got, wanted), f"resumed at step {step}, batch {step + offset} differs"


def all_rows(place: Path | str) -> list[dict[str, Any]]:
    """Every data row of a dataset, in order."""
    manifest = load_manifest(str(place))
    tables = [read_shard(str(place), file.path) for file in manifest.data_files]
    return list(pa.concat_tables(tables).to_pylist()) if tables else []


def no_strays(place: Path | str) -> bool:
    """Nothing of a build is left behind: no part-record, temporary or scratch file."""
    return not [
        path
        for path in places.list_files(str(place))
        if ".tmp-" in path or "scratch/" in path or path.startswith("parts/")
    ]
