"""The mapping file: what it may say of the rows of a question/answer set or a text corpus.

A mapping is strict YAML (examples/mappings/). It knows four shapes:

* plain documents: `document`
* a question whose row holds its answers in a list: `question`, and `answer` with `list`
* rows that are a question or an answer each: `question`, and `answer` with `question`, the id of the one it answers
* rows that name what they reply to and nothing else: `question`, and `reply` with `parent`. A reply to a question is an
  answer, one to a reply a comment; questions and replies have ids of one kind

The second and third may have comments under questions and answers: `comment` with `list` (of one level: what lies
deeper is not read), or with `question` and `answer`. In a tree of replies a question may be a title alone.
A field is a path into the row, its steps parted by dots (`meta.date`, `answers.0`; `.` is the item itself), or a
constant: `{value: CC BY-SA 4.0}`. `language` and `attributes` may stand beside the shape as well: they are then read at
the row itself, for each of its posts that does not say its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tokenizer.languages import LANGUAGES, closest
from transforms.datasets.settings import SettingError
from transforms.sources.fields import UnusableError
from transforms.sources.stated import attribute_of, language_of

SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # what may stand in an id as the name of a source or a site
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,63}")  # the name of one
_MAX_ATTRIBUTES = 64  # names in one mapping
TIMES = ("auto", "iso", "seconds", "milliseconds")


@dataclass(frozen=True)
class Constant:
    """A field that is the same for every row."""

    value: str | int | float | bool


Where = str | Constant


def _check_stated(language: Where | None, attributes: Mapping[str, Where]) -> None:
    """Raises SettingError for a constant that is no language, or no attribute's value, and for attributes' names."""
    if isinstance(language, str) and language in LANGUAGES:
        raise SettingError("language", f"{language!r} is a path in the row; a constant is {{value: {language}}}")
    if isinstance(language, Constant):
        _check_language(language.value)
    for name, where in attributes.items():
        if not _ATTRIBUTE.fullmatch(name):
            raise SettingError(
                "attributes", f"names {name!r}: want small letters, digits and '_', a letter first, 64 at most"
            )
        if isinstance(where, Constant):
            _check_attribute(name, where.value)


def _check_language(value: object) -> None:
    try:
        known = language_of(value)
    except UnusableError:
        known = None
    if known is None:
        near = f"; nearest: {', '.join(closest(value))}" if isinstance(value, str) else "; quote it to make it text"
        raise SettingError(
            "language", f"is always {value!r}; want a tag such as pt-BR or a code such as por_Latn{near}"
        )


def _check_attribute(name: str, value: object) -> None:
    try:
        text = attribute_of(value, "it")
    except UnusableError as error:
        raise SettingError(f"attributes.{name}", f"is always one that cannot be kept: {error}") from error
    if text is None:
        raise SettingError(f"attributes.{name}", "is always empty; leave it out")


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
    language: Where | None = None  # a BCP 47 tag such as pt-BR, or a code of the language table; it is trusted
    attributes: Mapping[str, Where] = field(default_factory=dict)  # kept beside the text under these names

    def __post_init__(self) -> None:
        _check_stated(self.language, self.attributes)


@dataclass(frozen=True)
class QuestionFields(PostFields):
    """Where a question's fields are."""

    accepted_answer: Where | None = None  # id of the answer that the asker accepted


@dataclass(frozen=True)
class AnswerFields(PostFields):
    """list: where a question's row holds its answers. question: where an answer's row names its question."""

    list: str | None = None
    question: Where | None = None
    accepted: Where | None = None  # true or false


@dataclass(frozen=True)
class CommentFields(PostFields):
    """list: where the row of a question, and each of its answers, holds its comments. question, answer: where a
    comment's row names its question, and the answer if it stands under one."""

    list: str | None = None
    question: Where | None = None
    answer: Where | None = None


@dataclass(frozen=True)
class ReplyFields(PostFields):
    """parent: where a reply's row names the question or the reply that it replies to. no_parent: what else stands there
    where it replies to nothing, such as 0."""

    parent: Where | None = None
    no_parent: Sequence[str] = ()
    accepted: Where | None = None  # true or false


@dataclass(frozen=True)
class KindField:
    """What says which kind of post a row is: the values at `path` of each. Without it a row that names a question is an
    answer, and one that names a parent a reply."""

    path: str
    question: Sequence[str]
    answer: Sequence[str] = ()
    comment: Sequence[str] = ()
    reply: Sequence[str] = ()


