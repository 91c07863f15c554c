from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from tests.forum import EPOCH, post
from tests.small_tokenizer import small_encoder
from tokenizer.encoder import Encoder
from transforms.datasets.schema import DOCUMENTS, PAIRS, preference_schema, tokens_schema
from transforms.io.shard import Shard
from transforms.tokens.documents import encode_documents
from transforms.tokens.encode import encode_texts
from transforms.tokens.groups import encode_groups

QWEN3 = Path(__file__).parents[2] / "shared" / "data" / "tokenizers" / "qwen3"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return small_encoder(tmp_path_factory.mktemp("tokenizer"))


def pair_row(group: str, chosen: tuple[str, str, int], rejected: tuple[str, str, int]) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(PAIRS.names)
    for side, (post_id, text, score) in (("chosen", chosen), ("rejected", rejected)):
        row |= {
            side: [{"role": "assistant", "content": text}],
            f"{side}_id": post_id,
            f"{side}_score": score,
            f"{side}_chars": len(text),
            f"{side}_accepted": False,
        }
    return row | {
        "prompt": [{"role": "user", "content": f"question {group}"}],
        "pair_id": f"{chosen[0]}>{rejected[0]}",
        "group_id": group,
        "thread_id": group,
        "margin": chosen[2] - rejected[2],
        "target": 1.0,
        "weight": 1.0,
        "source": "test",
        "site": "test",
        "rule": "r",
        "language": "eng_Latn",
    }


def encoded_groups(rows: list[dict[str, object]], encoder: Encoder) -> Shard:
    return encode_groups(Shard("pairs", pa.Table.from_pylist(rows, schema=PAIRS)), encoder)


def test_documents_are_text_and_end_of_text(encoder: Encoder) -> None:
    rows = [
        post(1, "question", 1, "Why?", title="Bread"),
        post(2, "answer", 1, "Text with <|endoftext|> in it\n"),
        post(3, "answer", 1, "水とパン"),
    ]
    documents = pa.Table.from_pylist(rows, schema=DOCUMENTS)
    codes = pa.table({"doc_id": documents.column("doc_id"), "language": ["eng_Latn", None, "jpn_Jpan"]})
    shard = encode_documents(Shard("documents", documents, {"language": codes}), encoder)
    encoded = shard.read()
    assert encoded.schema.equals(tokens_schema(encoder.token_type))
    lists = encoded.column("tokens").to_pylist()
    for tokens, text in zip(lists, ["Bread\n\nWhy?", rows[1]["text"], rows[2]["text"]], strict=True):
        assert tokens[-1] == encoder.end_of_text
        assert encoder.end_of_text not in tokens[:-1]
        assert encoder.decode(tokens[:-1]) == text
    tally = shard.counts
    assert tally["documents_by_language"] == {"eng_Latn": 1, "jpn_Jpan": 1, "unknown": 1}
    assert tally["tokens_by_source"] == {"test": sum(map(len, lists))}


def test_many_batches_equal_one_by_one(encoder: Encoder) -> None:
    texts = [f"text number {number} " * (number % 7) for number in range(2_345)]
    lists = encode_texts(texts, encoder.encode_documents, encoder).to_pylist()
    assert lists == [encoder.encode_batch([text])[0] + [encoder.end_of_text] for text in texts]


def test_groups_hold_each_text_once(encoder: Encoder) -> None:
    a, b, c = ("a", "first <|im_end|> answer", 5), ("b", "second", 3), ("c", "third", 1)
    rows = [pair_row("g1", a, b), pair_row("g1", a, c), pair_row("g1", b, c), pair_row("g2", b, a)]
    shard = encoded_groups(rows, encoder)
    groups = shard.read()
    assert groups.schema.equals(preference_schema(encoder.token_type))
    first, second = groups.to_pylist()
    assert [response["post_id"] for response in first["responses"]] == ["a", "b", "c"]
    assert [response["score"] for response in first["responses"]] == [5, 3, 1]
    assert [response["tokens"] for response in first["responses"]] == [
        encoder.encode_response(one[1]) for one in (a, b, c)
    ]
    assert [(pair["chosen"], pair["rejected"], pair["margin"]) for pair in first["pairs"]] == [
        (0, 1, 2),
        (0, 2, 4),
        (1, 2, 2),
    ]
    assert first["prompt_tokens"] == encoder.encode_prompt([{"role": "user", "content": "question g1"}])
    assert all(response["tokens"][-1] == encoder.end_of_text for response in first["responses"])
    tally = shard.counts
    tokens = sum(
        len(group["prompt_tokens"]) + sum(len(response["tokens"]) for response in group["responses"])
        for group in (first, second)
    )
    assert tally["totals"] == {"responses": 5, "pairs": 4}
    assert tally["groups_by_language"] == {"eng_Latn": 2}
    assert tally["tokens_by_language"] == {"eng_Latn": tokens}


def test_where_a_shard_is_cut_into_batches_changes_nothing(encoder: Encoder) -> None:
    """A group begins in one batch and goes on in the next; a response is named first in either."""
    posts = [(name, f"answer {name}", 9 - number) for number, name in enumerate("abcd")]
    rows = [pair_row("g1", posts[0], other) for other in posts[1:]]
    rows += [pair_row("g2", posts[1], posts[0]), pair_row("g2", posts[1], posts[3]), pair_row("g3", posts[2], posts[3])]
    table = pa.Table.from_pylist(rows, schema=PAIRS)
    whole = encode_groups(Shard("pairs", table), encoder).read()
    assert [len(group["responses"]) for group in whole.to_pylist()] == [4, 3, 2]
    for size in (1, 2, 4):
        cut = pa.concat_tables([table.slice(begin, size) for begin in range(0, len(rows), size)])
        assert encode_groups(Shard("pairs", cut), encoder).read().equals(whole)


def test_a_response_of_two_messages_is_refused(encoder: Encoder) -> None:
    row = pair_row("g", ("a", "first", 5), ("b", "second", 3))
    row["rejected"] = [{"role": "assistant", "content": "second"}, {"role": "user", "content": "more"}]
    with pytest.raises(ValueError, match="a response must be one message; got 2"):
        encoded_groups([row], encoder)


def test_a_response_has_the_facts_of_its_own_side(encoder: Encoder) -> None:
    times = {"chosen": EPOCH, "rejected": EPOCH + dt.timedelta(days=1)}
    row = pair_row("g", ("a", "first one", 5), ("b", "second", 3)) | {"rejected_accepted": True}
    row |= {f"{side}_created": time for side, time in times.items()}
    (group,) = encoded_groups([row], encoder).read().to_pylist()
    found = [tuple(one[key] for key in ("score", "chars", "created", "accepted")) for one in group["responses"]]
    assert found == [(5, 9, times["chosen"], False), (3, 6, times["rejected"], True)]


def test_no_groups(encoder: Encoder) -> None:
    shard = encoded_groups([], encoder)
    assert shard.read().num_rows == 0
    assert shard.counts["totals"] == {"responses": 0, "pairs": 0}


def test_responses_with_qwen3() -> None:
    if not QWEN3.exists():
        pytest.skip("the Qwen3 tokenizer is not on this machine")
    qwen = Encoder.load(str(QWEN3))
    texts = ["A `code` block\n", "  leading space", "<|endoftext|>", ""]
    lists = encode_texts(texts, qwen.encode_responses, qwen)
    assert lists.to_pylist() == [qwen.encode_response(text) for text in texts]
    assert lists.type.value_type == pa.uint32()
