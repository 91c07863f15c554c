"""state.json: what a checkpoint says of its run and of each of its files, so that what changed since is never loaded.

It holds the size and XXH3-128 of every other file, and a digest of its own text: a byte that differs anywhere is found.
Each rank hashes what it wrote, and verifies it again when the run goes on, so the time does not grow with the ranks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from transforms.datasets import places, sealed
from transforms.datasets.checks import DamagedError
from transforms.datasets.sealed import SEAL

STATE = "state.json"
FORMAT = 3  # of checkpoints; the first had neither digests nor this number, the second no selection
_KINDS = {
    "step": int,
    "skipped": int,
    "ranks": int,
    "exports": int,
    "identity": dict,
    "loader": dict,
    "selection": dict,
    "files": dict,
}
_WRITER = re.compile(r"__(\d+)_")  # dcp's names begin with the rank that wrote the file


class FileRecord(TypedDict):
    """What a file of a checkpoint must be: its size, and XXH3-128 in hexadecimal."""

    bytes: int
    xxh3: str


class State(TypedDict):
    """step: the steps that are done. skipped: those of them that were not finite. ranks: how many saved it. exports:
    the step whose weights a run that ended here would export. selection: how that was chosen so far."""

    step: int
    skipped: int
    ranks: int
    exports: int
    identity: dict[str, object]
    loader: dict[str, object]
    selection: dict[str, Any]
    files: dict[str, FileRecord]


def text(state: Mapping[str, object], step: int, files: Mapping[str, FileRecord]) -> bytes:
    """What goes into state.json."""
    return sealed.seal({**state, "step": step, "files": files, "format": FORMAT})


def read(checkpoint: Path) -> State:
    """What a checkpoint says of itself, verified but for its other files.

    Raises DamagedError when state.json is not as it was written, ValueError when another version of Agora wrote it.
    """
    path = checkpoint / STATE
    try:
        written = path.read_bytes()
        values = json.loads(written)
    except FileNotFoundError:
        raise DamagedError(f"{STATE} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedError(f"{STATE} cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise DamagedError(f"{STATE} holds {type(values).__name__}, an object was written")
    if {"step", "identity"} <= values.keys() and not {"format", SEAL, "files"} & values.keys():
        raise _other_version(path, 1)
    if not sealed.is_intact(written, values):
        raise DamagedError(f"{STATE} is not as it was written: its {SEAL} is another")
    if values.get("format") != FORMAT:
        raise _other_version(path, values.get("format"))
    for key, kind in _KINDS.items():
        if not isinstance(values.get(key), kind):
            raise DamagedError(f"{STATE} has {values.get(key)!r} for {key}, not {kind.__name__}")
    for name, found in values["files"].items():
        if not isinstance(found, dict) or found.keys() != FileRecord.__annotations__.keys():
            raise DamagedError(f"{STATE} has {found!r} for {name}, not bytes and xxh3")
    if checkpoint.name != folder_name(values["step"]):
        raise DamagedError(f"{STATE} is that of {folder_name(values['step'])}")
    return cast(State, values)


def folder_name(step: int) -> str:
    """Of the checkpoint that was saved after so many steps."""
    return f"step-{step:08d}"


def _other_version(path: Path, number: object) -> ValueError:
    return ValueError(
        f"{path} is in format {number} of checkpoints, this Agora reads {FORMAT}: finish the run with the version that "
        "began it, or pass replace=true to train anew"
    )


def record(folder: Path, rank: int, world: int) -> dict[str, FileRecord]:
    """Size and hash of this rank's share of a folder's files: those that it wrote, as far as their names tell."""
    names = (path.name for path in sorted(folder.iterdir()))
    return {name: _record(folder / name) for name in names if _writer(name) % world == rank}


def fault(checkpoint: Path, files: Mapping[str, FileRecord], rank: int, world: int) -> str:
    """What is wrong with this rank's share of the files; empty when they are as they were written."""
    for name, wanted in files.items():
        if _writer(name) % world != rank:
            continue
        path = checkpoint / name
        try:
            if not path.is_file():
                return f"{name} is missing"
            if (size := path.stat().st_size) != wanted["bytes"]:  # before a byte is read
                return f"{name} has {size} bytes, {wanted['bytes']} were written"
            if (found := _record(path)) != wanted:
                return f"{name} has the hash {found['xxh3']}, {wanted['xxh3']} was written"
        except OSError as error:  # a bad disk: raised on one rank alone it would leave the others waiting
            return f"{name} cannot be read: {error}"
    return ""


def _writer(name: str) -> int:
    found = _WRITER.match(name)
    return int(found[1]) if found else 0


def _record(path: Path) -> FileRecord:
    return {"bytes": path.stat().st_size, "xxh3": places.xxh3(str(path))}
