"""Stack Exchange dumps: which tables there are, and their rows, streaming, by byte range, without an XML parser.

In well-formed XML a raw `<` cannot stand inside an attribute value, so a row is what lies between two of them, and must
be `row name="value" … />` as a whole. Reading by that rule is as strict as a parser for these files (attributes only),
and it goes on after a damaged row, in bounded memory.

Schema: "Database schema documentation for the public data dump", meta.stackexchange.com/q/2677. What a row means is
said by `post_rows` (posts and comments) and `marks` (votes and links).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, NamedTuple, TypeVar, cast

from transforms.datasets.fates import Drop, Reason
from transforms.sources.fields import UnusableError
from transforms.sources.records import Record
from transforms.sources.source import Holds, Problem, Reading
from transforms.sources.stackexchange.xml_rows import (
    MalformedError,
    read_plain,
    read_row,
    without_illegal,
)
from transforms.sources.streams.pieces import Piece, pieces

NAME = "stackexchange"
_CONTROL_CHARACTER = "control-character"  # a note: characters that XML does not allow were taken out of the row

T = TypeVar("T")


# The tables of a dump that are read: their root elements and (in any case) their files' names.
TABLES: Mapping[Holds, str] = {
    Holds.POSTS: "posts",
    Holds.VOTES: "votes",
    Holds.COMMENTS: "comments",
    Holds.LINKS: "postlinks",
}

# What may stand between rows: the declaration, the root element, comments and declarations of a document type (which
# are reported by `check_head`). Anything else that is no row is a record that could not be read.
_MARKUP = {holds: (b"?xml", name.encode(), b"/" + name.encode(), b"!") for holds, name in TABLES.items()}

_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_ENCODING = re.compile(rb"""<\?xml[^<>]*encoding\s*+=\s*+["']([\w.-]+)""")
_ROOT = re.compile(rb"<([A-Za-z]+)(?=[\s/>])")
_ROW_START = re.compile(rb"row\s")
# Rows are unescaped so many bytes at a time; a Drop, of which there may be many in a row, counts as a short one.
_BLOCK_BYTES = 200_000
_ROW_BYTES = 100


_ToRecord = Callable[[Mapping[str, str], int, Reading], T]


def id_prefix(site: str) -> str:
    """What stands before the number in the ids of a site's posts."""
    return f"{NAME}:{site}:"


def holds_of(head: bytes, name: str) -> Holds:
    """The table that a file is, by its root element; without one by its name, and else Posts."""
    root = _root_of(_without_prolog(head))
    stem = name.rpartition("/")[2].lower().split(".")[0]
    return next((holds for known in (root, stem) for holds, table in TABLES.items() if known == table), Holds.POSTS)


def check_head(head: bytes, holds: Holds = Holds.POSTS) -> Problem | None:
    """What is wrong with a file that begins with `head` (some 64 KiB), or None when it is such a table.

    A document type declaration is reported but does not keep the rows from being read.
    """
    if not head.strip():
        return Reason.EMPTY_FILE, "no content"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head[:4]:
        return Reason.WRONG_FORMAT, "UTF-16 or UTF-32; the tables of a dump are UTF-8: convert it first"
    encoding = _ENCODING.search(head[:200])
    if encoding and encoding[1].lower() not in (b"utf-8", b"us-ascii", b"utf8"):
        return Reason.WRONG_FORMAT, f"encoding {encoding[1].decode('ascii', 'replace')}; dumps are UTF-8"
    content = _without_prolog(head)
    if content.startswith(b"<!DOCTYPE"):
        return Reason.DOCTYPE, "a document type declaration; the entities it defines are not expanded"
    if _root_of(content) not in (TABLES[holds], "row"):  # a part cut from a dump may begin with a row
        return Reason.WRONG_FORMAT, f"no <{TABLES[holds]}> element at its start: not such a table of a dump"
    return None


def _root_of(content: bytes) -> str | None:
    found = _ROOT.match(content)
    return found[1].decode() if found else None


def _without_prolog(head: bytes) -> bytes:
    """What follows the byte order mark, the XML declaration and comments."""
    rest = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    while rest.startswith((b"<!--", b"<?")):
        end = b"-->" if rest.startswith(b"<!--") else b"?>"
        if end not in rest:
            break
        rest = rest.partition(end)[2].lstrip()
    return rest


class _RawRow(NamedTuple):
    """A row of a table as it stands in the file, from after its `<`. offset: of that `<`."""

    data: bytes
    offset: int


def read_rows(
    stream: IO[bytes], start: int, end: int | None, how: Reading, to_record: _ToRecord[T], base: int = 0
) -> Iterator[T | Drop]:
    """The rows whose `<` lies in [start, end) of a table, in order, as `to_record` makes them or as a Drop."""
    for item, plain in _plain_rows(_raw_rows(stream, start, end, how, base)):
        yield item if isinstance(item, Drop) else _read_row_as(to_record, item, plain, how)


