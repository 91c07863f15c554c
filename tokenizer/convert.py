"""Writes a SentencePiece BPE model as an equal Hugging Face tokenizer: the same ids for the same text.

SentencePiece joins, again and again, the neighbours whose concatenation is the best-scored piece, the leftmost first.
Hugging Face knows merges of two given pieces by rank. So every way to split a piece into two others becomes a merge,
ranked by the piece's score. Pieces are written with real spaces instead of U+2581, so that nothing has to be replaced:
this is faster, and a U+2581 in a text survives (SentencePiece itself turns it into a space; on texts with that one
character the ids differ). No piece holds a line end, so lines are split off first, which keeps merging short.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from tokenizer.chat import CHAT_TEMPLATE, END_OF_TEXT, MESSAGE_END, MESSAGE_START, PAD, UNKNOWN
from tokenizer.spm import Piece, PieceKind

Encode = Callable[[Sequence[str]], list[list[int]]]

SPACE_MARK = "\u2581"


def tokenizer_json(pieces: Sequence[Piece]) -> bytes:
    """The content of tokenizer.json. Raises ValueError for a vocabulary that it could not express."""
    vocab = {piece.text: index for index, piece in enumerate(pieces)}
    if len(vocab) != len(pieces):
        raise ValueError(f"the vocabulary has {len(pieces)} pieces, but only {len(vocab)} different ones")
    scores = {piece.text: piece.score for piece in pieces if piece.kind is PieceKind.NORMAL}
    for text in scores:
        if "\n" in text or " " in text.lstrip(" "):
            raise ValueError(
                f"piece {vocab[text]}, {text!r}, reaches across a line end or into a next word; "
                "train it with tokenizer.spm"
            )
    return _json_bytes(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": _added_tokens(pieces),
            "normalizer": None,
            "pre_tokenizer": {"type": "Split", "pattern": {"String": "\n"}, "behavior": "Isolated", "invert": False},
            "post_processor": None,
            "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": UNKNOWN,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": True,
                "byte_fallback": True,
                "ignore_merges": False,
                "vocab": vocab,
                "merges": list(_merges(scores)),
            },
        }
    )


def _merges(scores: dict[str, float]) -> Iterator[tuple[str, str]]:
    """Every split of every piece into two pieces, best-scored piece first, the longer left part first."""
    for text in sorted(scores, key=lambda text: -scores[text]):
        for cut in range(len(text) - 1, 0, -1):
            if text[:cut] in scores and text[cut:] in scores:
                yield text[:cut], text[cut:]


def _added_tokens(pieces: Sequence[Piece]) -> list[dict[str, object]]:
    return [
        {"id": index, "content": piece.text, **_EXACT, "special": True}
        for index, piece in enumerate(pieces)
        if piece.kind in (PieceKind.UNKNOWN, PieceKind.CONTROL)
    ]


_EXACT = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def tokenizer_config(pieces: Sequence[Piece]) -> bytes:
    """The content of tokenizer_config.json: what AutoTokenizer needs beside tokenizer.json."""
    added = {str(token.pop("id")): token for token in _added_tokens(pieces)}
    return _json_bytes(
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **_special_tokens(),
            "added_tokens_decoder": added,
            "add_bos_token": False,
            "add_eos_token": False,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        }
    )


def special_tokens_map() -> bytes:
    """The content of special_tokens_map.json."""
    return _json_bytes(_special_tokens())


def _special_tokens() -> dict[str, object]:
    return {
        "unk_token": UNKNOWN,
        "eos_token": END_OF_TEXT,
        "pad_token": PAD,
        "additional_special_tokens": [MESSAGE_START, MESSAGE_END],
    }


def _json_bytes(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def probes(pieces: Sequence[Piece]) -> list[str]:
    """Texts that would show a wrong order of merges: every piece that repeats itself, in runs of many lengths.

    Only there can two ways to make the same piece overlap, so that ranks, which differ between them, could decide
    other than SentencePiece, which takes the leftmost.
    """
    texts: list[str] = []
    for piece in pieces:
        if piece.kind is PieceKind.NORMAL and (unit := _repeated_unit(piece.text)):
            for count in range(1, 2 * len(piece.text) // len(unit) + 3):
                starts, ends = ("", unit[-1:], "x"), ("", unit[:1], "x")
                texts += [start + unit * count + end for start in starts for end in ends]
    return texts


def _repeated_unit(text: str) -> str | None:
    """The shortest unit of which a text is a run, the last one possibly cut; None when it has no two of them."""
    for length in range(1, len(text) // 2 + 1):
        if all(text[index] == text[index - length] for index in range(length, len(text))):
            return text[:length]
    return None


def check_equal(reference: Encode, converted: Encode, texts: Sequence[str]) -> int:
    """Compares two encoders; texts with U+2581 are left out. Returns how many texts were compared.

    Raises ValueError with the first text that differs.
    """
    compared = [text for text in texts if SPACE_MARK not in text]
    pairs = zip(compared, reference(compared), converted(compared), strict=True)
    for text, wanted, got in pairs:
        if wanted != got:
            raise ValueError(
                f"tokenizer.json does not give SentencePiece's ids: for {text[:200]!r} got {got[:50]}, "
                f"wanted {wanted[:50]}"
            )
    return len(compared)
