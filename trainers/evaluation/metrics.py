"""Pairwise accuracy and Bradley-Terry loss with intervals, beside trivial baselines on the same pairs.

Pairs of one prompt share answers and are not independent, so intervals come from a bootstrap over prompts (groups):
whole groups are drawn with replacement, 95% percentile. Ties count one half (WorldPM's tables lie on a grid of halves).
Letters: P pairs, G groups, K statistics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from transforms.datasets.ids import keyed_hash

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MARGINS: Sequence[tuple[str, int, int]] = (("1-2", 1, 2), ("3-5", 3, 5), ("6-10", 6, 10), ("11+", 11, 1 << 62))
"""Score differences in votes, in the buckets of WorldPM A.2."""
_FEW = 30  # groups
_Z = 1.959964  # of a 95% interval
_CHUNK = 64  # resamples drawn at a time: bounds memory at 64 x G counts


class Estimate(TypedDict):
    """A mean with its 95% interval."""

    value: float
    low: float
    high: float


class Baseline(TypedDict):
    """What needs no model, and by how much the model is above it on the same pairs."""

    accuracy: Estimate
    difference: Estimate


class PartSummary(TypedDict):
    """Some of the pairs."""

    pairs: int
    groups: int
    accuracy: Estimate
    loss: Estimate


class Summary(PartSummary):
    """All pairs, and parts of them by name."""

    baselines: dict[str, Baseline]
    by_language: dict[str, PartSummary]
    by_margin: dict[str, PartSummary]
    by_length: dict[str, PartSummary]


@dataclass(frozen=True)
class ScoredPairs:
    """The pairs of a split with their rewards; every array [P]."""

    group: Ints
    language: Sequence[str]
    chosen_reward: Array
    rejected_reward: Array
    target: Array
    weight: Array
    margin: Ints
    chosen_chars: Ints
    rejected_chars: Ints
    chosen_ms: Ints  # created; -1 where unknown
    rejected_ms: Ints


def _higher(chosen: npt.NDArray[Any], rejected: npt.NDArray[Any]) -> Array:
    """1 where chosen is larger, 1/2 where equal, else 0: [P]."""
    return (chosen > rejected) + 0.5 * (chosen == rejected)


def _bradley_terry(pairs: ScoredPairs) -> Array:
    """The training loss of each pair, [P], nats."""
    gap = pairs.chosen_reward - pairs.rejected_reward
    return pairs.weight * (pairs.target * np.logaddexp(0, -gap) + (1 - pairs.target) * np.logaddexp(0, gap))


def baselines(pairs: ScoredPairs) -> dict[str, Array]:
    """What needs no model: prefer the longer answer, the earlier one (a half where a time is unknown), or guess."""
    known = (pairs.chosen_ms >= 0) & (pairs.rejected_ms >= 0)
    return {
        "longer": _higher(pairs.chosen_chars, pairs.rejected_chars),
        "earlier": np.where(known, _higher(pairs.rejected_ms, pairs.chosen_ms), 0.5),
        "chance": np.full(len(pairs.group), 0.5),
    }


def summary(pairs: ScoredPairs, resamples: int, seed: int) -> Summary:
    """Everything an evaluation reports; values with 95% intervals. Raises ValueError when there is no pair."""
    if not len(pairs.group):
        raise ValueError("no pair to evaluate on: the split is empty")
    right = _higher(pairs.chosen_reward, pairs.rejected_reward)
    loss = _bradley_terry(pairs)
    trivial = baselines(pairs)
    columns = [right, loss, *trivial.values(), *(right - values for values in trivial.values())]
    found = estimates(np.stack(columns, axis=1), pairs.group, resamples, seed)
    names = list(trivial)
    language = np.array(pairs.language)

    def part(mask: npt.NDArray[np.bool_]) -> PartSummary:
        accuracy, mean_loss = estimates(np.stack([right, loss], axis=1)[mask], pairs.group[mask], resamples, seed)
        num_groups = len(np.unique(pairs.group[mask]))
        return {"pairs": int(mask.sum()), "groups": num_groups, "accuracy": accuracy, "loss": mean_loss}

    def parts(masks: Mapping[str, npt.NDArray[np.bool_]]) -> dict[str, PartSummary]:
        return {name: part(mask) for name, mask in masks.items() if mask.any()}

    longer = np.sign(pairs.chosen_chars - pairs.rejected_chars)
    return {
        "pairs": len(right),
        "groups": len(np.unique(pairs.group)),
        "accuracy": found[0],
        "loss": found[1],
        "baselines": {
            name: {"accuracy": found[2 + i], "difference": found[2 + len(names) + i]} for i, name in enumerate(names)
        },
        "by_language": parts({code: language == code for code in sorted(set(pairs.language))}),
        "by_margin": parts({name: (pairs.margin >= low) & (pairs.margin <= high) for name, low, high in _MARGINS}),
        "by_length": parts({"chosen longer": longer > 0, "chosen shorter": longer < 0, "equal length": longer == 0}),
    }


def standard_error(sums_G: Array, pairs_G: Ints) -> float:
    """Of the mean over all pairs, from the sums and the pairs of each group; 0.0 for a single group."""
    residuals_G = sums_G - sums_G.sum() / pairs_G.sum() * pairs_G
    num_groups = len(residuals_G)
    return float(np.sqrt(np.square(residuals_G).sum() * num_groups / max(1, num_groups - 1)) / pairs_G.sum())


def share_interval(right_G: Array, pairs_G: Ints) -> tuple[float, float]:
    """The 95% interval of the share of pairs that are right. For few groups it is Wilson's of as many observations:
    their standard error is too small, and nothing where all are right."""
    share, number = float(right_G.sum() / pairs_G.sum()), len(right_G)
    if number >= _FEW:
        half = _Z * standard_error(right_G, pairs_G)
        return max(0.0, share - half), min(1.0, share + half)
    square = _Z * _Z / number
    centre = (share + square / 2) / (1 + square)
    half = math.sqrt(share * (1 - share) * square + square * square / 4) / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)


def estimates(values_PK: Array, group_P: Ints, resamples: int, seed: int) -> list[Estimate]:
    """Mean of each column with its 95% interval, from whole groups drawn again: [K].

    The same resamples serve all columns, so a column of differences gives a paired interval.
    """
    _, owner_P = np.unique(group_P, return_inverse=True)
    num_groups = int(owner_P.max()) + 1
    sums_GK = np.zeros((num_groups, values_PK.shape[1] + 1))
    np.add.at(sums_GK, owner_P, np.concatenate([values_PK, np.ones((len(values_PK), 1))], axis=1))
    generator = np.random.Generator(np.random.PCG64(keyed_hash("bootstrap", str(seed))))
    drawn = []
    for start in range(0, resamples, _CHUNK):
        size = (min(_CHUNK, resamples - start), num_groups)
        picks = generator.integers(0, num_groups, size=size) + np.arange(size[0])[:, None] * num_groups
        counts = np.bincount(picks.ravel(), minlength=size[0] * num_groups).reshape(size)
        drawn.append(counts @ sums_GK)
    totals = np.concatenate(drawn)
    means = totals[:, :-1] / totals[:, -1:]
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    value = values_PK.mean(axis=0)
    return [{"value": float(v), "low": float(a), "high": float(b)} for v, a, b in zip(value, low, high, strict=True)]
