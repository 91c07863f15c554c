"""Stack Exchange dumps: Posts.xml to posts, streaming, by byte range, without an XML parser.

In well-formed XML a raw `<` cannot stand inside an attribute value, so a row is what lies between two of them, and must
be `row name="value" … />` as a whole. Reading by that rule is as strict as a parser for these files (attributes only),
and it goes on after a damaged row, in bounded memory.

Schema: "Database schema documentation for the public data dump", meta.stackexchange.com/q/2677 (PostTypeId 1 question,
2 answer, 3 to 8 wikis and nominations).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO

from transforms.clean import repair
from transforms.fates import Drop, Reason
from transforms.markup import to_markdown
from transforms.schema import PostKind
from transforms.sources.pieces import Piece, pieces
from transforms.sources.records import Record
from transforms.sources.xml_rows import MalformedError, attributes, refuse_illegal, unescape

SOURCE = "stackexchange"

_SITE = re.compile(r"[a-z0-9][a-z0-9.-]*")

# What may stand between rows: the declaration, the root element, comments and declarations of a document type (which
# are reported by `check_head`). Anything else that is no row is a record that could not be read.
_MARKUP = (b"?xml", b"posts", b"/posts", b"!")

_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_POST_TYPES = {"1": PostKind.QUESTION, "2": PostKind.ANSWER}
_OTHER_TYPES = {
    "3": "orphaned tag wiki",
    "4": "tag wiki excerpt",
    "5": "tag wiki",
    "6": "moderator nomination",
    "7": "wiki placeholder",
    "8": "privilege wiki",
}


class _UnusableError(ValueError):
    """A well-formed row that is no usable post."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Dump:
    """What a Posts.xml does not say of itself. author_secret: a key of up to 64 bytes, or None to store no authors."""

    file: str  # name below the input the user gave
    site: str
    max_record_bytes: int
    author_secret: bytes | None = None


def check_site(site: str | None, file: str) -> None:
    """Raises ValueError unless `site` is the host of a forum."""
    if site is None or not _SITE.fullmatch(site):
        raise ValueError(
            f"a Posts.xml does not name its site; got {site!r} for {file}. Give its host, such as "
            "--site beer.stackexchange.com"
        )


def check_head(head: bytes) -> tuple[Reason, str] | None:
    """What is wrong with a file that begins with `head` (some 64 KiB), or None when it is a Posts.xml.

    A document type declaration is reported but does not keep the rows from being read.
    """
    if not head.strip():
        return Reason.EMPTY_FILE, "no content"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head[:4]:
        return Reason.WRONG_FORMAT, "UTF-16 or UTF-32; Posts.xml is UTF-8: convert it first"
    encoding = re.search(rb"""<\?xml[^>]*encoding\s*=\s*["']([\w.-]+)""", head[:200])
    if encoding and encoding[1].lower() not in (b"utf-8", b"us-ascii", b"utf8"):
        return Reason.WRONG_FORMAT, f"encoding {encoding[1].decode('ascii', 'replace')}; Posts.xml is UTF-8"
    body = re.sub(rb"<!--.*?-->|<\?.*?\?>", b"", head.removeprefix(b"\xef\xbb\xbf"), flags=re.DOTALL).lstrip()
    if body.startswith(b"<!DOCTYPE"):
        return Reason.DOCTYPE, "a document type declaration; the entities it defines are not expanded"
    if not re.match(rb"<(?:posts|row)(?=[\s/>])", body):  # a part cut from a dump may begin with a row
        return Reason.WRONG_FORMAT, "no <posts> element at its start: not a Posts.xml"
    return None


def read_posts(stream: IO[bytes], start: int, end: int | None, dump: Dump) -> Iterator[Record | Drop]:
    """The posts whose `<` lies in [start, end) of a Posts.xml, in order, each as a Record or a Drop.

    The range that holds the last `<` of the file also says, as a Drop of the whole file, when the file ends early.
    """
    closed = False
    for piece in pieces(stream, _after(start), None if end is None else _after(end), b"<", dump.max_record_bytes):
        if piece.offset == 0:  # before the first <: byte order mark, or nothing
            continue
        data = piece.data
        if data is None:
            yield _drop(dump, piece, Reason.OVERSIZED, f"{piece.num_bytes} bytes, limit {dump.max_record_bytes}")
        elif data.startswith(b"row ") and not (piece.last and not data.rstrip().endswith(b"/>")):
            yield _read_row(data, piece, dump)
        elif data.startswith(_MARKUP) and not (piece.last and b">" not in data):
            closed = data.startswith(b"/posts")
        elif piece.last:
            yield _drop(dump, piece, Reason.TRUNCATED, "the file ends inside this row")
        elif re.match(rb"row\s", data):
            yield _read_row(data, piece, dump)
        else:
            yield _drop(dump, piece, Reason.MALFORMED, "markup that is neither a row nor the root element")
        if piece.last and (piece.damage or not closed):
            detail = piece.damage or "the file ends without </posts>"
            yield Drop(dump.file, piece.offset + piece.num_bytes, None, Reason.TRUNCATED_FILE, detail)


