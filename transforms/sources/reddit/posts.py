"""Reddit's monthly dumps (Pushshift, Arctic Shift): RS_* submissions and RC_* comments, one JSON object a line.

A submission is a question, a comment on it an answer, a reply to a comment a comment; all are Markdown and stay so.
The fields read here are there in every dump from 2005 to 2024 or have a default; types drift (created_utc is an
integer, a float or a string of digits), and the rest is ignored. What a row says is in docs/formats.md. A row cannot do
without its id, its text and what it replies to; any other field that cannot be read is null, and noted.

Ids are Reddit's own, unique over all of it, so ours do not hold the subreddit, which a row may lack. A user's own
page ("u_NAME") is a subreddit named after its author: its name is stored neither as site nor in the URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from transforms.datasets.fates import Drop, Reason
from transforms.datasets.schema import PostKind
from transforms.sources.dates import ODD_DATE, is_odd
from transforms.sources.fields import Notes, UnusableError
from transforms.sources.records import Record
from transforms.sources.rows import json_rows
from transforms.sources.rows.json_rows import Row
from transforms.sources.rows.row_values import count_at, to_time, value_at
from transforms.sources.source import Reading
from transforms.text.clean import is_blank, repair

NAME = "reddit"

_SITE = "reddit.com"
_PREFIX = f"{NAME}:{_SITE}:"
_SUBREDDIT = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_NUMBER = re.compile(r"[0-9a-z]{1,13}")
_SECONDS = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]+)?", re.ASCII)
_FULL_NAME = re.compile(r"t[13]_[0-9a-z]{1,13}")
_BASE = "0123456789abcdefghijklmnopqrstuvwxyz"

_COMMENT_FIELDS = (b'"body"', b'"link_id"', b'"parent_id"')
_SUBMISSION_FIELDS = (b'"title"', b'"subreddit"', b'"selftext"')

_SHOWN = {"&#x200B;": "", "&nbsp;": " "}
# Or code, which stays, and backticks that nothing follows: a search from each of them would look at the rest again.
_ROOM = re.compile(r"(`++)(?:[^`\n]*+(?:\1|`++))?+|^(?: {4}|\t).*+$|&#x200B;|&nbsp;", re.MULTILINE)
_BLANK_START = re.compile(r"\s*\n")
_NOBODY = frozenset(("[deleted]", "[removed]", ""))
_TAKEN_BACK = frozenset(("[deleted]", "[deleted by user]"))
_TAKEN_DOWN = ("[removed]", "[ removed by ", "[removed by ")
_LONGEST_NOTICE = 200

_TRUE_FLAGS = ("locked", "over_18", "spoiler", "stickied")
_DISTINGUISHED = frozenset({"admin", "moderator", "special"})  # whom Reddit says that a post was written for
_LARGE = 1 << 62
_LAST_SECOND = 253402300799  # the end of the year 9999


def is_reddit(head: bytes) -> bool:
    """Whether a file that begins so is a Reddit dump: by the fields of its first lines, whatever its name."""
    return any(
        all(field in line for field in fields)
        for line in head.split(b"\n")[:10]  # the first one may be damaged
        for fields in (_COMMENT_FIELDS, _SUBMISSION_FIELDS)
    )


def read_posts(stream: IO[bytes], start: int, end: int | None, how: Reading) -> Iterator[Record | Drop]:
    """The submissions and comments whose line begins in [start, end), in order, each as a Record or a Drop."""
    return json_rows.read_posts(stream, start, end, how, _post, lambda row: (_row_id(row), None))


def _post(row: Row, offset: int, how: Reading) -> Record:
    return (_comment if "link_id" in row else _submission)(row, offset, how)


def _row_id(row: Row) -> str | None:
    """Our id of a row, or None where it has no usable one."""
    number = row.get("id")
    if not isinstance(number, str) or not _NUMBER.fullmatch(number):
        return None
    return f"{_PREFIX}t{1 if 'link_id' in row else 3}_{number}"


def _submission(row: Row, offset: int, how: Reading) -> Record:
    doc_id = _own_id(row)
    if row.get("promoted") is True:
        raise UnusableError(Reason.NOT_A_POST, "an advertisement")
    notes = Notes()
    text = _text(row, "selftext")
    title = (notes.read("title", lambda: _text(row, "title")) or "").strip()
    _refuse_withdrawn(text, title)
    if category := row.get("removed_by_category"):
        by_author = category in ("deleted", "author")
        raise UnusableError(Reason.DELETED if by_author else Reason.REMOVED, "removed_by_category is set")
    if is_blank(text) and is_blank(title):
        raise UnusableError(Reason.EMPTY, "neither title nor text")
    flags = _flags(row)
    if row.get("crosspost_parent"):
        flags.append("crosspost")
    if row.get("is_gallery") is True:
        flags.append("gallery")
    if row.get("is_self") is False:
        flags.append("link")
    if row.get("poll_data"):
        flags.append("poll")
    kind = PostKind.QUESTION.value
    return _record(row, offset, how, doc_id, doc_id, None, kind, text, title or None, flags, notes)


def _comment(row: Row, offset: int, how: Reading) -> Record:
    doc_id = _own_id(row)
    text = _text(row, "body")
    _refuse_withdrawn(text, "")
    if is_blank(text):
        raise UnusableError(Reason.EMPTY, "no text in body")
    link = row.get("link_id")
    if not isinstance(link, str) or not _FULL_NAME.fullmatch(link) or link[1] != "3":
        raise UnusableError(Reason.MISSING_FIELD, "link_id is no submission's id")
    parent = _parent(row.get("parent_id"), link)
    flags = _flags(row)
    if row.get("controversiality") == 1:
        flags.append("controversial")
    if row.get("is_submitter") is True:
        flags.append("submitter")
    kind = PostKind.ANSWER.value if parent == link else PostKind.COMMENT.value
    thread_id, notes = _PREFIX + link, Notes()
    return _record(row, offset, how, doc_id, thread_id, _PREFIX + parent, kind, text, None, flags, notes)


def _record(
    row: Row,
    offset: int,
    how: Reading,
    doc_id: str,
    thread_id: str,
    parent_id: str | None,
    kind: str,
    text: str,
    title: str | None,
    flags: list[str],
    notes: Notes,
) -> Record:
    created, author = _created(row, notes), _author(row, notes)
    score = None
    if row.get("score_hidden") is True or row.get("hide_score") is True:
        flags.append("score_hidden")  # what stands there is a placeholder
    else:
        score = _score(row, notes)
    edited = None
    if row.get("edited") is True:  # dumps before 2011 do not say when
        flags.append("edited")
    elif row.get("edited"):
        edited = notes.read("edited", lambda: _time(row, "edited"))
    flags.sort()
    site, url = _place(row, thread_id, None if doc_id == thread_id else doc_id, notes)
    if is_odd(created):
        notes.append(ODD_DATE)
    return Record(
        offset=offset,
        doc_id=doc_id,
        thread_id=thread_id,
        parent_id=parent_id,
        kind=kind,
        text=text,
        title=title,
        tags=(),
        source=NAME,
        site=site,
        url=url,
        created=created,
        edited=edited,
        license=None,
        author_key=how.author_key(f"{NAME}:", author and author.lower()),  # names differ in more than case
        score=score,
        accepted_id=None,
        note=" ".join(notes) if notes else None,
        flags=flags,
        authors=(author,) if author is not None and author.isascii() else (),  # what is not was damaged
    )


def _own_id(row: Row) -> str:
    doc_id = _row_id(row)
    if doc_id is None:
        raise UnusableError(Reason.MISSING_FIELD, "id is absent or not a number in base 36")
    return doc_id


def _text(row: Row, name: str) -> str:
    """A field's text, repaired, without blank lines around it (an indented first line is code).

    Reddit writes & < > as entities, once; what looks like one after that was typed so. Two of them its own editor
    types where somebody makes room: `&#x200B;`, which shows nothing, and `&nbsp;`. Outside code they become that.
    """
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnusableError(Reason.MISSING_FIELD, f"{name} is not a string")
    if "&" in value:
        value = value.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        if "&#x200B;" in value or "&nbsp;" in value:
            value = _ROOM.sub(lambda found: _SHOWN.get(found[0], found[0]), value)
    text = repair(value).rstrip()
    blank = _BLANK_START.match(text)
    return text[blank.end() :] if blank else text


def _refuse_withdrawn(text: str, title: str) -> None:
    """Raises UnusableError for a post whose text or title has been replaced by a notice."""
    for notice in (text.strip(), title):
        if notice.startswith("[") and notice.endswith("]") and len(notice) <= _LONGEST_NOTICE:
            lowered = notice.lower()
            if lowered in _TAKEN_BACK:
                raise UnusableError(Reason.DELETED, "a notice stands in place of the text")
            if lowered.startswith(_TAKEN_DOWN) and lowered.index("]") == len(lowered) - 1:
                raise UnusableError(Reason.REMOVED, "a notice stands in place of the text")


def _parent(parent: object, link: str) -> str:
    """The full name of what a comment replies to; some dumps of 2022 give a number without its kind."""
    if isinstance(parent, str) and _FULL_NAME.fullmatch(parent):
        if parent[1] == "3" and parent != link:
            raise UnusableError(Reason.MISSING_FIELD, "parent_id is another submission than link_id")
        return parent
    if isinstance(parent, int) and not isinstance(parent, bool) and 0 <= parent < 1 << 62:
        return link if parent == int(link[3:], 36) else f"t1_{_base36(parent)}"
    if parent is None:
        return link  # the same dumps leave it out at the top level
    raise UnusableError(Reason.MISSING_FIELD, "parent_id is no post's id")


def _base36(number: int) -> str:
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _BASE[digit] + digits
        if not number:
            return digits


# Of the fields that a row can do without, nearly all are what they should be: that is seen first.


def _created(row: Row, notes: Notes) -> int | None:
    created = row.get("created_utc")
    if isinstance(created, int | float) and 1 < created <= _LAST_SECOND and created == int(created):  # True is 1
        return int(created) * 1000
    return notes.expect("created", lambda: _time(row, "created_utc"))


def _time(row: Row, name: str) -> int | None:
    """Milliseconds since 1970 of seconds, as a number or in digits, or of a time in ISO 8601."""
    value = value_at(row, name)
    is_iso = isinstance(value, str) and not _SECONDS.fullmatch(value)
    return to_time(value, "iso" if is_iso else "seconds", name.removesuffix("_utc"))


def _score(row: Row, notes: Notes) -> int | None:
    """Up votes minus down votes, plus one: an author's own vote counts. Null where the row has none."""
    score = row.get("score")
    if type(score) is int and -_LARGE < score < _LARGE:
        return score
    return notes.expect("score", lambda: count_at(row, "score", "score"))


