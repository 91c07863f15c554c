"""Reuse and bounds: parsed rows of an earlier run, removal on request and memory change no byte they should not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from pipelines import ingest as pipeline
from pipelines.ingest_plan import IngestSettings
from tests import laws
from tests.test_ingest import SITE, conserved, forum, ingest, rejects, write
from tests.test_stackexchange import posts, row
from transforms.datasets import places
from transforms.datasets.fates import Drop
from transforms.datasets.manifest import load_manifest
from transforms.datasets.names import RUN
from transforms.ingest import parse_cache
from transforms.ingest.accounts import Account
from transforms.sources import kinds
from transforms.sources.inputs import Input, find_files
from transforms.sources.records import Record
from transforms.sources.source import Reading
from transforms.sources.stackexchange import source as stackexchange


def settings(**given: object) -> IngestSettings:
    return IngestSettings(**{"num_shards": 2, "max_drop_rate": 1, "range_bytes": 3000, "allow_damaged": True, **given})  # type: ignore[arg-type]


def reads(monkeypatch: pytest.MonkeyPatch, see: Callable[[int, Reading], None]) -> None:
    """Shows every read of a table of posts: where it starts, and how."""
    source = stackexchange.SOURCE

    def read(stream: IO[bytes], start: int, end: int | None, how: Reading) -> Iterator[Record | Drop]:
        see(start, how)
        return source.read(stream, start, end, how)

    monkeypatch.setitem(kinds.SOURCES, source.name, replace(source, read=read))  # type: ignore[misc]


def told(output: Path) -> dict[str, object]:
    return dict(json.loads((output / RUN).read_text())["files"])


def test_a_rerun_reads_new_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = forum(20)
    answer, other = row(90001, PostTypeId="2", ParentId="90002"), row(5, Body="another post of this id")
    first = write(tmp_path / "in" / "a.xml", posts(*rows[:40], answer, b'<row Id="x" />'))
    cache = str(tmp_path / "cache")
    ingest(tmp_path / "one", first, settings=settings(reuse=cache))
    assert told(tmp_path / "one") == {"reused": [], "read": {"a.xml": "not read before with these settings"}}
    # The later file has the question of an orphan and another copy of a post.
    second = write(tmp_path / "in" / "b.xml", posts(*rows[40:], other, row(90002)))
    renamed = first.rename(tmp_path / "in" / "renamed.xml")
    ingest(tmp_path / "scratch", renamed, second, settings=settings(num_shards=3))
    opened: list[str] = []
    reads(monkeypatch, lambda start, how: opened.append(how.file))
    ingest(tmp_path / "two", renamed, second, settings=settings(num_shards=3, reuse=cache))
    laws.assert_same_bytes(tmp_path / "scratch", tmp_path / "two")
    assert set(opened) == {"b.xml"}
    assert told(tmp_path / "two")["reused"] == ["renamed.xml"]
    conserved(tmp_path / "two")
    # Third run: everything is there, with other cuts; a fourth with other settings reads all anew.
    opened.clear()
    ingest(tmp_path / "three", renamed, second, settings=settings(num_shards=3, reuse=cache, range_bytes=700))
    assert opened == []
    laws.assert_same_bytes(tmp_path / "scratch", tmp_path / "three")
    ingest(tmp_path / "four", renamed, second, settings=settings(reuse=cache, max_record_bytes=5000))
    assert set(opened) == {"renamed.xml", "b.xml"}


def test_a_killed_run_is_continued_with_the_ranges_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = write(tmp_path / "a.xml", posts(*forum(40)))
    cache = str(tmp_path / "cache")
    ingest(tmp_path / "whole", dump, settings=settings())
    starts: list[int] = []

    def dying(start: int, how: Reading) -> None:
        if len(starts) == 2:
            raise OSError("the disk is gone")
        starts.append(start)

    reads(monkeypatch, dying)
    with pytest.raises(OSError, match="the disk is gone"):
        ingest(tmp_path / "out", dump, settings=settings(reuse=cache))
    before, starts[:] = set(starts), []
    (folder,) = {path.parent for path in Path(cache).rglob("*.arrow")}
    left = [folder / f"{places.TEMPORARY}killed", folder / f"{7:016d}-{9:016d}.arrow"]
    for path in left:
        path.write_bytes(b"")
    reads(monkeypatch, lambda start, how: starts.append(start))
    ingest(tmp_path / "out", dump, settings=settings(reuse=cache))
    assert told(tmp_path / "out") == {"reused": [], "read": {"a.xml": "2 of its ranges were read before"}}
    assert len(before) == 2
    assert before.isdisjoint(starts)
    assert not any(path.exists() for path in left)  # what a killed run leaves goes when its file is complete
    laws.assert_same_bytes(tmp_path / "whole", tmp_path / "out")
    # Cut in another way, what the two runs left is still the file once.
    starts.clear()
    ingest(tmp_path / "again", dump, settings=settings(reuse=cache, range_bytes=700))
    assert starts == []
    laws.assert_same_bytes(tmp_path / "whole", tmp_path / "again")


def test_ranges_of_several_cuts_make_up_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = write(tmp_path / "a.xml", posts(*forum(40)))
    cache = tmp_path / "cache"
    ingest(tmp_path / "whole", dump, settings=settings(reuse=str(cache)))
    (complete,) = cache.rglob("complete.json")
    complete.unlink()  # killed just before
    earlier = set(complete.parent.iterdir())
    min(path for path in earlier if path.suffix == ".arrow").write_bytes(b"no rows")  # of that cut none is used
    ingest(tmp_path / "other", dump, settings=settings(reuse=str(cache), range_bytes=700))
    parts = [parse_cache._part(values) for values in json.loads(complete.read_bytes())]
    assert [part.start for part in parts] == [*range(0, dump.stat().st_size, 700)]
    assert [part.end for part in parts] == [*(part.start for part in parts[1:]), None]
    assert not any(path.exists() for path in earlier)
    assert len(list(complete.parent.iterdir())) == 2 * len(parts) + 1
    # Killed once more: of the same cut, only what is damaged is read again.
    complete.unlink()
    (complete.parent / parts[3].path).write_bytes(b"no rows")
    starts: list[object] = []
    reads(monkeypatch, lambda start, how: starts.append(start))
    for name in ("again", "and again"):
        ingest(tmp_path / name, dump, settings=settings(reuse=str(cache), range_bytes=700))
        laws.assert_same_bytes(tmp_path / "whole", tmp_path / name)
        assert starts == [parts[3].start]


def test_a_file_is_complete_only_with_all_its_ranges(tmp_path: Path) -> None:
    (file,) = find_files([Input(str(write(tmp_path / "a.xml", posts(row(1)))), site=SITE)])
    cache = parse_cache.ParseCache(str(tmp_path / "cache"), "0" * 16)
    ranges = [(0, 10), (10, 20), (20, None)]
    for start, end in (*ranges[:2], (0, 20)):
        assert not list(cache.keep([], file, start, end, Account()))
    before = places.list_files(cache.place)
    cache.complete(file, ranges)
    assert places.list_files(cache.place) == before
    assert cache.find(file) == ([], "3 of its ranges were read before")
    assert not list(cache.keep([], file, *ranges[2], Account()))
    cache.complete(file, ranges)
    assert [(cached.part.start, cached.part.end) for cached in cache.find(file)[0]] == ranges
    assert len(places.list_files(cache.place)) == 2 * len(ranges) + 1


def test_a_damaged_cache_is_read_past(tmp_path: Path) -> None:
    dump = write(tmp_path / "a.xml", posts(*forum(5)))
    cache = tmp_path / "cache"
    ingest(tmp_path / "one", dump, settings=settings(reuse=str(cache)))
    part = next(cache.rglob("*.arrow"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    ingest(tmp_path / "two", dump, settings=settings(reuse=str(cache)))
    assert told(tmp_path / "two")["read"] == {"a.xml": "its rows in the cache are damaged"}
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "two")
    ingest(tmp_path / "three", dump, settings=settings(reuse=str(cache)))
    assert told(tmp_path / "three")["reused"] == ["a.xml"]
    account = next(cache.rglob("complete.json"))  # a full disk cuts it short
    account.write_bytes(account.read_bytes()[:20])
    ingest(tmp_path / "four", dump, settings=settings(reuse=str(cache)))
    assert told(tmp_path / "four")["read"] == {"a.xml": "its rows in the cache are damaged"}
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "four")


def test_removal_on_request(tmp_path: Path) -> None:
    rows = [
        row(1, OwnerUserId="42", OwnerDisplayName="Jane Doe"), row(2, PostTypeId="2", ParentId="1"),
        row(3), row(4, PostTypeId="2", ParentId="3", OwnerDisplayName="John Roe"), row(5, PostTypeId="2", ParentId="3"),
        row(6), row(7),
    ]  # fmt: skip
    dump, cache = write(tmp_path / "Posts.xml", posts(*rows)), str(tmp_path / "cache")
    whole = ingest(tmp_path / "whole", dump, settings=settings(reuse=cache))
    lines = ["author:42", "John Roe", f"https://{SITE}/questions/6/title", "author:nobody", "stackexchange:other:7"]
    listed = write(tmp_path / "list", "\n".join(lines).encode())
    strict = settings(remove_list=str(listed), max_drop_rate=0.0)
    manifest = ingest(tmp_path / "out", dump, settings=strict)
    assert {post["doc_id"].split(":")[-1] for post in laws.all_rows(tmp_path / "out")} == {"3", "5", "7"}
    assert manifest.counts["drop"] == {"question-removed": 1, "removed-on-request": 3}
    assert manifest.counts["remove_list"] == {"entries": 5, "entries_matched": 3}
    assert manifest.settings["remove_list"]
    assert whole.settings["remove_list"] is None
    assert all(
        drop["record_id"] is None for drop in rejects(tmp_path / "out") if drop["reason"] == "removed-on-request"
    )
    conserved(tmp_path / "out")
    listed.write_bytes("\n".join([*lines[::-1], lines[0], "# note"]).encode())
    ingest(tmp_path / "again", dump, settings=strict)
    laws.assert_same_bytes(tmp_path / "out", tmp_path / "again")
    # From the cache too; and what was parsed without the list does not stay in it.
    for name in ("first", "second"):
        removing = settings(remove_list=str(listed), reuse=cache)
        ingest(tmp_path / name, dump, settings=removing)
        laws.assert_same_bytes(tmp_path / "out", tmp_path / name)
    assert told(tmp_path / "second")["reused"] == ["Posts.xml"]
    assert len(list(Path(cache).iterdir())) == 1


@pytest.mark.parametrize("removing", [False, True])
def test_a_folder_that_is_no_cache_is_refused_and_stays(tmp_path: Path, removing: bool) -> None:
    dump, precious = write(tmp_path / "Posts.xml", posts(*forum(2))), write(tmp_path / "home" / "thesis.txt", b"mine")
    listed = str(write(tmp_path / "list", b"6\n")) if removing else None
    with pytest.raises(ValueError, match=r"not a folder of parsed rows: it holds \['thesis.txt'\]"):
        ingest(tmp_path / "out", dump, settings=settings(reuse=str(precious.parent), remove_list=listed))
    assert precious.read_bytes() == b"mine"
    with pytest.raises(ValueError, match="is a file; name a new folder"):
        ingest(tmp_path / "out", dump, settings=settings(reuse=str(precious), remove_list=listed))


def test_a_shard_in_parts_has_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        *forum(60),
        row(5000, PostTypeId="5"),
        row(5),
        row(7000, PostTypeId="2", ParentId="6999"),
        b'<row Id="x" />',
    ]
    dump = write(tmp_path / "Posts.xml", posts(*rows))
    ingest(tmp_path / "whole", dump, settings=settings())
    plan = pipeline.memory.MemoryPlan(1, 3000, spill_bytes=4000, batch_chars=500, num_parts=8, run_bytes=300)
    monkeypatch.setattr(pipeline.memory, "plan_memory", lambda *given: plan)
    ingest(tmp_path / "parts", dump, settings=settings(memory="300MB"))
    laws.assert_same_bytes(tmp_path / "whole", tmp_path / "parts")
    conserved(tmp_path / "parts")


def test_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = write(tmp_path / "Posts.xml", posts(*forum(5)))
    monkeypatch.setattr(pipeline.memory, "scratch_bytes", lambda *given: 1 << 60)
    with pytest.raises(ValueError, match=r"not enough space.*free some"):
        ingest(tmp_path / "out", dump)


def test_the_worst_files_are_named(tmp_path: Path) -> None:
    bad = b'<row Id="1" Secret="words of the text" />'
    files = [write(tmp_path / f"{n}.xml", posts(*[row(n * 100 + m) for m in range(9)], *[bad] * n)) for n in range(8)]
    with pytest.raises(ValueError, match="The worst of 8 files:") as error:
        ingest(tmp_path / "out", *files, settings=settings(max_drop_rate=0.01))
    lines = str(error.value).split("The worst of 8 files:\n")[1].splitlines()
    assert lines[0] == "  7.xml: 7 of 16 dropped (43.8%)"
    assert [line.split(".")[0].strip() for line in lines] == ["7", "6", "5", "4", "3"]
    assert "missing-field: 28 rows, such as" in str(error.value)
    assert "words of" not in str(error.value)
    with pytest.raises(ValueError, match="no dataset"):
        load_manifest(str(tmp_path / "out"))
