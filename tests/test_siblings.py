"""The reward of a response is that of its prompt and itself, above the length limit too, whoever reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from tests.small_dataset import dataset_of
from tests.test_attention import ALONE, reward_model
from trainers import preference
from trainers.data.groups import PreferenceData
from trainers.data.preference import Lengths, PreferenceLoader
from trainers.data.rows import Ints
from trainers.evaluation.scoring import score
from trainers.model import RewardModel
from transforms.datasets.manifest import DatasetSpec
from transforms.datasets.schema import preference_schema

SCORE, PAD, VOCAB = 1, 4, 700
LIMIT = 64
PROMPTS = (50, 90)
SIZES = (
    5,
    30,
    48,
    80,
)  # one fits beside the shorter prompt, one pushes it out, one to a quarter of the limit; one is cut
SIBLINGS = {"alone": (), "with a short one": (2,), "with a long one": (60,), "with its like": (None,)}


def text(size: int, *seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(5, VOCAB, size).tolist()


def prompt_of(size: int) -> list[int]:
    return text(size, 0, size)


def response_of(size: int, number: int) -> list[int]:
    return [*text(size - 1, 1, size, number), SCORE]


def write(place: Path, groups: Sequence[tuple[list[int], list[list[int]]]]) -> PreferenceData:
    """Groups of a prompt and its responses; the first one is preferred to each of the others."""
    response = {"score": 0, "chars": 1, "created": None, "accepted": False}
    pair = {"chosen": 0, "target": 1.0, "margin": 1, "weight": 1.0}
    rows = [
        {
            "group_id": f"g:{number}", "language": None, "source": "s", "site": "s", "prompt_tokens": prompt,
            "responses": [response | {"post_id": f"{number}:{i}", "tokens": own} for i, own in enumerate(responses)],
            "pairs": [pair | {"rejected": i} for i in range(1, len(responses))],
        }
        for number, (prompt, responses) in enumerate(groups)
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, preference_schema(pa.uint16()))
    dataset_of(place, DatasetSpec("preference", {"made": "here"}), {"data/train-00000-of-00001.arrow": table}, None)
    return PreferenceData(str(place), "train", SCORE, VOCAB)


@pytest.fixture(scope="module")
def model() -> RewardModel:
    return reward_model().eval()


@torch.no_grad()
def stock(model: RewardModel, prompt: list[int], response: list[int]) -> float:
    """The rule written out, and stock transformers on one text."""
    size = min(len(response), LIMIT - min(len(prompt), LIMIT // 4))
    kept = min(len(prompt), LIMIT - size)
    ids = prompt[len(prompt) - kept :] + response[: size - 1] + response[-1:]
    assert len(ids) <= LIMIT
    return float(model.hf(input_ids=torch.tensor([ids]), use_cache=False).logits[0, 0])


@torch.no_grad()
def trained(model: RewardModel, data: PreferenceData, row_tokens: int) -> list[Ints]:
    """The rewards that a training step reads: of each group, of each response."""
    loader = PreferenceLoader(data, Lengths(LIMIT, row_tokens), 10_000, 2, epochs=1, seed=0, pad_token=PAD)
    found = [np.full(len(data.lengths(index)[1]), np.nan) for index in range(len(data))]
    assert loader.steps == 1
    for batch in loader.batch(0, 0, 1).micro_batches:
        values = preference.rewards(model, batch, ALONE).double().numpy()
        for group, response, value in zip(batch.groups, batch.responses, values, strict=True):
            assert np.isnan(found[group][response]) or abs(found[group][response] - value) < 1e-5
            found[group][response] = value
    return found


def test_a_reward_hangs_on_no_sibling(model: RewardModel, tmp_path: Path) -> None:
    texts = [(prompt_of(prompt), response_of(size, 0)) for prompt in PROMPTS for size in SIZES]
    groups = [
        (prompt, [own, *(response_of(size or len(own), 1) for size in others)])
        for prompt, own in texts
        for others in SIBLINGS.values()
    ]
    data = write(tmp_path / "pairs", groups)
    wanted = np.repeat([stock(model, *of_text) for of_text in texts], len(SIBLINGS))
    assert np.diff(np.sort(wanted[:: len(SIBLINGS)])).min() > 1e-4, "the texts must differ for this to test anything"
    for rewards in (
        trained(model, data, 2 * LIMIT),  # pairs stand in rows of their own
        trained(model, data, 8 * LIMIT),
        score(model, data, Lengths(LIMIT, 2 * LIMIT), PAD, ALONE),
    ):
        np.testing.assert_allclose([own[0] for own in rewards], wanted, atol=1e-5, rtol=0)


def test_the_cut_moves_a_reward_by_far_more_than_the_law_allows(model: RewardModel) -> None:
    prompt, response = prompt_of(50), response_of(30, 0)
    assert abs(stock(model, prompt, response) - stock(model, prompt[-16:], response)) > 1e-3
