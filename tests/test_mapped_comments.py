"""Comments and replies by a mapping: under questions and answers, nested or in rows of their own, and in trees."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.ingest import run
from pipelines.ingest_plan import IngestSettings
from tests import laws
from tests.conftest import ROOT
from tests.test_ingest import conserved, rejects
from transforms.datasets import strict_yaml
from transforms.datasets.fates import Drop
from transforms.datasets.ids import fingerprint
from transforms.datasets.manifest import load_manifest
from transforms.sources.inputs import Input
from transforms.sources.mapping import RowMapping
from transforms.sources.records import Record
from transforms.sources.rows.jsonl import read_rows
from transforms.sources.rows.mapped_rows import to_posts
from transforms.sources.source import Reading

NESTED = """
source: set
question: {id: i, text: t}
answer: {list: answers, id: i, text: t}
comment: {list: comments, id: i, text: t, score: s}
"""
FLAT = """
source: set
kind: {path: k, question: [q], answer: [a], comment: [c]}
question: {id: i, text: t}
answer: {question: q, id: i, text: t}
comment: {question: q, answer: a, id: i, text: t}
"""


REPLIES = "source: s\nquestion: {text: a, id: i}\nreply: {text: a, id: i, parent: p}\n"


def mapping(text: str) -> RowMapping:
    return strict_yaml.parse(RowMapping, text, "m.yaml")


def read(text: str, *rows: object) -> list[tuple[str | None, ...]]:
    """(id, thread, parent, kind) of each post, as short as they are told apart; of a drop (id, reason)."""
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    found = read_rows(io.BytesIO(data), 0, None, Reading("f", "x", mapping=mapping(text)))
    return [_short(item) for item in found]


def _short(item: Record | Drop) -> tuple[str | None, ...]:
    values = (
        (item.record_id, item.reason.value)
        if isinstance(item, Drop)
        else (item.doc_id, item.thread_id, item.parent_id, item.kind)
    )
    return tuple(value and value.removeprefix("set:x:") for value in values)


def test_comments_within_rows() -> None:
    row = {
        "i": 1, "t": "q", "comments": [{"i": 5, "t": "why?", "s": 2}],
        "answers": [{"i": 2, "t": "a", "comments": [{"i": 6, "t": "so"}, {"t": "no id"}]}, {"i": 3, "t": "b"}],
    }  # fmt: skip
    *found, unnamed, last = read(NESTED, row)
    assert found == [
        ("1", "1", None, "question"), ("1/comment/5", "1", "1", "comment"), ("1/2", "1", "1", "answer"),
        ("1/2/comment/6", "1", "1/2", "comment"),
    ]  # fmt: skip
    assert unnamed[0] is not None
    assert len(unnamed[0].removeprefix("1/2/comment/")) == 32  # a hash of the content
    assert unnamed[1:] == ("1", "1/2", "comment")
    assert last == ("1/3", "1", "1", "answer")


def test_every_comment_within_a_row_is_an_outcome() -> None:
    """Whatever becomes of what it stands under."""
    comments = [{"i": 5, "t": "c"}]
    assert read(NESTED, {"i": 1, "t": " ", "comments": comments}) == [
        ("1", "empty"),
        ("1/comment/5", "1", "1", "comment"),
    ]
    assert read(NESTED, {"t": 4, "comments": comments, "answers": [{"i": 2, "t": "a", "comments": comments}]}) == [
        (None, "missing-field"), (None, "orphan"), (None, "orphan"), (None, "orphan")
    ]  # fmt: skip
    assert read(NESTED, {"i": 1, "t": "q", "answers": [{"t": "", "comments": comments}]})[1:] == [
        (None, "empty"), (None, "orphan")
    ]  # fmt: skip
    assert read(NESTED, {"i": 1, "t": "q", "comments": 3}) == [("1", "1", None, "question"), (None, "missing-field")]


def test_comments_in_rows_of_their_own() -> None:
    rows = [
        {"k": "q", "i": 1, "t": "q"}, {"k": "a", "q": 1, "i": 2, "t": "a"}, {"k": "c", "q": 1, "i": 5, "t": "c"},
        {"k": "c", "q": 1, "a": 2, "i": 5, "t": "d"}, {"k": "c", "i": 9, "t": "of none"}, {"k": "x", "i": 9, "t": "?"},
    ]  # fmt: skip
    assert read(FLAT, *rows) == [
        ("1", "1", None, "question"), ("1/2", "1", "1", "answer"), ("1/comment/5", "1", "1", "comment"),
        ("1/2/comment/5", "1", "1/2", "comment"), (None, "missing-field"), (None, "not-a-post"),
    ]  # fmt: skip


def ingest(tmp_path: Path, text: str, rows: list[dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    (tmp_path / "m.yaml").write_text(text)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    inputs = [Input(str(tmp_path / "rows.jsonl"), site="x", mapping=str(tmp_path / "m.yaml"))]
    run(inputs, str(tmp_path / "out"), IngestSettings(num_shards=1, max_drop_rate=1, range_bytes=100))
    conserved(tmp_path / "out")
    found = {post["doc_id"].split(":", 2)[2]: post for post in laws.all_rows(tmp_path / "out")}
    return found, {str(drop["record_id"]).split(":", 2)[-1]: drop["reason"] for drop in rejects(tmp_path / "out")}


def test_a_comment_goes_with_its_post(tmp_path: Path) -> None:
    rows = [
        {"k": "q", "i": 1, "t": "q"}, {"k": "a", "q": 1, "i": 2, "t": " "}, {"k": "c", "q": 1, "i": 6, "t": "d"},
        {"k": "c", "q": 1, "a": 2, "i": 5, "t": "c"}, {"k": "c", "q": 7, "i": 8, "t": "e"},
    ]  # fmt: skip
    found, drops = ingest(tmp_path, FLAT, rows)
    assert sorted(found) == ["1", "1/comment/6"]
    assert drops == {"1/2": "empty", "1/2/comment/5": "orphan", "7/comment/8": "orphan"}


def test_a_tree_of_replies(tmp_path: Path) -> None:
    text = (ROOT / "examples" / "mappings" / "replies.yaml").read_text()
    rows: list[dict[str, Any]] = [
        {"id": 4, "parent": 3, "text": "<p>so <b>deep</b></p>"}, {"id": 1, "title": "T", "text": "q", "points": 3},
        {"id": 2, "parent": 1, "text": "a", "points": 1}, {"id": 3, "parent": 2, "text": " "},
        {"id": 9, "parent": 8, "text": "?"},
    ]  # fmt: skip
    found, drops = ingest(tmp_path, text, rows)
    stands = {name: (post["thread_id"], post["kind"], post["score"]) for name, post in found.items()}
    assert stands == {
        "1": ("replies:x:1", "question", 3), "2": ("replies:x:1", "answer", 1), "4": ("replies:x:1", "comment", None)
    }  # fmt: skip
    assert found["4"]["text"] == "so **deep**"  # and its parent, which had no text, showed it the way
    assert drops == {"3": "empty", "9": "orphan"}


def test_an_accepted_reply(tmp_path: Path) -> None:
    text = "source: s\nquestion: {id: i, text: t, accepted_answer: best}\nreply: {parent: p, id: i, text: t}\n"
    found, _ = ingest(tmp_path, text, [{"i": 1, "t": "q", "best": 3}, *({"i": n, "p": 1, "t": "a"} for n in (2, 3))])
    assert {name: post["accepted"] for name, post in found.items()} == {"1": None, "2": False, "3": True}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source: s\nquestion: {text: a, id: i}\nreply: {text: a, id: i}", "want `parent`"),
        ("source: s\nquestion: {text: a, id: i}\nreply: {text: a, parent: p}", "and `id`"),
        ("source: s\nquestion: {text: a}\nreply: {text: a, parent: p, id: i}", "`id` is needed"),
        (f"{REPLIES}comment: {{text: a, list: c}}", "only sets with"),
        (f"{NESTED.replace('comment: {list: comments,', 'comment: {question: q,')}", "want `list` alone"),
        (f"{FLAT.replace('comment: {question: q,', 'comment: {list: c,')}", "want `question`"),
        (f"{NESTED}kind: {{path: k, question: [q]}}", "only rows that are one post each"),
        (f"{REPLIES}answer: {{text: a, question: q}}", "want `answer` or `reply`"),
        (REPLIES.replace("parent: p", "parent: {value: 3}"), "is a path in the row"),
        (f"{REPLIES}kind: {{path: k, question: [q], answer: [a]}}", "if, and only if, there is a section `answer`"),
        (FLAT.replace(", comment: [c]", ""), "if, and only if, there is a section `comment`"),
    ],
)  # fmt: skip
def test_a_shape_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mapping(text)


def test_new_shapes_rename_no_old_mapping() -> None:
    """Documents that were made with a mapping before there were comments are still of that mapping."""
    old = mapping("source: s\nkind: {path: k, question: [q], answer: [a]}\nquestion: {id: i, text: t}\n"
                  "answer: {question: q, text: t}")  # fmt: skip
    assert set(old.identity()) == {"source", "site", "body", "time", "document", "question", "answer", "kind"}
    assert set(old.identity()["kind"]) == {"path", "question", "answer"}  # type: ignore[call-overload]
    names = {fingerprint(mapping(text).identity()) for text in (NESTED, FLAT, NESTED.replace("score: s", "ups: s"))}
    assert len(names) == 3


def test_what_replies_to_nothing_is_written_in_several_ways(tmp_path: Path) -> None:
    """As 0 in tables, and as the post's own id in sets of conversations."""
    text = f"{REPLIES.strip().removesuffix('}')}, no_parent: ['0', '-1']}}\n"
    rows = [{"i": 1, "p": 0, "a": "q"}, {"i": 2, "p": -1, "a": "q"}, {"i": 3, "p": "", "a": "q"},
            {"i": 4, "p": 4, "a": "q"}, {"i": 5, "p": 1, "a": "a"}, {"i": 6, "p": 4, "a": "a"},
            {"i": 7, "p": 7, "a": " "}, {"i": 8, "p": 7, "a": "lost"}]  # fmt: skip
    found, drops = ingest(tmp_path, text, rows)
    stands = {name: (post["thread_id"].rpartition(":")[2], post["kind"]) for name, post in found.items()}
    assert stands == {
        "1": ("1", "question"), "2": ("2", "question"), "3": ("3", "question"), "4": ("4", "question"),
        "5": ("1", "answer"), "6": ("4", "answer"),
    }  # fmt: skip
    assert found["4"]["parent_id"] is None
    assert drops == {"7": "empty", "8": "orphan"}
    assert load_manifest(str(tmp_path / "out")).counts["note"] == {"replies-to-itself": 1}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (REPLIES.replace("parent: p", "parent: parnt"), "parent at 'parnt'"),
        ("source: s\nquestion: {id: i, text: a}\nanswer: {question: qq, id: i, text: a}", "question at 'qq'"),
        ("source: s\nquestion: {id: i, text: a}\nanswer: {list: answrs, id: i, text: a}", "answers at 'answrs'"),
    ],
)
def test_a_misspelt_path_that_leaves_no_answers_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """Every row would be a question, and no pair would ever come of it."""
    (tmp_path / "m.yaml").write_text(text)
    (tmp_path / "rows.jsonl").write_text('{"i": 1, "a": "q", "answers": []}\n{"i": 2, "p": 1, "q": 1, "a": "a"}\n')
    inputs = [Input(str(tmp_path / "rows.jsonl"), site="x", mapping=str(tmp_path / "m.yaml"))]
    with pytest.raises(ValueError, match=rf"no row of rows.jsonl .* is an answer.*{told}"):
        run(inputs, str(tmp_path / "out"), IngestSettings(num_shards=1))
    run(inputs, str(tmp_path / "out"), IngestSettings(num_shards=1, max_drop_rate=1))


