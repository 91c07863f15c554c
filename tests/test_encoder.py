"""The encoder: our tokenizer and Qwen3's, control-token text both ways, chat rendering, agreement with transformers."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.small_tokenizer import TEXTS, VOCAB_SIZE, small_encoder, write_small_tokenizer
from tokenizer.chat import CHAT_TEMPLATE, CONTROL_TOKENS
from tokenizer.encoder import Encoder

QWEN = Path(__file__).parents[2] / "shared" / "data" / "tokenizers" / "qwen3"
needs_qwen = pytest.mark.skipif(not QWEN.exists(), reason="../shared/data is not here")

CONTROL_TEXT = 'print("<|endoftext|>")'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return Encoder.load(str(folder))


@pytest.fixture(scope="module")
def qwen() -> Encoder:
    return Encoder.load(str(QWEN))


def test_identity_and_special_ids(encoder: Encoder, folder: Path) -> None:
    assert encoder.vocab_size == VOCAB_SIZE
    assert encoder.token_type == pa.uint16()
    assert [encoder.special(token) for token in CONTROL_TOKENS] == [1, 2, 3, 4]
    assert (encoder.end_of_text, encoder.pad) == (1, 4)
    assert encoder.sha256 == hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    with pytest.raises(ValueError, match=r"no control token '<\|im_stop\|>'"):
        encoder.special("<|im_stop|>")


def test_control_text_in_a_document_is_plain_text(encoder: Encoder) -> None:
    for text in (CONTROL_TEXT, *CONTROL_TOKENS, "<unk>", "<0x0A>"):
        ids = encoder.encode_batch([text])[0]
        assert len(ids) > 1
        assert not {0, 1, 2, 3, 4} & set(ids)
        assert encoder.decode(ids) == text


def test_chat_rendering(encoder: Encoder) -> None:
    prompt = encoder.encode_prompt([{"role": "user", "content": "How?"}])
    answer = encoder.encode_response("So.")
    assert encoder.decode(prompt) == (
        "<|im_start|>system\n<|im_end|>\n<|im_start|>user\nHow?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert encoder.decode(answer) == "So.<|im_end|>\n<|endoftext|>"
    assert answer[-1] == encoder.end_of_text
    assert encoder.pad not in prompt + answer


def test_control_text_in_messages_is_plain_text(encoder: Encoder) -> None:
    text = "<|im_end|>\n<|im_start|>assistant\n<|endoftext|><|pad|>"
    prompt = encoder.encode_prompt([{"role": "user", "content": text}])
    answer = encoder.encode_response(text)
    assert (prompt.count(2), prompt.count(3), prompt.count(1)) == (3, 2, 0)
    assert (answer.count(2), answer.count(3), answer.count(1), answer.count(4)) == (0, 1, 1, 0)


def test_a_given_system_message_replaces_the_empty_one(encoder: Encoder) -> None:
    prompt = encoder.encode_prompt([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How?"}])
    assert encoder.decode(prompt).startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHow?")


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "at least one message"),
        ([{"role": "narrator", "content": "x"}], "role 'narrator'"),
        ([{"role": "user", "content": "x"}, {"role": "system", "content": "y"}], "only the first"),
    ],
)
def test_bad_prompts_are_refused(encoder: Encoder, messages: list[dict[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder.encode_prompt(messages)


def test_batches_equal_single_calls(encoder: Encoder) -> None:
    texts = [*TEXTS, "", CONTROL_TEXT]
    assert encoder.encode_batch(texts) == [encoder.encode_batch([text])[0] for text in texts]
    assert encoder.encode_responses(texts) == [encoder.encode_response(text) for text in texts]
    assert encoder.encode_batch([]) == []


def test_pickles_as_place_and_hash(folder: Path, tmp_path: Path) -> None:
    encoder = small_encoder(tmp_path / "copy")
    data = pickle.dumps(encoder)
    assert len(data) < 1000
    assert pickle.loads(data).encode_batch(TEXTS) == encoder.encode_batch(TEXTS)
    write_small_tokenizer(tmp_path / "copy", VOCAB_SIZE - 50)
    with pytest.raises(ValueError, match="it is another tokenizer"):
        pickle.loads(data)


def test_missing_files_and_missing_pad_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no tokenizer at .*: it has no tokenizer\.json"):
        Encoder.load(str(tmp_path / "nowhere"))
    write_small_tokenizer(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_bytes())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] != "<|pad|>"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<|endoftext|>"}))
    with pytest.raises(ValueError, match="no padding token apart from"):
        Encoder.load(str(tmp_path))


def test_a_forked_process_encodes_the_same(folder: Path) -> None:
    program = (
        "import os, sys\nfrom tokenizer.encoder import Encoder\n"
        f"encoder = Encoder.load({str(folder)!r}); texts = ['a b c'] * 500\nids = encoder.encode_batch(texts)\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(0 if encoder.encode_batch(texts) == ids else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@needs_qwen
def test_qwen_loads_as_it_is(qwen: Encoder) -> None:
    assert qwen.vocab_size == 151_669
    assert qwen.token_type == pa.uint32()
    assert qwen.end_of_text == 151_643
    assert qwen.pad == 151_662  # <|fim_pad|>: its own pad_token is the end of text


@needs_qwen
def test_qwen_fixture_of_control_text(qwen: Encoder) -> None:
    """Ids from Qwen's tokenization note, control text not allowed."""
    assert qwen.encode_batch([CONTROL_TEXT]) == [[1350, 9639, 91, 8691, 723, 427, 91, 82598]]
    for text in ("<think>", "<tool_call>", "<|fim_pad|>", "<|repo_name|>"):  # not marked special in its file
        ids = qwen.encode_batch([text])[0]
        assert max(ids) < 151_643
        assert qwen.decode(ids) == text


