"""Rows of any question/answer set, or of a text corpus, as posts: a mapping file says which field is what.

A mapping is strict YAML (examples/mappings/). It knows three shapes: plain documents (`document`), a question whose row
holds its answers in a list (`question` and `answer` with `list`), and rows that are a question or an answer each
(`question` and `answer` with `question`, the id of the one it answers). A field is a path into the row, its steps
parted by dots (`meta.date`, `answers.0`; `.` is the item itself), or a constant: `{value: CC BY-SA 4.0}`.

Ids come from the content, or are a hash of it where there is none; never from a path or a line number, which change
when a corpus is cut into other files. An answer's id stands below its question's (`quora:site:12/3`), so the two
never collide.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from transforms.clean import repair
from transforms.fates import Drop, Reason
from transforms.ids import canonical_json
from transforms.markup import to_markdown
from transforms.schema import PostKind
from transforms.sources.json_rows import Row, UnusableError
from transforms.sources.records import Record

_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ADDRESS = re.compile(r"https?://([^/?#:]+)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_TIME = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST_TIME = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_UNNAMED = "unnamed"
_TIMES = ("auto", "iso", "seconds", "milliseconds")
_INT64 = 1 << 63
_ITSELF = "."


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
        if not _SITE.fullmatch(self.source):
            raise ValueError(f"source {self.source!r} stands in ids: want letters, digits, '.', '_' and '-' only")
        if self.time not in _TIMES and "%" not in self.time:
            raise ValueError(f"time {self.time!r} is none of {', '.join(_TIMES)}, nor a format such as %Y/%m/%d")
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


@dataclass(frozen=True)
class RowSet:
    """What a file of rows does not say of itself. author_secret: a key of up to 64 bytes, or None."""

    file: str  # name below the input the user gave
    site: str | None
    max_record_bytes: int
    mapping: RowMapping
    author_secret: bytes | None = None


def plain_documents(source: str) -> RowMapping:
    """How rows are read when no mapping file says otherwise: as documents under their usual names."""
    fields = PostFields(text="text", id="id", title="title", url="url", created="created", license="license")
    return RowMapping(source=source, site="source", document=fields)


def check_site(site: str | None, file: str) -> None:
    """Raises ValueError for a name that cannot stand in an id; none is needed."""
    if site is not None and not _SITE.fullmatch(site):
        raise ValueError(f"--site {site!r} for {file}: want letters, digits, '.', '_' and '-' only")


def to_posts(row: Row, offset: int, rows: RowSet) -> Iterator[Record | Drop]:
    """Every post of a row, each as a Record or a Drop: one, or with nested answers one more for each of them."""
    mapping = rows.mapping
    if mapping.document:
        yield _post(row, offset, rows, mapping.document, PostKind.DOCUMENT, None)
        return
    assert mapping.question is not None
    assert mapping.answer is not None
    if mapping.answer.list is None:
        yield _flat(row, offset, rows, mapping.question, mapping.answer)
        return
    question = _post(row, offset, rows, mapping.question, PostKind.QUESTION, None)
    yield question
    thread = question.doc_id if isinstance(question, Record) else _thread_of(row, rows, mapping.question)
    answers = value_at(row, mapping.answer.list)
    if answers is None:
        return
    if not isinstance(answers, list):
        yield Drop(rows.file, offset, None, Reason.MISSING_FIELD, f"{mapping.answer.list} is not a list")
        return
    for answer in answers:
        if thread is None:
            yield Drop(rows.file, offset, None, Reason.ORPHAN, "its question's row has no readable id")
        else:
            yield _post(answer, offset, rows, mapping.answer, PostKind.ANSWER, thread)


def _flat(row: Row, offset: int, rows: RowSet, question: QuestionFields, answer: AnswerFields) -> Record | Drop:
    try:
        kind = _kind(row, rows.mapping, answer)
        if kind is PostKind.QUESTION:
            return _post(row, offset, rows, question, kind, None)
        parent = _id(value_at(row, answer.question), "question")
        if parent is None:
            raise UnusableError(Reason.MISSING_FIELD, "an answer that names no question")
        return _post(row, offset, rows, answer, kind, f"{_prefix(row, rows)}{parent}")
    except UnusableError as error:
        return Drop(rows.file, offset, None, error.reason, str(error))


def _kind(row: Row, mapping: RowMapping, answer: AnswerFields) -> PostKind:
    if mapping.kind is None:
        return PostKind.QUESTION if value_at(row, answer.question) in (None, "") else PostKind.ANSWER
    value = value_at(row, mapping.kind.path)
    if str(value) in mapping.kind.question:
        return PostKind.QUESTION
    if str(value) in mapping.kind.answer:
        return PostKind.ANSWER
    raise UnusableError(Reason.NOT_A_POST, f"{mapping.kind.path} names neither a question nor an answer")


def _thread_of(row: Row, rows: RowSet, fields: PostFields) -> str | None:
    """The id of a question that could not be read, so that its answers are counted as its answers."""
    try:
        given = _id(value_at(row, fields.id), "id")
    except UnusableError:
        return None
    return f"{_prefix(row, rows)}{given}" if given else None


def _post(
    row: object, offset: int, rows: RowSet, fields: PostFields, kind: PostKind, thread: str | None
) -> Record | Drop:
    try:
        return _record(row, offset, rows, fields, kind, thread)
    except UnusableError as error:
        return Drop(rows.file, offset, _given_id(row, rows, fields, thread), error.reason, str(error))


def _record(row: object, offset: int, rows: RowSet, fields: PostFields, kind: PostKind, thread: str | None) -> Record:
    mapping = rows.mapping
    text, flattened = _body(value_at(row, fields.text), mapping.body)
    if not text:
        raise UnusableError(Reason.EMPTY, "no text")
    title, url = _text(row, fields.title, "title"), _text(row, fields.url, "url")
    given = _id(value_at(row, fields.id), "id")
    content = given or hashlib.blake2b(canonical_json([text, title, url]).encode(), digest_size=16).hexdigest()
    doc_id = f"{thread}/{content}" if thread else f"{_prefix(row, rows)}{content}"
    author = value_at(row, fields.author)
    ups, downs = _count(row, fields.ups, "ups"), _count(row, fields.downs, "downs")
    score = _count(row, fields.score, "score")
    accepted_answer = _accepted_answer(row, fields)
    return Record(
        offset=offset,
        doc_id=doc_id,
        thread_id=thread or doc_id,
        parent_id=thread,
        kind=kind.value,
        text=text,
        title=title,
        tags=_tags(value_at(row, fields.tags)),
        source=mapping.source,
        site=thread.split(":", 2)[1] if thread else _site(row, rows),
        url=url,
        created=to_time(value_at(row, fields.created), mapping.time, "created"),
        edited=to_time(value_at(row, fields.edited), mapping.time, "edited"),
        license=_text(row, fields.license, "license"),
        author_key=None if author in (None, "") else _author_key(author, row, rows),
        score=ups - downs if score is None and ups is not None and downs is not None else score,
        accepted_id=f"{doc_id}/{accepted_answer}" if accepted_answer else None,
        note="flattened-html" if flattened else None,
        ups=ups,
        downs=downs,
        accepted=_accepted(row, fields),
        authors=() if author in (None, "") else (str(author),),
    )


# ------------------------------------------------------------------------------------------- values of a row


def value_at(row: object, where: Where | None) -> object:
    """What stands at a path of the row (or the constant); None where there is nothing."""
    if where is None:
        return None
    if isinstance(where, Constant):
        return where.value
    if where == _ITSELF:
        return row
    value = row
    for step in where.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _site(row: object, rows: RowSet) -> str:
    site = rows.site or value_at(row, rows.mapping.site)
    if isinstance(site, str) and (address := _ADDRESS.match(site)):
        site = address[1].lower()
    return site if isinstance(site, str) and _SITE.fullmatch(site) else _UNNAMED


def _prefix(row: object, rows: RowSet) -> str:
    return f"{rows.mapping.source}:{_site(row, rows)}:"


def _given_id(row: object, rows: RowSet, fields: PostFields, thread: str | None) -> str | None:
    """The id of a post that is dropped, where it can be told."""
    try:
        given = _id(value_at(row, fields.id), "id")
    except UnusableError:
        return None
    if given is None:
        return None
    return f"{thread}/{given}" if thread else f"{_prefix(row, rows)}{given}"


def _id(value: object, name: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is neither a string nor an integer")
    given = str(value)
    if not _is_unicode(given) or not given.isprintable():
        raise UnusableError(Reason.MISSING_FIELD, f"{name} holds characters that do not print")
    return given


def _is_unicode(text: str) -> bool:
    """False for a string with lone surrogates, which JSON can spell and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _body(value: object, written_in: str) -> tuple[str, bool]:
    """(text, whether its HTML had to be flattened)."""
    if not isinstance(value, str):
        raise UnusableError(Reason.MISSING_FIELD, "text is absent or not a string")
    if written_in == "html":
        body = to_markdown(value, repair)
        return body.text.strip(), body.flattened
    return repair(value).strip(), False


