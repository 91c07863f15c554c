"""Text to token ids and back, for our own tokenizers and for any Hugging Face tokenizer.json such as Qwen3's, as it is.

A document is data, never a command: control-token text inside it ("<|endoftext|>") is encoded as plain text, and
control tokens enter only as ids. Qwen's tokenization note gives the same rule (fixture: `print("<|endoftext|>")`).

A conversation without such text has the ids that `apply_chat_template(tokenize=True)` gives with CHAT_TEMPLATE. One
case is left: an answer that begins with white space which the tokenizer would join to the line end before it. That
line end belongs to the prompt, which answers share, so such an answer is encoded alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import Any

import fsspec
import pyarrow as pa

from tokenizer.chat import END_OF_TEXT, MESSAGE_END, MESSAGE_START, PAD, Message, prompt_turns, rendered
from tokenizer.loading import (
    added_tokens,
    encode,
    inside_conversations,
    is_control,
    json_object,
    open_tokenizer,
    unknown_token,
)

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"

_SHOWN = 12  # names in a message

_PAD_TOKENS = (PAD, "<|fim_pad|>")  # where the configuration names none, or the end of text (Qwen does)


class Encoder:
    """A loaded tokenizer. Pickles as its place and hash, never as its content."""

    def __init__(self, place: str, tokenizer_json: bytes, config: bytes) -> None:
        self.place = place
        self.sha256 = hashlib.sha256(tokenizer_json).hexdigest()
        """Of tokenizer.json: names the tokenizer in fingerprints."""
        file = f"{place}/{TOKENIZER_FILE}"
        content = json_object(file, tokenizer_json)
        self._tokenizer = self._inside = open_tokenizer(file, content)
        if (inside := inside_conversations(content)) != content:
            self._inside = open_tokenizer(file, inside)
        self._lines_apart = _splits_lines_off(file, content)
        self._added = {token.content: int(index) for index, token in self._tokenizer.get_added_tokens_decoder().items()}
        self.vocab_size: int = max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        """Rows that an embedding needs: the largest id plus one."""
        self.end_of_text = self.special(END_OF_TEXT)
        self.pad_token = self._choose_pad(json_object(f"{place}/{CONFIG_FILE}", config))
        self.pad = self.special(self.pad_token)
        self._message_start = self.special(MESSAGE_START)
        self._message_end = self.special(MESSAGE_END)
        try:
            self._newline = encode(self._inside, ["\n"])[0]
            control = [token["content"] for token in added_tokens(file, content) if is_control(token)]
            self._check_conversations(control, unknown_token(content))
        except ValueError:
            raise
        except Exception as error:  # of no class of its own
            raise ValueError(f"{file} cannot encode a text: {error}; use another tokenizer") from error

    @staticmethod
    def load(place: str, sha256: str | None = None) -> Encoder:
        """Loads tokenizer.json and tokenizer_config.json from a folder, local or remote.

        Raises ValueError when a file is missing, the hash is not `sha256`, or a control token is not in the vocabulary.
        """
        # One worker is one core: Rust threads of its own would fight with the other workers, and break after a fork.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        encoder = Encoder(place, read_file(place, TOKENIZER_FILE), read_file(place, CONFIG_FILE))
        if sha256 is not None and encoder.sha256 != sha256:
            raise ValueError(
                f"{place}/{TOKENIZER_FILE} has the SHA-256 {encoder.sha256}, wanted {sha256}: it is another tokenizer"
            )
        return encoder

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Encoder.load, (self.place, self.sha256)

    @property
    def token_type(self) -> pa.DataType:
        """uint16 where the vocabulary fits, else uint32."""
        return pa.uint16() if self.vocab_size <= 1 << 16 else pa.uint32()

    def special(self, text: str) -> int:
        """The id of a control token. Raises ValueError when the vocabulary has no such added token."""
        if text not in self._added:
            raise ValueError(
                f"the tokenizer at {self.place} has no control token {text!r}; it has {_some(self._added)}"
            )
        return self._added[text]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, all of it plain text; nothing is added before or after."""
        return encode(self._tokenizer, texts)

    def encode_documents(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text and, after them, the end of text."""
        return _ended(self.encode_batch(texts), [self.end_of_text])

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, control tokens included."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """The ids of a prompt in ChatML up to where the assistant's answer begins. Raises as `prompt_turns`."""
        *turns, answer_start = encode(self._inside, [*prompt_turns(messages), "assistant\n"])
        ids: list[int] = []
        for turn in turns:
            ids += [self._message_start, *turn, self._message_end, *self._newline]
        return [*ids, self._message_start, *answer_start]

    def encode_response(self, text: str) -> list[int]:
        """The ids of an answer after `encode_prompt`; the last one, the end of text, is where the reward is read."""
        return self.encode_responses([text])[0]

    def encode_responses(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode_response` of each text, in one batch."""
        answers = encode(self._inside, texts) if self._lines_apart else self._after_a_line_end(texts)
        return _ended(answers, [self._message_end, *self._newline, self.end_of_text])

    def _after_a_line_end(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text where it follows a line end: without a prefix that only the beginning of a turn has."""
        before = self._newline
        answers = encode(self._inside, [f"\n{text}" for text in texts])
        for index, ids in enumerate(answers):
            if ids[: len(before)] == before:
                del ids[: len(before)]
            else:
                (answers[index],) = encode(self._inside, [texts[index]])
        return answers

    def _choose_pad(self, config: dict[str, Any]) -> str:
        """A padding token that is not the end of text: padding must never look like the score position."""
        named = config.get("pad_token")
        named = named.get("content") if isinstance(named, dict) else named
        for text in (named, *_PAD_TOKENS):
            if isinstance(text, str) and text in self._added and text != END_OF_TEXT:
                return text
        raise ValueError(
            f"the tokenizer at {self.place} has no padding token apart from {END_OF_TEXT}: its pad_token is "
            f"{named!r}; name another in {CONFIG_FILE}, or add one of {', '.join(_PAD_TOKENS)}"
        )

    def _check_conversations(self, control: Sequence[str], unknown: str) -> None:
        """Raises ValueError for a tokenizer to which a conversation is more than its turns between control tokens.

        control: the tokens that are none in a text. unknown: the one of them that stands for what has no token.
        """
        ordinary = self._added.keys() - set(control)
        starts = [start for start in (*_STARTS, *sorted(ordinary)) if not start[:1].isspace()]
        for start, ids in zip(starts, encode(self._inside, [f"\n{start}" for start in starts]), strict=True):
            if ids[: len(self._newline)] != self._newline:
                raise ValueError(
                    f"the tokenizer at {self.place} joins {start!r} to the line end before it, so that the end of a "
                    "prompt would depend on its answer; use another tokenizer"
                )
        for text, ids in zip(control, encode(self._tokenizer, control), strict=True):
            if self._added[text] in ids and text != unknown:
                raise ValueError(
                    f"the tokenizer at {self.place} has {text!r} among its words as well: written in a text it would "
                    "be a command; use another tokenizer"
                )
        for text in _PROBES:
            prompt = [{"role": "user", "content": text}]
            ours = self.encode_prompt(prompt) + self.encode_response(text)
            self._tokenizer.encode_special_tokens = False
            whole = encode(self._tokenizer, [rendered(prompt, text)])[0]
            self._tokenizer.encode_special_tokens = True
            if ours != whole:
                at = next(i for i, (a, b) in enumerate(zip([*ours, -1], [*whole, -1], strict=False)) if a != b)
                raise ValueError(
                    f"the tokenizer at {self.place} does not encode the turns of a conversation as the whole of it: "
                    f"for the question and answer {text!r} token {at} differs (turns {ours[at : at + 5]}, whole "
                    f"{whole[at : at + 5]}); use another tokenizer"
                )


# What a prefix, a normalizer, white space of its own or a control token that takes spaces along would make different.
_STARTS = "".join(map(chr, range(33, 127))) + "\u00e9\u0416\u51b0"
_PROBES = (
    "How?",
    "a  b\n\n    c\td",
    "x = [1, 2]  # 3\n\tif x:\n        y",
    "\u00c9t\u00e9, e\u0301 \ufb01 \u2460 \u0130STANBUL",
    "\u51b0\u7bb1 \U0001f600 \u0623\u0637\u0639\u0645",
    "ends in spaces  ",
    "ends in a line end\n",
    "",
)


def _ended(lists: list[list[int]], end: Sequence[int]) -> list[list[int]]:
    for ids in lists:
        ids.extend(end)
    return lists


def _splits_lines_off(file: str, content: dict[str, Any]) -> bool:
    """Whether what follows a line end is encoded as at the beginning of a text, which is so for our own tokenizers."""
    first = {"type": "Split", "pattern": {"String": "\n"}, "behavior": "Isolated", "invert": False}
    plain = all(map(is_control, added_tokens(file, content)))
    return plain and content.get("normalizer") is None and content.get("pre_tokenizer") == first


def _some(found: Iterable[str]) -> str:
    names = sorted(found)
    shown = ", ".join(map(repr, names[:_SHOWN])) or "none"
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def read_file(place: str, name: str) -> bytes:
    """A file of a tokenizer's folder, local or remote. Raises ValueError when it is not there."""
    try:
        with fsspec.open(f"{place.rstrip('/')}/{name}", "rb") as file:
            data: bytes = file.read()
            return data
    except FileNotFoundError as error:
        raise ValueError(
            f"no tokenizer at {place}: it has no {name}; wanted a folder written by `agora tokenizer`, or a "
            f"Hugging Face tokenizer with {TOKENIZER_FILE} and {CONFIG_FILE}"
        ) from error
