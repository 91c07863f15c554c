"""The export: plain transformers loads it and scores texts as our trainer and evaluator do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from tests.small_tokenizer import TEXTS
from tests.training_data import arguments, write_all
from tokenizer.encoder import Encoder
from trainers import configs, launch, model, preference, pretrain
from trainers.configs import ModelShape, PreferenceConfig, PretrainConfig
from trainers.data.groups import PreferenceData
from trainers.data.preference import Lengths
from trainers.evaluation import scoring
from trainers.parallel import Ranks
from transforms.datasets.manifest import load_manifest
from transforms.datasets.verify import find_problems

ALONE = Ranks(0, 1, torch.device("cpu"), None)
SHAPE = ModelShape(hidden_size=32, layers=2, heads=2, kv_heads=1, head_dim=16, intermediate_size=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = write_all(tmp_path_factory.mktemp("export"))
    lm = configs.load(PretrainConfig, "pretrain", arguments(place, place / "lm", "pretrain", max_steps=4))
    assert launch.run(lm, pretrain.make_job) == 0
    settings = arguments(place, place / "pm", "preference", max_steps=6, init=place / "lm" / "export", tokenizer="")
    assert launch.run(configs.load(PreferenceConfig, "preference", settings), preference.make_job) == 0
    return place


def test_both_exports_are_datasets_that_say_what_they_came_from(folder: Path) -> None:
    for name in ("lm", "pm"):
        assert find_problems(str(folder / name / "export")) == []
    lm, pm = (load_manifest(str(folder / name / "export"), "model") for name in ("lm", "pm"))
    assert lm.parents["data"] == load_manifest(str(folder / "curriculum")).digest
    assert pm.parents["init"] == lm.digest
    assert pm.parents["data"] == load_manifest(str(folder / "pairs")).digest
    assert str(folder) not in (folder / "pm" / "export" / "manifest.json").read_text(), "no path in a manifest"


def test_transformers_scores_every_response_as_our_evaluator_does(folder: Path) -> None:
    export = str(folder / "pm" / "export")
    encoder = Encoder.load(export)
    data = PreferenceData(str(folder / "pairs"), "train", encoder.end_of_text, encoder.vocab_size)
    ours = scoring.score(scoring.load_model(export, encoder, ALONE), data, Lengths(128, 256), encoder.pad, ALONE)
    theirs = AutoModelForSequenceClassification.from_pretrained(export).eval()
    assert theirs.config.pad_token_id == encoder.pad
    assert theirs.config.num_labels == 1
    texts = [
        np.concatenate([group.prompt, response]).tolist()
        for group in (data.group(index) for index in range(len(data)))
        for response in group.responses
    ]
    wanted = torch.tensor(np.concatenate(ours), dtype=torch.float32)
    assert len(texts) > 64
    for size in (1, 8, 64):
        found = [score_padded(theirs, texts[at : at + size], encoder.pad) for at in range(0, len(texts), size)]
        torch.testing.assert_close(torch.cat(found), wanted, atol=1e-5, rtol=0)


@torch.no_grad()
def score_padded(hf: torch.nn.Module, texts: list[list[int]], pad: int) -> torch.Tensor:
    """As a reward-model harness does it: right padding, a 2-D attention mask, the pooled logit."""
    width = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (width - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in texts])
    return hf(input_ids=ids, attention_mask=mask).logits[:, 0]


def test_text_by_chat_template_and_auto_tokenizer_is_the_training_tokens(folder: Path) -> None:
    export = str(folder / "pm" / "export")
    tokenizer, encoder = AutoTokenizer.from_pretrained(export), Encoder.load(export)
    for question, answer in zip(TEXTS, reversed(TEXTS), strict=True):
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids == encoder.encode_prompt(messages[:1]) + encoder.encode_response(answer)
        assert ids[-1] == encoder.end_of_text != tokenizer.pad_token_id


def test_the_language_model_export_generates_the_loss_it_was_trained_to(folder: Path) -> None:
    export = str(folder / "lm" / "export")
    encoder = Encoder.load(export)
    theirs = AutoModelForCausalLM.from_pretrained(export).eval()
    ours = model.language_model(SHAPE, encoder.vocab_size, encoder.pad, encoder.end_of_text, 0, export)
    ids = torch.tensor([encoder.encode_batch([TEXTS[0]])[0]])
    labels = torch.cat([ids[:, 1:], torch.tensor([[-100]])], dim=1)
    zeros = torch.zeros_like(ids)
    mine = ours(ids, torch.arange(ids.shape[1])[None], zeros, zeros, labels).mean()
    torch.testing.assert_close(mine, theirs(input_ids=ids, labels=ids).loss, atol=1e-5, rtol=0)


def test_a_preference_model_takes_the_backbone_of_its_language_model(folder: Path) -> None:
    export = str(folder / "lm" / "export")
    encoder = Encoder.load(export)
    arguments = (SHAPE, encoder.vocab_size, encoder.pad, encoder.end_of_text)
    language_model = model.language_model(*arguments, 0, export).hf.model.state_dict()
    heads = []
    for seed in (0, 0, 1):
        rewards = model.reward_model(*arguments, seed, export)
        assert all(torch.equal(t, language_model[name]) for name, t in rewards.hf.model.state_dict().items())
        heads.append(rewards.hf.score.weight.detach())
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    kept = model.reward_model(*arguments, 5, str(folder / "pm" / "export")).hf.score.weight
    again = model.reward_model(*arguments, 6, str(folder / "pm" / "export")).hf.score.weight
    assert torch.equal(kept, again), "the head of a preference model is kept"


def test_a_model_too_small_for_the_tokenizer_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="the tokenizer has 999999 tokens"):
        model.reward_model(SHAPE, 999_999, 4, 1, 0, str(folder / "lm" / "export"))


def test_padding_with_the_score_token_is_refused() -> None:
    with pytest.raises(ValueError, match="the padding token is the score token"):
        model.check_score_token(1, 1)


def test_qwen3_0_6b_has_its_published_number_of_parameters() -> None:
    """596,049,920: Qwen3's table 1 with the padded vocabulary of 151,936."""
    values = {"data": "d", "tokenizer": "t", "output": "o"}
    config = configs.load(PretrainConfig, "pretrain", ["qwen3_0.6b", *(f"{k}={v}" for k, v in values.items())])
    with torch.device("meta"):
        found = AutoModelForCausalLM.from_config(model.fresh_config(config.model, 151_936, 4, 1))
    assert sum(parameter.numel() for parameter in found.parameters()) == 596_049_920
