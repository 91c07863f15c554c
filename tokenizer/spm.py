"""Trains a SentencePiece BPE model and reads its pieces: the only importer of sentencepiece.

Choices, after PolyLM (arXiv 2307.06018, section 2) and Qwen (arXiv 2309.16609, section 2.2): BPE, UTF-8 byte fallback
so that every text round-trips, single digits, no normalisation. A training sentence is one line, so no piece holds a
line end: it is always the byte token <0x0A>, and pieces never reach across lines. Runs of spaces can be pieces.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sentencepiece

from tokenizer.chat import CONTROL_TOKENS, UNKNOWN

_MAX_LINE_BYTES = 4096  # longer lines are cut at a space
_THREADS = 2  # fixed: it is stored in the model
_SPACE = "\u2581"  # how SentencePiece writes a space
# What it says of a vocabulary that the text is too small for, and of one that is too small for the text.
_TOO_LARGE = re.compile(r"Vocabulary size too high .* value <= (\d+)")
_TOO_SMALL = re.compile(r"smaller than required_chars\. \d+ vs (\d+)")


class PieceKind(StrEnum):
    """What a piece stands for; BYTE is one byte of a character that has no piece."""

    NORMAL = "normal"
    UNKNOWN = "unknown"
    CONTROL = "control"
    BYTE = "byte"


@dataclass(frozen=True)
class Piece:
    """An entry of the vocabulary; its id is its place in the list."""

    text: str  # with real spaces
    score: float  # of a normal piece: minus the place of its merge
    kind: PieceKind


def training_lines(text: str, max_bytes: int = _MAX_LINE_BYTES) -> Iterator[str]:
    """The lines of a text without their ends and without empty ones, each at most `max_bytes` long in UTF-8.

    A longer line is cut before a space, or between characters where it has none: nothing is left out.
    """
    for line in text.split("\n"):
        data = line.encode()
        while len(data) > max_bytes:
            cut = data.rfind(b" ", 1, max_bytes + 1)
            if cut <= 0:
                cut = max_bytes
                while data[cut] & 0xC0 == 0x80:  # inside a character
                    cut -= 1
            yield data[:cut].decode()
            data = data[cut:]
        if data:
            yield data.decode()


def train(lines: Iterable[str], vocab_size: int, character_coverage: float) -> bytes:
    """Trains on lines (see `training_lines`) and returns the bytes of the .model file: equal lines, equal bytes.

    vocab_size counts everything: <unk>, the control tokens, 256 bytes, characters and merged pieces. Memory: the lines.
    Raises ValueError when the lines are too few for vocab_size (naming the largest possible), or it is too small.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            character_coverage=character_coverage,
            byte_fallback=True,
            split_digits=True,
            allow_whitespace_only_pieces=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            unk_id=0,
            unk_piece=UNKNOWN,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            control_symbols=list(CONTROL_TOKENS),
            max_sentence_length=2 * _MAX_LINE_BYTES,
            input_sentence_size=0,  # all of them
            shuffle_input_sentence=False,
            num_threads=_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _explained(str(error), vocab_size) from error
    return model.getvalue()


def _explained(message: str, vocab_size: int) -> Exception:
    if found := _TOO_LARGE.search(message):
        return ValueError(
            f"the training text is too small for a vocabulary of {vocab_size}: the largest possible is {found[1]}. "
            "Set vocab_size to that or less, or train on more text"
        )
    if found := _TOO_SMALL.search(message):
        return ValueError(
            f"a vocabulary of {vocab_size} cannot hold the bytes, control tokens and characters of the training text: "
            f"the least is {found[1]}. Raise vocab_size, or lower character_coverage"
        )
    if "!sentences_.empty()" in message:
        return ValueError("there is no text to train a tokenizer on: every line was empty")
    return RuntimeError(f"SentencePiece could not train a vocabulary of {vocab_size}: {message}")


def read_pieces(model: bytes) -> list[Piece]:
    """The vocabulary of a .model file in order of id."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    def piece(index: int) -> Piece:
        text: str = processor.id_to_piece(index)
        if processor.is_unknown(index):
            return Piece(text, 0.0, PieceKind.UNKNOWN)
        if processor.is_control(index):
            return Piece(text, 0.0, PieceKind.CONTROL)
        if processor.is_byte(index):
            return Piece(text, 0.0, PieceKind.BYTE)
        return Piece(text.replace(_SPACE, " "), processor.get_score(index), PieceKind.NORMAL)

    return [piece(index) for index in range(processor.get_piece_size())]


def encode(model: bytes, texts: Sequence[str]) -> list[list[int]]:
    """Ids as SentencePiece itself gives them: what every conversion is compared with."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return processor.encode(list(texts), num_threads=1)