def test_links_with_a_title_and_posts_that_were_withdrawn(tmp_path: Path) -> None:
    text = """
source: s
site: {value: news.example}
withdrawn: [deleted, dead]
question: {id: i, title: head, text: t}
reply: {parent: p, id: i, text: t}
"""
    rows: list[dict[str, Any]] = [
        {"i": 1, "head": "A link", "t": None}, {"i": 2, "p": 1, "t": "so"}, {"i": 3, "head": " ", "t": ""},
        {"i": 4, "p": 2, "t": "[dead]", "dead": True}, {"i": 5, "p": 4, "t": "why?"},
        {"i": 6, "head": "gone", "deleted": True}, {"i": 7, "p": 6, "t": "pity"}, {"i": 8, "p": 2, "deleted": "true"},
        {"i": 9, "p": 2, "t": "here", "dead": False, "deleted": None},
    ]  # fmt: skip
    found, drops = ingest(tmp_path, text, rows)
    assert {name: (post["kind"], post["title"], post["text"]) for name, post in found.items()} == {
        "1": ("question", "A link", ""), "2": ("answer", None, "so"), "5": ("comment", None, "why?"),
        "9": ("comment", None, "here"),
    }  # fmt: skip
    assert drops == {"3": "empty", "4": "deleted", "6": "deleted", "7": "question-removed", "8": "deleted"}