def _text(row: object, where: Where | None, name: str) -> str | None:
    value = value_at(row, where)
    if value is None:
        return None
    if not isinstance(value, str):
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is not a string")
    return repair(value).strip() or None


def _tags(value: object) -> list[str]:
    if value is None:
        return []
    found = value.split(",") if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(tag, str) for tag in found):
        raise UnusableError(Reason.MISSING_FIELD, "tags are not a list of strings")
    return [tag for tag in (repair(str(tag)).strip() for tag in found) if tag]


def _count(row: object, where: Where | None, name: str) -> int | None:
    value = value_at(row, where)
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value, re.ASCII):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is not a whole number")
    return value


def _accepted_answer(row: object, fields: PostFields) -> str | None:
    return _id(value_at(row, fields.accepted_answer), "accepted_answer") if isinstance(fields, QuestionFields) else None


def _accepted(row: object, fields: PostFields) -> bool | None:
    if not isinstance(fields, AnswerFields):
        return None
    value = value_at(row, fields.accepted)
    if value is None or isinstance(value, bool):
        return value
    if value in (0, 1):
        return value == 1
    raise UnusableError(Reason.MISSING_FIELD, "accepted is neither true nor false")


def _author_key(author: object, row: object, rows: RowSet) -> str | None:
    if rows.author_secret is None:
        return None
    name = f"{_prefix(row, rows)}{author}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name, key=rows.author_secret, digest_size=16).hexdigest()