def _after(offset: int) -> int:
    """A row's piece begins after its `<`: rows of [start, end) are pieces that begin in [start + 1, end + 1)."""
    return offset + 1 if offset else 0


def _drop(dump: Dump, piece: Piece, reason: Reason, detail: str, record_id: str | None = None) -> Drop:
    return Drop(dump.file, piece.offset - 1, record_id, reason, detail)


def _read_row(data: bytes, piece: Piece, dump: Dump) -> Record | Drop:
    row: Mapping[str, str] = {}
    try:
        row = attributes(data.decode())
        refuse_illegal(data)
        return _to_record({name: unescape(value) for name, value in row.items()}, piece.offset - 1, dump)
    except UnicodeDecodeError as error:
        return _drop(dump, piece, Reason.BAD_ENCODING, f"byte {error.start} of the row is not UTF-8")
    except MalformedError as error:
        return _drop(dump, piece, Reason.MALFORMED, str(error), _row_id(row, dump))
    except _UnusableError as error:
        return _drop(dump, piece, error.reason, str(error), _row_id(row, dump))


def _row_id(row: Mapping[str, str], dump: Dump) -> str | None:
    number = row.get("Id", "")
    return f"{SOURCE}:{dump.site}:{int(number)}" if _NUMBER.fullmatch(number) else None


def _to_record(row: Mapping[str, str], offset: int, dump: Dump) -> Record:
    post_type = _required(row, "PostTypeId")
    kind = _POST_TYPES.get(post_type)
    if kind is None:
        raise _UnusableError(Reason.NOT_A_POST, _OTHER_TYPES.get(post_type, "unknown PostTypeId"))
    number = _number(row, "Id")
    answer = kind is PostKind.ANSWER
    question = _number(row, "ParentId") if answer else number
    prefix = f"{SOURCE}:{dump.site}:"
    created = _time(row, "CreationDate")
    score = _number(row, "Score")
    body = to_markdown(_required(row, "Body"), repair)
    if not body.text:
        raise _UnusableError(Reason.EMPTY, "no text in Body")
    owner = row.get("OwnerUserId")
    accepted = _number(row, "AcceptedAnswerId") if not answer and row.get("AcceptedAnswerId") else None
    return Record(
        offset=offset,
        doc_id=f"{prefix}{number}",
        thread_id=f"{prefix}{question}",
        parent_id=f"{prefix}{question}" if answer else None,
        kind=kind.value,
        text=body.text,
        title=repair(row["Title"]).strip() if not answer and "Title" in row else None,
        tags=() if answer else _tags(row.get("Tags", "")),
        source=SOURCE,
        site=dump.site,
        url=f"https://{dump.site}/{'a' if answer else 'questions'}/{number}",
        created=created,
        edited=_time(row, "LastEditDate") if row.get("LastEditDate") else None,
        license=row.get("ContentLicense") or None,
        author_key=_author_key(owner, dump) if owner else None,
        score=score,
        accepted_id=f"{prefix}{accepted}" if accepted is not None else None,
        note="flattened-html" if body.flattened else None,
    )


def _required(row: Mapping[str, str], name: str) -> str:
    if name not in row:
        raise _UnusableError(Reason.MISSING_FIELD, f"no {name}")
    return row[name]


def _number(row: Mapping[str, str], name: str) -> int:
    value = _required(row, name)
    if not _NUMBER.fullmatch(value):
        raise _UnusableError(Reason.MISSING_FIELD, f"{name} is not an integer")
    return int(value)


def _time(row: Mapping[str, str], name: str) -> int:
    """Milliseconds since 1970; a time without a zone is UTC, as in all dumps."""
    try:
        time = datetime.fromisoformat(_required(row, name))
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
    except ValueError as error:
        if isinstance(error, _UnusableError):
            raise
        raise _UnusableError(Reason.MISSING_FIELD, f"{name} is not a time in ISO 8601") from None


def _tags(value: str) -> list[str]:
    """`<a><b>` in dumps until 2024, `|a|b|` since."""
    parts = value.strip("|").split("|") if value.startswith("|") else value.strip("<>").split("><")
    return [repair(part) for part in parts if part]


def _author_key(owner: str, dump: Dump) -> str | None:
    if dump.author_secret is None:
        return None
    name = f"{SOURCE}:{dump.site}:{owner}".encode()
    return hashlib.blake2b(name, key=dump.author_secret, digest_size=16).hexdigest()
