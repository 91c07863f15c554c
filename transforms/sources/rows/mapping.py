"""The mapping file: what it may say of the rows of a question/answer set or a text corpus.

A mapping is strict YAML (examples/mappings/). It knows three shapes: plain documents (`document`), a question whose row
holds its answers in a list (`question` and `answer` with `list`), and rows that are a question or an answer each
(`question` and `answer` with `question`, the id of the one it answers). A field is a path into the row, its steps
parted by dots (`meta.date`, `answers.0`; `.` is the item itself), or a constant: `{value: CC BY-SA 4.0}`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # what may stand in an id as the name of a source or a site
TIMES = ("auto", "iso", "seconds", "milliseconds")


@dataclass(frozen=True)
class Constant:
    """A field that is the same for every row."""

    value: str | int | float | bool


Where = str | Constant


@dataclass(frozen=True)
class PostFields:
    """Where a post's fields are in its row. Only `text` must be there; `id` is a hash of the content without one."""

    text: Where
    id: Where | None = None
    title: Where | None = None
    tags: Where | None = None  # a list, or text with commas
    url: Where | None = None
    created: Where | None = None
    edited: Where | None = None
    license: Where | None = None
    author: Where | None = None  # never stored: it makes the author key
    score: Where | None = None  # without it: ups - downs, where both are there
    ups: Where | None = None
    downs: Where | None = None


@dataclass(frozen=True)
class QuestionFields(PostFields):
    accepted_answer: Where | None = None  # id of the answer that the asker accepted


@dataclass(frozen=True)
class AnswerFields(PostFields):
    """list: where a question's row holds its answers. question: where an answer's row names its question."""

    list: str | None = None
    question: Where | None = None
    accepted: Where | None = None  # true or false


@dataclass(frozen=True)
class KindField:
    """What says whether a row is a question or an answer; without it, a row that names a question is an answer."""

    path: str
    question: Sequence[str]
    answer: Sequence[str]


@dataclass(frozen=True)
class RowMapping:
    """How rows become posts. source: names the set in ids. site: a part of it, such as a forum; --site wins over it.

    body: what texts are written in. time: iso, seconds or milliseconds (since 1970), a format such as %Y/%m/%d, or
    auto: text is ISO 8601, numbers are seconds.
    """

    source: str
    site: Where | None = None
    body: Literal["text", "markdown", "html"] = "text"
    time: str = "auto"
    document: PostFields | None = None
    question: QuestionFields | None = None
    answer: AnswerFields | None = None
    kind: KindField | None = None

    def __post_init__(self) -> None:
        if not SITE.fullmatch(self.source):
            raise ValueError(f"source {self.source!r} stands in ids: want letters, digits, '.', '_' and '-' only")
        if self.time not in TIMES and "%" not in self.time:
            raise ValueError(f"time {self.time!r} is none of {', '.join(TIMES)}, nor a format such as %Y/%m/%d")
        if (self.document is None) == (self.question is None):
            raise ValueError("want `document`, for plain documents, or `question` and `answer`: one of the two")
        if (self.answer is None) != (self.question is None):
            raise ValueError("`question` and `answer` need each other")
        if self.answer and (self.answer.list is None) == (self.answer.question is None):
            raise ValueError(
                "answer: want `list` (the question's row holds its answers) or `question` (an answer's row names its "
                "question): one of the two"
            )
        if self.question and self.question.id is None and self.answer and self.answer.question is not None:
            raise ValueError("question: `id` is needed, since answers name it")
        if self.kind and (self.answer is None or self.answer.question is None):
            raise ValueError("kind: only rows that are a question or an answer each have one")


def plain_documents(source: str) -> RowMapping:
    """How rows are read when no mapping file says otherwise: as documents under their usual names."""
    fields = PostFields(text="text", id="id", title="title", url="url", created="created", license="license")
    return RowMapping(source=source, site="source", document=fields)
