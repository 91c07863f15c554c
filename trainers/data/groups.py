"""Preference shards as the trainers read them: one split, memory-mapped, groups by index.

Lengths and pairs are known without touching tokens. Every response must end with the score token, and no token may be
outside the vocabulary: both are checked when a split is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainers.data.rows import Floats, Ints
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.datasets.names import split_of

_COLUMNS = ("group_id", "language", "prompt_tokens", "responses", "pairs")


@dataclass(frozen=True)
class Group:
    """One prompt: tokens as stored (not cut), responses, and pairs as indices into them."""

    group_id: str
    language: str | None
    prompt: np.ndarray
    responses: Sequence[np.ndarray]
    post_ids: Sequence[str]
    chars: Ints
    created_ms: Ints  # -1 where unknown
    chosen: Ints
    rejected: Ints
    target: Floats
    weight: Floats
    margin: Ints


class PreferenceData:
    """All groups of one split, memory-mapped. len() groups; lengths are known without reading tokens."""

    def __init__(self, place: str, split: str, score_token: int, vocab_size: int) -> None:
        self.dataset = Dataset.open(place, "preference")
        self.place, self.split = place, split
        self._batches: list[pa.RecordBatch] = []
        self._views: list[_Views] = []
        self._locations: list[tuple[int, int]] = []
        for path in self.dataset.paths:
            if split_of(path) == split:
                for batch in shards.iter_batches(self.dataset, path, _COLUMNS):
                    self._locations += [(len(self._views), row) for row in range(batch.num_rows)]
                    self._batches.append(batch)
                    self._views.append(_Views.of(batch))
        self.group_ids: list[str] = [i for batch in self._batches for i in batch.column("group_id").to_pylist()]
        for views in self._views:
            views.check(score_token, vocab_size, place)

    def __len__(self) -> int:
        return len(self._locations)

    @property
    def num_pairs(self) -> Ints:
        """Pairs of each group."""
        return np.concatenate([np.diff(v.pair_bounds) for v in self._views] or [np.zeros(0, np.int64)]).astype(np.int64)

    def group(self, index: int) -> Group:
        """A group by its place in the split, with all columns; views of mapped memory, nothing is copied."""
        number, row = self._locations[index]
        batch, views = self._batches[number], self._views[number]
        answers = slice(int(views.response_bounds[row]), int(views.response_bounds[row + 1]))
        pairs = slice(int(views.pair_bounds[row]), int(views.pair_bounds[row + 1]))
        bounds = views.answer_bounds
        return Group(
            group_id=self.group_ids[index],
            language=batch.column("language")[row].as_py(),
            prompt=views.prompt[views.prompt_bounds[row] : views.prompt_bounds[row + 1]],
            responses=[views.answers[bounds[i] : bounds[i + 1]] for i in range(answers.start, answers.stop)],
            post_ids=views.post_ids.slice(answers.start, answers.stop - answers.start).to_pylist(),
            chars=views.chars[answers],
            created_ms=views.created_ms[answers],
            chosen=views.chosen[pairs].astype(np.int64),
            rejected=views.rejected[pairs].astype(np.int64),
            target=views.target[pairs],
            weight=views.weight[pairs],
            margin=views.margin[pairs],
        )

    def lengths(self, index: int) -> tuple[int, list[int]]:
        """Stored tokens of the prompt and of each response."""
        number, row = self._locations[index]
        views = self._views[number]
        first, last = int(views.response_bounds[row]), int(views.response_bounds[row + 1])
        answers = np.diff(views.answer_bounds[first : last + 1]).tolist()
        return int(views.prompt_bounds[row + 1] - views.prompt_bounds[row]), answers

    def pairs_of(self, index: int) -> list[tuple[int, int]]:
        """(chosen, rejected) of each pair of a group, as places among its responses."""
        number, row = self._locations[index]
        views = self._views[number]
        at = slice(int(views.pair_bounds[row]), int(views.pair_bounds[row + 1]))
        return list(zip(views.chosen[at].tolist(), views.rejected[at].tolist(), strict=True))


@dataclass(frozen=True)
class _Views:
    """Zero-copy views of one record batch's nested columns."""

    prompt: np.ndarray
    prompt_bounds: np.ndarray
    response_bounds: np.ndarray
    answers: np.ndarray
    answer_bounds: np.ndarray
    post_ids: pa.Array
    chars: Ints
    created_ms: Ints
    pair_bounds: np.ndarray
    chosen: npt.NDArray[np.int32]
    rejected: npt.NDArray[np.int32]
    target: Floats
    weight: Floats
    margin: Ints

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> _Views:
        prompt, responses, pairs = (batch.column(name) for name in ("prompt_tokens", "responses", "pairs"))
        answers = responses.values.field("tokens")
        created = responses.values.field("created").cast(pa.int64()).fill_null(-1)

        def numbers(array: pa.Array, name: str) -> np.ndarray:
            return array.values.field(name).to_numpy(zero_copy_only=True)

        return cls(
            prompt=prompt.values.to_numpy(zero_copy_only=True),
            prompt_bounds=prompt.offsets.to_numpy(),
            response_bounds=responses.offsets.to_numpy(),
            answers=answers.values.to_numpy(zero_copy_only=True),
            answer_bounds=answers.offsets.to_numpy(),
            post_ids=responses.values.field("post_id"),
            chars=numbers(responses, "chars"),
            created_ms=created.to_numpy(),
            pair_bounds=pairs.offsets.to_numpy(),
            chosen=numbers(pairs, "chosen"),
            rejected=numbers(pairs, "rejected"),
            target=numbers(pairs, "target"),
            weight=numbers(pairs, "weight"),
            margin=numbers(pairs, "margin"),
        )

    def check(self, score_token: int, vocab_size: int, place: str) -> None:
        """Every response must end with the score token, and no token may be outside the vocabulary."""
        empty = (np.diff(self.answer_bounds) == 0).any()
        if empty or (self.answers[self.answer_bounds[1:] - 1] != score_token).any():
            raise ValueError(
                f"a response in {place} does not end with the score token {score_token}; it was made with another "
                "tokenizer: name that one as tokenizer=, or tokenize the pairs again"
            )
        highest = max((int(a.max()) for a in (self.prompt, self.answers) if len(a)), default=0)
        if highest >= vocab_size:
            raise ValueError(
                f"{place} holds token {highest}, the model has {vocab_size}: it was made with another tokenizer; "
                "name that one as tokenizer="
            )
