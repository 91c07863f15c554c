"""The preference loader: groups (a prompt with its responses and pairs) shuffled, batched and packed as they are read.

A group is laid out once: its prompt, then each response as a branch that sees the prompt and itself. Five answers with
ten pairs cost one prompt and five answers, not twenty texts. Groups are shuffled by a keyed hash of (seed, epoch, group
id) and cut into global batches of equal shares of the pairs, which no number of ranks changes.

Over-long groups, in this order (counted in `cuts`, nothing is dropped):
 1. prompt + longest response above sequence_tokens: the prompt loses tokens on the left, start control tokens
    included, as a Hugging Face tokenizer with truncation_side="left" does, but keeps a quarter of sequence_tokens;
 2. a response still too long loses tokens before its last one, the score token, which always stays;
 3. a group that does not fit a row is split by pairs into parts that do, each with the prompt. No pair is lost: the
    parts are in the same global batch, and the loss is a sum over pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainers.data.groups import PreferenceData
from trainers.data.rows import GlobalBatch, Ints, PairBatch, Row, best_fit, pad, share
from transforms.datasets.ids import keyed_hash


@dataclass(frozen=True)
class Lengths:
    """sequence_tokens bounds prompt + response; row_tokens is a packed row, at least twice that."""

    sequence_tokens: int
    row_tokens: int


@dataclass(frozen=True)
class Part:
    """A group, or as much of it as fits a row: which responses and which pairs, and the tokens they take."""

    group: int
    responses: tuple[int, ...]
    pairs: tuple[int, ...]
    tokens: int


@dataclass
class Cuts:
    """What the length limits did, over the whole split."""

    prompts_cut: int = 0
    responses_cut: int = 0
    tokens_cut: int = 0
    groups_split: int = 0


def cut_lengths(prompt: int, responses: Sequence[int], limit: int) -> tuple[int, list[int]]:
    """Tokens kept of the prompt (its right end) and of each response (its start, and its last token)."""
    longest = max(responses, default=0)
    kept = min(prompt, max(limit - longest, min(prompt, limit // 4)))
    return kept, [min(size, limit - kept) for size in responses]


def parts_of(
    group: int, prompt: int, responses: Sequence[int], pairs: Sequence[tuple[int, int]], row: int
) -> list[Part]:
    """The group whole when it fits a row of `row` tokens; else split by pairs, in their order. Lengths after cutting.

    Every response is in some part; one that is in no pair goes with the first part that has room, or alone.
    """
    total = prompt + sum(responses)
    if total <= row:
        return [Part(group, tuple(range(len(responses))), tuple(range(len(pairs))), total)]
    lone = sorted(set(range(len(responses))) - {i for pair in pairs for i in pair})
    units: list[tuple[tuple[int, ...], int | None]] = [(pair, number) for number, pair in enumerate(pairs)]
    units += [((response,), None) for response in lone]
    parts: list[tuple[list[int], list[int], int]] = []
    for members, number in units:
        if parts:
            new = [m for m in members if m not in parts[-1][0]]
            cost = sum(responses[m] for m in new)
        if not parts or parts[-1][2] + cost > row:
            parts.append(([], [], prompt))
            new = list(dict.fromkeys(members))
            cost = sum(responses[m] for m in new)
        inside, numbers, used = parts.pop()
        parts.append((inside + new, numbers + ([] if number is None else [number]), used + cost))
    return [Part(group, tuple(inside), tuple(numbers), used) for inside, numbers, used in parts]


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
        parts, _ = plan_parts(self.data, groups.tolist(), self._lengths)
        micro_batches = list(pair_batches(self.data, parts, self._lengths, rank, world, self._micro_rows, self._pad))
        pairs = int(self._num_pairs[groups].sum())
        ids = [self.data.group_ids[i] for i in groups]
        return GlobalBatch(step, micro_batches, max(1, pairs), sum(part.tokens for part in parts), ids)

    def _cut_epoch(self, epoch: int) -> list[Ints]:
        keys = [keyed_hash("preference-order", str(self.seed), str(epoch), i) for i in self.data.group_ids]
        order = np.array(sorted(range(len(keys)), key=lambda i: (keys[i], self.data.group_ids[i])), np.int64)
        before = np.concatenate([[0], np.cumsum(self._num_pairs[order])[:-1]])
        number = np.minimum(before * self.steps_per_epoch // self.pairs, self.steps_per_epoch - 1)
        return np.split(order, np.searchsorted(number, np.arange(1, self.steps_per_epoch)))


def plan_parts(data: PreferenceData, groups: Sequence[int], lengths: Lengths) -> tuple[list[Part], Cuts]:
    """The parts that a list of groups makes under the length limits, and what was cut."""
    parts: list[Part] = []
    cuts = Cuts()
    for index in groups:
        prompt, responses = data.lengths(index)
        kept, kept_responses = cut_lengths(prompt, responses, lengths.sequence_tokens)
        new = parts_of(index, kept, kept_responses, data.pairs_of(index), lengths.row_tokens)
        parts += new
        cuts.prompts_cut += kept < prompt
        cuts.responses_cut += sum(k < r for k, r in zip(kept_responses, responses, strict=True))
        cuts.tokens_cut += prompt - kept + sum(responses) - sum(kept_responses)
        cuts.groups_split += len(new) > 1
    return parts, cuts


def pair_batches(
    data: PreferenceData,
    parts: Sequence[Part],
    lengths: Lengths,
    rank: int,
    world: int,
    micro_rows: int,
    pad_token: int,
) -> list[PairBatch]:
    """Packs parts into rows and this rank's rows into micro-batches."""
    packed = best_fit([part.tokens for part in parts], lengths.row_tokens)
    return [
        _pair_batch(data, [[parts[i] for i in packed[row]] for row in rows], lengths, pad_token)
        for rows in share(len(packed), rank, world, micro_rows)
    ]


