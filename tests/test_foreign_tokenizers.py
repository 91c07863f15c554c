"""Tokenizers of others: used as they are, and as `apply_chat_template` uses them, in their exports too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from tests.foreign_tokenizers import KINDS, SPACES, TAGS, WORDS, metaspace, trained, write
from tests.small_tokenizer import TEXTS, write_small_tokenizer
from tests.test_encoder import QWEN
from tokenizer import exported
from tokenizer.chat import CONTROL_TOKENS
from tokenizer.encoder import Encoder

transformers = pytest.importorskip("transformers")

LENGTH = 96
CONTROL_TEXTS = (*CONTROL_TOKENS, *TAGS, "<unk>")
PIECES = st.sampled_from(
    [*SPACES, *WORDS, "a", "dough", " ", "\n", "  x", "1", ".", "\u00e9", "\ufb01", "\u51b0", "'s", "R"]
)
TEXT = st.one_of(st.text(max_size=30), st.lists(PIECES, max_size=12).map("".join))


@pytest.fixture(scope="module", params=[*KINDS, "ours", "Qwen3's"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """An encoder, and transformers' tokenizer of the export of a preference model that was trained with it."""
    folder = tmp_path_factory.mktemp("foreign")
    if request.param == "Qwen3's":
        if not QWEN.exists():
            pytest.skip("../shared/data is not here")
        place = QWEN
    elif request.param == "ours":
        place = write_small_tokenizer(folder / "tokenizer")
    else:
        place = write(KINDS[request.param](), folder / "tokenizer")
    encoder = Encoder.load(str(place))
    return encoder, export(encoder, folder / "export")


def export(encoder: Encoder, folder: Path, conversations: bool = True):
    folder.mkdir()
    for name, content in exported.files(encoder, LENGTH, conversations).items():
        (folder / name).write_bytes(content)
    return transformers.AutoTokenizer.from_pretrained(str(folder))


def conversation(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


@settings(max_examples=60, deadline=None)
@given(TEXT, TEXT)
@example(TEXTS[9], TEXTS[11])
@example("\n\n  x", "So  it    is\t\tsourdough. ")
def test_a_conversation_has_the_ids_of_its_chat_template(loaded, question: str, answer: str) -> None:
    encoder, theirs = loaded
    assume(not any(text in question + "\0" + answer for text in CONTROL_TEXTS))
    answer = answer.lstrip()  # the one exception: what the tokenizer would join to the line end before it
    messages = conversation(question, answer)
    ours = encoder.encode_prompt(messages[:1]) + encoder.encode_response(answer)
    assert theirs.apply_chat_template(messages, tokenize=True, return_dict=False) == ours
    start = theirs.apply_chat_template(messages[:1], add_generation_prompt=True, return_dict=False)
    assert start == encoder.encode_prompt(messages[:1])


def test_control_text_is_text_and_added_tokens_are_used(loaded) -> None:
    encoder, theirs = loaded
    control = set(theirs.all_special_ids) | {encoder.special(token) for token in CONTROL_TOKENS[:3]} | {encoder.pad}
    marked = {
        token.content: token.special for token in theirs.added_tokens_decoder.values() if token.content in CONTROL_TEXTS
    }
    assert all(marked.values())
    control |= {theirs.convert_tokens_to_ids(text) for text in marked}
    for text in CONTROL_TEXTS:
        for wrapped in (text, f"a {text} b", f"\n{text}\n"):
            unknown = {theirs.unk_token_id}  # word pieces know no "|"
            assert not (control - unknown) & set(encoder.encode_batch([wrapped])[0])
            response = encoder.encode_response(wrapped)
            assert response.count(encoder.end_of_text) == 1 == response.count(encoder.special("<|im_end|>"))
    added = {token.content: index for index, token in theirs.added_tokens_decoder.items() if not token.special}
    for text in (*SPACES, *WORDS):
        if text in added:
            assert added[text] in encoder.encode_batch([f"a{text}b"])[0]
            assert added[text] in encoder.encode_response(f"a{text}b")


def test_what_an_export_says_is_what_it_was_trained_with(loaded) -> None:
    encoder, theirs = loaded
    assert theirs.pad_token_id == encoder.pad != encoder.end_of_text == theirs.eos_token_id
    assert (theirs.model_max_length, theirs.truncation_side, theirs.padding_side) == (LENGTH, "left", "right")
    assert len(theirs) == encoder.vocab_size
    assert set(theirs("a", return_tensors="pt")) == {"input_ids", "attention_mask"}
    assert theirs("a")["input_ids"] == theirs("a", add_special_tokens=False)["input_ids"]


def test_documents_are_encoded_as_the_tokenizer_does_it_alone(loaded) -> None:
    encoder, _ = loaded
    alone = Tokenizer.from_file(f"{encoder.place}/tokenizer.json")
    for text in (*TEXTS, "a  b    c\t\td sourdough \U0001f600"):
        wanted = alone.encode(text, add_special_tokens=False).ids
        assert encoder.encode_documents([text]) == [[*wanted, encoder.end_of_text]]


def test_a_prefix_of_the_first_text_is_left_to_language_models(tmp_path: Path) -> None:
    encoder = Encoder.load(str(write(KINDS["Metaspace, first"](), tmp_path / "tokenizer")))
    theirs = export(encoder, tmp_path / "language", conversations=False)
    assert theirs("water")["input_ids"] == encoder.encode_batch(["water"])[0]
    assert (tmp_path / "language" / "tokenizer.json").read_bytes() == (
        tmp_path / "tokenizer" / "tokenizer.json"
    ).read_bytes()


def test_a_language_model_s_text_begins_with_no_token_that_training_did_not_have(tmp_path: Path) -> None:
    encoder = Encoder.load(str(write(KINDS["a token before every text"](), tmp_path / "tokenizer")))
    theirs = export(encoder, tmp_path / "language", conversations=False)
    assert theirs("water")["input_ids"] == encoder.encode_batch(["water"])[0]


def test_an_answer_whose_white_space_joins_the_line_end_is_encoded_alone(tmp_path: Path) -> None:
    encoder = Encoder.load(str(write(KINDS["like Qwen"](), tmp_path)))
    text = "\n\n* one\n* two"
    assert encoder.encode_response(text)[:-3] == encoder.encode_batch([text])[0]


def _striped(token: str, **how: bool) -> Tokenizer:
    """With a token that takes the white space beside it along."""
    tokenizer = KINDS["bytes"]()
    tokenizer.add_tokens([AddedToken(token, special=token in CONTROL_TOKENS, **how)])
    return tokenizer


def _stripping() -> Tokenizer:
    tokenizer = KINDS["bytes"]()
    tokenizer.normalizer = normalizers.Strip()
    return tokenizer


def _one_word() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, **{token: i for i, token in enumerate(CONTROL_TOKENS, 1)}}, "?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(CONTROL_TOKENS))
    return tokenizer


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: _striped("<|im_end|>", rstrip=True), "does not encode the turns of a conversation as the whole"),
        (lambda: _striped("<|im_end|>", lstrip=True), "does not encode the turns of a conversation as the whole"),
        (lambda: _striped("dough", lstrip=True), "joins 'dough' to the line end before it"),
        (lambda: trained(metaspace("first", models.Unigram())), "has '<|endoftext|>' among its words as well"),
        (_stripping, "does not encode the turns of a conversation as the whole"),
        (_one_word, "cannot encode a text"),
    ],
)
def test_a_tokenizer_whose_turns_are_not_its_conversation_is_refused(made, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"^[^\n]*{re.escape(message)}[^\n]*$"):
        Encoder.load(str(write(made(), tmp_path)))
