"""What a row of Posts.xml or Comments.xml means: a Record, or a Drop that says why it is of no use.

PostTypeId 1 is a question, 2 an answer, others are wikis, nominations and placeholders (meta.stackexchange.com/q/2677).
Older dumps lack ContentLicense and write tags as `<a><b>`. What a row cannot do without: Id, PostTypeId, Body, the
ParentId of an answer; of a comment Id, PostId and Text. Any other attribute that cannot be read is null, and noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import IO

from transforms.datasets.fates import Drop, Reason
from transforms.datasets.schema import PostKind
from transforms.sources.dates import ODD_DATE, is_odd
from transforms.sources.fields import Notes, UnusableError
from transforms.sources.marks import ID_LIMIT
from transforms.sources.records import Record
from transforms.sources.rows.row_values import count_of, to_time
from transforms.sources.source import Holds, Reading
from transforms.sources.stackexchange.tables import NAME, id_prefix, read_rows
from transforms.text.clean import is_blank, repair
from transforms.text.markup import to_markdown

_FLATTENED = "flattened-html"  # a note: the body's HTML could not be converted
_MALFORMED_TAGS = "malformed-tags"  # a note: tags are written in neither way of the dumps, and read as best they can be

_BETWEEN_TAGS = re.compile(r"[<>|]+")
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_CLOCK = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])\.([0-9]{3})", re.ASCII)
_LONG = 100  # characters: no tag or licence is so long, and what is is not remembered

# Sites that take posts of one language only; on those that are about a language people write in two.
_LANGUAGES = {
    "es.stackoverflow.com": "spa_Latn",
    "es.meta.stackoverflow.com": "spa_Latn",
    "ja.stackoverflow.com": "jpn_Jpan",
    "ja.meta.stackoverflow.com": "jpn_Jpan",
    "pt.stackoverflow.com": "por_Latn",
    "pt.meta.stackoverflow.com": "por_Latn",
    "ru.stackoverflow.com": "rus_Cyrl",
    "ru.meta.stackoverflow.com": "rus_Cyrl",
}

_QUESTION, _ANSWER, _COMMENT = PostKind.QUESTION.value, PostKind.ANSWER.value, PostKind.COMMENT.value
_POST_TYPES = {"1": _QUESTION, "2": _ANSWER}
_OTHER_TYPES = {
    "0": "placeholder",
    "3": "orphaned tag wiki",
    "4": "tag wiki excerpt",
    "5": "tag wiki",
    "6": "moderator nomination",
    "7": "wiki placeholder",
    "8": "privilege wiki",
    "9": "article",
    "10": "help article",
    "12": "collection",
    "13": "moderator questionnaire",
    "14": "announcement",
    "15": "collective discussion",
    "17": "collective collection",
}


def read_posts(stream: IO[bytes], start: int, end: int | None, how: Reading) -> Iterator[Record | Drop]:
    """The posts or comments whose `<` lies in [start, end) of their table, in order, each as a Record or a Drop.

    A comment comes without its thread, which its row does not name: thread_id is that of the post it stands under.
    """
    return read_rows(stream, start, end, how, _to_comment if how.holds is Holds.COMMENTS else _to_post)


def _to_post(row: Mapping[str, str], offset: int, how: Reading) -> Record:
    """A row of Posts.xml. Raises UnusableError for one that gives no post."""
    post_type = _required(row, "PostTypeId")
    kind = _POST_TYPES.get(post_type)
    if kind is None:
        raise UnusableError(Reason.NOT_A_POST, _OTHER_TYPES.get(post_type, "unknown PostTypeId"))
    number, site = post_number(row, "Id"), how.site or ""
    prefix, is_answer = id_prefix(site), kind == _ANSWER
    thread_id = f"{prefix}{post_number(row, 'ParentId') if is_answer else number}"
    body = to_markdown(_required(row, "Body"), repair, how.strip_edit_labels)
    if is_blank(body.text):
        raise UnusableError(Reason.EMPTY, "no text in Body")
    notes = Notes([_FLATTENED] * body.flattened)
    created, score, edited, accepted_id = _created(row, notes), _score(row, notes), None, None
    if (changed := row.get("LastEditDate")) and (edited := _plain_time(changed)) is None:
        edited = notes.read("edited", lambda: _time(row, "LastEditDate", "edited"))
    if not is_answer and row.get("AcceptedAnswerId"):
        accepted_id = notes.read("accepted_answer", lambda: f"{prefix}{post_number(row, 'AcceptedAnswerId')}")
    if is_odd(created):
        notes.append(ODD_DATE)
    tags = () if is_answer else _tags(row, notes)
    return Record(
        offset=offset,
        doc_id=f"{prefix}{number}",
        thread_id=thread_id,
        parent_id=thread_id if is_answer else None,
        kind=kind,
        text=body.text,
        title=None if is_answer else _title(row),
        tags=tags,
        source=NAME,
        site=site,
        url=f"https://{site}/{'a' if is_answer else 'questions'}/{number}",
        created=created,
        edited=edited,
        license=_licence(row),
        author_key=how.author_key(prefix, row.get("OwnerUserId")),
        score=score,
        accepted_id=accepted_id,
        note=" ".join(notes) if notes else None,
        flags=_flags(row),
        language=_LANGUAGES.get(site),
        authors=(row.get("OwnerUserId", ""), row.get("OwnerDisplayName", "")),
    )


def _to_comment(row: Mapping[str, str], offset: int, how: Reading) -> Record:
    """A row of Comments.xml. Raises UnusableError for one that gives no comment."""
    number, post, site = post_number(row, "Id"), post_number(row, "PostId"), how.site or ""
    text = repair(_required(row, "Text")).strip()  # not HTML: a subset of Markdown, as it was typed
    if is_blank(text):
        raise UnusableError(Reason.EMPTY, "no text in Text")
    notes, prefix = Notes(), id_prefix(site)
    created, score = _created(row, notes), _score(row, notes)
    if is_odd(created):
        notes.append(ODD_DATE)
    parent = f"{prefix}{post}"
    return Record(
        offset=offset,
        doc_id=f"{parent}/c{number}",  # its post's id is in it, so that no other thread can hold it
        thread_id=parent,
        parent_id=parent,
        kind=_COMMENT,
        text=text,
        title=None,
        tags=(),
        source=NAME,
        site=site,
        url=f"https://{site}/posts/comments/{number}",
        created=created,
        edited=None,
        license=_licence(row),
        author_key=how.author_key(prefix, row.get("UserId")),
        score=score,
        accepted_id=None,
        note=" ".join(notes) if notes else None,
        language=_LANGUAGES.get(site),
        authors=(row.get("UserId", ""), row.get("UserDisplayName", "")),
    )


def _flags(row: Mapping[str, str]) -> list[str]:
    """Sorted. The attributes say since when a post is what its flags say; where they are empty, it is not."""
    flags = ["closed"] if row.get("ClosedDate") else []
    return [*flags, "community-owned"] if row.get("CommunityOwnedDate") else flags


def _required(row: Mapping[str, str], name: str) -> str:
    """An attribute that a row cannot do without. Raises UnusableError."""
    if name not in row:
        raise UnusableError(Reason.MISSING_FIELD, f"no {name}")
    return row[name]


def post_number(row: Mapping[str, str], name: str) -> int:
    """The number of a post, comment, vote or link. Raises UnusableError."""
    return _number(row, name, ID_LIMIT)


def type_number(row: Mapping[str, str], name: str) -> int:
    """The number of a kind of vote or link. Raises UnusableError."""
    return _number(row, name, 1000)


def _number(row: Mapping[str, str], name: str, limit: int) -> int:
    value = _required(row, name)
    number = int(value) if _PLAIN_NUMBER.fullmatch(value) else count_of(value, name)
    if number is None or not 0 <= number < limit:
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is not between 0 and {limit - 1}")
    return number


# Of the fields that a row can do without, nearly all are what they should be: that is seen first.


def _created(row: Mapping[str, str], notes: Notes) -> int | None:
    created = _plain_time(row.get("CreationDate", ""))
    return created if created is not None else notes.expect("created", lambda: _time(row, "CreationDate", "created"))


def _time(row: Mapping[str, str], attribute: str, name: str) -> int | None:
    return to_time(row.get(attribute), "iso", name)


def _plain_time(value: str) -> int | None:
    """Milliseconds since 1970 of a time as dumps write all of theirs, None for another: a day's midnight is known."""
    clock = _CLOCK.fullmatch(value)
    midnight = _midnight(clock[1]) if clock else None
    if clock is None or midnight is None:
        return None
    _, hours, minutes, seconds, milliseconds = clock.groups()
    return midnight + (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * 1000 + int(milliseconds)


@lru_cache(maxsize=1 << 14)  # 44 years
def _midnight(date: str) -> int | None:
    return Notes().read("midnight", lambda: to_time(date, "iso", "midnight"))


def _score(row: Mapping[str, str], notes: Notes) -> int | None:
    value = row.get("Score")
    if value and _PLAIN_NUMBER.fullmatch(value):
        return int(value)
    return notes.expect("score", lambda: count_of(value or None, "score"))


def _title(row: Mapping[str, str]) -> str | None:
    return repair(row.get("Title", "")).strip() or None


def _licence(row: Mapping[str, str]) -> str | None:
    return _repaired(row.get("ContentLicense", "")).strip() or None


def _tags(row: Mapping[str, str], notes: Notes) -> Sequence[str]:
    """`<a><b>` in dumps until 2024, `|a|b|` since."""
    value = row.get("Tags")
    if not value:
        return ()
    parts = value[1:-1].split("|" if value[0] == "|" else "><")
    begins, ends = value.count("<"), value.count(">")
    in_angles = value[0] == "<" and value[-1] == ">" and begins == ends == len(parts) and "|" not in value
    in_bars = value[0] == value[-1] == "|" and not (begins or ends)
    if (in_angles or in_bars) and "" not in parts:
        return [_repaired(part) for part in parts]
    notes.append(_MALFORMED_TAGS)
    return [_repaired(part) for part in _BETWEEN_TAGS.split(value) if part]


def _repaired(value: str) -> str:
    return _short(value) if len(value) < _LONG else repair(value)


_short = lru_cache(maxsize=1 << 16)(repair)  # a site has some thousands of tags, and each question a few of them