def _flags(row: Row) -> list[str]:
    flags = [name for name in _TRUE_FLAGS if row.get(name) is True]
    distinguished = row.get("distinguished")
    if isinstance(distinguished, str) and distinguished in _DISTINGUISHED:
        flags.append(f"distinguished:{distinguished}")
    return flags


def _place(row: Row, thread_id: str, doc_id: str | None, notes: Notes) -> tuple[str, str]:
    """(site, URL) of a post; doc_id: of a comment."""
    subreddit = row.get("subreddit")
    link = thread_id[len(_PREFIX) + 3 :]
    end = f"{link}/" if doc_id is None else f"{link}/_/{doc_id[len(_PREFIX) + 3 :]}/"
    if isinstance(subreddit, str) and _SUBREDDIT.fullmatch(subreddit) and subreddit[:2].lower() != "u_":
        return f"{_SITE}/r/{subreddit.lower()}", f"https://www.reddit.com/r/{subreddit}/comments/{end}"
    if subreddit is not None and not (isinstance(subreddit, str) and subreddit[:2].lower() in ("", "u_")):
        notes.unreadable("subreddit")
    return _SITE, f"https://www.reddit.com/comments/{end}"


def _author(row: Row, notes: Notes) -> str | None:
    """The name of who wrote a post; None for nobody. One of digits may come as a number."""
    author = row.get("author")
    if isinstance(author, str):
        return None if author in _NOBODY else author
    if type(author) is int:
        return str(author)
    if author is not None:
        notes.unreadable("author")
    return None
