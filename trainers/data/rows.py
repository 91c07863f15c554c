"""What loaders hand to the loop: rows of packed tokens, micro-batches, and one rank's part of a global batch.

Letters: B rows of a micro-batch, T positions, R responses, P pairs. A loader is a pure function of the dataset's
manifest, its settings and the step: the global batch of a step is the same for every number of ranks, rank r of W takes
rows r, r + W, ..., and every rank gets the same number of micro-batches, short ones filled with empty rows, so that
collectives never wait for a missing partner.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from trainers.attention import PADDING_GROUP

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

NO_TARGET = -100  # in labels: nothing is predicted here
_ROW_MULTIPLE = 8  # rows are padded to a multiple, which tensor cores and attention kernels like


@dataclass(frozen=True)
class Row:
    """One packed row: tokens with their position in their document, group and branch; all [T]."""

    tokens: Ints
    positions: Ints
    groups: Ints
    branches: Ints


@dataclass(frozen=True)
class Rows:
    """Rows padded to one length, all [B, T]. Padding has group PADDING_GROUP."""

    tokens: Ints
    positions: Ints
    groups: Ints
    branches: Ints


@dataclass(frozen=True)
class SequenceBatch:
    """A pretraining micro-batch. labels [B, T]: the next token of the same document, or NO_TARGET."""

    rows: Rows
    labels: Ints


@dataclass(frozen=True)
class PairBatch:
    """A preference micro-batch: rewards are read at score_places [R] (flat into B*T); pairs index into them."""

    rows: Rows
    score_places: Ints
    chosen: Ints  # [P]
    rejected: Ints  # [P]
    target: Floats  # [P]
    weight: Floats  # [P]
    margin: Ints  # [P]
    groups: Ints  # [R] the loader's group of each response
    responses: Ints  # [R] its index within the group


Micro = TypeVar("Micro")  # a trainer's micro-batch: SequenceBatch or PairBatch


@dataclass(frozen=True)
class GlobalBatch(Generic[Micro]):
    """One rank's part of a step. count, tokens and ids are of the whole global batch, on every rank.

    count: what the loss is divided by (target tokens, or pairs). ids: what to name when the step goes wrong.
    """

    step: int
    micro_batches: Sequence[Micro]
    count: int
    tokens: int
    ids: Sequence[str]


class Loader(Protocol[Micro]):
    """Random access by step, so that resuming costs nothing. steps: of the whole run."""

    steps: int

    def batch(self, step: int, rank: int, world: int) -> GlobalBatch[Micro]:
        """The part of a rank, of `world`, in the global batch of a step, 0 <= step < steps."""

    def state(self, step: int) -> Mapping[str, object]:
        """What a run that goes on from a step must find unchanged: the data, and what its order hangs on."""


def pad(rows: Sequence[Row], pad_token: int) -> Rows:
    """Stacks rows of any length. Without rows it is one empty one, so that a rank has something to run."""
    num_rows = max(1, len(rows))
    longest = max((len(row.tokens) for row in rows), default=1)
    width = -(-longest // _ROW_MULTIPLE) * _ROW_MULTIPLE
    tokens = np.full((num_rows, width), pad_token, np.int64)
    positions = np.zeros((num_rows, width), np.int64)
    groups = np.full((num_rows, width), PADDING_GROUP, np.int64)
    branches = np.zeros((num_rows, width), np.int64)
    for index, row in enumerate(rows):
        size = len(row.tokens)
        tokens[index, :size] = row.tokens
        positions[index, :size] = row.positions
        groups[index, :size] = row.groups
        branches[index, :size] = row.branches
    return Rows(tokens, positions, groups, branches)


def share(num_rows: int, rank: int, world: int, micro_rows: int) -> list[range]:
    """The rows of each of a rank's micro-batches: as many micro-batches on every rank, possibly empty ones."""
    own = range(rank, num_rows, world)
    num_micro = math.ceil(math.ceil(num_rows / world) / micro_rows)
    return [own[index * micro_rows : (index + 1) * micro_rows] for index in range(num_micro)]


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Packs items into rows: longest first, each into the fullest row with room (arXiv 2404.10830, section 3).

    Ties go to the earlier item and the earlier row, so the result depends on the lengths alone. Returns item indices
    by row. Raises ValueError when an item is longer than a row.
    """
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (free tokens, row), sorted
    for item in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if lengths[item] > capacity:
            raise ValueError(f"an item of {lengths[item]} tokens does not fit a row of {capacity}")
        at = bisect.bisect_left(room, (lengths[item], -1))
        if at == len(room):
            rows.append([item])
            bisect.insort(room, (capacity - lengths[item], len(rows) - 1))
        else:
            free, row = room.pop(at)
            rows[row].append(item)
            bisect.insort(room, (free - lengths[item], row))
    return rows


def check_state(found: Mapping[str, object], wanted: Mapping[str, object], what: str) -> None:
    """ValueError that lists every difference between a saved loader state and this run's."""
    differences = [
        f"{key}: {found.get(key)!r} there, {wanted.get(key)!r} here"
        for key in sorted({*found, *wanted})
        if found.get(key) != wanted.get(key)
    ]
    if differences:
        raise ValueError(
            f"cannot resume from {what}: it was made with other data or settings ({'; '.join(differences)}). "
            "Restore them, name another output, or pass replace=true to train anew"
        )
