"""The tokenizer files of an exported model, with which AutoTokenizer gives the ids that the model was trained on.

They say what the model was trained with and not what a foreign tokenizer says of itself: its padding token, chat
template and length are those of another model. What the trainer takes for a control token is marked special, so that
`split_special_tokens=True` encodes its text as text.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tokenizer.chat import CHAT_TEMPLATE, END_OF_TEXT, MESSAGE_END, MESSAGE_START
from tokenizer.encoder import CONFIG_FILE, TOKENIZER_FILE, Encoder, read_file
from tokenizer.loading import added_tokens, inside_conversations, is_control, json_object


def files(encoder: Encoder, length: int, conversations: bool) -> dict[str, bytes]:
    """Name and content of each file. tokenizer.json is the trained one, byte for byte, where that does all it must.

    length: tokens that the model was trained to read. conversations: whether it reads nothing else, so that no text is
    the first of all. Raises ValueError when another tokenizer stands at the encoder's place by now.
    """
    file = f"{encoder.place}/{TOKENIZER_FILE}"
    data = read_file(encoder.place, TOKENIZER_FILE)
    if hashlib.sha256(data).hexdigest() != encoder.sha256:
        raise ValueError(f"{file} was replaced while the model was trained; put the tokenizer back, and run this again")
    content = json_object(file, data)
    trained = _without_additions(inside_conversations(content) if conversations else content)
    if trained != content:
        data = _json_bytes(trained)
    tokens = {str(token["id"]): token for token in added_tokens(file, content)}
    special: dict[str, object] = {"eos_token": END_OF_TEXT, "pad_token": encoder.pad_token}
    unknown = json_object(f"{encoder.place}/{CONFIG_FILE}", read_file(encoder.place, CONFIG_FILE)).get("unk_token")
    unknown = unknown.get("content") if isinstance(unknown, dict) else unknown
    if unknown in [token["content"] for token in tokens.values()]:
        special["unk_token"] = unknown
    named = {**special, "additional_special_tokens": [MESSAGE_START, MESSAGE_END]}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # reads tokenizer.json as it is; a model's own class would not
        **named,
        "added_tokens_decoder": {
            index: {**{key: value for key, value in token.items() if key != "id"}, "special": is_control(token)}
            for index, token in tokens.items()
        },
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": length,
        "padding_side": "right",
        "truncation_side": "left",  # the reward is read at the end
    }
    return {
        TOKENIZER_FILE: data,
        CONFIG_FILE: _json_bytes(config),
        "special_tokens_map.json": _json_bytes(named),
    }


def _without_additions(content: dict[str, Any]) -> dict[str, Any]:
    """The same tokenizer, which puts no token of its own before or after a text: a conversation has all of them, and a
    document was trained on without."""
    processor = content.get("post_processor")
    adds = isinstance(processor, dict) and processor.get("type") != "ByteLevel"  # which only moves offsets
    return {**content, "post_processor": None} if adds else content


def _json_bytes(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
