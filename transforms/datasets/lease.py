"""Who builds at a place: a lease, so that no two builders write into one folder.

A lease is a numbered marker below `building/`. The marker with the highest number counts, and markers are created by
one of several (`places.create`): so a dead builder's lease is taken over by creating the next number, which exactly one
can do, on a disk and on an object store. The owner is a process. On this host it is dead when its process id and start
time are gone; on another one when its marker has shown no sign of life for ten minutes.
"""

from __future__ import annotations

import json
import os
import platform
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
    """What a marker says. build: names the build, whoever goes on with it. owner: None when it let go by itself."""

    build: str
    fingerprint: str
    inputs: Sequence[str]
    started: float  # of the build
    beat: float
    owner: Owner | None

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
        return json.dumps(asdict(self), sort_keys=True).encode()

    def alive(self, now: float) -> bool:
        """Whether its owner still builds, as far as can be told from here."""
        if self.owner is None:
            return False
        if self.owner.host == platform.node():
            if self.owner.boot == _boot():
                return _started(self.owner.pid) == self.owner.pid_started
            if _other_start(self.owner.boot):
                return False
        return now - self.beat < DEAD_S


def _boot() -> str:
    """This start of the host, and the name space in which process ids are told; what of it the system tells."""
    return f"{_read('/proc/sys/kernel/random/boot_id')} {_link('/proc/self/ns/pid')}"


def _other_start(boot: str) -> bool:
    """Whether a process of this host ran before the host was started anew."""
    return boot.split(" ")[0] != _boot().split(" ")[0]


def _read(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text(encoding="ascii").strip()
    return ""


def _link(path: str) -> str:
    with suppress(OSError):
        return os.readlink(path)
    return ""


def _started(pid: int) -> str:
    """When a process of this host started, exactly and for comparing only; "" when there is none, or it has ended.

    From the kernel's own count where there is one: clocks are set, and then another start looks like another process.
    """
    if Path("/proc/self/stat").exists():
        state, *fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split() or [""]
        return fields[18] if state not in ("", "Z", "X") else ""
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip()


def _number(name: str) -> int:
    return int(name.removesuffix(".json"))


def _numbers(place: str) -> list[int]:
    names = places.list_files(places.join(place, BUILDING))
    return sorted(_number(name) for name in names if name.removesuffix(".json").isdigit())


def _marker_place(place: str, number: int) -> str:
    return places.join(place, BUILDING, f"{number:06d}.json")


def is_begun(place: str) -> bool:
    """Whether a build was begun at a place, and not ended."""
    return bool(_numbers(place))


def current(place: str) -> tuple[int, Marker | None]:
    """The number of the marker that counts, 0 when there is none; and what it says, None when it cannot be read."""
    wait_until = time.monotonic() + _WRITTEN_S
    while numbers := _numbers(place):
        try:
            return numbers[-1], Marker.from_json(places.read_bytes(_marker_place(place, numbers[-1])))
        except FileNotFoundError:  # its owner has ended the build
            continue
        except ValueError:
            if time.monotonic() > wait_until:
                return numbers[-1], None
            time.sleep(_WRITTEN_S / 20)
    return 0, None


class Lease:
    """The right of this process to build at a place, from `take` until `end` or `let_go`. It shows signs of life by
    itself, in a thread."""

    def __init__(self, place: str, number: int, marker: Marker) -> None:
        self.place, self.marker = place, marker
        self._number = number
        self._ended = threading.Event()
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
            marker = Marker(uuid.uuid4().hex, fingerprint, list(inputs), now, now, owner)
            if before is not None and (before.fingerprint, list(before.inputs)) == (fingerprint, list(inputs)):
                marker = replace(marker, build=before.build, started=before.started)
            if places.create(_marker_place(place, number + 1), marker.to_json()):
                for old in [old for old in _numbers(place) if old <= number]:
                    places.remove(_marker_place(place, old))
                return Lease(place, number + 1, marker)

    def check(self) -> None:
        """Raises LostError when this process was taken for dead, so that another one builds here."""
        number, marker = current(self.place)
        if (number, marker and marker.owner) != (self._number, self.marker.owner):
            raise LostError(
                f"{self.place}: another process has taken over this build, since this one showed no sign of life for "
                f"{DEAD_S:.0f} s; nothing was committed. Run the command again when the other one has ended"
            )

    def let_go(self) -> None:
        """Leaves the build as it is, for whoever goes on with it."""
        self._ended.set()
        with suppress(LostError):
            self.check()
            places.write_atomically(_marker_place(self.place, self._number), replace(self.marker, owner=None).to_json())

    def end(self) -> None:
        """The build is over: nothing of the lease stays."""
        self._ended.set()
        with suppress(LostError):
            self.check()
            places.remove(_marker_place(self.place, self._number))
            places.remove_empty_folders(places.join(self.place, BUILDING))

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with suppress(OSError, LostError):  # a beat may go missing; whoever has lost the lease stops at the commit
                self.check()
                beaten = replace(self.marker, beat=time.time())
                places.write_atomically(_marker_place(self.place, self._number), beaten.to_json())


def _this_process() -> Owner:
    return Owner(platform.node(), _boot(), os.getpid(), _started(os.getpid()), uuid.uuid4().hex)


def _owned(place: str, marker: Marker) -> str:
    assert marker.owner is not None
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(marker.started))
    return (
        f"{place} is being built by process {marker.owner.pid} on {marker.owner.host}, since {since}; two builders "
        "would mix their files. Wait for it or end it, or name another output"
    )