def test_a_site_that_is_a_path_to_nothing_is_noted() -> None:
    row = {"i": 1, "t": "words"}
    for site, note in (("news.example", "no-site"), ("{value: news.example}", None)):
        m = mapping(f"source: s\nsite: {site}\ndocument: {{id: i, text: t}}")
        (found,) = to_posts(row, 0, Reading("f"), m)
        assert isinstance(found, Record)
        assert found.note == note


def test_a_row_of_no_kind_and_a_comment_named_like_an_answer(tmp_path: Path) -> None:
    """What replies to the one still finds its thread, and the other is no duplicate."""
    text = f"{REPLIES}kind: {{path: k, question: [q], reply: [r]}}\n"
    text = text.replace("parent: p", "parent: p, no_parent: ['0']")
    rows = [{"k": "q", "i": 1, "p": 0, "a": "q"}, {"k": "z", "i": 2, "p": 1}, {"k": "r", "i": 3, "p": 2, "a": "c"},
            {"k": "r", "i": 4, "p": 0, "a": "to nothing"}]  # fmt: skip
    found, drops = ingest(tmp_path, text, rows)
    assert {name: (post["thread_id"], post["kind"]) for name, post in found.items()} == {
        "1": ("s:x:1", "question"), "3": ("s:x:1", "comment")
    }  # fmt: skip
    assert drops == {"2": "not-a-post", "4": "missing-field"}
    answers = [{"i": "c7", "t": "a"}, {"i": "comment/7", "t": "b"}]
    ids = [row[0] for row in read(NESTED, {"i": 1, "t": "q", "answers": answers, "comments": [{"i": 7, "t": "c"}]})]
    assert ids[:3] == ["1", "1/comment/7", "1/c7"]
