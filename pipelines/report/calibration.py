"""Whether a preference model is as sure as it is right: its rewards beside the pairs that they rank."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.charts import Calibrated, Figure, calibration_plot
from pipelines.report.counting import Numbers, Share
from pipelines.report.html import counted, percent
from pipelines.report.looking import Look

_BINS = 10  # of the confidence, from 50% to 100%

_SCORES = "data/scores.arrow"
_RESPONSES = ("group_id", "responses", "pairs")


@dataclass
class _Bin:
    right: Share = field(default_factory=Share)
    confidence: float = 0.0  # summed over its pairs


@dataclass
class Calibration:
    """The pairs of a split by how sure the model is of its choice. whole: the split was read to its end."""

    bins: list[_Bin] = field(default_factory=lambda: [_Bin() for _ in range(_BINS)])
    whole: bool = True

    @property
    def pairs(self) -> int:
        """How many were read."""
        return sum(found.right.pairs for found in self.bins)

    def add(self, gaps: Numbers, prompts: Numbers) -> None:
        """gaps: reward of the chosen answer minus that of the rejected one. prompts: ascending, of each pair."""
        confidence = 1 / (1 + np.exp(-np.minimum(np.abs(gaps), 700.0)))
        right = (gaps > 0) + 0.5 * (gaps == 0)
        places = np.minimum(((confidence - 0.5) * 2 * _BINS).astype(np.int64), _BINS - 1)
        for place, found in enumerate(self.bins):
            rows = places == place
            found.right.add(prompts[rows], right[rows])
            found.confidence += float(confidence[rows].sum())


def read_calibration(scores: Look, preference: Look, split: str) -> Calibration | None:
    """The rewards stand in the order of the preference shards of the split; both are read side by side.

    None, and a trouble, where they are not of the same responses.
    """
    found = Calibration()
    rewards = _Rewards(scores)
    paths = preference.first(split)
    prompts = 0
    for path in paths:
        for batch in preference.batches(path, _RESPONSES):
            responses = batch.column("responses")
            posts = pc.struct_field(responses.flatten(), "post_id")
            values = rewards.take(posts)
            if values is None:
                scores.tell(_SCORES, "has not the responses of preference in their order")
                return None
            pairs = batch.column("pairs")
            first = np.cumsum([0, *pc.list_value_length(responses).to_pylist()])[:-1]
            owners = np.repeat(np.arange(batch.num_rows), pc.list_value_length(pairs).to_numpy(zero_copy_only=False))
            chosen, rejected = (
                first[owners] + pc.struct_field(pairs.flatten(), side).to_numpy(zero_copy_only=False)
                for side in ("chosen", "rejected")
            )
            if len(chosen) and not _all_within(len(values), chosen, rejected):
                preference.tell(path, "has pairs of responses that it has not")
                return None
            gaps = values[chosen] - values[rejected]
            fine = np.isfinite(gaps)
            found.add(gaps[fine], prompts + owners[fine])
            prompts += batch.num_rows
    found.whole = len(paths) == len(preference.of(split))
    return found


class _Rewards:
    """The rewards of an evaluation, taken in order."""

    def __init__(self, scores: Look) -> None:
        self._batches: Iterator[pa.RecordBatch] = scores.batches(_SCORES, ("post_id", "reward"))
        self._left: pa.Table | None = None

    def take(self, posts: pa.Array) -> Numbers | None:
        """The rewards of the next posts; None when those that come next are of others."""
        parts = [] if self._left is None else [self._left]
        while sum(part.num_rows for part in parts) < len(posts):
            batch = next(self._batches, None)
            if batch is None:
                return None
            parts.append(pa.Table.from_batches([batch]))
        if not parts:
            return np.zeros(0)
        table = pa.concat_tables(parts)
        self._left = table.slice(len(posts))
        taken = table.slice(0, len(posts))
        if not taken.column("post_id").combine_chunks().equals(posts):
            return None
        return taken.column("reward").to_numpy().astype(np.float64)


def calibration_figure(found: Calibration | None) -> Figure | None:
    """A reliability diagram; None where there is no pair."""
    if found is None or not found.pairs:
        return None
    points = []
    error = 0.0
    for part in found.bins:
        if estimate := part.right.estimate:
            sure = part.confidence / part.right.pairs
            error += abs(sure - estimate.value) * part.right.pairs / found.pairs
            points.append(Calibrated(sure, estimate.value, estimate.low, estimate.high, part.right.pairs))
    chart = calibration_plot(
        "As sure as it is right", points, "confidence of the model", "pairs that it ranks as the votes do", x_low=0.5
    )
    says = (
        f"{counted(found.pairs, 'pair')} in {_BINS} classes of confidence, σ of the distance between two rewards; "
        "below the line it is surer than it is right. Intervals are Wilson's for as many observations as a class "
        f"has prompts. Mean distance from the line over pairs (expected calibration error): {percent(error)}."
    )
    return chart.told(says if found.whole else f"{says} Of the first shards of the split.")


def _all_within(number_of: int, *places: Numbers) -> bool:
    return all(int(found.min()) >= 0 and int(found.max()) < number_of for found in places)
