"""What a row of Posts.xml or Comments.xml means: a Record, or a Drop that says why it is of no use.

PostTypeId 1 is a question, 2 an answer, others are wikis, nominations and placeholders (meta.stackexchange.com/q/2677).
Older dumps lack ContentLicense and write tags as `<a><b>`. What a row cannot do without: Id, PostTypeId, Body, the
ParentId of an answer; of a comment Id, PostId and Text. Any other attribute that cannot be read is null, and noted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import IO

from transforms.datasets.fates import Drop, Reason
from transforms.datasets.schema import PostKind
from transforms.sources.dates import ODD_DATE, is_odd
from transforms.sources.fields import Notes, UnusableError
from transforms.sources.records import Record
from transforms.sources.rows.row_values import count_of, to_time
from transforms.sources.stackexchange.tables import ID_LIMIT, SOURCE, Dump, Table, id_prefix, read_rows
from transforms.text.clean import is_blank, repair
from transforms.text.markup import to_markdown

FLATTENED = "flattened-html"  # a note: the body's HTML could not be converted
MALFORMED_TAGS = "malformed-tags"  # a note: tags are written in neither way of the dumps, and read as best they can be

_BETWEEN_TAGS = re.compile(r"[<>|]+")
_LONG = 100  # characters: no tag or licence is so long, and what is is not remembered

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
    body = to_markdown(required(row, "Body"), repair, dump.strip_edit_labels)
    if is_blank(body.text):
        raise UnusableError(Reason.EMPTY, "no text in Body")
    notes = Notes([FLATTENED] * body.flattened)
    created, score = _created(row, notes), _score(row, notes)
    edited = notes.read("edited", lambda: to_time(row.get("LastEditDate"), "iso", "edited"))
    accepted = None
    if not answer and row.get("AcceptedAnswerId"):
        accepted = notes.read("accepted_answer", lambda: post_number(row, "AcceptedAnswerId"))
    notes += [ODD_DATE] * is_odd(created)
    tag_list = [] if answer else tags(row.get("Tags", ""))
    if tag_list is None:
        notes.append(MALFORMED_TAGS)
        tag_list = [_repaired(part) for part in _BETWEEN_TAGS.split(row["Tags"]) if part]
    return Record(
        offset=offset,
        doc_id=f"{prefix}{number}",
        thread_id=f"{prefix}{question}",
        parent_id=f"{prefix}{question}" if answer else None,
        kind=kind,
        text=body.text,
        title=None if answer else title(row.get("Title", "")),
        tags=tag_list,
        source=SOURCE,
        site=dump.site,
        url=f"{url_before(dump.site, answer)}{number}",
        created=created,
        edited=edited,
        license=licence(row.get("ContentLicense", "")),
        author_key=author_key(row.get("OwnerUserId"), dump),
        score=score,
        accepted_id=f"{prefix}{accepted}" if accepted is not None else None,
        note=" ".join(notes) or None,
        flags=flags(row.get("ClosedDate"), row.get("CommunityOwnedDate")),
        authors=(row.get("OwnerUserId", ""), row.get("OwnerDisplayName", "")),
    )


def to_comment(row: Mapping[str, str], offset: int, dump: Dump) -> Record:
    number, post = post_number(row, "Id"), post_number(row, "PostId")
    text = repair(required(row, "Text")).strip()  # not HTML: a subset of Markdown, as it was typed
    if is_blank(text):
        raise UnusableError(Reason.EMPTY, "no text in Text")
    notes = Notes()
    created, score = _created(row, notes), _score(row, notes)
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
        license=licence(row.get("ContentLicense", "")),
        author_key=author_key(row.get("UserId"), dump),
        score=score,
        accepted_id=None,
        note=" ".join(notes + [ODD_DATE] * is_odd(created)) or None,
        authors=(row.get("UserId", ""), row.get("UserDisplayName", "")),
    )


def flags(closed: object, community_owned: object) -> list[str]:
    """Sorted. The attributes say since when a post is what its flags say; where they are empty, it is not."""
    return ["closed"] * bool(closed) + ["community-owned"] * bool(community_owned)


def required(row: Mapping[str, str], name: str) -> str:
    if name not in row:
        raise UnusableError(Reason.MISSING_FIELD, f"no {name}")
    return row[name]


def post_number(row: Mapping[str, str], name: str) -> int:
    """The number of a post, comment, vote or link."""
    return _number(row, name, ID_LIMIT)


def type_number(row: Mapping[str, str], name: str) -> int:
    return _number(row, name, 1000)


def _number(row: Mapping[str, str], name: str, limit: int) -> int:
    number = count_of(required(row, name), name)
    if number is None or not 0 <= number < limit:
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is not between 0 and {limit - 1}")
    return number


def _created(row: Mapping[str, str], notes: Notes) -> int | None:
    return notes.expect("created", lambda: to_time(row.get("CreationDate"), "iso", "created"))


def _score(row: Mapping[str, str], notes: Notes) -> int | None:
    return notes.expect("score", lambda: count_of(row.get("Score") or None, "score"))


def title(value: str) -> str | None:
    return repair(value).strip() or None


def licence(value: str) -> str | None:
    return _repaired(value).strip() or None


def tags(value: str) -> list[str] | None:
    """`<a><b>` in dumps until 2024, `|a|b|` since; None for what is neither."""
    if not value:
        return []
    parts = value[1:-1].split("|" if value[0] == "|" else "><")
    begins, ends = value.count("<"), value.count(">")
    in_angles = value[0] == "<" and value[-1] == ">" and begins == ends == len(parts) and "|" not in value
    in_bars = value[0] == value[-1] == "|" and not (begins or ends)
    return [*map(_repaired, parts)] if (in_angles or in_bars) and "" not in parts else None


def _repaired(value: str) -> str:
    return _short(value) if len(value) < _LONG else repair(value)


_short = lru_cache(maxsize=1 << 16)(repair)  # a site has some thousands of tags, and each question a few of them


def author_key(owner: str | None, dump: Dump) -> str | None:
    if dump.author_secret is None or not owner:
        return None
    name = f"{SOURCE}:{dump.site}:{owner}".encode()
    return hashlib.blake2b(name, key=dump.author_secret, digest_size=16).hexdigest()