@dataclass(frozen=True)
class RowMapping:
    """How rows become posts. source: names the set in ids. site: a part of it, such as a forum; --site wins over it.

    body: what texts are written in. time: iso, seconds or milliseconds (since 1970), a format such as %Y/%m/%d, or
    auto: text is ISO 8601, numbers are seconds. withdrawn: fields that are true of a post that was taken back or down.
    language, attributes: of the whole row, for its posts that have none of their own.
    """

    source: str
    site: Where | None = None
    body: Literal["text", "markdown", "html"] = "text"
    time: str = "auto"
    document: PostFields | None = None
    question: QuestionFields | None = None
    answer: AnswerFields | None = None
    comment: CommentFields | None = None
    reply: ReplyFields | None = None
    withdrawn: Sequence[str] = ()
    kind: KindField | None = None
    language: Where | None = None
    attributes: Mapping[str, Where] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not SITE.fullmatch(self.source):
            raise ValueError(f"source {self.source!r} stands in ids: want letters, digits, '.', '_' and '-' only")
        if self.time not in TIMES and "%" not in self.time:
            raise ValueError(f"time {self.time!r} is none of {', '.join(TIMES)}, nor a format such as %Y/%m/%d")
        if (self.document is None) == (self.question is None):
            raise ValueError("want `document`, for plain documents, or `question` and what answers it: one of the two")
        if (self.question is None) != (self.answer is None and self.reply is None):
            raise ValueError("`question` needs `answer` or `reply`, and they need `question`")
        if self.answer and self.reply:
            raise ValueError("want `answer` or `reply`: rows name their question, or no more than what they reply to")
        if self.answer and (self.answer.list is None) == (self.answer.question is None):
            raise ValueError(
                "answer: want `list` (the question's row holds its answers) or `question` (an answer's row names its "
                "question): one of the two"
            )
        if self.reply and (self.reply.parent is None or self.reply.id is None):
            raise ValueError("reply: want `parent`, which names what it replies to, and `id`, by which others name it")
        if self.question and self.question.id is None and not self.nested:
            raise ValueError("question: `id` is needed, since answers name it")
        if self.reply and isinstance(self.reply.parent, Constant):
            raise ValueError("reply: `parent` is a path in the row, since each replies to something of its own")
        if self.kind and (self.document or self.nested):
            raise ValueError("kind: only rows that are one post each have one")
        for name in ("answer", "comment", "reply") if self.kind else ():
            if bool(getattr(self.kind, name)) != bool(getattr(self, name)):
                raise ValueError(f"kind: `{name}` names values if, and only if, there is a section `{name}`")
        self._check_comments()
        _check_stated(self.language, self.attributes)
        names = {*self.attributes}.union(*(fields.attributes for fields in self._sections.values()))
        if len(names) > _MAX_ATTRIBUTES:
            raise SettingError("attributes", f"have {len(names)} names; at most {_MAX_ATTRIBUTES} are kept")

    def _check_comments(self) -> None:
        if self.comment is None:
            return
        if self.answer is None:
            raise ValueError("comment: only sets with `answer` have comments; where all is replies, write `reply`")
        if self.nested:
            if self.comment.list is None or self.comment.question or self.comment.answer:
                raise ValueError("comment: want `list` alone, since a question's row holds its answers")
        elif self.comment.list is not None or self.comment.question is None or self.kind is None:
            raise ValueError(
                "comment: want `question` (and `answer`), which its row names, and a `kind` to tell it from an answer"
            )

    @property
    def _sections(self) -> Mapping[str, PostFields]:
        named = {name: getattr(self, name) for name in ("document", "question", "answer", "comment", "reply")}
        return {name: fields for name, fields in named.items() if fields}

    @property
    def nested(self) -> bool:
        """Whether a question's row holds its answers."""
        return self.answer is not None and self.answer.list is not None

    @property
    def names_answers(self) -> str:
        """What says that a post answers another; "" where documents are read."""
        if self.reply:
            return f"a reply's parent at {self.reply.parent!r}"
        if self.answer is None:
            return ""
        by_kind = f", and its kind at {self.kind.path!r}" if self.kind else ""
        return (
            f"answers at {self.answer.list!r}"
            if self.nested
            else f"their question at {self.answer.question!r}{by_kind}"
        )

    def identity(self) -> Mapping[str, object]:
        """What names the mapping. Shapes that it does not have are left out, so that new ones rename no old mapping."""
        values: dict[str, Any] = asdict(self)
        for section in (values, *(values[name] for name in self._sections)):
            for name in ("language", "attributes"):
                if not section[name]:
                    del section[name]
        if not values["withdrawn"]:
            del values["withdrawn"]
        for name in ("comment", "reply"):
            if values[name] is None:
                del values[name]
            if values["kind"] and not values["kind"][name]:
                del values["kind"][name]
        return values


def plain_documents(source: str) -> RowMapping:
    """How rows are read when no mapping file says otherwise: as documents under their usual names."""
    fields = PostFields(text="text", id="id", title="title", url="url", created="created", license="license")
    return RowMapping(source=source, site="source", document=fields)
