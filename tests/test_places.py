"""Places: files appear whole or not at all, and what may not be read is no empty folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import fsspec
import pytest
import xxhash

from transforms.datasets import places, stores


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_leaves_no_half_written_file(tmp_path: Path) -> None:
    file = places.AtomicFile(str(tmp_path / "file"))
    file._file._file = open("/dev/full", "wb")  # type: ignore[union-attr]  # noqa: SIM115
    file.write(b"x" * 10)
    file.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "seen"),
    [
        ("a/b", False),
        ("/a", False),
        ("file:///a", False),
        ("memory://a", False),
        ("gs://b/a", True),
        ("s3://b/a", True),
    ],
)
def test_what_other_machines_see(place: str, seen: bool) -> None:
    assert stores.is_seen_elsewhere(place) is seen


def test_a_folder_that_may_not_be_read_is_not_taken_for_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "open.jsonl").write_bytes(b"x")
    look = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="closed"):
        places.list_files(str(tmp_path))


def test_a_store_whose_library_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(place: str, **options: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(ValueError, match=r"s3://bucket/x cannot be reached: Install s3fs.*agora-forum\[s3\]"):
        places.exists("s3://bucket/x")


def test_pipes_and_devices_are_told_from_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    given = [str(tmp_path / name) for name in ("file", "pipe", "", "missing")]
    assert [places.is_pipe(place) for place in [*given, "/dev/null", "memory://x"]] == [
        False, True, False, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["{tmp}/folder/file", "memory://agora-create/file"])
def test_of_those_who_create_a_file_one_does(tmp_path: Path, place: str) -> None:
    place = place.format(tmp=tmp_path)
    assert places.create(place, b"mine")
    assert not places.create(place, b"yours")
    assert places.read_bytes(place) == b"mine"
    places.remove(place)


def test_a_written_file_knows_both_its_digests(tmp_path: Path) -> None:
    place = f"{tmp_path}/file"
    with places.AtomicFile(place) as file:
        file.write(b"some ")
        file.write(b"bytes")
        file.publish()
    assert places.digests(place) == (file.sha256, file.xxh3)
    assert file.sha256 == hashlib.sha256(b"some bytes").hexdigest()
    assert places.xxh3(place) == file.xxh3 == xxhash.xxh3_128_hexdigest(b"some bytes")
