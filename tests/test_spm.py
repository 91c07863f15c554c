"""Training with SentencePiece: same lines, same bytes; what may be a piece; errors that say what to do."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.small_tokenizer import TEXTS, VOCAB_SIZE, small_model
from tokenizer import spm
from tokenizer.chat import CONTROL_TOKENS
from tokenizer.spm import PieceKind


def _lines() -> list[str]:
    return [line for text in TEXTS for line in spm.training_lines(text)]


def test_same_lines_give_the_same_bytes() -> None:
    again = spm.train(_lines(), VOCAB_SIZE, character_coverage=1.0)
    assert hashlib.sha256(again).hexdigest() == hashlib.sha256(small_model()).hexdigest()


def test_other_lines_give_other_bytes() -> None:
    assert spm.train([*_lines(), *["wholly different words"] * 9], VOCAB_SIZE, 1.0) != small_model()


def test_vocabulary_begins_with_unknown_and_control_tokens_and_bytes() -> None:
    pieces = spm.read_pieces(small_model())
    assert len(pieces) == VOCAB_SIZE
    assert [piece.text for piece in pieces[:5]] == ["<unk>", *CONTROL_TOKENS]
    assert [piece.kind for piece in pieces[:5]] == [PieceKind.UNKNOWN] + [PieceKind.CONTROL] * 4
    assert [piece.text for piece in pieces[5:261]] == [f"<0x{value:02X}>" for value in range(256)]
    assert all(piece.kind is PieceKind.NORMAL for piece in pieces[261:])


def test_pieces_stay_within_a_line_and_a_word_and_digits_are_single() -> None:
    normal = [piece.text for piece in spm.read_pieces(small_model()) if piece.kind is PieceKind.NORMAL]
    assert "    " in normal  # runs of spaces are pieces, for code
    for text in normal:
        assert "\n" not in text
        assert " " not in text.lstrip(" ")
        assert not any(char in "0123456789" for char in text) or len(text) == 1
    ids = spm.encode(small_model(), ["12345"])[0]
    assert len(ids) == 5


def test_too_little_text_names_the_largest_vocabulary() -> None:
    with pytest.raises(ValueError, match=r"too small for a vocabulary of 5000: the largest possible is (\d+)") as error:
        spm.train(["hello world"], 5000, 1.0)
    largest = int(str(error.value).split("possible is ")[1].split(".")[0])
    assert len(spm.read_pieces(spm.train(["hello world"], largest, 1.0))) == largest


def test_too_small_vocabulary_names_the_least() -> None:
    with pytest.raises(ValueError, match=r"a vocabulary of 270 .* the least is \d+"):
        spm.train(_lines(), 270, 1.0)


def test_no_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="no text"):
        spm.train([], 300, 1.0)


@given(st.text(alphabet=st.sampled_from("ab \n\t\u00e9\u4e2d\U0001f600"), max_size=80), st.integers(4, 20))
def test_training_lines_lose_only_line_ends(text: str, max_bytes: int) -> None:
    lines = list(spm.training_lines(text, max_bytes))
    assert "".join(lines) == text.replace("\n", "")
    assert all(0 < len(line.encode()) <= max_bytes for line in lines)


def test_a_long_line_is_cut_before_a_space() -> None:
    assert list(spm.training_lines("alpha beta gamma", 11)) == ["alpha beta", " gamma"]
