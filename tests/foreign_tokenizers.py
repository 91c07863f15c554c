"""Small tokenizers of the kinds that others make, each with our control tokens: for laws, not for quality."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from tests.small_tokenizer import TEXTS
from tokenizer.chat import CONTROL_TOKENS

SPACES = ("  ", "    ", "\t\t")
WORDS = ("\U0001f600", "sourdough")
TAGS = ("<think>", "</think>", "[INST]", "<|tool|>")  # not marked special in these files


_SPECIAL = ("<unk>", *CONTROL_TOKENS)


def trained(tokenizer: Tokenizer, added: Sequence[AddedToken] = (), special: Sequence[str] = _SPECIAL) -> Tokenizer:
    """With a vocabulary of bytes and of what is frequent in the lines of TEXTS."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    kinds = {models.Unigram: trainers.UnigramTrainer, models.WordPiece: trainers.WordPieceTrainer}
    kind = kinds.get(type(tokenizer.model), trainers.BpeTrainer)
    unknown = {"unk_token": "<unk>"} if kind is trainers.UnigramTrainer else {}
    trainer = kind(
        vocab_size=900, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False, **unknown
    )
    tokenizer.train_from_iterator([line for text in TEXTS for line in text.split("\n")], trainer)
    tokenizer.add_special_tokens(list(CONTROL_TOKENS))
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in TAGS])
    tokenizer.add_tokens(list(added))
    return tokenizer


def _bytes(**how: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(**how)
    return tokenizer


def metaspace(scheme: str, model: object = None) -> Tokenizer:
    tokenizer = Tokenizer(model or models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    return tokenizer


def _qwen() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+"
    )
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def _llama() -> Tokenizer:
    """As the first of them: no pre-tokenizer, a prefix before each piece between control tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    return tokenizer


def _normalized(normalizer: object) -> Tokenizer:
    tokenizer = _bytes(add_prefix_space=False)
    tokenizer.normalizer = normalizer
    return tokenizer


def _with_start() -> Tokenizer:
    """What it adds before a text on its own must not come into a conversation."""
    tokenizer = trained(_bytes(add_prefix_space=False))
    start = tokenizer.token_to_id("<|im_start|>")
    tokenizer.post_processor = processors.TemplateProcessing("<|im_start|> $A", None, [("<|im_start|>", start)])
    return tokenizer


def _word_pieces() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


_RUNS = [AddedToken(spaces, normalized=True) for spaces in SPACES]

KINDS: dict[str, Callable[[], Tokenizer]] = {
    "bytes": lambda: trained(_bytes(add_prefix_space=False)),
    "bytes with a prefix": lambda: trained(_bytes(add_prefix_space=True)),
    "white space of its own": lambda: trained(_bytes(add_prefix_space=False), _RUNS),
    "words of its own": lambda: trained(_bytes(add_prefix_space=False), [AddedToken(word) for word in WORDS]),
    "whole words of its own": lambda: trained(
        _bytes(add_prefix_space=False), [AddedToken("dough", single_word=True, rstrip=True)]
    ),
    "like Qwen": lambda: trained(_qwen()),
    "like Llama": lambda: trained(_llama(), [AddedToken(spaces, normalized=False) for spaces in SPACES]),
    "Metaspace, first": lambda: trained(metaspace("first")),
    "Metaspace, always": lambda: trained(metaspace("always")),
    "Metaspace, never": lambda: trained(metaspace("never")),
    "Unigram": lambda: trained(metaspace("first", models.Unigram()), special=["<unk>"]),
    "NFKC": lambda: trained(_normalized(normalizers.NFKC())),
    "lower case": lambda: trained(_normalized(normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()]))),
    "a token before every text": _with_start,
    "word pieces": lambda: trained(_word_pieces()),
}


def write(tokenizer: Tokenizer, folder: Path) -> Path:
    """Its files, with a configuration of another model's."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": {"content": "<unk>"},
        "chat_template": "{{ messages[0].content }}",
        "model_max_length": 7,
        "padding_side": "left",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text("{{ 'another' }}")
    (folder / "special_tokens_map.json").write_text('{"pad_token": "<|endoftext|>"}')
    return folder
