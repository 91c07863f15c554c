"""The rows of a dump's XML tables: attributes and their escapes, without an XML parser.

A row is one empty element with attributes, so two regular expressions are its whole grammar: `read_row`. Rows as dumps
write them are read by `read_plain`, many at a time and on their bytes; it gives what `read_row` gives or nothing, and
tests hold the two against each other. No entity is ever defined here, so none can be expanded: one beyond the five of
XML makes its row malformed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

_ATTRIBUTE = r"""(?<!\s)\s++([A-Za-z_:][\w:.-]*+)\s*+=\s*+(?:"([^"]*)"|'([^']*)')"""
_EACH_ATTRIBUTE = re.compile(_ATTRIBUTE, re.ASCII)
_ROW = re.compile(rf"row((?:{_ATTRIBUTE})*+)\s*/>\s*", re.ASCII)
_PLAIN_NAME = re.compile(r" ([A-Za-z_:][A-Za-z0-9_:.-]*)=")
_PLAIN_END = re.compile(r" */>")

# Not allowed in XML 1.0 (section 2.2). Lone surrogates cannot come out of UTF-8.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NONCHARACTERS = ("\ufffe".encode(), "\uffff".encode())

_NAMED = {"lt": "<", "gt": ">", "quot": '"', "apos": "'", "amp": "&"}
_REFERENCE = re.compile(r"&(?:#x([0-9A-Fa-f]{1,8});|#([0-9]{1,8});|(\w+);)?")

# In plain rows these stand for the end of a row and for &quot; until the rows are cut at their quotes. XML allows
# neither, so no row holds them by itself.
_ROW_END, _QUOTE = b"\x02", b"\x01"
_QUOTE_MARK, _ROW_END_MARK = _QUOTE.decode(), _ROW_END.decode()
# The references that dumps are made of.
_PLAIN_REFERENCES = {
    b"&lt;": b"<",
    b"&gt;": b">",
    b"&amp;": b"&",
    b"&#xA;": b"\n",
    b"&#xD;": b"\r",
    b"&#x9;": b"\t",
    b"&quot;": _QUOTE,
    b"&apos;": b"'",
}
_LONGEST = 8  # bytes that are looked at from an & on
_MOST_BYTES = 1 << 18
_MOST_BETWEEN = 2000  # characters between the values of a row, of which many are remembered


class MalformedError(ValueError):
    """A row that is not well-formed; the message says why, without the row's text. number: its Id where it has one."""

    def __init__(self, message: str, number: str = "") -> None:
        super().__init__(message)
        self.number = number


def read_plain(rows: Sequence[bytes]) -> list[dict[str, str] | None]:
    """What `read_row` gives of each row, or None for one that is not written as dumps write them.

    Fastest for some 100 kB of rows at a time, which processors hold in their second cache. Memory: up to 70 times the
    rows, so that one of more than 256 kB is not looked at.
    """
    rows = [row.rstrip(b" \r\n\t") for row in rows]
    block = _ROW_END.join(rows)
    plain = _unescaped(block, len(rows) - 1) if len(block) <= _MOST_BYTES else None
    if plain is None:
        if len(rows) < 2:
            return [None] * len(rows)
        half = len(rows) // 2
        return read_plain(rows[:half]) + read_plain(rows[half:])
    unescaped, odd = plain
    cut = map(_cut, unescaped.split(_ROW_END_MARK))
    # What the row ends in must stand there by itself: a reference would be no markup.
    found = [row if raw.endswith(b"/>") else None for raw, row in zip(rows, cut, strict=True)]
    for number in odd:
        found[number] = None
    return found


def _unescaped(block: bytes, num_controls: int) -> tuple[str, Sequence[int]] | None:
    """What `_unescape_plain` gives, as text. None where it is not UTF-8 of characters that XML allows, with no white
    space but blanks (in values, other becomes blanks)."""
    if np.count_nonzero(np.frombuffer(block, np.uint8) < 0x20) != num_controls:
        return None
    if _NONCHARACTERS[0][:1] in block and any(character in block for character in _NONCHARACTERS):
        return None
    unescaped, odd = _unescape_plain(block) if b"&" in block else (block, ())
    try:
        return unescaped.decode(), odd
    except UnicodeDecodeError:
        return None


