"""Rows by a mapping file: any question/answer set becomes the same posts; what does not fit is a named drop."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.datasets import strict_yaml
from transforms.datasets.fates import Drop, Reason
from transforms.sources.mapping import RowMapping, plain_documents
from transforms.sources.records import Record
from transforms.sources.rows.jsonl import read_rows
from transforms.sources.rows.mapped_rows import to_posts
from transforms.sources.source import Reading

EXAMPLES = Path(__file__).parents[1] / "examples" / "mappings"
H4 = strict_yaml.load(RowMapping, str(EXAMPLES / "stack-exchange-preferences.yaml"))
FLAT = strict_yaml.load(RowMapping, str(EXAMPLES / "flat-question-answer.yaml"))
URL = "https://beer.stackexchange.com/questions/7"

PREFERENCE = {
    "qid": 7, "question": "<p>Why <code>a &lt; b</code>?</p>", "date": "2016/12/05",
    "metadata": [URL, "https://beer.stackexchange.com", "https://beer.stackexchange.com/users/1/jane"],
    "answers": [
        {"answer_id": 8, "text": "<p>So.</p>", "pm_score": 3, "selected": False, "author": "Jane", "author_id": 1},
        {"answer_id": 9, "text": "<p>No.</p>", "pm_score": -1, "selected": True, "author_id": 2},
    ],
}  # fmt: skip


def read(mapping: RowMapping, *rows: object, site: str | None = None) -> list[Record | Drop]:
    data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    return list(read_rows(io.BytesIO(data), 0, None, Reading("f.jsonl", site, 10_000, b"key", mapping=mapping)))


def test_half_a_surrogate_pair_in_html_is_no_crash() -> None:
    """Found by fuzzing: the converter takes UTF-8 only, and code is put back as it was."""
    row = {**PREFERENCE, "question": "<p>a \ud800 <code>b \udc00</code></p>", "answers": []}
    (question,) = read(H4, row)
    assert isinstance(question, Record)
    assert question.text == "a \ufffd `b \ufffd`"


def test_nested_answers() -> None:
    question, first, second = read(H4, PREFERENCE)
    assert isinstance(question, Record)
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert (question.doc_id, question.kind, question.url) == (
        "stack-exchange-preferences:beer.stackexchange.com:7", "question", URL,
    )  # fmt: skip
    assert (question.text, question.created, question.site) == ("Why `a < b`?", 1480896000000, "beer.stackexchange.com")
    assert first.thread_id == first.parent_id == second.thread_id == question.doc_id
    assert (first.doc_id, first.score, first.accepted) == (f"{question.doc_id}/8", 3, False)
    assert (second.kind, second.score, second.accepted, second.license) == ("answer", -1, True, "CC BY-SA")
    assert first.author_key != second.author_key
    assert question.author_key is None


def test_flat_rows() -> None:
    rows = [
        {"id": 2, "type": "answer", "question_id": 1, "body": "b", "upvotes": 5, "downvotes": 1, "user": "u2"},
        {"id": 1, "type": "question", "title": "T", "body": "q", "topics": ["x"], "asked_at": 1577923200000},
        {"id": 3, "type": "ad", "body": "buy"},
        {"id": 4, "type": "answer", "body": "of nothing"},
    ]
    answer, question, advert, lost = read(FLAT, *rows, site="q")
    assert isinstance(answer, Record)
    assert isinstance(question, Record)
    assert (answer.doc_id, answer.thread_id, answer.score, answer.ups) == ("questions:q:1/2", "questions:q:1", 4, 5)
    assert (question.doc_id, question.tags, question.created) == ("questions:q:1", ["x"], 1577923200000)
    assert [item.reason for item in (advert, lost) if isinstance(item, Drop)] == [
        Reason.NOT_A_POST, Reason.MISSING_FIELD,
    ]  # fmt: skip


def test_an_accepted_answer_that_the_question_names() -> None:
    text = "source: s\nquestion: {id: i, text: t, accepted_answer: best}\nanswer: {question: q, id: i, text: t}"
    mapping = strict_yaml.parse(RowMapping, text, "m.yaml")
    question, answer = read(mapping, {"i": 1, "t": "a", "best": 2}, {"i": 2, "q": 1, "t": "b"})
    assert isinstance(question, Record)
    assert isinstance(answer, Record)
    assert question.accepted_id == answer.doc_id


def test_a_bad_question_costs_itself_only() -> None:
    found = read(H4, {**PREFERENCE, "question": None}, {**PREFERENCE, "qid": None, "question": 5})
    reasons = [item.reason if isinstance(item, Drop) else item.kind for item in found]
    assert reasons == [Reason.MISSING_FIELD, "answer", "answer", Reason.MISSING_FIELD, Reason.ORPHAN, Reason.ORPHAN]


def test_answers_as_columns() -> None:
    """As Hugging Face stores a list of records: one record of lists."""
    answers = {"answer_id": [8, 9], "text": ["a", "b"], "pm_score": [3, -1]}
    question, first, second = read(H4, {**PREFERENCE, "answers": answers})
    assert isinstance(question, Record)
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert (first.doc_id, first.text, first.score) == (f"{question.doc_id}/8", "a", 3)
    assert (second.doc_id, second.text, second.score) == (f"{question.doc_id}/9", "b", -1)
    _, dropped = read(H4, {**PREFERENCE, "answers": {"answer_id": [8, 9], "text": ["a"]}})
    assert isinstance(dropped, Drop)
    assert dropped.reason is Reason.MISSING_FIELD


def test_numbers_as_pandas_writes_them() -> None:
    """A column of integers of which one is missing is one of floats and NaN."""
    text = "source: s\nquestion: {id: i, text: t}\nanswer: {question: q, id: i, text: t, score: s}"
    mapping = strict_yaml.parse(RowMapping, text, "m.yaml")
    nan = float("nan")
    question, answer = read(mapping, {"i": 1, "q": nan, "t": "a"}, {"i": 2.0, "q": 1.0, "t": "b", "s": nan})
    assert isinstance(question, Record)
    assert isinstance(answer, Record)
    assert (question.kind, answer.doc_id, answer.score) == ("question", f"{question.doc_id}/2", None)
    (inexact,) = read(mapping, {"i": float(2**53), "t": "a"})
    assert isinstance(inexact, Drop), "the float of two ids is neither's"


def test_fields_that_a_mapping_names_and_no_row_has_are_noted() -> None:
    """So that a misspelt path does not pass for an input without scores, ids or answers."""
    text = "source: s\nquestion: {id: i, text: t}\nanswer: {list: anwers, text: t}"
    (question,) = read(strict_yaml.parse(RowMapping, text, "m.yaml"), {"i": 1, "t": "a", "answers": []})
    assert isinstance(question, Record)
    assert question.note == "no-answers"
    whole, first, second = read(H4, {**PREFERENCE, "date": None, "answers": [{"text": "a"}, PREFERENCE["answers"][0]]})  # type: ignore[index]
    assert [item.note for item in (whole, first, second) if isinstance(item, Record)] == [
        "no-created", "no-id no-score", None,
    ]  # fmt: skip


def test_times_that_no_forum_has_are_noted() -> None:
    (question,) = read(H4, {**PREFERENCE, "date": "2999/01/01", "answers": []})
    assert isinstance(question, Record)
    assert question.note == "odd-date"


def test_rows_that_want_a_mapping_say_so() -> None:
    mapping = plain_documents("jsonl")
    (dropped,) = read(mapping, {"id": 1, "body": "a"})
    assert isinstance(dropped, Drop)
    assert "--mapping FILE says" in dropped.detail


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answers": 5}, Reason.MISSING_FIELD),
        ({"answers": ["text"]}, Reason.MISSING_FIELD),
        ({"answers": [None]}, Reason.MISSING_FIELD),
        ({"answers": [{"answer_id": 1, "text": "<p> </p>"}]}, Reason.EMPTY),
    ],
)
def test_answers_that_do_not_fit(change: dict[str, object], reason: Reason) -> None:
    question, answer = read(H4, {**PREFERENCE, **change})
    assert isinstance(question, Record)
    assert isinstance(answer, Drop)
    assert answer.reason is reason


@pytest.mark.parametrize(
    ("field", "value", "note"),
    [
        ("pm_score", 1.5, "unreadable-score"),
        ("pm_score", 1 << 70, "unreadable-score"),
        ("pm_score", Decimal(7), None),
        ("pm_score", 7.0, None),
        ("pm_score", "7", None),
        ("selected", "yes", "unreadable-accepted"),
    ],
)
def test_a_number_is_read_whatever_it_comes_as(field: str, value: object, note: str | None) -> None:
    answer = {"answer_id": 1, "text": "a", "pm_score": 1} | {field: value}
    _, found = to_posts({**PREFERENCE, "answers": [answer]}, 0, Reading("f", None, 10_000), H4)
    assert isinstance(found, Record)
    assert found.note == note
    if field == "pm_score":
        assert found.score == (None if note else 7)


def test_one_author_has_one_key_however_its_number_is_stored() -> None:
    def key(author: object) -> str | None:
        answer = {"answer_id": 1, "text": "a", "author_id": author}
        rows = Reading("f", None, 10_000, b"secret")
        _, found = to_posts({**PREFERENCE, "answers": [answer]}, 0, rows, H4)
        assert isinstance(found, Record)
        return found.author_key

    assert len({key(author) for author in (12, 12.0, Decimal(12), "12")}) == 1
    assert key(2**64) != key(2**64 + 1)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*PREFERENCE, *PREFERENCE["answers"][0]]), inner, max_size=6)
    ),  # type: ignore[index]
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*PREFERENCE, "type", "id", "question_id", "body"]), _VALUES, max_size=6))
@settings(max_examples=100, deadline=None)
def test_no_row_crashes(row: dict[str, object]) -> None:
    for mapping in (H4, FLAT):
        for item in to_posts(row, 0, Reading("f", None, 1000, b"key"), mapping):
            if isinstance(item, Record):
                "".join([item.text, item.title or "", item.doc_id, item.url or ""]).encode()
