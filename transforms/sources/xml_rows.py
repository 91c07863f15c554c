"""The rows of a dump's XML tables: attributes and their escapes, without an XML parser.

A row is one empty element with attributes, so two regular expressions are its whole grammar. `read_row` takes a short
way for rows as dumps write them, on bytes, and the grammar for all others; `read_plain_row` equals `read_by_grammar`
wherever it gives an answer, and tests hold them against each other. No entity is ever defined here, so none can be
expanded: one beyond the five of XML makes its row malformed.
"""

from __future__ import annotations

import re
from functools import lru_cache

_ATTRIBUTE = r"""\s+([A-Za-z_:][\w:.-]*)\s*=\s*(?:"([^"]*)"|'([^']*)')"""
_EACH_ATTRIBUTE = re.compile(_ATTRIBUTE, re.ASCII)
_ROW = re.compile(rf"row((?:{_ATTRIBUTE})*+)\s*/>\s*", re.ASCII)
_PLAIN_NAME = re.compile(rb" ([A-Za-z_:][A-Za-z0-9_:.-]*)=")
_PLAIN_END = re.compile(rb" */>")

# Not allowed in XML 1.0 (section 2.2). Lone surrogates cannot come out of UTF-8.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_CONTROLS = bytes(range(0x20))
_NONCHARACTERS = (b"\xef\xbf\xbe", b"\xef\xbf\xbf")

_NAMED = {"lt": "<", "gt": ">", "quot": '"', "apos": "'", "amp": "&"}
_REFERENCE = re.compile(r"&(?:#x([0-9A-Fa-f]{1,8});|#([0-9]{1,8});|(\w+);)?")
# The references that dumps are made of, beside &amp;.
_COMMON = (
    (b"&lt;", b"<"),
    (b"&gt;", b">"),
    (b"&#xA;", b"\n"),
    (b"&quot;", b'"'),
    (b"&#xD;", b"\r"),
    (b"&apos;", b"'"),
)


class MalformedError(ValueError):
    """A row that is not well-formed; the message says why, without the row's text. number: its Id where it has one."""

    def __init__(self, message: str, number: str = "") -> None:
        super().__init__(message)
        self.number = number


def read_row(row: bytes) -> dict[str, str]:
    """The attributes of a row, from after its `<`, as an XML parser gives them.

    Raises UnicodeDecodeError for bytes that are not UTF-8, MalformedError for a row that is not well-formed.
    """
    found = read_plain_row(row)
    return read_by_grammar(row) if found is None else found


def read_plain_row(row: bytes) -> dict[str, str] | None:
    """What `read_by_grammar` gives, or None for a row that is not written as dumps write them."""
    row = row.rstrip()
    if _holds_control_or_noncharacter(row):
        return None
    parts = row.split(b'"')  # names at even places, values at odd ones
    names = _names(tuple(parts[0::2]))
    if names is None or len(parts) % 2 == 0:
        return None
    values = parts[1::2]
    try:
        if b"&" not in row:
            return {name: value.decode() for name, value in zip(names, values, strict=True)}
        found: dict[str, str] = {}
        for name, value in zip(names, values, strict=True):
            if b"&" in value:
                unescaped = _unescape_common(value)
                if unescaped is None:
                    return None
                value = unescaped
            found[name] = value.decode()
        return found
    except UnicodeDecodeError:
        return None


def _holds_control_or_noncharacter(row: bytes) -> bool:
    """True too for white space other than blanks, which becomes blanks in values."""
    return len(row.translate(None, _CONTROLS)) != len(row) or (
        _NONCHARACTERS[0][:2] in row and any(character in row for character in _NONCHARACTERS)
    )


def _unescape_common(value: bytes) -> bytes | None:
    """The value without its references, when all are common ones."""
    ampersands = value.count(b"&amp;")  # replaced last, so that what they set free is not read again
    left = value.count(b"&") - ampersands
    # Exact as soon as every & began one of the references replaced so far: replacing one cannot make another.
    for reference, character in _COMMON:
        if not left:
            return value.replace(b"&amp;", b"&") if ampersands else value
        shorter = value.replace(reference, character)
        left -= (len(value) - len(shorter)) // (len(reference) - 1)
        value = shorter
    return None if left else value.replace(b"&amp;", b"&")


# A table's rows are written in a few ways, so what stands between their values is read once for each of them.
@lru_cache(maxsize=1024)
def _names(between: tuple[bytes, ...]) -> tuple[str, ...] | None:
    if len(between) < 2 or not between[0].startswith(b"row") or not _PLAIN_END.fullmatch(between[-1]):
        return None
    found = [_PLAIN_NAME.fullmatch(part) for part in (between[0].removeprefix(b"row"), *between[1:-1])]
    names = tuple(match[1].decode() for match in found if match)
    return names if len(names) == len(found) == len(set(names)) else None


def read_by_grammar(row: bytes) -> dict[str, str]:
    """The same by the grammar of XML alone."""
    text = row.decode()
    whole = _ROW.fullmatch(text)
    if whole is None:
        raise MalformedError('not of the form <row name="value" … />')
    pairs = [(name, double or single) for name, double, single in _EACH_ATTRIBUTE.findall(whole[1])]
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedError("an attribute stands twice in the row")
    number = found.get("Id", "")
    if _ILLEGAL.search(text):
        raise MalformedError("a character that XML does not allow, such as NUL", number)
    try:
        return {name: unescape(value) for name, value in found.items()}
    except MalformedError as error:
        raise MalformedError(str(error), number) from None


def unescape(value: str) -> str:
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
