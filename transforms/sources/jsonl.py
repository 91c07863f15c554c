"""Plain documents, one JSON object a line: {"text": …, "id"?, "title"?, "url"?, "created"?, "source"?, "license"?}.

The id comes from the content, or is a hash of it where there is none; never from a path or a line number, which change
when a corpus is cut into other files. `text` is required; keys beyond those above are not read. `created` is ISO 8601
or seconds since 1970.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO

from transforms.clean import repair
from transforms.fates import Drop, Reason
from transforms.ids import canonical_json
from transforms.schema import PostKind
from transforms.sources.pieces import Piece, pieces
from transforms.sources.records import Record

SOURCE = "jsonl"

_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_BOM = b"\xef\xbb\xbf"


class _UnusableError(ValueError):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Corpus:
    """What a file of documents does not say of itself. site: its name in ids; None: each document's own `source`."""

    file: str  # name below the input the user gave
    site: str | None
    max_record_bytes: int


def check_site(site: str | None, file: str) -> None:
    """Raises ValueError for a name that cannot stand in an id; none is needed."""
    if site is not None and not _SITE.fullmatch(site):
        raise ValueError(f"--site {site!r} for {file}: want letters, digits, '.', '_' and '-' only")


def check_head(head: bytes) -> tuple[Reason, str] | None:
    """What is wrong with a file that begins with `head`, or None when it may be lines of JSON objects."""
    if not head.strip():
        return Reason.EMPTY_FILE, "no content"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head[:4]:
        return Reason.WRONG_FORMAT, "UTF-16 or UTF-32; want UTF-8: convert it first"
    if head.removeprefix(_BOM).lstrip().startswith(b"["):
        return Reason.WRONG_FORMAT, "one JSON array; want one object a line"
    return None


def read_documents(stream: IO[bytes], start: int, end: int | None, corpus: Corpus) -> Iterator[Record | Drop]:
    """The documents whose line begins in [start, end), in order, each as a Record or a Drop. Blank lines are none."""
    for piece in pieces(stream, start, end, b"\n", corpus.max_record_bytes):
        if piece.data is None:
            detail = f"{piece.num_bytes} bytes, limit {corpus.max_record_bytes}"
            yield Drop(corpus.file, piece.offset, None, Reason.OVERSIZED, detail)
        elif piece.data.strip():
            yield from _read_line(piece.data, piece, corpus)
        if piece.damage:
            yield _file_ends(piece, corpus, piece.damage)


def _file_ends(piece: Piece, corpus: Corpus, why: str) -> Drop:
    return Drop(corpus.file, piece.offset + piece.num_bytes, None, Reason.TRUNCATED_FILE, why)


def _read_line(data: bytes, piece: Piece, corpus: Corpus) -> Iterator[Record | Drop]:
    values: Mapping[str, object] = {}
    try:
        values = _parse(data, piece)
        yield _to_record(values, piece.offset, corpus)
    except _UnusableError as error:
        yield Drop(corpus.file, piece.offset, _given_id(values), error.reason, str(error))
        if error.reason is Reason.TRUNCATED and not piece.damage:
            yield _file_ends(piece, corpus, "the last line is not complete")


def _parse(data: bytes, piece: Piece) -> Mapping[str, object]:
    try:
        values = json.loads((data.removeprefix(_BOM) if piece.offset == 0 else data).decode())
    except UnicodeDecodeError as error:
        reason = Reason.TRUNCATED if piece.last and error.reason == "unexpected end of data" else Reason.BAD_ENCODING
        raise _UnusableError(reason, f"byte {error.start} of the line is not UTF-8") from None
    except RecursionError:
        raise _UnusableError(Reason.MALFORMED, "JSON nested too deeply") from None
    except ValueError as error:  # bad JSON, or an integer of thousands of digits
        at = f" at character {error.pos}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        reason = Reason.TRUNCATED if piece.last else Reason.MALFORMED
        raise _UnusableError(reason, f"not JSON{at}") from None
    if not isinstance(values, dict):
        raise _UnusableError(Reason.MALFORMED, "not a JSON object")
    return values


def _given_id(values: Mapping[str, object]) -> str | None:
    given = values.get("id")
    return str(given) if isinstance(given, int) or (isinstance(given, str) and _is_unicode(given)) else None


def _to_record(values: Mapping[str, object], offset: int, corpus: Corpus) -> Record:
    raw = values.get("text")
    if not isinstance(raw, str):
        raise _UnusableError(Reason.MISSING_FIELD, "text is absent or not a string")
    text = repair(raw).strip()
    if not text:
        raise _UnusableError(Reason.EMPTY, "no text")
    site = corpus.site or _own_site(values)
    title, url = _optional_text(values, "title"), _optional_text(values, "url")
    doc_id = f"{SOURCE}:{site}:{_id_of(values, text, title, url)}"
    return Record(
        offset=offset,
        doc_id=doc_id,
        thread_id=doc_id,
        parent_id=None,
        kind=PostKind.DOCUMENT.value,
        text=text,
        title=title,
        tags=(),
        source=SOURCE,
        site=site,
        url=url,
        created=_time(values),
        edited=None,
        license=_optional_text(values, "license"),
        author_key=None,
        score=None,
        accepted_id=None,
        note=None,
    )


def _own_site(values: Mapping[str, object]) -> str:
    source = values.get("source")
    return source if isinstance(source, str) and _SITE.fullmatch(source) else "unnamed"


def _id_of(values: Mapping[str, object], text: str, title: str | None, url: str | None) -> str:
    given = values.get("id")
    if given is None or given == "":
        return hashlib.blake2b(canonical_json([text, title, url]).encode(), digest_size=16).hexdigest()
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise _UnusableError(Reason.MISSING_FIELD, "id is neither a string nor an integer")
    name = str(given)
    if not _is_unicode(name) or not name.isprintable():
        raise _UnusableError(Reason.MISSING_FIELD, "id holds characters that do not print")
    return name


def _is_unicode(text: str) -> bool:
    """False for a string with lone surrogates, which JSON can spell and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _optional_text(values: Mapping[str, object], key: str) -> str | None:
    value = values.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise _UnusableError(Reason.MISSING_FIELD, f"{key} is not a string")
    return repair(value).strip() or None


def _time(values: Mapping[str, object]) -> int | None:
    value = values.get("created")
    try:
        if value is None or value == "":
            return None
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
        if isinstance(value, int | float) and not isinstance(value, bool):
            return timedelta(seconds=value) // _MILLISECOND
    except (ValueError, OverflowError):
        pass
    raise _UnusableError(Reason.MISSING_FIELD, "created is neither a time in ISO 8601 nor seconds since 1970")
