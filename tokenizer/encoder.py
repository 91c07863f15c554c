"""Text to token ids and back, for our own tokenizers and for any Hugging Face tokenizer.json such as Qwen3's, as it is.

A document is data, never a command: control-token text inside it ("<|endoftext|>") is encoded as plain text, and
control tokens enter only as ids. Qwen's tokenization note gives the same rule (fixture: `print("<|endoftext|>")`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

import fsspec
import pyarrow as pa
from tokenizers import Tokenizer

from tokenizer.chat import END_OF_TEXT, MESSAGE_END, MESSAGE_START, PAD, Message, prompt_turns

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"

_PAD_TOKENS = (PAD, "<|fim_pad|>")  # where the configuration names none, or the end of text (Qwen does)


class Encoder:
    """A loaded tokenizer. Pickles as its place and hash, never as its content."""

    def __init__(self, place: str, tokenizer_json: bytes, config: bytes) -> None:
        self._place = place
        self.sha256 = hashlib.sha256(tokenizer_json).hexdigest()
        """Of tokenizer.json: names the tokenizer in fingerprints."""
        self._tokenizer = _tokenizer(f"{place}/{TOKENIZER_FILE}", tokenizer_json)
        self._tokenizer.encode_special_tokens = True  # their text is text
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.vocab_size: int = max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        """Rows that an embedding needs: the largest id plus one."""
        self.end_of_text = self.special(END_OF_TEXT)
        self.pad = self._choose_pad(_json_object(f"{place}/{CONFIG_FILE}", config))
        self._message_start = self.special(MESSAGE_START)
        self._message_end = self.special(MESSAGE_END)
        self._newline = self.encode_batch(["\n"])[0]

    @staticmethod
    def load(place: str, sha256: str | None = None) -> Encoder:
        """Loads tokenizer.json and tokenizer_config.json from a folder, local or remote.

        Raises ValueError when a file is missing, the hash is not `sha256`, or a control token is not in the vocabulary.
        """
        # One worker is one core: Rust threads of its own would fight with the other workers, and break after a fork.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        encoder = Encoder(place, _read(place, TOKENIZER_FILE), _read(place, CONFIG_FILE))
        if sha256 is not None and encoder.sha256 != sha256:
            raise ValueError(
                f"{place}/{TOKENIZER_FILE} has the SHA-256 {encoder.sha256}, wanted {sha256}: it is another tokenizer"
            )
        return encoder

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Encoder.load, (self._place, self.sha256)

    @property
    def token_type(self) -> pa.DataType:
        """uint16 where the vocabulary fits, else uint32."""
        return pa.uint16() if self.vocab_size <= 1 << 16 else pa.uint32()

    def special(self, text: str) -> int:
        """The id of a control token. Raises ValueError when the vocabulary has no such added token."""
        added = {token.content: index for index, token in self._tokenizer.get_added_tokens_decoder().items()}
        if text not in added:
            raise ValueError(f"the tokenizer at {self._place} has no control token {text!r}; it has {sorted(added)}")
        return int(added[text])

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, all of it plain text; nothing is added before or after."""
        return [item.ids for item in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, control tokens included."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """The ids of a prompt in ChatML up to where the assistant's answer begins. Raises as `prompt_turns`."""
        *turns, answer_start = self.encode_batch([*prompt_turns(messages), "assistant\n"])
        ids: list[int] = []
        for turn in turns:
            ids += [self._message_start, *turn, self._message_end, *self._newline]
        return [*ids, self._message_start, *answer_start]

    def encode_response(self, text: str) -> list[int]:
        """The ids of an answer after `encode_prompt`; the last one, the end of text, is where the reward is read."""
        return self.encode_responses([text])[0]

    def encode_responses(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode_response` of each text, in one batch."""
        end = [self._message_end, *self._newline, self.end_of_text]
        return [ids + end for ids in self.encode_batch(texts)]

    def _choose_pad(self, config: dict[str, Any]) -> int:
        """A padding id that is not the end of text: padding must never look like the score position."""
        named = config.get("pad_token")
        named = named["content"] if isinstance(named, dict) else named
        added = {token.content for token in self._tokenizer.get_added_tokens_decoder().values()}
        for text in (named, *_PAD_TOKENS):
            if text in added and text != END_OF_TEXT:
                return self.special(text)
        raise ValueError(
            f"the tokenizer at {self._place} has no padding token apart from {END_OF_TEXT}: its pad_token is "
            f"{named!r}; name another in {CONFIG_FILE}, or add one of {', '.join(_PAD_TOKENS)}"
        )


def _json_object(file: str, data: bytes) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:  # the latter: nested too deeply
        raise ValueError(f"{file} is not readable as JSON: {error}; get the tokenizer again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{file} holds no JSON object; get the tokenizer again")
    return values


def _tokenizer(file: str, data: bytes) -> Tokenizer:
    content = _all_special(_json_object(file, data))
    try:
        return Tokenizer.from_str(content)
    except Exception as error:  # of no class of its own
        raise ValueError(f"{file} is no tokenizer: {error}; get the tokenizer again") from error


def _all_special(content: dict[str, Any]) -> str:
    """The same tokenizer with every added token special, in memory only.

    Only special tokens can be switched off in texts, and Qwen has some that are not marked so (<think>, <|fim_pad|>).
    """
    for token in content.get("added_tokens", []):
        token["special"] = True
    return json.dumps(content)


def _read(place: str, name: str) -> bytes:
    try:
        with fsspec.open(f"{place.rstrip('/')}/{name}", "rb") as file:
            data: bytes = file.read()
            return data
    except FileNotFoundError as error:
        raise ValueError(
            f"no tokenizer at {place}: it has no {name}; wanted a folder written by `agora tokenizer`, or a "
            f"Hugging Face tokenizer with {TOKENIZER_FILE} and {CONFIG_FILE}"
        ) from error