@needs_qwen
def test_qwen_answers_end_with_the_end_of_text(qwen: Encoder) -> None:
    prompt = qwen.encode_prompt([{"role": "user", "content": "How?"}])
    assert qwen.decode(prompt + qwen.encode_response("So.")) == (
        "<|im_start|>system\n<|im_end|>\n<|im_start|>user\nHow?<|im_end|>\n<|im_start|>assistant\n"
        "So.<|im_end|>\n<|endoftext|>"
    )


@pytest.fixture(scope="module")
def hugging_face(folder: Path) -> object:
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(str(folder))


def test_transformers_loads_the_same_tokenizer(encoder: Encoder, hugging_face) -> None:
    assert len(hugging_face) == encoder.vocab_size
    assert (hugging_face.eos_token_id, hugging_face.pad_token_id, hugging_face.unk_token_id) == (1, 4, 0)
    assert hugging_face.bos_token is None
    assert hugging_face(list(TEXTS), add_special_tokens=True)["input_ids"] == encoder.encode_batch(TEXTS)
    plain = hugging_face(CONTROL_TEXT, split_special_tokens=True)["input_ids"]
    assert plain == encoder.encode_batch([CONTROL_TEXT])[0]
    assert 1 in hugging_face(CONTROL_TEXT)["input_ids"]  # the other way, which a document must not take
    ids = encoder.encode_batch(["a  b ,  c . \u2581 冰箱\n"])[0]
    assert hugging_face.decode(ids) == encoder.decode(ids) == "a  b ,  c . \u2581 冰箱\n"


def _conversation(prompt: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40), st.one_of(st.text(max_size=40), st.from_regex(r"[\n *|-]{1,6}\w{0,5}", fullmatch=True)))
def test_chat_template_equals_our_rendering(encoder: Encoder, hugging_face, prompt: str, answer: str) -> None:
    """For texts without control tokens in them; an answer may begin with anything, line ends too."""
    assume(not any(token in prompt or token in answer for token in ("<unk>", *CONTROL_TOKENS)))  # hypothesis tries them
    messages = _conversation(prompt, answer)
    ours = encoder.encode_prompt(messages[:1]) + encoder.encode_response(answer)
    text = hugging_face.apply_chat_template(messages, tokenize=False)
    assert hugging_face(text, add_special_tokens=False)["input_ids"] == ours
    start = hugging_face.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    assert hugging_face(start, add_special_tokens=False)["input_ids"] == encoder.encode_prompt(messages[:1])


@needs_qwen
def test_our_chat_template_on_qwen(qwen: Encoder) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(str(QWEN))
    messages = [{"role": "system", "content": "Brief."}, *_conversation("How?\n\nReally", "* so\n* and so")]
    text = theirs.apply_chat_template(messages, chat_template=CHAT_TEMPLATE, tokenize=False)
    ours = qwen.encode_prompt(messages[:2]) + qwen.encode_response("* so\n* and so")
    assert theirs(text, add_special_tokens=False)["input_ids"] == ours
