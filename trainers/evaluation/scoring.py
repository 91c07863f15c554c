"""The rewards that a preference model gives to every response of a split, and the pairs they rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tokenizer.encoder import Encoder
from trainers import configs, model, preference
from trainers.data.groups import Group, PreferenceData
from trainers.data.preference import Lengths, pair_batches, plan_parts
from trainers.evaluation.metrics import ScoredPairs
from trainers.launch import check_isolation
from trainers.model import RewardModel
from trainers.parallel import Ranks

_ROWS_AT_ONCE = 4


def load_model(place: str, encoder: Encoder, ranks: Ranks) -> RewardModel:
    """An exported preference model, ready to score. RuntimeError when packed responses see each other in it."""
    shape = configs.ModelShape()  # not used: the weights come from `place`
    reward_model = model.reward_model(shape, encoder.vocab_size, encoder.pad, encoder.end_of_text, 0, place)
    reward_model.to(ranks.device).eval()
    check_isolation(reward_model, preference.outputs, encoder.vocab_size, ranks)
    return reward_model


@torch.no_grad()
def score(
    reward_model: RewardModel, data: PreferenceData, lengths: Lengths, pad: int, ranks: Ranks
) -> list[np.ndarray]:
    """The reward of every response: one array for each group, in the order of its responses.

    Raises RuntimeError when one is not a number.
    """
    rewards = [np.full(len(data.lengths(index)[1]), np.nan) for index in range(len(data))]
    parts = plan_parts(data, range(len(data)), lengths)
    for batch in pair_batches(data, parts, lengths, 0, 1, _ROWS_AT_ONCE, pad):
        values = preference.rewards(reward_model, batch, ranks).double().cpu().numpy()
        for group, response, value in zip(batch.groups, batch.responses, values, strict=True):
            rewards[group][response] = value
    if any(np.isnan(values).any() for values in rewards):
        raise RuntimeError(f"a reward of the {data.split} split is not a number: the model's weights are not finite")
    return rewards


def scored_pairs(groups: Sequence[Group], rewards: Sequence[np.ndarray]) -> ScoredPairs:
    """All pairs of all groups with their rewards."""

    def of_pairs(name: str, side: str) -> np.ndarray:
        return np.concatenate([getattr(g, name)[getattr(g, side)] for g in groups] or [np.zeros(0, np.int64)])

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(g, name) for g in groups] or [np.zeros(0)])

    sides = {
        side: np.concatenate([r[getattr(g, side)] for g, r in zip(groups, rewards, strict=True)] or [np.zeros(0)])
        for side in ("chosen", "rejected")
    }
    return ScoredPairs(
        group=np.repeat(np.arange(len(groups)), [len(g.chosen) for g in groups]),
        language=[g.language or "unknown" for g in groups for _ in g.chosen],
        chosen_reward=sides["chosen"],
        rejected_reward=sides["rejected"],
        target=joined("target").astype(np.float64),
        weight=joined("weight").astype(np.float64),
        margin=joined("margin").astype(np.int64),
        chosen_chars=of_pairs("chars", "chosen"),
        rejected_chars=of_pairs("chars", "rejected"),
        chosen_ms=of_pairs("created_ms", "chosen"),
        rejected_ms=of_pairs("created_ms", "rejected"),
    )
