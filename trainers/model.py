"""The models: Hugging Face decoders behind two thin modules that take packed rows. No distributed code.

Letters: B rows, T positions, D width, V vocabulary, N target tokens, R responses. Both modules pass the mask of
`trainers.attention` as a 4-D boolean tensor, which stock SDPA attention uses as it is, and never use a cache.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3Config,
    logging,
)

from trainers import attention, losses, outside
from trainers.configs import ModelShape
from transforms.datasets.ids import keyed_hash

logging.set_verbosity_error()  # its warning about the new score head is what we check ourselves
logging.disable_progress_bar()

_VOCAB_MULTIPLE = 64  # matrix kernels like round sizes; the ids above the tokenizer's are never used
_PROBE_TOKENS = 8  # on which a model from outside is compared with its own class
_PROBE_NOISE = 1e-3


class LanguageModel(nn.Module):
    """A causal language model on packed rows."""

    def __init__(self, hf: PreTrainedModel) -> None:
        super().__init__()
        self.hf = hf

    def forward(
        self, tokens_BT: Tensor, positions_BT: Tensor, groups_BT: Tensor, branches_BT: Tensor, labels_BT: Tensor
    ) -> Tensor:
        """Loss of each token that has a label, in row order: [N], nats, fp32."""
        hidden_BTD = _hidden(self.hf, tokens_BT, positions_BT, groups_BT, branches_BT)
        has_label_BT = labels_BT >= 0
        logits_NV = self.hf.lm_head(hidden_BTD[has_label_BT])
        return losses.token_cross_entropy(logits_NV, labels_BT[has_label_BT])

    @property
    def full_precision(self) -> list[nn.Module]:
        """Modules that stay fp32 when others are not: none."""
        return []


class RewardModel(nn.Module):
    """A sequence classifier with one output on packed rows; the reward is read where it is told to, not inferred."""

    def __init__(self, hf: PreTrainedModel) -> None:
        super().__init__()
        self.hf = hf

    def forward(
        self, tokens_BT: Tensor, positions_BT: Tensor, groups_BT: Tensor, branches_BT: Tensor, score_places_R: Tensor
    ) -> Tensor:
        """Reward at each score place (an index into the flattened rows): [R], fp32."""
        hidden_BTD = _hidden(self.hf, tokens_BT, positions_BT, groups_BT, branches_BT)
        hidden_RD = hidden_BTD.flatten(0, 1)[score_places_R]
        return self.hf.score(hidden_RD.float())[:, 0].clone()  # FSDP hooks outputs, and warns of views

    @property
    def full_precision(self) -> list[nn.Module]:
        """Modules that stay fp32 when others are not: the score."""
        return [self.hf.score]


def _hidden(
    hf: PreTrainedModel, tokens_BT: Tensor, positions_BT: Tensor, groups_BT: Tensor, branches_BT: Tensor
) -> Tensor:
    mask_B1TT = attention.mask(groups_BT, branches_BT)[:, None]
    backbone = hf.get_submodule(hf.base_model_prefix)
    output = backbone(input_ids=tokens_BT, attention_mask=mask_B1TT, position_ids=positions_BT, use_cache=False)
    return output.last_hidden_state


def layers(model: LanguageModel | RewardModel) -> list[nn.Module]:
    """The decoder layers: what is sharded and recomputed one by one."""
    return list(model.hf.get_submodule(model.hf.base_model_prefix).get_submodule("layers").children())


def fresh_config(shape: ModelShape, vocab_size: int, pad: int, end_of_text: int) -> PreTrainedConfig:
    """A Qwen3 configuration of this shape; the vocabulary is rounded up to a multiple of 64."""
    return Qwen3Config(
        vocab_size=-(-vocab_size // _VOCAB_MULTIPLE) * _VOCAB_MULTIPLE,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.max_positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=shape.tied,
        pad_token_id=pad,
        bos_token_id=None,
        eos_token_id=end_of_text,
    )


def language_model(
    shape: ModelShape, vocab_size: int, pad: int, end_of_text: int, seed: int, init: str = ""
) -> LanguageModel:
    """A causal language model in fp32: from a Hugging Face folder when `init` names one, else fresh from the seed.

    Raises ValueError, which names the file, for a folder that holds no model for this tokenizer.
    """
    torch.manual_seed(keyed_hash("init", str(seed)) >> 1)
    if init:
        config = _config(init, vocab_size, pad, end_of_text)
        hf, _ = _pretrained(AutoModelForCausalLM, config, init)
        _check_forward(LanguageModel(hf), init)
    else:
        config = fresh_config(shape, vocab_size, pad, end_of_text)
        hf = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
    return LanguageModel(hf)


def reward_model(
    shape: ModelShape, vocab_size: int, pad: int, end_of_text: int, seed: int, init: str = ""
) -> RewardModel:
    """A preference model in fp32. From a language model it takes all but the head, which starts fresh from the seed;
    from a preference model also the head. Raises as `language_model`."""
    torch.manual_seed(keyed_hash("init", str(seed)) >> 1)
    if init:
        config = _config(init, vocab_size, pad, end_of_text)
        config.num_labels = 1
        hf, missing = _pretrained(AutoModelForSequenceClassification, config, init)
        fresh_head = "score.weight" in missing
    else:
        config = fresh_config(shape, vocab_size, pad, end_of_text)
        config.num_labels = 1
        hf = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
        fresh_head = True
    if fresh_head:
        generator = torch.Generator().manual_seed(keyed_hash("score-head", str(seed)) >> 1)
        std = float(getattr(config, "initializer_range", 0.02))
        with torch.no_grad():
            hf.score.weight.copy_(torch.randn(hf.score.weight.shape, generator=generator) * std)
    if init:
        _check_forward(RewardModel(hf), init)
    return RewardModel(hf)


def _config(init: str, vocab_size: int, pad: int, end_of_text: int) -> PreTrainedConfig:
    """A folder's configuration, with the pad token, which must not be the score token. Raises ValueError for a model
    that this trainer would train wrongly."""
    outside.check_config(init, CONFIG_MAPPING)
    try:
        config = AutoConfig.from_pretrained(init, trust_remote_code=False)
    except Exception as error:  # of many classes
        raise ValueError(f"{init}/config.json is refused: {outside.one_line(error)}") from error
    if getattr(config, "vocab_size", 0) < vocab_size:
        raise ValueError(
            f"the tokenizer has {vocab_size} tokens, {init} only {getattr(config, 'vocab_size', 0)}: "
            "name the tokenizer that it was made with"
        )
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention" if window else "full_attention"])
    if kinds != {"full_attention"}:
        raise ValueError(f"{init} has {', '.join(sorted(kinds))} layers; packed rows need full attention everywhere")
    config.pad_token_id = pad
    config.eos_token_id = end_of_text
    return config


def _pretrained(kind: type, config: PreTrainedConfig, init: str) -> tuple[PreTrainedModel, set[str]]:
    """Loads weights from safetensors: other formats can hold code. Only a score head may be missing.

    Raises ValueError naming other missing weights, weights of another shape, and what the model's own class refuses.
    """
    outside.check_weights(init)
    data_only = {"use_safetensors": True, "trust_remote_code": False}
    how = {"dtype": torch.float32, "attn_implementation": "sdpa", "output_loading_info": True, **data_only}
    try:
        hf, report = kind.from_pretrained(init, config=config, ignore_mismatched_sizes=True, **how)  # type: ignore[attr-defined]
    except Exception as error:  # of many classes
        raise ValueError(f"{init} cannot be loaded as its config.json says: {outside.one_line(error)}") from error
    for name, stored, wanted in sorted(report["mismatched_keys"]):
        raise ValueError(
            f"{init}: the weight {name} has the shape {list(stored)}, its config.json says {list(wanted)}; get the "
            "model again, or save it anew with save_pretrained"
        )
    missing = set(report["missing_keys"])
    if missing - {"score.weight"}:
        raise ValueError(f"{init} lacks weights of a {config.model_type} model, such as {sorted(missing)[0]}")
    return hf, missing


def _check_forward(model: LanguageModel | RewardModel, init: str) -> None:
    """Raises ValueError for a model that our modules run in another way than its own class does: its layers or its head
    are elsewhere, or its class scales the logits."""
    hf = model.hf
    backbone = getattr(hf, hf.base_model_prefix, None)
    kind = f"{init} is a {hf.config.model_type} model"
    if not isinstance(getattr(backbone, "layers", None), nn.ModuleList):
        raise ValueError(f"{kind}, whose layers are not in one list; name another model")
    tokens_BT = torch.arange(_PROBE_TOKENS)[None]
    tokens_BT[0, -1] = hf.config.eos_token_id
    rows = (tokens_BT, torch.arange(_PROBE_TOKENS)[None], torch.zeros_like(tokens_BT), torch.zeros_like(tokens_BT))
    with torch.no_grad():
        own = hf(input_ids=tokens_BT, use_cache=False).logits
        if isinstance(model, LanguageModel):
            own = losses.token_cross_entropy(own[0, :-1], tokens_BT[0, 1:])
            labels_BT = torch.cat([tokens_BT[:, 1:], torch.full((1, 1), -1)], dim=1)
            ours = model(*rows, labels_BT)
        else:
            own, ours = own[:, 0], model(*rows, torch.tensor([_PROBE_TOKENS - 1]))
    if not torch.allclose(ours, own, rtol=_PROBE_NOISE, atol=_PROBE_NOISE, equal_nan=True):
        raise ValueError(
            f"{kind}, whose own class makes something else of its layers' output than this trainer does (scaled "
            "logits, say); name another model"
        )


def check_length(model: RewardModel, tokens: int) -> RewardModel:
    """The model itself. Raises ValueError when it has fewer positions than a sequence may have tokens."""
    positions = getattr(model.hf.config, "max_position_embeddings", tokens)
    if positions < tokens:
        raise ValueError(
            f"sequence_tokens {tokens} is above the model's {positions} positions; lower it, or raise "
            "model.max_positions of a fresh model"
        )
    return model


def check_score_token(pad: int, score: int) -> None:
    """transformers reads the reward at the rightmost token that is not padding, so the two must differ.

    Raises ValueError where they are one.
    """
    if pad == score:
        raise ValueError(
            f"the padding token is the score token (id {score}): a loaded model would read rewards one token too "
            "early. Use a tokenizer with a padding token of its own, such as <|pad|>"
        )
