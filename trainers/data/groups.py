"""Preference shards as the trainers read them: one split, memory-mapped, groups by index.

Nothing of a shard is copied: arrays are views of its map, and strings and times are made for the group that is asked
for. Every response must end with the score token, and no token may be outside the vocabulary: both are checked when a
split is opened.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from trainers.data.rows import Floats, Ints
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.datasets.names import split_of

_COLUMNS = ("group_id", "language", "prompt_tokens", "responses", "pairs")
PAIR_COLUMNS = ("chosen", "rejected", "target", "weight", "margin")


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
    chosen: np.ndarray
    rejected: np.ndarray
    target: Floats
    weight: Floats
    margin: Ints


class PreferenceData:
    """All groups of one split, memory-mapped. len() groups; lengths and pairs are known without reading tokens.

    group_ids: of all groups, in order. score_token: the last one of every response.
    """

    def __init__(self, place: str, split: str, score_token: int, vocab_size: int) -> None:
        self.dataset = Dataset.open(place, "preference")
        self.place, self.split, self.score_token = place, split, score_token
        self._views = [
            _Views.of(batch)
            for path in self.dataset.paths
            if split_of(path) == split
            for batch in shards.iter_batches(self.dataset, path, _COLUMNS)
        ]
        self._starts = np.cumsum([0, *(len(views.group_ids) for views in self._views)]).tolist()
        self.group_ids = pa.chunked_array([views.group_ids for views in self._views], pa.string())
        for views in self._views:
            views.check(score_token, vocab_size, place)

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def num_pairs(self) -> Ints:
        """Pairs of each group."""
        return _sizes(views.pair_bounds for views in self._views)

    @property
    def num_responses(self) -> int:
        """Of all groups together."""
        return sum(len(views.chars) for views in self._views)

    @property
    def all_lengths(self) -> tuple[Ints, Ints, Ints]:
        """Of each response of the split: stored tokens of its prompt, its own, and its group; all [num_responses]."""
        groups = np.repeat(np.arange(len(self)), _sizes(views.response_bounds for views in self._views))
        prompts = _sizes(views.prompt_bounds for views in self._views)
        return prompts[groups], _sizes(views.answer_bounds for views in self._views), groups

    def group(self, index: int) -> Group:
        """A group by its place in the split, with all columns."""
        views, row = self._locate(index)
        prompt, responses = self.tokens(index)
        answers = slice(*views.response_bounds[row : row + 2].tolist())
        return Group(
            group_id=views.group_ids[row].as_py(),
            language=views.languages[row].as_py(),
            prompt=prompt,
            responses=responses,
            post_ids=views.post_ids[answers].to_pylist(),
            chars=views.chars[answers],
            created_ms=views.created[answers].cast(pa.int64()).fill_null(-1).to_numpy(),
            **self.pairs(index),
        )

    def tokens(self, index: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """The prompt and the responses of a group, as stored."""
        views, row = self._locate(index)
        first, last = views.response_bounds[row : row + 2].tolist()
        bounds = views.answer_bounds[first : last + 1].tolist()
        prompt = views.prompt[views.prompt_bounds[row] : views.prompt_bounds[row + 1]]
        return prompt, [views.answers[start:end] for start, end in pairwise(bounds)]

    def pairs(self, index: int) -> dict[str, np.ndarray]:
        """The columns of a group's pairs, under the names that they have in Group."""
        views, row = self._locate(index)
        first, last = views.pair_bounds[row : row + 2].tolist()
        return {name: column[first:last] for name, column in views.pairs.items()}

    def lengths(self, index: int) -> tuple[int, Ints]:
        """Stored tokens of the prompt and of each response."""
        views, row = self._locate(index)
        first, last = views.response_bounds[row : row + 2].tolist()
        start, end = views.prompt_bounds[row : row + 2].tolist()
        return end - start, np.diff(views.answer_bounds[first : last + 1])

    def pairs_of(self, index: int) -> list[tuple[int, int]]:
        """(chosen, rejected) of each pair of a group, as places among its responses."""
        pairs = self.pairs(index)
        return list(zip(pairs["chosen"].tolist(), pairs["rejected"].tolist(), strict=True))

    def _locate(self, index: int) -> tuple[_Views, int]:
        number = bisect.bisect_right(self._starts, index) - 1
        return self._views[number], index - self._starts[number]


def _sizes(bounds: Iterable[np.ndarray]) -> Ints:
    """Of the lists that lie between these bounds."""
    return np.concatenate([np.zeros(0, np.int64), *map(np.diff, bounds)])


@dataclass(frozen=True)
class _Views:
    """Zero-copy views of one record batch."""

    group_ids: pa.Array
    languages: pa.Array
    prompt: np.ndarray
    prompt_bounds: np.ndarray
    response_bounds: np.ndarray
    answers: np.ndarray
    answer_bounds: np.ndarray
    post_ids: pa.Array
    chars: Ints
    created: pa.Array
    pair_bounds: np.ndarray
    pairs: dict[str, np.ndarray]

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> _Views:
        prompt, responses, pairs = (batch.column(name) for name in ("prompt_tokens", "responses", "pairs"))
        answers = responses.values.field("tokens")
        return cls(
            group_ids=batch.column("group_id"),
            languages=batch.column("language"),
            prompt=_numbers(prompt.values),
            prompt_bounds=_numbers(prompt.offsets),
            response_bounds=_numbers(responses.offsets),
            answers=_numbers(answers.values),
            answer_bounds=_numbers(answers.offsets),
            post_ids=responses.values.field("post_id"),
            chars=_numbers(responses.values.field("chars")),
            created=responses.values.field("created"),
            pair_bounds=_numbers(pairs.offsets),
            pairs={name: _numbers(pairs.values.field(name)) for name in PAIR_COLUMNS},
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


def _numbers(array: pa.Array) -> np.ndarray:
    return array.to_numpy(zero_copy_only=True)