def _unescape_plain(block: bytes) -> tuple[bytes, Sequence[int]]:
    """(the block without its references, the rows that have some which are none of `_PLAIN_REFERENCES`)."""
    characters = np.frombuffer(block + bytes(_LONGEST), np.uint8)
    places = np.flatnonzero(characters == ord("&"))
    # The eight bytes from each place of the block on as one number: a view, of which only those of an & are read.
    ahead = np.ndarray(len(block), ">u8", characters.data, strides=(1,))[places].astype(np.uint64)
    unescaped, stays = characters.copy(), np.ones(len(characters), bool)
    num_known = 0
    for reference, character in _PLAIN_REFERENCES.items():
        there = ahead >> np.uint64(8 * (_LONGEST - len(reference))) == int.from_bytes(reference, "big")
        begins = places[there]
        unescaped[begins] = ord(character)
        for step in range(1, len(reference)):
            stays[begins + step] = False
        num_known += len(begins)
    odd: Sequence[int] = ()
    if num_known < len(places):
        ends = np.flatnonzero(characters == _ROW_END[0])
        odd = np.unique(np.searchsorted(ends, places[stays[places + 1]])).tolist()
    return unescaped[: len(block)][stays[: len(block)]].tobytes(), odd


def _cut(row: str) -> dict[str, str] | None:
    parts = row.split('"')  # names at even places, values at odd ones
    between, values = parts[0::2], parts[1::2]
    if len(parts) % 2 == 0 or (len(row) > _MOST_BETWEEN and sum(map(len, between)) > _MOST_BETWEEN):
        return None
    names = _names(tuple(between))
    if names is None:
        return None
    if _QUOTE_MARK in row:
        values = [value.replace(_QUOTE_MARK, '"') for value in values]
    return dict(zip(names, values, strict=True))


# A table's rows are written in a few ways, so what stands between their values is read once for each of them.
@lru_cache(maxsize=1024)
def _names(between: tuple[str, ...]) -> tuple[str, ...] | None:
    if len(between) < 2 or not between[0].startswith("row") or not _PLAIN_END.fullmatch(between[-1]):
        return None
    found = [_PLAIN_NAME.fullmatch(part) for part in (between[0].removeprefix("row"), *between[1:-1])]
    names = tuple(match[1] for match in found if match)
    return names if len(names) == len(found) == len(set(names)) else None


def read_row(row: bytes) -> dict[str, str]:
    """The attributes of a row, from after its `<`, as an XML parser gives them.

    Raises UnicodeDecodeError for bytes that are not UTF-8, MalformedError for a row that is not well-formed.
    """
    decoded = row.decode()
    whole = _ROW.fullmatch(decoded)
    if whole is None:
        raise MalformedError('not of the form <row name="value" … />')
    pairs = [(name, double or single) for name, double, single in _EACH_ATTRIBUTE.findall(whole[1])]
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedError("an attribute stands twice in the row")
    number = found.get("Id", "")
    if _ILLEGAL.search(decoded):
        raise MalformedError("a character that XML does not allow, such as NUL", number)
    try:
        return {name: _unescape(value) for name, value in found.items()}
    except MalformedError as error:
        raise MalformedError(str(error), number) from None


def without_illegal(row: bytes) -> bytes:
    """The row without the characters that XML does not allow, and without references to them.

    Dumps hold some: what people pasted out of terminals and word processors. The row is as good without them.
    """
    kept = _ILLEGAL.sub("", row.decode())
    return _REFERENCE.sub(lambda found: "" if _is_illegal(found) else found[0], kept).encode()


def _is_illegal(reference: re.Match[str]) -> bool:
    hexadecimal, decimal, _ = reference.groups()
    if hexadecimal is None and decimal is None:
        return False
    code = int(hexadecimal, 16) if hexadecimal else int(decimal)
    return code <= 0x10FFFF and bool(_ILLEGAL.match(chr(code)))


def _unescape(value: str) -> str:
    """An attribute's value as an XML parser gives it.

    Raises MalformedError for an undefined entity or a reference to a character that XML does not allow.
    """
    if "\n" in value or "\t" in value or "\r" in value:  # XML 1.0, section 3.3.3: white space becomes spaces
        value = value.replace("\r\n", " ").replace("\n", " ").replace("\t", " ").replace("\r", " ")
    return _REFERENCE.sub(_referenced, value) if "&" in value else value


def _referenced(reference: re.Match[str]) -> str:
    hexadecimal, decimal, name = reference.groups()
    if name is not None and name in _NAMED:
        return _NAMED[name]
    if hexadecimal is None and decimal is None:
        raise MalformedError(f"undefined entity &{name};" if name else "an & that begins no reference")
    code = int(hexadecimal, 16) if hexadecimal else int(decimal)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF or _ILLEGAL.match(chr(code)):
        raise MalformedError(f"reference to character {code:#x}, which XML does not allow")
    return chr(code)
