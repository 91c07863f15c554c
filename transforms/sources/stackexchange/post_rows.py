"""What a row of Posts.xml or Comments.xml means: a Record, or a Drop that says why it is of no use.

PostTypeId 1 is a question, 2 an answer, others are wikis, nominations and placeholders (meta.stackexchange.com/q/2677).
Older dumps lack ContentLicense and write tags as `<a><b>`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import IO

from transforms.datasets.fates import Drop, Reason
from transforms.datasets.schema import PostKind
from transforms.sources.dates import ODD_DATE, is_odd
from transforms.sources.records import Record
from transforms.sources.stackexchange.tables import ID_LIMIT, SOURCE, Dump, Table, UnusableError, id_prefix, read_rows
from transforms.text.clean import is_blank, repair
from transforms.text.markup import to_markdown

FLATTENED = "flattened-html"  # a note: the body's HTML could not be converted

_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_LONG_TAG = 100  # is none, and not remembered
_EPOCH = datetime(1970, 1, 1)
_MILLISECOND = timedelta(milliseconds=1)

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


def read_posts(stream: IO[bytes], start: int, end: int | None, dump: Dump) -> Iterator[Record | Drop]:
    """The posts or comments whose `<` lies in [start, end) of their table, in order, each as a Record or a Drop.

    A comment comes without its thread, which its row does not name: thread_id is that of the post it stands under.
    """
    return read_rows(stream, start, end, dump, to_comment if dump.table is Table.COMMENTS else to_post)


def url_before(site: str, answer: bool) -> str:
    """What stands before the number in a post's address."""
    return f"https://{site}/{'a' if answer else 'questions'}/"


def to_post(row: Mapping[str, str], offset: int, dump: Dump) -> Record:
    post_type = required(row, "PostTypeId")
    kind = _POST_TYPES.get(post_type)
    if kind is None:
        raise UnusableError(Reason.NOT_A_POST, _OTHER_TYPES.get(post_type, "unknown PostTypeId"))
    number = post_number(row, "Id")
    answer = kind == _ANSWER
    question = post_number(row, "ParentId") if answer else number
    prefix = id_prefix(dump.site)
    created = required_time(row, "CreationDate")
    score = _number(row, "Score")
    body = to_markdown(required(row, "Body"), repair, dump.strip_edit_labels)
    if is_blank(body.text):
        raise UnusableError(Reason.EMPTY, "no text in Body")
    accepted = _number(row, "AcceptedAnswerId") if not answer and row.get("AcceptedAnswerId") else None
    notes = [FLATTENED] * body.flattened + [ODD_DATE] * is_odd(created)
    return Record(
        offset=offset,
        doc_id=f"{prefix}{number}",
        thread_id=f"{prefix}{question}",
        parent_id=f"{prefix}{question}" if answer else None,
        kind=kind,
        text=body.text,
        title=repair(row["Title"]).strip() if not answer and "Title" in row else None,
        tags=() if answer else tags(row.get("Tags", "")),
        source=SOURCE,
        site=dump.site,
        url=f"{url_before(dump.site, answer)}{number}",
        created=created,
        edited=required_time(row, "LastEditDate") if row.get("LastEditDate") else None,
        license=row.get("ContentLicense") or None,
        author_key=author_key(row.get("OwnerUserId"), dump),
        score=score,
        accepted_id=f"{prefix}{accepted}" if accepted is not None else None,
        note=" ".join(notes) or None,
        flags=flags(row.get("ClosedDate"), row.get("CommunityOwnedDate")),
        authors=(row.get("OwnerUserId", ""), row.get("OwnerDisplayName", "")),
    )


def to_comment(row: Mapping[str, str], offset: int, dump: Dump) -> Record:
    number, post = post_number(row, "Id"), post_number(row, "PostId")
    created = required_time(row, "CreationDate")
    text = repair(required(row, "Text")).strip()  # not HTML: a subset of Markdown, as it was typed
    if is_blank(text):
        raise UnusableError(Reason.EMPTY, "no text in Text")
    parent = f"{SOURCE}:{dump.site}:{post}"
    return Record(
        offset=offset,
        doc_id=f"{parent}/c{number}",  # its post's id is in it, so that no other thread can hold it
        thread_id=parent,
        parent_id=parent,
        kind=_COMMENT,
        text=text,
        title=None,
        tags=(),
        source=SOURCE,
        site=dump.site,
        url=f"https://{dump.site}/posts/comments/{number}",
        created=created,
        edited=None,
        license=row.get("ContentLicense") or None,
        author_key=author_key(row.get("UserId"), dump),
        score=_number(row, "Score"),
        accepted_id=None,
        note=ODD_DATE if is_odd(created) else None,
        authors=(row.get("UserId", ""), row.get("UserDisplayName", "")),
    )


def flags(closed: object, community_owned: object) -> list[str]:
    """Sorted. The attributes say since when a post is what its flags say; where they are empty, it is not."""
    return ["closed"] * bool(closed) + ["community-owned"] * bool(community_owned)


def required(row: Mapping[str, str], name: str) -> str:
    if name not in row:
        raise UnusableError(Reason.MISSING_FIELD, f"no {name}")
    return row[name]


def _number(row: Mapping[str, str], name: str) -> int:
    value = required(row, name)
    if not (value.isdecimal() and value.isascii() and len(value) <= 18) and not _NUMBER.fullmatch(value):
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is not an integer")
    return int(value)


def post_number(row: Mapping[str, str], name: str) -> int:
    """The number of a post, comment, vote or link."""
    number = _number(row, name)
    if not 0 <= number < ID_LIMIT:
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is not between 0 and {ID_LIMIT}")
    return number


def type_number(row: Mapping[str, str], name: str) -> int:
    number = _number(row, name)
    if not 0 <= number < 1000:
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is not between 0 and 999")
    return number


def required_time(row: Mapping[str, str], name: str) -> int:
    """Milliseconds since 1970; a time without a zone is UTC, as in all dumps."""
    try:
        time = datetime.fromisoformat(required(row, name))
        if time.tzinfo:  # not by astimezone, which fails at both ends of the calendar
            return (time.replace(tzinfo=None) - _EPOCH - (time.utcoffset() or timedelta())) // _MILLISECOND
        return (time - _EPOCH) // _MILLISECOND
    except ValueError as error:
        if isinstance(error, UnusableError):
            raise
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is not a time in ISO 8601") from None


def tags(value: str) -> list[str]:
    """`<a><b>` in dumps until 2024, `|a|b|` since."""
    parts = value.strip("|").split("|") if value.startswith("|") else value.strip("<>").split("><")
    return [_tag(part) if len(part) < _LONG_TAG else repair(part) for part in parts if part]


_tag = lru_cache(maxsize=1 << 16)(repair)  # a site has some thousands of tags, and each question a few of them


def author_key(owner: str | None, dump: Dump) -> str | None:
    if dump.author_secret is None or not owner:
        return None
    name = f"{SOURCE}:{dump.site}:{owner}".encode()
    return hashlib.blake2b(name, key=dump.author_secret, digest_size=16).hexdigest()