def _pair_batch(data: PreferenceData, rows: Sequence[Sequence[Part]], lengths: Lengths, pad_token: int) -> PairBatch:
    laid_out: list[Row] = []
    scores: list[tuple[int, int]] = []  # (row, place) of each response
    columns: dict[str, list[np.ndarray]] = {k: [] for k in ("chosen", "rejected", "target", "weight", "margin")}
    owners: list[tuple[int, int]] = []
    for number, parts in enumerate(rows):
        row, places = _lay_out(data, parts, lengths.sequence_tokens)
        laid_out.append(row)
        for part in parts:
            group = data.group(part.group)
            pairs = np.array(part.pairs, np.int64)
            local = {response: len(owners) + i for i, response in enumerate(part.responses)}
            owners += [(part.group, response) for response in part.responses]
            columns["chosen"].append(np.array([local[int(i)] for i in group.chosen[pairs]], np.int64))
            columns["rejected"].append(np.array([local[int(i)] for i in group.rejected[pairs]], np.int64))
            for name in ("target", "weight", "margin"):
                columns[name].append(getattr(group, name)[pairs])
        scores += [(number, place) for place in places]
    padded = pad(laid_out, pad_token)
    width = padded.tokens.shape[1]

    def joined(name: str, kind: type[np.generic] = np.int64) -> np.ndarray:
        return np.concatenate([np.zeros(0, kind), *columns[name]])

    owner_array = np.array(owners, np.int64).reshape(-1, 2)
    return PairBatch(
        rows=padded,
        score_places=np.array([row * width + place for row, place in scores], np.int64),
        groups=owner_array[:, 0],
        responses=owner_array[:, 1],
        chosen=joined("chosen"),
        rejected=joined("rejected"),
        target=joined("target", np.float32),
        weight=joined("weight", np.float32),
        margin=joined("margin"),
    )


def _lay_out(data: PreferenceData, parts: Sequence[Part], limit: int) -> tuple[Row, list[int]]:
    """One row: for each part its prompt, then its responses as branches. Also the place of each score token."""
    tokens: list[np.ndarray] = []
    positions: list[np.ndarray] = []
    groups: list[np.ndarray] = []
    branches: list[np.ndarray] = []
    places: list[int] = []
    used = 0
    for number, part in enumerate(parts):
        group = data.group(part.group)
        kept, kept_responses = cut_lengths(len(group.prompt), [len(r) for r in group.responses], limit)
        pieces = [(group.prompt[len(group.prompt) - kept :], 0)]
        for response in part.responses:
            size = kept_responses[response]
            whole = group.responses[response]
            cut = whole if size == len(whole) else np.concatenate([whole[: size - 1], whole[-1:]])
            pieces.append((cut, kept))
        for branch, (piece, start) in enumerate(pieces):
            tokens.append(piece)
            positions.append(np.arange(start, start + len(piece)))
            groups.append(np.full(len(piece), number))
            branches.append(np.full(len(piece), branch))
            used += len(piece)
            if branch:
                places.append(used - 1)
    joined = [np.concatenate(part).astype(np.int64) for part in (tokens, positions, groups, branches)]
    return Row(*joined), places
