"""Rows of any question/answer set, or of a text corpus, as posts: what a mapping file makes of them.

Ids come from the content, or are a hash of it where there is none; never from a path or a line number, which change
when a corpus is cut into other files. An answer's id stands below its question's (`quora:site:12/3`) and a comment's
below its post's (`quora:site:12/3/comment/7`), so that the three do not collide; replies and what they reply to share
their ids.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from transforms.datasets.fates import Drop, Reason
from transforms.datasets.ids import canonical_json
from transforms.datasets.schema import PostKind
from transforms.sources.dates import ODD_DATE, is_odd
from transforms.sources.fields import Notes, UnusableError
from transforms.sources.mapping import (
    SITE,
    AnswerFields,
    CommentFields,
    PostFields,
    QuestionFields,
    ReplyFields,
    RowMapping,
    Where,
    plain_documents,
)
from transforms.sources.records import Record
from transforms.sources.rows.json_rows import Row
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
from transforms.sources.sites import SiteRule
from transforms.sources.source import Found, Holds, InputFile, Problem, Reading
from transforms.sources.stated import attribute_of, language_of
from transforms.text.clean import is_blank

_ADDRESS = re.compile(r"https?://([^/?#:]+)")
_UNNAMED = "unnamed"
_TRUE = (True, 1, "true", "True", "TRUE", "1")
_COUNTED = ("id", "created", "score", "ups", "downs")


_Fields = QuestionFields | AnswerFields | CommentFields | ReplyFields


class _Stand(NamedTuple):
    """Where a post stands. kind: None for a reply, which is what it replies to says. thread, parent: ids, None where
    the row does not say. below: what stands before its own id in its document id."""

    kind: PostKind | None
    thread: str | None
    parent: str | None
    below: str

    @staticmethod
    def answer(question: str) -> _Stand:
        return _Stand(PostKind.ANSWER, question, question, f"{question}/")

    @staticmethod
    def comment(question: str, post: str) -> _Stand:
        return _Stand(PostKind.COMMENT, question, post, f"{post}/comment/")


def describe(found: Found, source: str, problem: Problem | None) -> InputFile:
    """A file of rows. What it holds is what its mapping says. Raises ValueError for a site that cannot stand in ids."""
    SiteRule.NAME.check(found.site, found.place)
    mapping = found.mapping
    holds = Holds.REPLIES if mapping and mapping.reply else Holds.POSTS
    return found.file(source, found.site, problem, holds, flat_comments=bool(mapping and mapping.comment))


def to_posts(row: Row, offset: int, how: Reading, mapping: RowMapping) -> Iterator[Record | Drop]:
    """Every post of a row, each as a Record or a Drop: one, or with nested answers and comments one for each."""
    set_of = _Set(how, mapping, row)
    question, answer = mapping.question, mapping.answer
    if question and answer and answer.list is not None:
        yield from _nested(row, offset, set_of, question, answer, answer.list)
        return
    try:
        fields, stand = _one(row, set_of)
    except UnusableError as error:
        own, parent = _ids_of(row, set_of, mapping.reply) if mapping.reply else (None, None)
        yield Drop(how.file, offset, own, error.reason, str(error), parent_id=parent)
    else:
        yield _post(row, offset, set_of, fields, stand)


def _ids_of(row: Row, rows: _Set, reply: ReplyFields) -> tuple[str | None, str | None]:
    """(id, parent) of a row that is no post: what replies to it still finds its thread."""
    prefix = rows.prefix(row)
    try:
        above = id_of(value_at(row, reply.parent), "parent")
    except UnusableError:
        above = None
    return _given_id(row, reply, prefix), f"{prefix}{above}" if above and above not in reply.no_parent else None


class _Set(NamedTuple):
    """A row of a file: how it is read, what its fields are, and the row itself, in which items may stand."""

    how: Reading
    mapping: RowMapping
    whole: Row

    def prefix(self, row: object) -> str:
        return f"{self.mapping.source}:{self.site(row)}:"

    def site(self, row: object) -> str:
        site = self.how.site or value_at(row, self.mapping.site)
        if isinstance(site, str) and (address := _ADDRESS.match(site)):
            site = address[1].lower()
        return site if isinstance(site, str) and SITE.fullmatch(site) else _UNNAMED


def _nested(
    row: Row, offset: int, rows: _Set, question: QuestionFields, answer: AnswerFields, where: str
) -> Iterator[Record | Drop]:
    """A question, its comments, and its answers, which are in a list at `where`, each with its own comments."""
    asked = _post(row, offset, rows, question, _Stand(PostKind.QUESTION, None, None, rows.prefix(row)))
    yield asked
    thread = asked.doc_id if isinstance(asked, Record) else _given_id(row, question, rows.prefix(row))
    yield from _comments(row, offset, rows, thread, thread)
    answers = _items(value_at(row, where))
    if answers is None:
        yield Drop(rows.how.file, offset, None, Reason.MISSING_FIELD, f"{where} is not a list")
        return
    for item in answers:
        if thread is None:
            yield Drop(rows.how.file, offset, None, Reason.ORPHAN, "its question's row has no readable id")
            yield from _comments(item, offset, rows, None, None)
            continue
        answered = _post(item, offset, rows, answer, _Stand.answer(thread))
        yield answered
        given = answered.doc_id if isinstance(answered, Record) else _given_id(item, answer, f"{thread}/")
        yield from _comments(item, offset, rows, thread, given)


def _comments(item: object, offset: int, rows: _Set, thread: str | None, post: str | None) -> Iterator[Record | Drop]:
    """The comments that the row of a question or an answer holds."""
    fields = rows.mapping.comment
    if fields is None:
        return
    comments = _items(value_at(item, fields.list))
    if comments is None:
        yield Drop(rows.how.file, offset, None, Reason.MISSING_FIELD, f"{fields.list} is not a list")
        return
    for comment in comments:
        if thread is None or post is None:
            yield Drop(rows.how.file, offset, None, Reason.ORPHAN, "its post has no readable id")
        else:
            yield _post(comment, offset, rows, fields, _Stand.comment(thread, post))


def _one(row: Row, rows: _Set) -> tuple[PostFields, _Stand]:
    """What a row that is one post is, and where it stands. Raises UnusableError where it does not say so."""
    mapping, prefix = rows.mapping, rows.prefix(row)
    if mapping.document:
        return mapping.document, _Stand(PostKind.DOCUMENT, None, None, prefix)
    fields = _fields_of(row, mapping)
    if isinstance(fields, QuestionFields):
        return fields, _Stand(PostKind.QUESTION, None, None, prefix)
    if isinstance(fields, ReplyFields):
        above = _named(row, fields.parent, "a reply", "parent")
        if above in fields.no_parent:
            raise UnusableError(Reason.MISSING_FIELD, "a reply that replies to nothing")
        return fields, _Stand(None, None, f"{prefix}{above}", prefix)
    if isinstance(fields, CommentFields):
        question = f"{prefix}{_named(row, fields.question, 'a comment', 'question')}"
        answer = id_of(value_at(row, fields.answer), "answer")
        return fields, _Stand.comment(question, question if answer is None else f"{question}/{answer}")
    return fields, _Stand.answer(f"{prefix}{_named(row, fields.question, 'an answer', 'question')}")


def _fields_of(row: Row, mapping: RowMapping) -> _Fields:
    answered = mapping.answer or mapping.reply
    found: _Fields | None
    if mapping.kind is None:
        names = mapping.reply.parent if mapping.reply else mapping.answer.question if mapping.answer else None
        above, nothing = value_at(row, names), mapping.reply.no_parent if mapping.reply else ()
        found = mapping.question if above in (None, "") or str(above) in nothing else answered
        where = ""
    else:
        where, value, kind = mapping.kind.path, str(value_at(row, mapping.kind.path)), mapping.kind
        kinds = (kind.question, kind.answer, kind.comment, kind.reply)
        fields = (mapping.question, mapping.answer, mapping.comment, mapping.reply)
        found = next((one for one, values in zip(fields, kinds, strict=True) if one and value in values), None)
    if found is None:
        others = "an answer nor a comment" if mapping.comment else "an answer" if mapping.answer else "a reply"
        kinds_of_posts = f"a question nor {others}"
        raise UnusableError(Reason.NOT_A_POST, f"{where} names neither {kinds_of_posts}")
    return found


def _named(row: Row, where: Where | None, what: str, name: str) -> str:
    given = id_of(value_at(row, where), name)
    if given is None:
        raise UnusableError(Reason.MISSING_FIELD, f"{what} that names no {name}")
    return given


def _items(value: object) -> list[object] | None:
    """Answers or comments; None for what is no list. Hugging Face writes a list as columns of one length (ELI5)."""
    if value is None:
        return []
    if isinstance(value, Mapping) and value and all(isinstance(column, list) for column in value.values()):
        if len({len(column) for column in value.values()}) > 1:
            return None
        return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    return value if isinstance(value, list) else None


def _post(row: object, offset: int, rows: _Set, fields: PostFields, stand: _Stand) -> Record | Drop:
    try:
        return _record(row, offset, rows, fields, stand)
    except UnusableError as error:
        post_id = _given_id(row, fields, stand.below)
        return Drop(rows.how.file, offset, post_id, error.reason, str(error), parent_id=stand.parent)


def _record(row: object, offset: int, rows: _Set, fields: PostFields, stand: _Stand) -> Record:
    mapping, notes = rows.mapping, Notes()
    if any(value_at(row, where) in _TRUE for where in mapping.withdrawn):
        raise UnusableError(Reason.DELETED, "a field says that it was withdrawn")
    title = notes.read("title", lambda: text_at(row, fields.title, "title"))
    body = value_at(row, fields.text)
    if title and mapping.reply and body is None:
        body = ""  # a link with a title, under which people talk
    if not isinstance(body, str):
        where = "; --mapping FILE says where else it is" if mapping == plain_documents(mapping.source) else ""
        raise UnusableError(Reason.MISSING_FIELD, f"text is absent or not a string{where}")
    text, flattened = body_of(body, mapping.body)
    if is_blank(text) and not (title and mapping.reply):
        raise UnusableError(Reason.EMPTY, "no text")
    notes += ["flattened-html"] * flattened
    created = notes.read("created", lambda: to_time(value_at(row, fields.created), mapping.time, "created"))
    url = notes.read("url", lambda: text_at(row, fields.url, "url"))
    given = id_of(value_at(row, fields.id), "id")
    content = given or hashlib.blake2b(canonical_json([text, title, url]).encode(), digest_size=16).hexdigest()
    doc_id = f"{stand.below}{content}"
    author = notes.read("author", lambda: _author(value_at(row, fields.author)))
    ups, downs, score = (
        notes.read(name, partial(count_at, row, getattr(fields, name), name)) for name in ("ups", "downs", "score")
    )
    accepted_answer = notes.read("accepted_answer", lambda: _accepted_answer(row, fields))
    above_answers = stand.below if mapping.reply else f"{doc_id}/"
    record = Record(
        offset=offset,
        doc_id=doc_id,
        thread_id=stand.thread if stand.parent else doc_id,
        parent_id=stand.parent,
        kind=stand.kind and stand.kind.value,
        text=text,
        title=title,
        tags=notes.read("tags", lambda: tags_of(value_at(row, fields.tags))) or [],
        source=mapping.source,
        site=stand.thread.split(":", 2)[1] if stand.thread else rows.site(row),
        url=url,
        created=created,
        edited=notes.read("edited", lambda: to_time(value_at(row, fields.edited), mapping.time, "edited")),
        license=notes.read("license", lambda: text_at(row, fields.license, "license")),
        author_key=rows.how.author_key(rows.prefix(row), author),
        score=ups - downs if score is None and ups is not None and downs is not None else score,
        accepted_id=f"{above_answers}{accepted_answer}" if accepted_answer else None,
        note=None,
        ups=ups,
        downs=downs,
        accepted=notes.read("accepted", lambda: _accepted(row, fields)),
        language=_language(row, rows, fields, notes),
        attributes=_attributes(row, rows, fields, notes),
        authors=() if author is None else (author,),
    )
    notes += [ODD_DATE] * is_odd(created)
    notes += ["no-site"] * (record.site == _UNNAMED and mapping.site is not None)
    return record._replace(note=" ".join([*notes, *_absent(row, mapping, fields)]) or None)


def _language(row: object, rows: _Set, fields: PostFields, notes: Notes) -> str | None:
    own, of_row = fields.language, rows.mapping.language
    if own is None and of_row is None:
        return None
    return notes.expect("language", lambda: language_of(_own(row, own, rows, of_row)))


def _attributes(row: object, rows: _Set, fields: PostFields, notes: Notes) -> Sequence[Mapping[str, str]]:
    own, of_row = fields.attributes, rows.mapping.attributes
    if not own and not of_row:
        return ()
    found = []
    for name in sorted({*own, *of_row}):
        column = f"attributes.{name}"
        value = _own(row, own.get(name), rows, of_row.get(name))
        if (text := notes.read(column, partial(attribute_of, value, column))) is not None:
            found.append({"name": name, "value": text})
    return found


def _own(row: object, own: Where | None, rows: _Set, of_row: Where | None) -> object:
    """What a post says of itself, else what its row says of all its posts."""
    value = value_at(row, own)
    return value_at(rows.whole, of_row) if value is None or value == "" else value


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


def _given_id(row: object, fields: PostFields, below: str) -> str | None:
    """The id of a post that is dropped, where it can be told: so are its answers counted as its answers."""
    try:
        given = id_of(value_at(row, fields.id), "id")
    except UnusableError:
        return None
    return f"{below}{given}" if given else None


def _accepted_answer(row: object, fields: PostFields) -> str | None:
    return (
        id_of(value_at(row, fields.accepted_answer), "accepted_answer") if isinstance(fields, QuestionFields) else None
    )


def _accepted(row: object, fields: PostFields) -> bool | None:
    if not isinstance(fields, AnswerFields | ReplyFields):
        return None
    value = value_at(row, fields.accepted)
    if value is None or isinstance(value, bool):
        return value
    if value in (0, 1):
        return value == 1
    raise UnusableError(Reason.MISSING_FIELD, "accepted is neither true nor false")