def to_time(value: object, written: str, name: str) -> int | None:
    """Milliseconds since 1970; a time without a zone is UTC.

    Raises UnusableError for what is no time, or none of the years 1 to 9999.
    """
    time = _read_time(value, written, name)
    if time is None or _FIRST_TIME <= time <= _LAST_TIME:
        return time
    detail = f"{name} is not in the years 1 to 9999"
    if _is_seconds(value, written) and _FIRST_TIME <= time // 1000 <= _LAST_TIME:
        detail += ", read as seconds since 1970; this looks like milliseconds"
    raise UnusableError(Reason.MISSING_FIELD, detail)


def _is_seconds(value: object, written: str) -> bool:
    return written in ("auto", "seconds") and isinstance(value, int | float | str)


def _read_time(value: object, written: str, name: str) -> int | None:
    try:
        if value is None or value == "":
            return None
        if isinstance(value, date):  # of a Parquet column; a datetime is a date as well
            return _from_utc(value if isinstance(value, datetime) else datetime(value.year, value.month, value.day))
        if isinstance(value, str) and "%" in written:
            return _from_utc(datetime.strptime(value, written))
        if isinstance(value, str) and written in ("auto", "iso"):
            return _from_utc(datetime.fromisoformat(value))
        if written in _TIMES and written != "iso" and not isinstance(value, bool):
            number = float(value) if isinstance(value, str) else value
            if isinstance(number, int | float) and math.isfinite(number):
                return (number * timedelta(milliseconds=1 if written == "milliseconds" else 1000)) // _MILLISECOND
    except (ValueError, OverflowError):
        pass
    wanted = {
        "auto": "neither a time in ISO 8601 nor seconds since 1970",
        "iso": "not a time in ISO 8601",
        "seconds": "not seconds since 1970",
        "milliseconds": "not milliseconds since 1970",
    }
    raise UnusableError(Reason.MISSING_FIELD, f"{name} is {wanted.get(written, f'not a time written as {written}')}")


def _from_utc(time: datetime) -> int:
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
