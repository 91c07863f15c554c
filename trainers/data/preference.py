"""The preference loader: groups (a prompt with its responses and pairs) shuffled, batched and packed as they are read.

A group is laid out once: its prompt, then each response as a branch that sees the prompt and itself. Five answers with
ten pairs cost one prompt and five answers, not twenty texts. Groups are shuffled by a keyed hash of (seed, epoch, group
id) and cut into global batches of equal shares of the pairs, which no number of ranks changes.

Nothing is dropped for its length (`Cuts` counts):
 1. what is too long is cut, each response with the prompt for itself (tokenizer/cut.py). Responses that leave as much
    of the prompt stand on one trunk, others of the group on one of their own, as under another prompt;
 2. a group that does not fit a row is split by pairs into parts that do, each with the trunks it needs. No pair is
    lost: the parts are in the same global batch, and the loss is a sum over pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from tokenizer.cut import cut_lengths
from trainers.data.groups import PAIR_COLUMNS, PreferenceData
from trainers.data.rows import GlobalBatch, Ints, PairBatch, Row, best_fit, pad, share
from transforms.datasets.ids import keyed_hash


@dataclass(frozen=True)
class Lengths:
    """sequence_tokens bounds prompt + response; row_tokens is a packed row, at least twice that."""

    sequence_tokens: int
    row_tokens: int


class Branch(NamedTuple):
    """A response of a group: the tokens kept of the prompt, which response, and the tokens kept of it.

    Sorted, those that share a trunk stand together.
    """

    trunk: int
    response: int
    size: int


@dataclass(frozen=True)
class Part:
    """A group, or as much of it as fits a row: which responses (sorted) and which pairs, and the tokens they take."""

    group: int
    branches: Sequence[Branch]
    pairs: Sequence[int]
    tokens: int


@dataclass(frozen=True)
class Cuts:
    """What the length limits did to a split, each response with the prompt for itself.

    prompts_cut, responses_cut: of as many responses (`PreferenceData.num_responses` in all) the prompt lost tokens, or
    they themselves. tokens_cut: what they lost together.
    """

    prompts_cut: int
    responses_cut: int
    tokens_cut: int
    groups_split: int


def count_cuts(data: PreferenceData, lengths: Lengths) -> Cuts:
    """Over the whole split. No token is read for it."""
    prompts, responses, groups = data.all_lengths
    kept, sizes = cut_lengths(prompts, responses, lengths.sequence_tokens)
    owners, trunks = np.divmod(np.unique(groups * (lengths.sequence_tokens + 1) + kept), lengths.sequence_tokens + 1)
    tokens = np.bincount(groups, sizes) + np.bincount(owners, trunks)
    return Cuts(
        prompts_cut=int((kept < prompts).sum()),
        responses_cut=int((sizes < responses).sum()),
        tokens_cut=int((prompts - kept + responses - sizes).sum()),
        groups_split=int((tokens > lengths.row_tokens).sum()),
    )


def parts_of(group: int, branches: Sequence[Branch], pairs: Sequence[tuple[int, int]], row: int) -> list[Part]:
    """The group whole when it fits a row of `row` tokens, else split: each pair in turn into the part that grows least.

    branches: of each response, in order. Every response is in some part, one that is in no pair too.
    """
    if _tokens(branches) <= row:
        return [_part(group, branches, range(len(pairs)))]
    lone = sorted(set(range(len(branches))).difference(*pairs))
    parts: list[set[Branch]] = []
    numbers: list[list[int]] = []
    for number, members in enumerate([*pairs, *((response,) for response in lone)]):
        new = {branches[member] for member in members}
        fitting = [
            (tokens - _tokens(part), at) for at, part in enumerate(parts) if (tokens := _tokens(part | new)) <= row
        ]
        _, best = min(fitting, default=(0, len(parts)))
        if best == len(parts):
            parts.append(set())
            numbers.append([])
        parts[best] |= new
        if number < len(pairs):
            numbers[best].append(number)
    return [_part(group, part, of_part) for part, of_part in zip(parts, numbers, strict=True)]


def _part(group: int, branches: Iterable[Branch], pairs: Sequence[int]) -> Part:
    ordered = sorted(branches)
    return Part(group, ordered, pairs, _tokens(ordered))


def _tokens(branches: Collection[Branch]) -> int:
    """What they take in a row, each trunk once."""
    return sum([branch.size for branch in branches]) + sum({branch.trunk for branch in branches})


class PreferenceLoader:
    """Global batches of about `global_pairs` pairs over `epochs` shuffled passes; groups stay whole within a batch.

    All batches of an epoch hold the same share of its pairs, give or take one group, so that none is a small rest.
    """

    def __init__(
        self,
        data: PreferenceData,
        lengths: Lengths,
        global_pairs: int,
        micro_rows: int,
        epochs: int,
        seed: int,
        pad_token: int,
    ) -> None:
        self.data, self._lengths, self.seed = data, lengths, seed
        self.global_pairs, self._micro_rows, self._pad = global_pairs, micro_rows, pad_token
        self._num_pairs = data.num_pairs
        total = int(self._num_pairs.sum())
        if total == 0:
            raise ValueError(f"the {data.split} split of {data.place} has no pair to train on")
        self.pairs = total
        self.steps_per_epoch = -(-total // global_pairs)
        self.steps = self.steps_per_epoch * epochs
        self._epoch = (-1, [np.zeros(0, np.int64)])

    def state(self, step: int) -> dict[str, object]:
        """Where the loader stands before `step`, and what makes its order."""
        return {
            "epoch": step // self.steps_per_epoch,
            "batch": step % self.steps_per_epoch,
            "global_pairs": self.global_pairs,
            "sequence_tokens": self._lengths.sequence_tokens,
            "row_tokens": self._lengths.row_tokens,
            "seed": self.seed,
            "split": self.data.split,
            "data": self.data.dataset.digest,
        }

    def groups_of(self, step: int) -> Ints:
        """The groups of a global batch, in shuffled order; the same for every number of ranks.

        Raises IndexError outside 0 <= step < steps.
        """
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} is not in a run of {self.steps} steps")
        epoch, number = divmod(step, self.steps_per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._cut_epoch(epoch))
        return self._epoch[1][number]

    def batch(self, step: int, rank: int, world: int) -> GlobalBatch[PairBatch]:
        """This rank's part of a step. Every pair of its groups is in exactly one row of one rank."""
        groups = self.groups_of(step)
        parts = plan_parts(self.data, groups.tolist(), self._lengths)
        micro_batches = list(pair_batches(self.data, parts, self._lengths, rank, world, self._micro_rows, self._pad))
        pairs = int(self._num_pairs[groups].sum())
        ids = [self.data.group_ids[i].as_py() for i in groups]
        return GlobalBatch(step, micro_batches, max(1, pairs), sum(part.tokens for part in parts), ids)

    def _cut_epoch(self, epoch: int) -> list[Ints]:
        purpose = ("preference-order", str(self.seed), str(epoch))
        ids = (i for chunk in self.data.group_ids.chunks for i in chunk.to_pylist())
        keys = np.fromiter((keyed_hash(*purpose, i) for i in ids), np.uint64, len(self.data))
        order = np.argsort(keys, kind="stable")
        before = np.concatenate([[0], np.cumsum(self._num_pairs[order])[:-1]])
        number = np.minimum(before * self.steps_per_epoch // self.pairs, self.steps_per_epoch - 1)
        return np.split(order, np.searchsorted(number, np.arange(1, self.steps_per_epoch)))


def plan_parts(data: PreferenceData, groups: Sequence[int], lengths: Lengths) -> list[Part]:
    """The parts that a list of groups makes under the length limits."""
    parts: list[Part] = []
    for index in groups:
        kept, sizes = cut_lengths(*data.lengths(index), lengths.sequence_tokens)
        branches = list(map(Branch, kept.tolist(), range(len(sizes)), sizes.tolist()))
        parts += parts_of(index, branches, data.pairs_of(index), lengths.row_tokens)
    return parts


def pair_batches(
    data: PreferenceData,
    parts: Sequence[Part],
    lengths: Lengths,
    rank: int,
    world: int,
    micro_rows: int,
    pad_token: int,
) -> Iterator[PairBatch]:
    """Packs parts into rows and this rank's rows into micro-batches, which are made one after the other."""
    packed = best_fit([part.tokens for part in parts], lengths.row_tokens)
    return (
        _pair_batch(data, [[parts[i] for i in packed[row]] for row in rows], pad_token)
        for rows in share(len(packed), rank, world, micro_rows)
    )


def _pair_batch(data: PreferenceData, rows: Sequence[Sequence[Part]], pad_token: int) -> PairBatch:
    laid_out = [_lay_out(data, parts) for parts in rows]
    padded = pad([row for row, _ in laid_out], pad_token)
    width = padded.tokens.shape[1]
    owners: list[tuple[int, int]] = []
    columns: dict[str, list[np.ndarray]] = {name: [] for name in PAIR_COLUMNS}
    for part in chain.from_iterable(rows):
        local = {branch.response: len(owners) + i for i, branch in enumerate(part.branches)}
        owners += [(part.group, branch.response) for branch in part.branches]
        numbers = np.array(part.pairs, np.int64)
        for name, column in data.pairs(part.group).items():
            values = column[numbers]
            sides = name in ("chosen", "rejected")
            columns[name].append(np.array([local[i] for i in values.tolist()], np.int64) if sides else values)

    def joined(name: str, kind: type[np.generic] = np.int64) -> np.ndarray:
        return np.concatenate([np.zeros(0, kind), *columns[name]])

    owner_array = np.array(owners, np.int64).reshape(-1, 2)
    places = [number * width + places for number, (_, places) in enumerate(laid_out)]
    return PairBatch(
        rows=padded,
        score_places=np.concatenate([np.zeros(0, np.int64), *places]),
        groups=owner_array[:, 0],
        responses=owner_array[:, 1],
        chosen=joined("chosen"),
        rejected=joined("rejected"),
        target=joined("target", np.float32),
        weight=joined("weight", np.float32),
        margin=joined("margin"),
    )


def _lay_out(data: PreferenceData, parts: Sequence[Part]) -> tuple[Row, Ints]:
    """One row: for each part its trunks, and after each the responses on it. Also the place of each score token."""
    pieces: list[np.ndarray] = []
    marks: list[tuple[int, int, int]] = []  # of each piece: its first position, its attention group, its branch
    number = 0
    for part in parts:
        prompt, responses = data.tokens(part.group)
        for trunk, branches in groupby(part.branches, attrgetter("trunk")):
            pieces.append(prompt[len(prompt) - trunk :])
            marks.append((0, number, 0))
            for place, branch in enumerate(branches, start=1):
                pieces.append(responses[branch.response][: branch.size])
                marks.append((trunk, number, place))
            number += 1
    sizes = np.array([len(piece) for piece in pieces])
    starts, groups, places = np.array(marks).T
    ends = np.cumsum(sizes)
    tokens = np.concatenate(pieces).astype(np.int64)
    scores = ends[places > 0] - 1
    tokens[scores] = data.score_token  # of those that were cut as well
    positions = np.arange(len(tokens)) - np.repeat(ends - sizes - starts, sizes)
    return Row(tokens, positions, np.repeat(groups, sizes), np.repeat(places, sizes)), scores
