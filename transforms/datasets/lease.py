"""Who builds at a place: a lease, so that no two builders write into one folder.

A lease is a numbered marker below `building/`. The marker with the highest number counts, and markers are created by
one of several (`places.create`): so a dead builder's lease is taken over by creating the next number, which exactly one
can do, on a disk and on an object store. The owner is a process. On this host it is dead when its process id and start
time are gone; where that cannot be told, on another host above all, when its marker has shown no sign of life for ten
minutes. An owner that could not show one for so long takes itself for dead, too. Clocks of hosts that share places have
to agree within minutes.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from transforms.datasets import places, strict_json
from transforms.datasets.names import BUILDING

BEAT_S = 60.0
DEAD_S = 600.0  # without a beat: ten of them went missing
_WRITTEN_S = 1.0  # a marker that cannot be read may be one that is being written: so long
_DIGITS = 6
_MARKER = re.compile(r"[0-9]{6}\.json")
_BOOT_TIME = re.compile(r"^btime (\d+)$", re.MULTILINE)


class OwnedError(ValueError):
    """Raised where another living process builds."""


class LostError(ValueError):
    """Raised by an owner that was taken for dead, and whose build somebody else has taken over."""


@dataclass(frozen=True)
class Owner:
    """A process: its host, which start of that host, its process id and when it started; and the lease it holds."""

    host: str
    boot: str  # of the host, and the name space of process ids: what makes `pid` mean the same to us
    pid: int
    pid_started: str
    nonce: str


@dataclass(frozen=True)
class Marker:
    """What a marker says. build: names the build, whoever goes on with it. owner: None when it let go by itself.

    made: so many folders, the place's and those above it, were made for the build.
    """

    build: str
    fingerprint: str
    inputs: Sequence[str]
    started: float  # of the build
    beat: float
    owner: Owner | None
    made: int = 0

    @staticmethod
    def from_json(data: bytes) -> Marker:
        """Raises ValueError for what is no marker."""
        try:
            values = strict_json.parse(data, BUILDING)
            owner = Owner(**values["owner"]) if values["owner"] else None
            return Marker(**{**values, "owner": owner, "beat": float(values["beat"])})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no marker: {error}") from error

    def to_json(self) -> bytes:
        """The marker's file."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    def alive(self, now: float) -> bool:
        """Whether its owner still builds, as far as can be told from here."""
        if self.owner is None:
            return False
        if self.owner.host == platform.node():
            if self.owner.boot == _boot():
                started = _started(self.owner.pid)
                if started is not None:
                    return started == self.owner.pid_started
            elif self.beat < _booted():  # names of hosts are given twice: this one was started anew, or is another
                return False
        return now - self.beat < DEAD_S


def _boot() -> str:
    """This start of the host (or the host, where the system does not tell), and the name space of process ids."""
    return f"{_read('/proc/sys/kernel/random/boot_id') or hex(uuid.getnode())} {_link('/proc/self/ns/pid')}"


def _booted() -> float:
    """When this host was started; 0 where the system does not tell."""
    found = _BOOT_TIME.search(_read("/proc/stat"))
    return float(found[1]) if found else 0.0