def _plain_rows(found: Iterable[_RawRow | Drop]) -> Iterator[tuple[_RawRow | Drop, Mapping[str, str] | None]]:
    """Rows with what `read_plain` reads of them, and drops, in order. Memory: a block of rows."""
    for block in _blocks(found):
        rows = [item for item in block if isinstance(item, _RawRow)]
        plain = read_plain([row.data for row in rows])
        if len(rows) == len(block):
            yield from zip(rows, plain, strict=True)
        else:
            of_rows = iter(plain)
            yield from ((item, None if isinstance(item, Drop) else next(of_rows)) for item in block)


def _blocks(found: Iterable[_RawRow | Drop]) -> Iterator[list[_RawRow | Drop]]:
    block: list[_RawRow | Drop] = []
    num_bytes = 0
    for item in found:
        block.append(item)
        num_bytes += _ROW_BYTES if isinstance(item, Drop) else len(item.data)
        if num_bytes >= _BLOCK_BYTES:
            yield block
            block, num_bytes = [], 0
    if block:
        yield block


def _raw_rows(stream: IO[bytes], start: int, end: int | None, how: Reading, base: int = 0) -> Iterator[_RawRow | Drop]:
    """The rows whose `<` lies in [start, end) of a table, in order, and what is no row as a Drop.

    The range that holds the last `<` of the file also says, as a Drop of the whole file, when the file ends early.
    base: of the stream's first byte in the file.
    """
    markup, closing = _MARKUP[how.holds], b"/" + TABLES[how.holds].encode()
    closed = False
    for piece in pieces(stream, _after(start), None if end is None else _after(end), b"<", how.max_record_bytes):
        if piece.offset == 0:  # before the first <: byte order mark, or nothing
            if piece.last:
                yield from _ends_early(piece, closed, how, base)
            continue
        data, offset = piece.data, piece.offset - 1 + base
        if data is None:
            detail = f"{piece.num_bytes} bytes, limit {how.max_record_bytes}"
            yield Drop(how.file, offset, None, Reason.OVERSIZED, detail)
        elif data.startswith(b"row ") and not (piece.last and not data.rstrip().endswith(b"/>")):
            yield _RawRow(data, offset)
        elif data.startswith(markup) and not (piece.last and b">" not in data):
            closed = data.startswith(closing)
        elif piece.last:
            yield Drop(how.file, offset, None, Reason.TRUNCATED, "the file ends inside this row")
        elif _ROW_START.match(data):
            yield _RawRow(data, offset)
        else:
            detail = "markup that is neither a row nor the root element"
            yield Drop(how.file, offset, None, Reason.MALFORMED, detail)
        if piece.last:
            yield from _ends_early(piece, closed, how, base)


def _ends_early(piece: Piece, closed: bool, how: Reading, base: int) -> Iterator[Drop]:
    if piece.damage or not closed:
        detail = piece.damage or f"the file ends without </{TABLES[how.holds]}>"
        yield Drop(how.file, piece.offset + piece.num_bytes + base, None, piece.damage_reason, detail)


def _after(offset: int) -> int:
    """A row's piece begins after its `<`: rows of [start, end) are pieces that begin in [start + 1, end + 1)."""
    return offset + 1 if offset else 0


def _read_row_as(to_record: _ToRecord[T], raw: _RawRow, plain: Mapping[str, str] | None, how: Reading) -> T | Drop:
    """What `to_record` makes of a row, or a Drop that says why it is of no use. plain: of `read_plain`."""
    row: Mapping[str, str] = {}
    try:
        row = plain if plain is not None else read_row(raw.data)
        return to_record(row, raw.offset, how)
    except UnicodeDecodeError as error:
        return Drop(how.file, raw.offset, None, Reason.BAD_ENCODING, f"byte {error.start} of the row is not UTF-8")
    except MalformedError as error:
        if (mended := without_illegal(raw.data)) != raw.data:
            return _noted(_read_row_as(to_record, _RawRow(mended, raw.offset), None, how))
        return Drop(how.file, raw.offset, _row_id({"Id": error.number}, how), Reason.MALFORMED, str(error))
    except UnusableError as error:
        return Drop(how.file, raw.offset, _row_id(row, how), error.reason, str(error))


def _noted(item: T | Drop) -> T | Drop:
    """A post whose row was read without its control characters says so."""
    if isinstance(item, Record):
        return cast("T", item._replace(note=" ".join([*(item.note or "").split(), _CONTROL_CHARACTER])))
    return item


def _row_id(row: Mapping[str, str], how: Reading) -> str | None:
    number = row.get("Id", "")
    letter = {Holds.POSTS: "", Holds.COMMENTS: "c", Holds.VOTES: "v", Holds.LINKS: "l"}[how.holds]
    post = row.get("PostId", "") if how.holds is Holds.COMMENTS else ""
    below = f"{int(post)}/" if _NUMBER.fullmatch(post) else ""
    return f"{NAME}:{how.site}:{below}{letter}{int(number)}" if _NUMBER.fullmatch(number) else None
