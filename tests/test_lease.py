"""Of two builders at one place one builds; a dead one's build is taken over, by one process; a live one's never."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from transforms.datasets import lease, places
from transforms.datasets.lease import DEAD_S, Lease, LostError, Marker, OwnedError, current, is_begun


def markers(place: Path) -> list[str]:
    return [path.name for path in sorted((place / "building").glob("*"))]


def set_owner(place: Path, beat: float | None = None, **owner: object) -> None:
    """Changes what the marker says of its owner."""
    (file,) = (place / "building").glob("*.json")
    values = json.loads(file.read_bytes())
    values["owner"] |= owner
    values["beat"] = time.time() if beat is None else beat
    file.write_text(json.dumps(values))


def test_a_second_builder_is_refused_and_told_who_builds(tmp_path: Path) -> None:
    held = Lease.take(str(tmp_path), "f", [])
    with pytest.raises(OwnedError, match=f"is being built by process {os.getpid()} on .*Two builders would mix"):
        Lease.take(str(tmp_path), "f", [])
    held.check()
    held.end()
    assert not (tmp_path / "building").exists()
    Lease.take(str(tmp_path), "f", []).end()


def test_what_was_let_go_is_gone_on_with_under_its_name(tmp_path: Path) -> None:
    first = Lease.take(str(tmp_path), "f", ["a"])
    first.let_go()
    assert is_begun(str(tmp_path))
    second = Lease.take(str(tmp_path), "f", ["a"])
    assert second.marker.build == first.marker.build
    assert second.marker.started == first.marker.started
    assert second.marker.owner != first.marker.owner
    assert markers(tmp_path) == ["000002.json"]
    second.let_go()
    builds = [first.marker.build]
    for fingerprint, inputs in (("g", ["a"]), ("g", ["b"]), ("f", ["b"]), ("f", ["a"])):
        other = Lease.take(str(tmp_path), fingerprint, inputs)
        builds.append(other.marker.build)
        other.let_go()
    assert len(set(builds)) == 5, "a build's name says what it was made from"


DEAD = {
    "its process is gone": {"pid": 2**22 + 1},
    "its process id was given to another process": {"pid_started": "1"},
    "its host was started anew, silent since": {"boot": "another-boot pid:[1]"},
    "another host of the same name, silent": {"boot": "another-boot pid:[1]"},
    "another host, silent": {"host": "elsewhere", "boot": "b p"},
    "another container of this host, silent": {"boot": f"{lease._boot().split(' ')[0]} pid:[1]"},
}


@pytest.mark.parametrize("how", DEAD)
def test_a_dead_owner_is_taken_over_and_finds_out(how: str, tmp_path: Path) -> None:
    dead = Lease.take(str(tmp_path), "f", [])
    beat = lease._booted() - 1 if how.endswith("since") else time.time() - DEAD_S - 1 if "silent" in how else None
    set_owner(tmp_path, beat, **DEAD[how])
    with_it = Lease.take(str(tmp_path), "f", [])
    with pytest.raises(LostError, match="another process has taken over this build"):
        dead.check()
    dead.let_go()  # none of these touches what is another's by now
    dead.end()
    with_it.check()
    with_it.end()


@pytest.mark.parametrize("how", [name for name in DEAD if name.endswith("silent")])
def test_an_owner_elsewhere_lives_while_it_shows_signs_of_life(how: str, tmp_path: Path) -> None:
    Lease.take(str(tmp_path), "f", [])
    set_owner(tmp_path, time.time() - DEAD_S + 30, **DEAD[how])
    with pytest.raises(OwnedError):
        Lease.take(str(tmp_path), "f", [])


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs to be told when the host was started")
def test_a_host_of_the_same_name_is_not_taken_for_this_one_started_anew(tmp_path: Path) -> None:
    Lease.take(str(tmp_path), "f", [])
    set_owner(tmp_path, time.time() - 1, boot="another-boot pid:[1]")
    with pytest.raises(OwnedError):
        Lease.take(str(tmp_path), "f", [])


def test_a_process_that_the_system_hides_lives_while_it_shows_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Lease.take(str(tmp_path), "f", [])
    monkeypatch.setattr(lease, "_started", lambda pid: None)
    with pytest.raises(OwnedError):
        Lease.take(str(tmp_path), "f", [])
    set_owner(tmp_path, time.time() - DEAD_S - 1)
    Lease.take(str(tmp_path), "f", []).end()


def test_who_was_silent_for_too_long_has_lost_its_lease_whatever_stands_there(tmp_path: Path) -> None:
    held = Lease.take(str(tmp_path), "f", [])
    held._last_beat -= DEAD_S
    with pytest.raises(LostError):
        held.check()
    held.end()
    assert markers(tmp_path) == ["000001.json"], "it may be another's by now"


def test_a_store_that_fails_now_and_then_ends_no_heart_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class StoreError(Exception):
        pass

    failures = [StoreError("503")] * 3
    write = places.write_atomically

    def failing(place: str, data: bytes) -> None:
        if failures:
            raise failures.pop()
        write(place, data)

    monkeypatch.setattr(lease, "BEAT_S", 0.02)
    monkeypatch.setattr(places, "write_atomically", failing)
    held = Lease.take(str(tmp_path), "f", [])
    wait_until = time.monotonic() + 20
    while held._last_beat == held.marker.beat:
        assert time.monotonic() < wait_until, "no beat"
        time.sleep(0.01)
    held.end()


def test_a_beat_brings_no_ended_lease_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.001)
    for _ in range(50):
        Lease.take(str(tmp_path), "f", []).end()
    time.sleep(0.05)
    assert not (tmp_path / "building").exists()


def test_a_forked_child_ends_nothing(tmp_path: Path) -> None:
    held = Lease.take(str(tmp_path), "f", [])
    held._process += 1
    held.let_go()
    held.end()
    held._process -= 1
    held.check()
    held.end()


@pytest.mark.parametrize("name", ["1.json", "²", "000001.json.tmp", ".tmp-x-000001.json", "junk", "0000001.json"])
def test_odd_names_among_the_markers_are_swept(name: str, tmp_path: Path) -> None:
    (tmp_path / "building").mkdir()
    (tmp_path / "building" / name).write_text("{}")
    held = Lease.take(str(tmp_path), "f", [])
    assert markers(tmp_path) == ["000001.json"]
    held.end()
    assert not (tmp_path / "building").exists()


def test_a_link_to_nowhere_among_the_markers_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_WRITTEN_S", 0.05)
    (tmp_path / "building").mkdir()
    (tmp_path / "building" / "000001.json").symlink_to(tmp_path / "nowhere")
    Lease.take(str(tmp_path), "f", []).end()


def test_a_slow_taker_gives_way_to_who_began_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It saw 000001 of a dead owner; meanwhile that build was finished, and a new one begun as 000001."""
    Lease.take(str(tmp_path), "f", []).let_go()
    seen = current(str(tmp_path))
    Lease.take(str(tmp_path), "f", []).end()
    living = Lease.take(str(tmp_path), "g", [])
    with monkeypatch.context() as patch:
        patch.setattr(lease, "current", lambda place: seen)
        with pytest.raises(OwnedError):
            Lease.take(str(tmp_path), "f", [])
    living.check()
    living.end()


