"""Tries to make a response read something else for its siblings: all limits, every row that trainers lay out."""

from __future__ import annotations

import random
from functools import partial

import numpy as np

from benchmarks.try_forum import Forum, Outcome, Result, Tries, Try, wrong
from tokenizer.encoder import Encoder
from trainers.data.groups import PreferenceData
from trainers.data.preference import Lengths, pair_batches, plan_parts
from trainers.data.rows import PairBatch
from transforms.datasets.schema import SPLITS

_LIMITS = 20  # of each split


def siblings(forum: Forum, seed: int) -> Tries:
    """All groups of a split are packed under limits that the seed draws."""
    for split in SPLITS:
        chance = random.Random(f"{seed} {split}")
        for _ in range(_LIMITS):
            limit = int(2 ** chance.uniform(3, 9))
            lengths = Lengths(limit, limit * chance.choice((2, 3, 8)))
            yield Try(f"{split} at {lengths}", partial(_read, forum, split, lengths))


def _read(forum: Forum, split: str, lengths: Lengths) -> Result:
    encoder = Encoder.load(str(forum.folder / "tokenizer"))
    data = PreferenceData(str(forum.folder / "preference"), split, encoder.end_of_text, encoder.vocab_size)
    parts = plan_parts(data, range(len(data)), lengths)
    seen = np.zeros(data.num_responses, bool)
    firsts = np.cumsum([0, *(len(data.lengths(index)[1]) for index in range(len(data)))])
    for batch in pair_batches(data, parts, lengths, 0, 1, 4, encoder.pad):
        for index, (group, response) in enumerate(zip(batch.groups.tolist(), batch.responses.tolist(), strict=True)):
            prompt, responses = data.tokens(group)
            wanted = _alone(prompt.tolist(), responses[response].tolist(), lengths.sequence_tokens)
            if _visible(batch, index) != list(enumerate(wanted)):
                return wrong(f"response {response} of {data.group_ids[group]} reads something else than alone")
            seen[firsts[group] + response] = True
    return Result(Outcome.UNDISTURBED) if seen.all() else wrong("some response is in no row")


def _alone(prompt: list[int], response: list[int], limit: int) -> list[int]:
    """The rule item by item: tokens go one after the other, the prompt's first one while it has more than a quarter."""
    while len(prompt) + len(response) > limit:
        if len(prompt) > limit // 4:
            prompt = prompt[1:]
        else:
            response = response[:-2] + response[-1:]
    return prompt + response


def _visible(batch: PairBatch, index: int) -> list[tuple[int, int]]:
    """(position, token) of everything that a response's score token sees, in order."""
    rows = batch.rows
    row, place = divmod(int(batch.score_places[index]), rows.tokens.shape[1])
    groups, branches = rows.groups[row, : place + 1], rows.branches[row, : place + 1]
    sees = np.flatnonzero((groups == groups[-1]) & ((branches == 0) | (branches == branches[-1])))
    return list(zip(rows.positions[row, sees].tolist(), rows.tokens[row, sees].tolist(), strict=True))
