"""Isolation: packed answers score as they would alone, in values and gradients, and a model that leaks is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training_data import tokenizer_place, write_preference
from tokenizer.encoder import Encoder
from trainers import attention, model, preference, pretrain
from trainers.configs import ModelShape
from trainers.data.groups import PreferenceData
from trainers.data.preference import Lengths, count_cuts, pair_batches, plan_parts
from trainers.data.rows import Ints, PairBatch
from trainers.launch import check_isolation
from trainers.model import RewardModel
from trainers.parallel import Ranks

ALONE = Ranks(0, 1, torch.device("cpu"), None)
SHAPE = ModelShape(hidden_size=32, layers=2, heads=4, kv_heads=2, head_dim=8, intermediate_size=64)
VOCAB = 700


def reward_model() -> RewardModel:
    return model.reward_model(SHAPE, VOCAB, pad=4, end_of_text=1, seed=0)


def test_the_mask_is_its_definition() -> None:
    groups = np.array([0, 0, 0, 0, 0, 1, 1, 1, -1, -1])
    branches = np.array([0, 0, 1, 1, 2, 0, 1, 2, 0, 0])
    found = attention.mask(torch.from_numpy(groups), torch.from_numpy(branches))
    for i in range(10):
        for j in range(10):
            wanted = j <= i and groups[i] == groups[j] and branches[j] in (0, branches[i])
            assert bool(found[i, j]) == wanted, (i, j)
    batched = attention.mask(torch.from_numpy(groups)[None], torch.from_numpy(branches)[None])
    assert torch.equal(batched[0], found)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreferenceData, list[PairBatch], Lengths]:
    folder = tmp_path_factory.mktemp("attention")
    encoder = Encoder.load(tokenizer_place(folder))
    write_preference(folder / "pairs", encoder, groups=24)
    data = PreferenceData(str(folder / "pairs"), "train", encoder.end_of_text, encoder.vocab_size)
    lengths = Lengths(128, 256)
    parts = plan_parts(data, range(12), lengths)
    assert count_cuts(data, lengths).tokens_cut == 0
    return data, list(pair_batches(data, parts, lengths, 0, 1, 2, encoder.pad)), lengths


def alone(rewards: RewardModel, data: PreferenceData, group: int, response: int) -> torch.Tensor:
    """The reward of one text by stock transformers: no packing, no mask of ours, the last token's logit."""
    found = data.group(group)
    ids: Ints = np.concatenate([found.prompt, found.responses[response]]).astype(np.int64)
    return rewards.hf(input_ids=torch.from_numpy(ids)[None], use_cache=False).logits[0, 0]


def test_packed_rewards_and_gradients_equal_unpacked_ones(
    packed: tuple[PreferenceData, list[PairBatch], Lengths],
) -> None:
    data, batches, _ = packed
    rewards = reward_model()
    for batch in batches:
        found = preference.rewards(rewards, batch, ALONE)
        single = [alone(rewards, data, int(g), int(r)) for g, r in zip(batch.groups, batch.responses, strict=True)]
        torch.testing.assert_close(found, torch.stack(single), atol=1e-5, rtol=0)
    batch = batches[0]
    assert len(set(batch.groups.tolist())) > 2, "rows must hold several prompts for this to test anything"
    task_gradients, single_gradients = [], []
    for gradients, values in (
        (task_gradients, preference.rewards(rewards, batch, ALONE)),
        (
            single_gradients,
            torch.stack(
                [alone(rewards, data, int(g), int(r)) for g, r in zip(batch.groups, batch.responses, strict=True)]
            ),
        ),
    ):
        rewards.zero_grad()
        gap = values[torch.from_numpy(batch.chosen)] - values[torch.from_numpy(batch.rejected)]
        torch.nn.functional.softplus(-gap).sum().backward()
        gradients += [p.grad.clone() for p in rewards.parameters()]
    for one, other in zip(task_gradients, single_gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_the_check_passes_both_models() -> None:
    check_isolation(reward_model(), preference.outputs, VOCAB, ALONE)
    language_model = model.language_model(SHAPE, VOCAB, pad=4, end_of_text=1, seed=0)
    check_isolation(language_model, pretrain.outputs, VOCAB, ALONE)


@pytest.mark.parametrize("how", ["no mask", "stock packing with a cache", "all ones"])
def test_the_check_refuses_a_model_that_is_called_as_stock_code_calls_it(how: str) -> None:
    leaky = reward_model()

    def outputs(_: torch.nn.Module, tokens: torch.Tensor, positions: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        extra = {"no mask": {}, "stock packing with a cache": {"position_ids": positions}}.get(how)
        if extra is None:
            extra = {"position_ids": positions, "attention_mask": torch.ones_like(tokens), "use_cache": False}
        hidden = leaky.hf.model(input_ids=tokens, **extra).last_hidden_state
        return leaky.hf.score(hidden.flatten(0, 1)[rest[-1]])[:, 0]

    with pytest.raises(RuntimeError, match="packed rows leak"):
        check_isolation(leaky, outputs, VOCAB, ALONE)


def test_the_check_refuses_answers_that_see_each_other() -> None:
    rewards = reward_model()

    def outputs(
        _: torch.nn.Module, tokens: torch.Tensor, positions: torch.Tensor, groups: torch.Tensor, *rest: torch.Tensor
    ) -> torch.Tensor:
        return rewards(tokens, positions, groups, torch.zeros_like(groups), rest[-1])

    with pytest.raises(RuntimeError, match="packed rows leak"):
        check_isolation(rewards, outputs, VOCAB, ALONE)


def test_a_blind_check_is_refused() -> None:
    blind = reward_model()
    torch.nn.init.zeros_(blind.hf.score.weight)
    with pytest.raises(RuntimeError, match="blind"):
        check_isolation(blind, preference.outputs, VOCAB, ALONE)