def _read(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    return ""


def _link(path: str) -> str:
    with suppress(OSError):
        return os.readlink(path)
    return ""


def _started(pid: int) -> str | None:
    """When a process of this host started, exactly and for comparing only; "" when there is none, or it has ended;
    None for one of which the system tells us nothing.

    From the kernel's own count where there is one: clocks are set, and then another start looks like another process.
    """
    if Path("/proc/self/stat").exists():
        state, *fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split() or [""]
        if state:
            return fields[18] if state not in ("Z", "X") else ""
        return None if _exists(pid) else ""
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip()


def _exists(pid: int) -> bool:
    """Whether there is such a process, of another user maybe (`hidepid` hides those in /proc)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return False  # one of ours would have been seen: it has ended meanwhile


def _numbers(place: str) -> list[int]:
    names = places.list_files(places.join(place, BUILDING))
    return sorted(int(name[:_DIGITS]) for name in names if _MARKER.fullmatch(name))


def _marker_place(place: str, number: int) -> str:
    return places.join(place, BUILDING, f"{number:0{_DIGITS}d}.json")


def is_begun(place: str) -> bool:
    """Whether a build was begun at a place, and not ended."""
    return bool(_numbers(place))


def current(place: str) -> tuple[int, Marker | None]:
    """The number of the marker that counts, 0 when there is none; and what it says, None when it cannot be read."""
    wait_until = time.monotonic() + _WRITTEN_S
    while numbers := _numbers(place):
        try:
            return numbers[-1], Marker.from_json(places.read_bytes(_marker_place(place, numbers[-1])))
        except (FileNotFoundError, ValueError) as error:  # its owner has ended the build, or is just writing it
            if time.monotonic() > wait_until:
                return numbers[-1], None
            if isinstance(error, ValueError):
                time.sleep(_WRITTEN_S / 20)
    return 0, None


def _living_rival(place: str, number: int) -> Marker | None:
    """A living owner of another marker than that of a number: markers begin at 1 again when a build has ended."""
    for other in _numbers(place):
        if other != number:
            with suppress(FileNotFoundError, ValueError):
                marker = Marker.from_json(places.read_bytes(_marker_place(place, other)))
                if marker.alive(time.time()):
                    return marker
    return None


class Lease:
    """The right of this process to build at a place, from `take` until `end` or `let_go`. It shows signs of life by
    itself, in a thread."""

    def __init__(self, place: str, number: int, marker: Marker) -> None:
        self.place, self.marker = place, marker
        self._number = number
        self._process = os.getpid()
        self._last_beat = marker.beat
        self._ended = threading.Event()
        self._writing = threading.Lock()  # a beat must not bring back a marker that was just removed
        threading.Thread(target=self._beat, daemon=True, name=f"lease on {place}").start()

    @staticmethod
    def take(place: str, fingerprint: str, inputs: Sequence[str]) -> Lease:
        """The lease on a place. A build of the same fingerprint and inputs whose owner is dead is gone on with: it
        keeps its name. Raises OwnedError while another process builds there."""
        owner = _this_process()
        while True:
            number, before = current(place)
            now = time.time()
            if before is not None and before.owner == owner:  # it was created, and the store's answer was lost
                return Lease(place, number, before)
            if before is not None and before.alive(now):
                raise OwnedError(_owned(place, before))
            made = max(_missing(place), before.made if before else 0)
            marker = Marker(uuid.uuid4().hex, fingerprint, list(inputs), now, now, owner, made)
            if before is not None and (before.fingerprint, list(before.inputs)) == (fingerprint, list(inputs)):
                marker = replace(marker, build=before.build, started=before.started)
            try:
                if not places.create(_marker_place(place, number + 1), marker.to_json()):
                    continue
            except FileNotFoundError:  # a build that came to nothing has removed the folder
                continue
            if rival := _living_rival(place, number + 1):  # the build ended while we looked, and was begun anew
                places.remove(_marker_place(place, number + 1))
                raise OwnedError(_owned(place, rival))
            lease = Lease(place, number + 1, marker)
            lease.remove_others()
            return lease

    def check(self) -> None:
        """Raises LostError when this process was taken for dead, so that another one may build here."""
        number, marker = current(self.place)
        silent = time.time() - self._last_beat >= DEAD_S
        if silent or (number, marker and marker.owner) != (self._number, self.marker.owner):
            raise LostError(
                f"{self.place}: another process has taken over this build, or may have, since this one showed no sign "
                f"of life for {DEAD_S:.0f} s; nothing was committed. Run the command again when the other one has ended"
            )

    def let_go(self) -> None:
        """Leaves the build as it is, for whoever goes on with it."""
        if self._process != os.getpid():  # a forked child has no part in it
            return
        self._ended.set()
        with self._writing, suppress(LostError):
            self.check()
            places.write_atomically(_marker_place(self.place, self._number), replace(self.marker, owner=None).to_json())

    def end(self) -> None:
        """The build is over: nothing of the lease stays, nor of the folders that were made for it and are empty."""
        if self._process != os.getpid():
            return
        self._ended.set()
        with self._writing, suppress(LostError):
            self.check()
            self.remove_others()
            places.remove(_marker_place(self.place, self._number))
            places.remove_empty_folders(places.join(self.place, BUILDING))
            _remove_made(self.place, self.marker.made)

    def remove_others(self) -> None:
        """Markers of dead owners, and what kills left of them."""
        folder = places.join(self.place, BUILDING)
        for name in places.list_files(folder):
            if not _MARKER.fullmatch(name) or int(name[:_DIGITS]) < self._number:
                places.remove(places.join(folder, name))

    def _beat(self) -> None:
        wait = BEAT_S
        while not self._ended.wait(wait):
            wait = BEAT_S / 6
            # A store fails now and then, in ways of its own: the next try is soon. Whoever has lost the lease stops at
            # the commit.
            with suppress(Exception), self._writing:
                if self._ended.is_set():
                    return
                self.check()
                beaten = replace(self.marker, beat=time.time())
                places.write_atomically(_marker_place(self.place, self._number), beaten.to_json())
                self._last_beat, wait = beaten.beat, BEAT_S


def _missing(place: str) -> int:
    """How many folders have to be made for a local place."""
    if not places.is_local(place):
        return 0
    folder, number = Path(places.local_path(place)), 0
    while not folder.exists():
        folder, number = folder.parent, number + 1
    return number


def _remove_made(place: str, number: int) -> None:
    """Removes the place's folder and those above it, `number` of them, as far as they are empty."""
    if number:
        path = Path(places.local_path(place))
        with suppress(OSError):
            for folder in [path, *path.parents][:number]:
                folder.rmdir()


def _this_process() -> Owner:
    return Owner(platform.node(), _boot(), os.getpid(), _started(os.getpid()) or "", uuid.uuid4().hex)


def _owned(place: str, marker: Marker) -> str:
    assert marker.owner is not None
    since, seen = (time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) for at in (marker.started, marker.beat))
    return (
        f"{place} is being built by process {marker.owner.pid} on {marker.owner.host}, since {since} (last sign of "
        f"life {seen}; a process that is gone, or that shows none for {DEAD_S / 60:.0f} minutes, counts as dead). Two "
        "builders would mix their files: wait for it or end it, or name another output"
    )
