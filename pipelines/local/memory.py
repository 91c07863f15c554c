"""What a local run may use: memory by `--memory`, and scratch space on disk. Nothing here changes a byte of output."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines.progress import human_bytes
from transforms.datasets import places
from transforms.datasets.settings import SettingError

# A process with Python, Beam, Arrow and the parsers, before it has read a byte: 290 MB of resident memory measured.
_PROCESS_BYTES = 300_000_000
# Below this a process does not hold what it needs at any time: a batch of 4,096 rows on its way into a shard is there
# several times (75 MB measured with rows of 1.8 kB).
_LEAST_BYTES = 90_000_000
# In what a worker does at any time, a table, a spill and a bucket stand in memory this many times: once as read, once
# filtered, once sorted, and in between as Python objects. Measured by benchmarks/memory.py.
_TIMES = 8
_SPILLED_PER_INPUT = 1.3  # an Arrow row over its text: ids, times, offsets
_MAX_PARTS = 512  # whoever merges them opens as many files
_USUAL_BUCKET_BYTES = 128 << 20  # that a worker sorts at once where no bound is given
_FEW_RANGES, _LEAST_RANGE = 16, 4 << 20
_SPILL_BYTES = 64 << 20  # where memory is not bounded

# What packed forum dumps usually unpack to, times their size. Estimates, for room: nothing else depends on them.
_UNPACKED = {"gz": 5.0, "zst": 12.0, "7z": 6.0, "parquet": 4.0}

_MAPPED_BYTES = 1 << 19
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # numbers of malloc.h

_SIZE = re.compile(r"\s*+([0-9]++(?:\.[0-9]++)?)\s*+([kmgt]i?)?b?\s*+", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


@dataclass(frozen=True)
class MemoryPlan:
    """workers: local processes. spill_bytes: rows that a worker gathers. num_parts: buckets a shard is sorted in.

    range_bytes: of input to a worker at a time; batch_chars: text in one table; run_bytes: a batch of a sorted part.
    """

    workers: int
    range_bytes: int
    spill_bytes: int = _SPILL_BYTES
    batch_chars: int = 8 << 20
    num_parts: int = 1
    run_bytes: int = 1 << 20


def parse_size(text: str) -> int:
    """Bytes of `1GB`, `250 MB`, `2GiB` or `1000000`. Raises ValueError for what is no size."""
    found = _SIZE.fullmatch(text)
    if found is None or not float(found[1]):
        raise ValueError(f"{text!r} is no size; want a number and a unit, such as 1GB, 250MB or 2GiB")
    return int(float(found[1]) * _UNITS[(found[2] or "").lower()])


def plan_memory(
    memory: str | None,
    workers: int,
    range_bytes: int,
    num_shards: int,
    unpacked_bytes: int,
    window_bytes: int = 0,
) -> MemoryPlan:
    """How to stay within `memory` in all processes together; without a bound, as fast as it goes.

    window_bytes: the largest of the input files' decoders. Fewer workers than asked for are planned where the bound
    does not hold them all. Raises SettingError when it does not hold one.
    """
    if memory is None:
        num_parts = min(_MAX_PARTS, _num_parts(_USUAL_BUCKET_BYTES, num_shards, unpacked_bytes))
        return MemoryPlan(workers, _shared(range_bytes, workers, unpacked_bytes), num_parts=num_parts)
    bound = parse_size(memory)
    for number in range(workers, 0, -1):
        processes = 1 if number == 1 else number + 1  # one worker runs in the process that drives
        each = (bound - processes * _PROCESS_BYTES) // number - window_bytes
        if each >= _LEAST_BYTES:
            return _within(each, number, range_bytes, num_shards, unpacked_bytes)
    window = f", and unpacking an input {human_bytes(window_bytes)} (its window)" if window_bytes else ""
    raise SettingError(
        "memory",
        f"{memory} is too little: Python, Beam and Arrow take {human_bytes(_PROCESS_BYTES)} before a row is "
        f"read{window}; give at least {human_bytes(_PROCESS_BYTES + _LEAST_BYTES + window_bytes)}",
    )


def _within(each: int, workers: int, range_bytes: int, num_shards: int, unpacked_bytes: int) -> MemoryPlan:
    bucket_bytes = each // _TIMES
    num_parts = _num_parts(bucket_bytes, num_shards, unpacked_bytes)
    if num_parts > _MAX_PARTS:
        raise SettingError(
            "memory",
            f"leaves {human_bytes(bucket_bytes)} to a worker for sorting, and a shard of about "
            f"{human_bytes(unpacked_bytes * _SPILLED_PER_INPUT / num_shards)} would be merged from more than "
            f"{_MAX_PARTS} parts; give more memory, or {num_shards * num_parts // _MAX_PARTS} shards",
        )
    return MemoryPlan(
        workers=workers,
        range_bytes=_shared(range_bytes, workers, unpacked_bytes),
        spill_bytes=bucket_bytes,
        batch_chars=min(8 << 20, each // (4 * _TIMES)),
        num_parts=num_parts,
        run_bytes=max(1 << 12, min(1 << 20, each // (24 * num_parts))),
    )


def _shared(range_bytes: int, workers: int, unpacked_bytes: int) -> int:
    """Smaller ranges where each worker would have few, so that none waits long for the last of another."""
    while workers > 1 and range_bytes > _LEAST_RANGE and unpacked_bytes < _FEW_RANGES * workers * range_bytes:
        range_bytes //= 2
    return range_bytes


def _num_parts(bucket_bytes: int, num_shards: int, unpacked_bytes: int) -> int:
    shard_bytes = unpacked_bytes * _SPILLED_PER_INPUT / num_shards
    num_parts = 1
    while shard_bytes / num_parts > bucket_bytes:
        num_parts *= 2
    return num_parts


def give_back_freed() -> None:
    """Makes this process and the workers to be started return freed memory to the system instead of keeping it.

    Arrow uses the system's allocator, and that gets a fixed size from which on a block is mapped, and unmapped when it
    is freed: by itself glibc raises it to 32 MB once blocks of that size were freed. Measured: a shard written from
    batches of 6 MB leaves 115 MB of resident memory with Arrow's allocator, 50 MB with the system's.
    """
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    os.environ["MALLOC_ARENA_MAX"] = "2"
    os.environ["MALLOC_MMAP_THRESHOLD_"] = os.environ["MALLOC_TRIM_THRESHOLD_"] = str(_MAPPED_BYTES)
    pa.set_memory_pool(pa.system_memory_pool())
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # glibc's; others have no such habit
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _MAPPED_BYTES)


def unpacked_bytes(files: Iterable[tuple[str, int]]) -> int:
    """About how many bytes files (place, size) hold when they are unpacked: their own size, or what is usual."""
    return sum(int(size * _UNPACKED.get(places.name(place).lower().rpartition(".")[2], 1)) for place, size in files)


def scratch_bytes(unpacked_bytes: int, num_parts: int, reblocked_bytes: int = 0) -> int:
    """Disk that an ingestion needs at its largest: spilled rows, sorted runs, the shards, and what is unpacked."""
    spilled = unpacked_bytes * _SPILLED_PER_INPUT
    runs = spilled * 0.7 if num_parts > 1 else 0.0
    written = spilled * 0.6
    return int(spilled + runs + written) + reblocked_bytes


def check_disk(output: str, needed: int) -> None:
    """Raises ValueError when a local output's disk has less free space than `needed` bytes."""
    if not places.is_local(output):
        return
    folder = next(path for path in _upwards(Path(places.local_path(output))) if path.exists())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ValueError(
            f"not enough space for {output}: an ingestion of these inputs needs about {human_bytes(needed)} of disk at "
            f"its largest (rows on their way to their shard, and the shards), and {human_bytes(free)} are free; free "
            "some, or name an --output on another disk"
        )


def _upwards(path: Path) -> Iterator[Path]:
    yield path
    yield from path.parents
