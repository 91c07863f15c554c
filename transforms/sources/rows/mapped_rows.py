"""Rows of any question/answer set, or of a text corpus, as posts: what a mapping file makes of them.

Ids come from the content, or are a hash of it where there is none; never from a path or a line number, which change
when a corpus is cut into other files. An answer's id stands below its question's (`quora:site:12/3`), so the two
never collide.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from transforms.datasets.fates import Drop, Reason
from transforms.datasets.ids import canonical_json
from transforms.datasets.schema import PostKind
from transforms.sources.dates import ODD_DATE, is_odd
from transforms.sources.fields import Notes, UnusableError
from transforms.sources.records import Record
from transforms.sources.rows.json_rows import Row
from transforms.sources.rows.mapping import SITE, AnswerFields, PostFields, QuestionFields, RowMapping, plain_documents
from transforms.sources.rows.row_values import (
    Unreadable,
    body_of,
    count_at,
    id_of,
    tags_of,
    text_at,
    to_time,
    value_at,
)
from transforms.sources.streams.unpack import USUAL_LIMITS, Limits
from transforms.text.clean import is_blank

_ADDRESS = re.compile(r"https?://([^/?#:]+)")
_UNNAMED = "unnamed"
_COUNTED = ("id", "created", "score", "ups", "downs")


@dataclass(frozen=True)
class RowSet:
    """What a file of rows does not say of itself. author_secret: a key of up to 64 bytes, or None.

    limits: of what a Parquet file may unpack to; other packed files are unpacked before their rows are read.
    """

    file: str  # name below the input the user gave
    site: str | None
    max_record_bytes: int
    mapping: RowMapping
    author_secret: bytes | None = None
    limits: Limits = USUAL_LIMITS


def check_site(site: str | None, file: str) -> None:
    """Raises ValueError for a name that cannot stand in an id; none is needed."""
    if site is not None and not SITE.fullmatch(site):
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
    answers = _answers(value_at(row, mapping.answer.list))
    if answers is None:
        yield Drop(rows.file, offset, None, Reason.MISSING_FIELD, f"{mapping.answer.list} is not a list")
        return
    for answer in answers:
        if thread is None:
            yield Drop(rows.file, offset, None, Reason.ORPHAN, "its question's row has no readable id")
        else:
            yield _post(answer, offset, rows, mapping.answer, PostKind.ANSWER, thread)


def _answers(value: object) -> list[object] | None:
    """The answers of a row; None for what is no list. Hugging Face writes a list as columns of one length (ELI5)."""
    if value is None:
        return []
    if isinstance(value, Mapping) and value and all(isinstance(column, list) for column in value.values()):
        if len({len(column) for column in value.values()}) > 1:
            return None
        return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    return value if isinstance(value, list) else None


def _flat(row: Row, offset: int, rows: RowSet, question: QuestionFields, answer: AnswerFields) -> Record | Drop:
    try:
        kind = _kind(row, rows.mapping, answer)
        if kind is PostKind.QUESTION:
            return _post(row, offset, rows, question, kind, None)
        parent = id_of(value_at(row, answer.question), "question")
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
        given = id_of(value_at(row, fields.id), "id")
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
    body = value_at(row, fields.text)
    if not isinstance(body, str):
        where = "; --mapping FILE says where else it is" if mapping == plain_documents(mapping.source) else ""
        raise UnusableError(Reason.MISSING_FIELD, f"text is absent or not a string{where}")
    text, flattened = body_of(body, mapping.body)
    if is_blank(text):
        raise UnusableError(Reason.EMPTY, "no text")
    notes = Notes(["flattened-html"] * flattened)
    created = notes.read("created", lambda: to_time(value_at(row, fields.created), mapping.time, "created"))
    title = notes.read("title", lambda: text_at(row, fields.title, "title"))
    url = notes.read("url", lambda: text_at(row, fields.url, "url"))
    given = id_of(value_at(row, fields.id), "id")
    content = given or hashlib.blake2b(canonical_json([text, title, url]).encode(), digest_size=16).hexdigest()
    doc_id = f"{thread}/{content}" if thread else f"{_prefix(row, rows)}{content}"
    author = notes.read("author", lambda: _author(value_at(row, fields.author)))
    ups, downs, score = (
        notes.read(name, partial(count_at, row, getattr(fields, name), name)) for name in ("ups", "downs", "score")
    )
    accepted_answer = notes.read("accepted_answer", lambda: _accepted_answer(row, fields))
    record = Record(
        offset=offset,
        doc_id=doc_id,
        thread_id=thread or doc_id,
        parent_id=thread,
        kind=kind.value,
        text=text,
        title=title,
        tags=notes.read("tags", lambda: tags_of(value_at(row, fields.tags))) or [],
        source=mapping.source,
        site=thread.split(":", 2)[1] if thread else _site(row, rows),
        url=url,
        created=created,
        edited=notes.read("edited", lambda: to_time(value_at(row, fields.edited), mapping.time, "edited")),
        license=notes.read("license", lambda: text_at(row, fields.license, "license")),
        author_key=None if author is None else _author_key(author, row, rows),
        score=ups - downs if score is None and ups is not None and downs is not None else score,
        accepted_id=f"{doc_id}/{accepted_answer}" if accepted_answer else None,
        note=None,
        ups=ups,
        downs=downs,
        accepted=notes.read("accepted", lambda: _accepted(row, fields)),
        authors=() if author is None else (author,),
    )
    notes += [ODD_DATE] * is_odd(created)
    return record._replace(note=" ".join([*notes, *_absent(row, mapping, fields)]) or None)


def _author(value: object) -> str | None:
    if isinstance(value, Unreadable):
        raise UnusableError(Reason.MISSING_FIELD, "author cannot be read")
    return None if value is None or value == "" else str(value)


def _absent(row: object, mapping: RowMapping, fields: PostFields) -> Iterator[str]:
    """A note for each field that pairs depend on and that the mapping names, but this row lacks: `no-score`.

    Counted, so that a misspelt path shows. Plain documents have what they have.
    """
    if mapping.document:
        return
    for name in _COUNTED:
        if (where := getattr(fields, name)) is not None and value_at(row, where) in (None, ""):
            yield f"no-{name}"
    nested = mapping.answer.list if mapping.answer and isinstance(fields, QuestionFields) else None
    if nested is not None and value_at(row, nested) is None:
        yield "no-answers"


def _site(row: object, rows: RowSet) -> str:
    site = rows.site or value_at(row, rows.mapping.site)
    if isinstance(site, str) and (address := _ADDRESS.match(site)):
        site = address[1].lower()
    return site if isinstance(site, str) and SITE.fullmatch(site) else _UNNAMED


def _prefix(row: object, rows: RowSet) -> str:
    return f"{rows.mapping.source}:{_site(row, rows)}:"


def _given_id(row: object, rows: RowSet, fields: PostFields, thread: str | None) -> str | None:
    """The id of a post that is dropped, where it can be told."""
    try:
        given = id_of(value_at(row, fields.id), "id")
    except UnusableError:
        return None
    if given is None:
        return None
    return f"{thread}/{given}" if thread else f"{_prefix(row, rows)}{given}"


def _accepted_answer(row: object, fields: PostFields) -> str | None:
    return (
        id_of(value_at(row, fields.accepted_answer), "accepted_answer") if isinstance(fields, QuestionFields) else None
    )


def _accepted(row: object, fields: PostFields) -> bool | None:
    if not isinstance(fields, AnswerFields):
        return None
    value = value_at(row, fields.accepted)
    if value is None or isinstance(value, bool):
        return value
    if value in (0, 1):
        return value == 1
    raise UnusableError(Reason.MISSING_FIELD, "accepted is neither true nor false")


def _author_key(author: str, row: object, rows: RowSet) -> str | None:
    if rows.author_secret is None:
        return None
    name = f"{_prefix(row, rows)}{author}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name, key=rows.author_secret, digest_size=16).hexdigest()
