"""Nobody works on bytes that nobody checked, and nobody checks them twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tests.small_dataset import PATHS, SPEC, build, dataset_of, read_file, with_content
from transforms.datasets import checks, dataset, places, shards
from transforms.datasets.checks import DamagedError
from transforms.datasets.dataset import Dataset, check_folder
from transforms.datasets.manifest import DatasetSpec, load_manifest
from transforms.datasets.standing import Existing
from transforms.datasets.trust import TRUST
from transforms.layers.split import SCHEMA as SPLIT


def flip(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 16
    file.write_bytes(data)


READERS: list[Callable[[Dataset, str], object]] = [
    shards.read_shard,
    lambda dataset, path: list(shards.iter_batches(dataset, path)),
    lambda dataset, path: shards.read_shard(dataset, path, ["split"]),
    lambda dataset, path: dataset.check(),
    lambda dataset, path: check_folder(dataset.place),
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("place", ["{tmp}", "memory://agora-checks"])
def test_every_reader_notices_a_changed_byte_and_names_the_file(
    read: Callable[[Dataset, str], object], place: str, tmp_path: Path
) -> None:
    place = place.format(tmp=tmp_path)
    build(place)
    opened = Dataset.open(place)
    read(opened, PATHS[0])
    data = bytearray(places.read_bytes(places.join(place, PATHS[0])))
    for number in range(0, len(data), 97):
        changed = bytes(data[:number]) + bytes([data[number] ^ 1]) + bytes(data[number + 1 :])
        places.write_atomically(places.join(place, PATHS[0]), changed)
        with pytest.raises(DamagedError, match=f"{place} is damaged: {PATHS[0]} has XXH3-128 .* its manifest says"):
            read(opened, PATHS[0])
    places.remove(place)


def test_what_was_told_to_trust_reads_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path)
    monkeypatch.setenv(TRUST, "1")
    data = (tmp_path / PATHS[0]).read_bytes()
    (tmp_path / PATHS[0]).write_bytes(data.replace(b"doc_id", b"doc_ix"))
    assert read_file(tmp_path, PATHS[0]).column_names == ["doc_ix", "split"]
    assert build(tmp_path) == load_manifest(str(tmp_path))
    (tmp_path / PATHS[0]).write_bytes(data[:-1])
    with pytest.raises(DamagedError, match="should have"):
        Dataset.open(str(tmp_path)).check()


def test_a_file_is_hashed_once_a_process_until_it_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path)
    hashed: list[str] = []
    xxh3 = places.xxh3_in
    monkeypatch.setattr(checks, "_checked", set())
    monkeypatch.setattr(places, "xxh3_in", lambda file: hashed.append(file.name) or xxh3(file))
    for _ in range(3):
        read_file(tmp_path, PATHS[0])
    assert hashed == [f"{tmp_path}/{PATHS[0]}"]
    flip(tmp_path / PATHS[0], 100)
    with pytest.raises(DamagedError):
        read_file(tmp_path, PATHS[0])


def test_a_dataset_that_was_replaced_is_not_read_as_if_it_were_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path)
    before = Dataset.open(str(tmp_path))
    build(tmp_path, dataclasses.replace(SPEC, settings={}), Existing.REPLACE)
    for known in (dataset._known, {}):  # also in a worker that has not read of it yet
        monkeypatch.setattr(dataset, "_known", known)
        with pytest.raises(DamagedError, match="was replaced while it was read"):
            shards.read_shard(before, PATHS[0])


def arrow(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def hostile_offsets() -> bytes:
    """Offsets that lead far out of the text: what reads it without a look ends the process."""
    offsets = pa.array([0, 1 << 30, 3], pa.int32()).buffers()[1]
    text = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"abc")])
    return arrow(pa.RecordBatch.from_arrays([text, text], ["doc_id", "split"]))


def not_utf8() -> bytes:
    offsets = pa.array([0, 3], pa.int32()).buffers()[1]
    text = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xff\xfe\xfd")])
    return arrow(pa.RecordBatch.from_arrays([text, text], ["doc_id", "split"]))


@pytest.mark.parametrize("hostile", [hostile_offsets(), not_utf8(), b"ARROW1", b"", b"x" * 1000])
def test_hostile_content_with_the_right_hash_is_refused_by_name(hostile: bytes, tmp_path: Path) -> None:
    dataset_of(tmp_path, DatasetSpec("split", {}), {PATHS[0]: pa.table({"doc_id": ["a"], "split": ["b"]}, SPLIT)})
    with_content(tmp_path, PATHS[0], hostile)
    for read in READERS[:3]:
        with pytest.raises(DamagedError, match=f"{PATHS[0]} is no sound Arrow file"):
            read(Dataset.open(str(tmp_path)), PATHS[0])


def test_a_file_the_manifest_does_not_name_is_none_of_the_dataset(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "data" / "more.arrow").write_bytes((tmp_path / PATHS[0]).read_bytes())
    with pytest.raises(ValueError, match=r"has no file data/more\.arrow"):
        read_file(tmp_path, "data/more.arrow")
