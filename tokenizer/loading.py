"""A tokenizer.json as it is found, made ready for texts that are data: what looks like a command is switched off."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer

_WORD = re.compile(r"\w")


def is_control(token: dict[str, Any]) -> bool:
    """Whether an added token is a command to a model, which the text of a document never is.

    It is one that is marked special, or that stands in angle or square brackets, with a letter or digit and no white
    space in them. Other added tokens (runs of spaces, emoji, words) are ways to write a text.
    """
    return bool(token["special"]) or _is_bracketed(token["content"])


def _is_bracketed(text: str) -> bool:
    """A tag, a marker, an instruction: <|im_end|>, <think>, </tool_call>, <s>, [INST], <｜tool▁call▁end｜>."""
    return text[:1] + text[-1:] in ("<>", "[]") and text.split() == [text] and _WORD.search(text) is not None


def json_object(file: str, data: bytes, what: str = "tokenizer") -> dict[str, Any]:
    """The object that a JSON file of a tokenizer (or of `what`) holds. Raises ValueError, which names the file."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:  # the latter: nested too deeply
        raise ValueError(f"{file} is not readable as JSON: {error}; get the {what} again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{file} holds no JSON object; get the {what} again")
    return values


def added_tokens(file: str, content: dict[str, Any]) -> list[dict[str, Any]]:
    """The added tokens of a tokenizer.json, with their flags. Raises ValueError where they are none."""
    tokens = content.get("added_tokens") or []
    wanted = {"id": int, "content": str, "special": bool}
    if not isinstance(tokens, list):
        raise ValueError(f"{file} has no list of added tokens; get the tokenizer again")
    for token in tokens:
        if not isinstance(token, dict) or any(type(token.get(name)) is not kind for name, kind in wanted.items()):
            raise ValueError(f"{file} has an added token without an id, a content or a flag; get the tokenizer again")
    return tokens


def unknown_token(content: dict[str, Any]) -> str:
    """What stands for text that has no token; "" where all text has."""
    model = content.get("model")
    if not isinstance(model, dict):
        return ""
    if isinstance(model.get("unk_token"), str):
        return str(model["unk_token"])
    index, vocab = model.get("unk_id"), model.get("vocab")  # Unigram's
    return str(vocab[index][0]) if isinstance(index, int) and isinstance(vocab, list) and index < len(vocab) else ""


def inside_conversations(content: dict[str, Any]) -> dict[str, Any]:
    """The same tokenizer for texts that stand after a control token, as all of a conversation do.

    Only the prefix that is put before the very first text of all (Metaspace, "first") is none of theirs.
    """
    return {**content, "pre_tokenizer": _never_first(content.get("pre_tokenizer"))}


def _never_first(value: Any) -> Any:
    if isinstance(value, list):
        return [_never_first(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _never_first(item) for key, item in value.items()}
    return {**kept, "prepend_scheme": "never"} if kept.get("prepend_scheme") == "first" else kept


def open_tokenizer(file: str, content: dict[str, Any]) -> Tokenizer:
    """The tokenizer, for plain text: what `is_control` is encoded as any other characters.

    Only special tokens can be switched off, so in memory those tokens are marked as such, and no others are. Raises
    ValueError, which names the file, for what is no tokenizer.
    """
    tokens = [{**token, "special": is_control(token)} for token in added_tokens(file, content)]
    try:
        tokenizer = Tokenizer.from_str(json.dumps({**content, "added_tokens": tokens}))
        tokenizer.encode_special_tokens = True  # their text is text
        tokenizer.no_padding()
        tokenizer.no_truncation()
    except Exception as error:  # of no class of its own
        raise ValueError(f"{file} is no tokenizer: {error}; get the tokenizer again") from error
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The ids of each text; nothing is added before or after."""
    return [item.ids for item in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
