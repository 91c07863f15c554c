"""The six laws as checks that any dataset, step or loader can be held against."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pytest

from pipelines.log import LOG
from tests.small_dataset import read_file
from transforms.datasets import places
from transforms.datasets.manifest import Manifest, load_manifest
from transforms.datasets.names import MANIFEST, RUN
from transforms.datasets.verify import find_problems, unfinished


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the accounts of runs (clock, host)."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (RUN, LOG)
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
    assert not unfinished(str(place)), f"{place}: a build was begun here"
    return load_manifest(str(place))


def assert_conserved(came_in: int, kept: int, drops: dict[str, int]) -> None:
    """Law 1: what came in is what was kept and what was dropped."""
    assert came_in == kept + sum(drops.values()), f"{came_in} in, {kept} kept, {drops}"


def assert_rows_sorted(place: Path | str, key: Callable[[dict[str, Any]], Any]) -> None:
    """Law 2: rows of every data shard stand in the stated order."""
    for file in load_manifest(str(place)).data_files:
        keys = [key(row) for row in read_file(str(place), file.path).to_pylist()]
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
    """What the law asks of a loader: trainers.data.Loader, named here so that no test of a pipeline loads torch."""

    steps: int

    def batch(self, step: int, rank: int, world: int) -> Any: ...
    def state(self, step: int) -> Mapping[str, object]: ...


def assert_resumes_exactly(open_loader: Callable[[], Loader], worlds: Sequence[int] = (1, 2, 3)) -> None:
    """Law 6: from any step, a freshly opened loader gives each rank what the uninterrupted one gave, to the last bit.

    The state of a step is that of an untouched loader, is JSON, and is no other step's.
    """
    whole = open_loader()
    steps = range(whole.steps)
    assert len(steps) > 1, "a loader of one step proves nothing"
    ranks = [(rank, world) for world in worlds for rank in range(world)]
    batches = {(step, *rank): frozen(whole.batch(step, *rank)) for step in steps for rank in ranks}
    states = [whole.state(step) for step in range(whole.steps + 1)]  # the last one: after the last step
    texts = [json.dumps(state, sort_keys=True) for state in states]
    assert [json.loads(text) for text in texts] == states, "a state does not survive JSON"
    assert len(set(texts)) == len(texts), "two steps have one state"
    for first in steps:
        assert open_loader().state(first) == states[first], f"the state of step {first} depends on what was read"
        for rank, world in ranks:
            fresh = open_loader()
            assert fresh.steps == whole.steps
            for step in steps[first:]:
                same = frozen(fresh.batch(step, rank, world)) == batches[step, rank, world]
                assert same, f"resumed at step {first}, rank {rank} of {world}: the batch of step {step} differs"
    for step, rank, world in reversed(batches):
        same = frozen(whole.batch(step, rank, world)) == batches[step, rank, world]
        assert same, f"read again after others, rank {rank} of {world}: the batch of step {step} differs"


def assert_same_on_any_ranks(
    loader: Loader, items: Callable[[Any], Iterable[Hashable]], worlds: Sequence[int] = (2, 3, 5)
) -> None:
    """Law 6: a global batch holds the same things on any number of ranks. items: what is in one rank's batch."""
    for step in range(loader.steps):
        alone = loader.batch(step, 0, 1)
        wanted = Counter(items(alone))
        assert wanted, f"step {step} is empty"
        for world in worlds:
            parts = [loader.batch(step, rank, world) for rank in range(world)]
            where = f"step {step} on {world} ranks"
            assert len({len(part.micro_batches) for part in parts}) == 1, f"{where}: ranks would wait for each other"
            for part in parts:
                told = (part.step, part.count, part.tokens, list(part.ids))
                assert told == (step, alone.count, alone.tokens, list(alone.ids)), f"{where}: told otherwise"
            assert sum((Counter(items(part)) for part in parts), Counter()) == wanted, f"{where}: other things in it"


def frozen(value: Any) -> Any:
    """A batch as plain values that compare exactly: arrays by type, shape and bytes."""
    if is_dataclass(value):
        return (type(value).__name__, *(frozen(getattr(value, field.name)) for field in fields(value)))
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


def all_rows(place: Path | str) -> list[dict[str, Any]]:
    """Every data row of a dataset, in order."""
    manifest = load_manifest(str(place))
    tables = [read_file(str(place), file.path) for file in manifest.data_files]
    return list(pa.concat_tables(tables).to_pylist()) if tables else []


def no_strays(place: Path | str) -> bool:
    """Nothing of a build is left behind: no part-record, temporary or scratch file."""
    return not [
        path
        for path in places.list_files(str(place))
        if ".tmp-" in path or "scratch/" in path or path.startswith("parts/")
    ]
