"""The laws of places, on local files, in memory, and in object stores (emulated): gs:// and s3://."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.conftest import ROOT
from tests.emulators import Emulator
from transforms.datasets import places, stores

SHARED = ["local", "gs", "s3"]  # what other processes see, too
STORES = ["gs", "s3"]
LARGE = stores.PART_BYTES + 1_000_001  # more than a part
AT_ONCE = 8


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place of the kind that the parameter names, with nothing in it."""
    if request.param == "local":
        return str(tmp_path / "some" / "folder")
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/folder"
    found: Emulator | str = request.getfixturevalue(request.param)
    if isinstance(found, str):
        pytest.skip(found)
    return f"{found.url}/{uuid.uuid4().hex}/folder"


on_shared = pytest.mark.parametrize("folder", SHARED, indirect=True)
on_all = pytest.mark.parametrize("folder", [*SHARED, "memory"], indirect=True)
on_stores = pytest.mark.parametrize("folder", STORES, indirect=True)


def elsewhere(code: str, *arguments: str, kill_at: str | None = None) -> str:
    """What a second process prints; it is killed when it has printed `kill_at`."""
    command = [sys.executable, "-c", f"import sys, time\nfrom transforms.datasets import places\n{code}", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if kill_at is None:
            output = process.stdout.read()
            assert process.wait() == 0
            return output
        assert process.stdout.readline().strip() == kill_at
        process.kill()
        return kill_at


def _write(file: places.AtomicFile, *what: object) -> None:
    for item in what:
        file.write(item)


def published(folder: str) -> list[str]:
    """The files below a folder that are whole; a killed writer's temporary one is not."""
    return [name for name in places.list_files(folder) if not places.name(name).startswith(places.TEMPORARY)]


@on_all
@pytest.mark.parametrize("size", [0, 1, 10_000, stores.PART_BYTES, LARGE])
def test_what_was_written_is_read(folder: str, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    place = places.join(folder, "file")
    places.write_atomically(place, b"an older one")
    places.write_atomically(place, data[:size])
    assert places.read_bytes(place) == data[:size]
    assert places.size(place) == size
    with places.open_input(place) as file:
        file.seek(size // 2)
        assert file.read(100) == data[:size][size // 2 :][:100]
    assert places.list_files(folder) == ["file"]
    assert places.is_local(place) == ("://" not in folder)


@on_all
def test_an_arrow_file_is_written_in_parts_and_read_at_any_place(folder: str) -> None:
    rows = pa.table({"n": pa.array(range(LARGE // 8), pa.int64())})
    place = places.join(folder, "rows.arrow")
    with places.AtomicFile(place) as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=1 << 18)
    with places.open_input(place) as source:
        reader = pa.ipc.open_file(source)
        last = reader.get_batch(reader.num_record_batches - 1)
        assert last.column("n")[-1].as_py() == LARGE // 8 - 1
    assert places.digests(place) == (file.sha256, places.digests(place)[1])
    assert places.size(place) == file.bytes_written


@on_shared
def test_what_another_process_does_is_seen_at_once(folder: str) -> None:
    """After this one has looked at the folder, at what that lies in, and at the very file."""
    whole = folder.rsplit("/", 2)[0]
    file, other = places.join(folder, "data", "one"), places.join(folder, "two")
    places.write_atomically(other, b"x")
    assert places.list_files(folder) == ["two"]
    assert other.removeprefix(f"{whole}/") in places.list_files(whole)
    assert not places.exists(file)
    assert not places.is_folder(places.join(folder, "data"))
    assert places.size(other) == 1
    elsewhere("for place in sys.argv[1:]: places.write_atomically(place, place[-3:].encode() * 2)", file, other)
    assert places.exists(file)
    assert places.is_folder(places.join(folder, "data"))
    assert not places.is_folder(file)
    assert places.list_files(folder) == ["data/one", "two"]
    assert (places.size(file), places.size(other)) == (6, 6)
    assert places.read_bytes(other) == b"twotwo"
    with places.open_input(file) as opened:
        assert opened.read() == b"oneone"
    elsewhere("places.remove(sys.argv[1])", places.join(folder, "data"))
    assert not places.exists(file)
    assert places.list_files(folder) == ["two"]


@on_all
def test_of_many_threads_that_create_a_file_one_does(folder: str) -> None:
    place = places.join(folder, "lease")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        did = list(pool.map(lambda number: places.create(place, b"%d" % number), range(AT_ONCE)))
    assert did.count(True) == 1
    assert places.read_bytes(place) == b"%d" % did.index(True)
    places.remove(place)
    assert places.create(place, b"again")


@on_shared
def test_of_many_processes_that_create_a_file_one_does(folder: str, tmp_path: Path) -> None:
    place, ready = places.join(folder, "lease"), tmp_path / "ready"
    ready.mkdir()
    code = """
place, ready, mine = sys.argv[1:]
places.exists(place)
places.write_atomically(f"{ready}/{mine}", b"")
while len(places.list_files(ready)) < 3: time.sleep(0.001)
print(*[name for number in range(20) if places.create(name := f"{place}-{number}", mine.encode())])
"""
    with ThreadPoolExecutor(3) as pool:
        created = list(pool.map(lambda mine: elsewhere(code, place, str(ready), mine).split(), "abc"))
    assert sorted(chain(*created)) == sorted(f"{place}-{number}" for number in range(20))
    for mine, names in zip("abc", created, strict=True):
        assert {places.read_bytes(name) for name in names} <= {mine.encode()}


def test_in_memory_one_thread_looks_and_writes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    exists = MemoryFileSystem.exists

    def slow(self: MemoryFileSystem, path: str) -> bool:
        found = bool(exists(self, path))
        time.sleep(0.01)
        return found

    monkeypatch.setattr(MemoryFileSystem, "exists", slow)
    place = f"memory://{uuid.uuid4().hex}/lease"
    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(lambda _: places.create(place, b"x"), range(AT_ONCE))).count(True) == 1


@on_all
@pytest.mark.parametrize("size", [10, LARGE])
def test_nothing_is_left_of_what_is_discarded_or_fails(folder: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    place = places.join(folder, "file")
    file = places.AtomicFile(place)
    file.write(b"x" * size)
    file.discard()
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    del file
    gc.collect()
    assert not complaints  # of a collector that would close the file
    with pytest.raises(TypeError), places.AtomicFile(place) as file:
        _write(file, b"x" * size, "no bytes")
    del file
    assert places.list_files(folder) == []
    assert not places.exists(place)


@on_stores
@pytest.mark.parametrize("size", [10, LARGE])
def test_nothing_is_seen_of_a_file_that_is_dropped(folder: str, size: int) -> None:
    file = places.AtomicFile(places.join(folder, "file"))
    file.write(b"x" * size)
    del file
    assert places.list_files(folder) == []


@on_shared
@pytest.mark.parametrize("size", [10, LARGE])
def test_nothing_is_seen_of_what_a_killed_process_wrote(folder: str, size: int) -> None:
    place = places.join(folder, "file")
    places.write_atomically(place, b"older")
    code = """
files = [places.AtomicFile(place) for place in sys.argv[2:]]
for file in files: file.write(b"x" * int(sys.argv[1]))
print("written", flush=True)
time.sleep(60)
"""
    elsewhere(code, str(size), place, places.join(folder, "other"), kill_at="written")
    assert published(folder) == ["file"]
    assert places.read_bytes(place) == b"older"


@on_all
def test_folders_are_listed_and_removed_with_all_below(folder: str) -> None:
    odd = "f" if folder.startswith("memory") else "f[1]*"  # of which fsspec's memory makes a pattern
    names = ["a", "b/c", "b/d/e", f"b/{odd}", "bb", "b.x"]
    assert places.list_files(folder) == []
    places.remove(folder)
    for name in names:
        places.write_atomically(places.join(folder, name), name.encode())
    assert places.list_files(folder) == places.list_files(folder + "/") == sorted(names)
    assert places.list_files(places.join(folder, "b")) == ["c", "d/e", odd]
    assert places.list_files(places.join(folder, "a")) == []
    assert [places.is_folder(places.join(folder, name)) for name in ["", "b", "b/d", "a", "none"]] == [
        True, True, True, False, False,
    ]  # fmt: skip
    places.remove(places.join(folder, "b"))
    assert places.list_files(folder) == ["a", "b.x", "bb"]
    places.remove(places.join(folder, "bb"))
    places.remove(places.join(folder, "none"))
    assert places.list_files(folder) == ["a", "b.x"]
    places.remove(folder)
    places.remove_empty_folders(folder)
    assert not places.exists(folder)


@on_all
def test_a_place_is_the_same_however_it_is_written(folder: str) -> None:
    place = places.join(folder, "data")
    scheme, _, path = place.rpartition("://")
    others = {"": [f"file://{path}", f"{folder}/../folder/data"], "gs": [f"gcs://{path}"], "s3": [f"s3a://{path}"]}
    spellings = [place, place + "/", *others.get(scheme, [f"memory:///{path}"])]
    assert {places.absolute(spelling) for spelling in spellings} == {places.absolute(place)}
    assert places.absolute(place) != places.absolute(folder)
    places.write_atomically(places.join(place, "file"), b"x")
    assert all(places.list_files(spelling) == ["file"] for spelling in spellings)


def _costs(folder: str) -> dict[str, Callable[[], object]]:
    small, large = places.join(folder, "data", "small"), places.join(folder, "data", "large")
    return {
        "write": lambda: places.write_atomically(small, b"x"),
        "write large": lambda: places.write_atomically(large, b"x" * (2 * stores.PART_BYTES + 1)),
        "exists": lambda: places.exists(small),
        "size": lambda: places.size(small),
        "read": lambda: places.read_bytes(small),
        "list": lambda: places.list_files(folder),
        "missing": lambda: places.exists(places.join(folder, "none")),
        "create": lambda: places.create(places.join(folder, "lease"), b"x"),
        "remove": lambda: places.remove(small),
    }


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_what_each_call_costs_in_requests(store: Emulator) -> None:
    found = {}
    for name, call in _costs(f"{store.url}/{uuid.uuid4().hex}").items():
        before = store.requests()
        call()
        found[name] = store.requests() - before
    # gcsfs looks for a file and for a folder at once, and once more where it finds none; s3fs asks for a size to read.
    most = {"write": 1, "write large": 5, "read": 2, "list": 1, "create": 1}
    assert {name: number for name, number in found.items() if number > most.get(name, 3)} == {}


@on_stores
def test_an_error_of_publishing_leaves_nothing(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = places.join(folder, "file")
    file = places.AtomicFile(place)
    file.write(b"x" * LARGE)
    monkeypatch.delattr(type(file._file._file), "commit")  # type: ignore[union-attr]
    monkeypatch.setattr(fsspec.spec.AbstractBufferedFile, "commit", lambda file: 1 / 0)
    with pytest.raises(ZeroDivisionError), file:
        pass
    assert places.list_files(folder) == []


@pytest.mark.parametrize("scheme", STORES)
def test_no_bucket_is_made(scheme: str, request: pytest.FixtureRequest) -> None:
    if isinstance(found := request.getfixturevalue(scheme), str):
        pytest.skip(found)
    with pytest.raises(FileNotFoundError):
        places.write_atomically(f"{scheme}://mistyped/folder/file", b"x")
    assert not places.exists(f"{scheme}://mistyped")


class _RefusedError(OSError):
    """As s3fs raises it: the answer of S3 is the cause."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.__cause__ = Exception()
        self.__cause__.response = {"Error": {"Code": code}}  # type: ignore[attr-defined]


def test_a_conflict_is_asked_again_and_a_failed_condition_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 says 409 while another request of the same name is at work; some stores do not name the condition."""
    answers = ["ConditionalRequestConflict", "ConditionalRequestConflict", None, "PreconditionFailed", "AccessDenied"]

    class Store:
        def pipe_file(self, path: str, data: bytes, mode: str) -> None:
            assert mode == "create"
            if code := answers.pop(0):
                raise _RefusedError(code)

    monkeypatch.setattr(stores.time, "sleep", lambda seconds: None)
    assert stores.create(Store(), "file", b"x")
    assert not stores.create(Store(), "file", b"x")
    with pytest.raises(OSError, match="AccessDenied"):
        stores.create(Store(), "file", b"x")
    answers += ["ConditionalRequestConflict"] * 50
    with pytest.raises(OSError, match="Conflict"):
        stores.create(Store(), "file", b"x")


def test_where_nobody_could_win_nothing_is_created(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain(fsspec.AbstractFileSystem):
        protocol = "plain"

    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda place, **options: (Plain(), "file"))
    with pytest.raises(ValueError, match="plain://file cannot be created by one of several writers"):
        places.create("plain://file", b"x")