def test_an_owner_beats_until_it_has_lost_its_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.02)
    held = Lease.take(str(tmp_path), "f", [])
    before = held.marker.beat

    def beat() -> float:
        _, marker = current(str(tmp_path))
        assert marker
        return marker.beat

    wait_until = time.monotonic() + 20
    while beat() <= before:
        assert time.monotonic() < wait_until, "no beat"
        time.sleep(0.01)
    marker = replace(held.marker, owner=None, beat=0.0)
    assert places.create(str(tmp_path / "building" / "000002.json"), marker.to_json())
    time.sleep(0.1)
    assert current(str(tmp_path)) == (2, marker)
    held.end()


@pytest.mark.parametrize("junk", [b"", b"junk", b"{}", b"[]", b"null", b"[" * 50_000, b'{"owner": {"pid": 1}}'])
def test_a_marker_that_cannot_be_read_is_nobodys(junk: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_WRITTEN_S", 0.05)
    held = Lease.take(str(tmp_path), "f", [])
    held.let_go()
    (tmp_path / "building" / "000001.json").write_bytes(junk)
    after = Lease.take(str(tmp_path), "f", [])
    assert after.marker.build != held.marker.build
    after.end()


def test_a_marker_that_is_just_being_written_is_waited_for(tmp_path: Path) -> None:
    held = Lease.take(str(tmp_path), "f", [])
    file = tmp_path / "building" / "000001.json"
    data = file.read_bytes()
    file.write_bytes(b"")
    timer = threading.Timer(0.2, file.write_bytes, [data])
    timer.start()
    with pytest.raises(OwnedError):
        Lease.take(str(tmp_path), "f", [])
    timer.join()
    held.end()


def test_a_lease_whose_creation_was_answered_by_nothing_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = places.create
    with monkeypatch.context() as patch:
        patch.setattr(places, "create", lambda place, data: create(place, data) and False)
        held = Lease.take(str(tmp_path), "f", [])
    held.check()
    held.end()


def _try(place: str, start: multiprocessing.synchronize.Barrier, won: multiprocessing.Queue[bool]) -> None:
    start.wait()
    try:
        Lease.take(place, "f", [])
        won.put(True)
        start.wait()  # lives until all have tried
    except OwnedError:
        won.put(False)
        start.wait()


@pytest.mark.parametrize("before", ["nothing", "a dead owner"])
def test_of_many_who_try_at_once_one_builds(before: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for attempt in range(5):
        place = tmp_path / str(attempt)
        if before == "a dead owner":
            Lease.take(str(place), "f", [])
            set_owner(place, pid_started="1")
        start, won = context.Barrier(6), context.Queue()
        tries = [context.Process(target=_try, args=(str(place), start, won)) for _ in range(6)]
        for process in tries:
            process.start()
        assert sum(won.get(timeout=60) for _ in tries) == 1
        for process in tries:
            process.join()


def test_a_killed_process_is_dead(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom transforms.datasets.lease import Lease\n"
        "Lease.take(sys.argv[1], 'f', [])\nprint('taken', flush=True)\ntime.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "taken\n"
    with pytest.raises(OwnedError, match=f"process {process.pid} "):
        Lease.take(str(tmp_path), "f", [])
    process.kill()
    while current(str(tmp_path))[1].alive(time.time()):  # type: ignore[union-attr]
        time.sleep(0.01)
    held = Lease.take(str(tmp_path), "f", [])  # it is a zombie still: nobody has waited for it
    held.end()
    process.wait()


def test_a_marker_round_trips() -> None:
    marker = Marker("b", "f", ["i"], 1.5, 2.5, lease._this_process())
    assert Marker.from_json(marker.to_json()) == marker
    assert marker.alive(1e12), "on this host its process counts, not its beat"
    assert not replace(marker, owner=None).alive(0)
