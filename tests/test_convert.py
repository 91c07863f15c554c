"""tokenizer.json against SentencePiece: the same ids for every text, and an exact way back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.small_tokenizer import TEXTS, small_encoder, small_model
from tokenizer import convert, spm
from tokenizer.encoder import Encoder
from tokenizer.spm import Piece, PieceKind

DATA = Path(__file__).parents[2] / "shared" / "data"

needs_data = pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")

# Letters that the small vocabulary joins, in runs; odd white space; what no piece has.
JOINED = ["a", "b", " ", "  ", "    ", "-", "=", "ha", "ban", "ana", "na", ".", "1", "0", "return None"]
ODD = [
    "\n",
    "\r\n",
    "\t",
    "\0",
    "\u00a0",
    "\u3000",
    "\u200d",
    "\ufffd",
    "\U0010ffff",
    "e\u0301",
    "\U0001f469\u200d\U0001f467",
]
OTHER = ["\u00e9", "\u51b0\u7bb1", "\u304c", "<|endoftext|>", "<|im_start|>", "<unk>", "<0x41>"]
PIECES = st.sampled_from(JOINED + ODD + OTHER)
TEXT = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=25).map("".join))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return small_encoder(tmp_path_factory.mktemp("tokenizer"))


def _reference(texts: list[str]) -> list[list[int]]:
    return spm.encode(small_model(), texts)


@settings(max_examples=400, deadline=None)
@given(st.lists(TEXT, max_size=8))
@example(["", " ", "\n", "  a  \n\n  b  ", "------- -- -", "hahahahah", "x" * 5000])
def test_ids_equal_sentencepiece(encoder: Encoder, texts: list[str]) -> None:
    texts = [text.replace(convert.SPACE_MARK, "") for text in texts]
    assert encoder.encode_batch(texts) == _reference(texts)


@settings(max_examples=400, deadline=None)
@given(TEXT)
@example(convert.SPACE_MARK + " " + convert.SPACE_MARK * 3)
@example("".join(map(chr, range(0x300))))
def test_decoding_gives_every_text_back(encoder: Encoder, text: str) -> None:
    assert encoder.decode(encoder.encode_batch([text])[0]) == text


def test_repeating_pieces_merge_as_in_sentencepiece(encoder: Encoder) -> None:
    texts = convert.probes(spm.read_pieces(small_model()))
    assert len(texts) > 500
    assert convert.check_equal(_reference, encoder.encode_batch, texts) == len(texts)


def test_a_wrong_conversion_is_noticed(encoder: Encoder) -> None:
    def wrong(texts: list[str]) -> list[list[int]]:
        return [ids[::-1] for ids in encoder.encode_batch(texts)]

    with pytest.raises(ValueError, match="does not give SentencePiece's ids"):
        convert.check_equal(_reference, wrong, list(TEXTS))


@pytest.mark.parametrize(
    ("texts", "message"), [(("a", "a"), "different"), (("a\n",), "line end"), (("a b",), "next word")]
)
def test_inexpressible_vocabulary_is_refused(texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert.tokenizer_json([Piece(text, -float(index), PieceKind.NORMAL) for index, text in enumerate(texts)])


@needs_data
def test_ids_equal_sentencepiece_on_real_text(tmp_path: Path) -> None:
    """A vocabulary of 16,000 trained on some FLORES-200 languages, checked on all 119, on web text, code and tables."""
    flores = sorted((DATA / "lid" / "flores-part-A").glob("*.txt"))
    sentences = {path.stem: path.read_text(encoding="utf-8").split("\n") for path in flores}
    posts = [json.loads(line)["text"] for line in (DATA / "text" / "stack_exchange.jsonl").open(encoding="utf-8")]
    lines = [line for code in sentences for line in sentences[code][:60] if line]
    lines += [line for post in posts[::2] for line in spm.training_lines(post)]
    model = spm.train(lines, 16_000, 0.9995)
    pieces = spm.read_pieces(model)
    (tmp_path / "tokenizer.json").write_bytes(convert.tokenizer_json(pieces))
    (tmp_path / "tokenizer_config.json").write_bytes(convert.tokenizer_config(pieces))
    encoder = Encoder.load(str(tmp_path))
    texts = ["\n".join(group) for group in sentences.values()] + posts + convert.probes(pieces)
    texts += [line for group in sentences.values() for line in group[60:80]]
    compared = convert.check_equal(lambda batch: spm.encode(model, batch), encoder.encode_batch, texts)
    assert compared > 5_000
    assert [encoder.decode(ids) for ids in encoder.encode_batch(texts)] == texts
