"""The rows of a dump's XML tables: attributes and their escapes, without an XML parser.

A row is one empty element with attributes, so two regular expressions are its whole grammar. The fast ways through it
(`attributes`, `unescape`) are held against the plain ones (`attributes_by_grammar`, `unescape_exactly`) by the tests.
No entity is ever defined here, so none can be expanded: one beyond the five of XML makes its row malformed.
"""

from __future__ import annotations

import re

_ATTRIBUTE = r"""\s+([A-Za-z_:][\w:.-]*)\s*=\s*(?:"([^"]*)"|'([^']*)')"""
_EACH_ATTRIBUTE = re.compile(_ATTRIBUTE, re.ASCII)
_ROW = re.compile(rf"row((?:{_ATTRIBUTE})*+)\s*/>\s*", re.ASCII)
_NAME = re.compile(r"\s+([A-Za-z_:][\w:.-]*)\s*=\s*", re.ASCII)
# What stands between two values, for the attributes of Posts.xml as they are written.
_USUAL_NAMES = {
    f" {name}=": name
    for name in (
        *("Id", "PostTypeId", "ParentId", "AcceptedAnswerId", "CreationDate", "DeletionDate", "Score", "ViewCount"),
        *("Body", "OwnerUserId", "OwnerDisplayName", "LastEditorUserId", "LastEditorDisplayName", "LastEditDate"),
        *("LastActivityDate", "Title", "Tags", "AnswerCount", "CommentCount", "FavoriteCount", "ClosedDate"),
        *("CommunityOwnedDate", "ContentLicense"),
    )
}
_ROW_END = re.compile(r"\s*/>\s*", re.ASCII)

# Not allowed in XML 1.0 (section 2.2). Lone surrogates cannot come out of UTF-8.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ILLEGAL_BYTES = bytes([*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20)])
_NONCHARACTERS = (b"\xef\xbf\xbe", b"\xef\xbf\xbf")

_NAMED = {"lt": "<", "gt": ">", "quot": '"', "apos": "'", "amp": "&"}
_REFERENCE = re.compile(r"&(?:#x([0-9A-Fa-f]{1,8});|#([0-9]{1,8});|(\w+);)?")
# The references that dumps are made of; &amp; last, so that what it sets free is not read again.
_COMMON = (
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", '"'),
    ("&#xA;", "\n"),
    ("&#xD;", "\r"),
    ("&apos;", "'"),
    ("&amp;", "&"),
)


class MalformedError(ValueError):
    """A row that is not well-formed; the message says why, without the row's text."""


def attributes(row: str) -> dict[str, str]:
    """The attributes of a row, from after its `<`, still escaped. Raises MalformedError when it is not well-formed."""
    parts = row.split('"')  # names at even places, values at odd ones, when all quotes are double
    if not row.startswith("row") or len(parts) % 2 == 0 or not _ROW_END.fullmatch(parts[-1]):
        return attributes_by_grammar(row)
    names = []
    parts[0] = parts[0].removeprefix("row")
    for part in parts[0:-1:2]:
        if name := _USUAL_NAMES.get(part):
            names.append(name)
        elif found := _NAME.fullmatch(part):
            names.append(found[1])
        else:
            return attributes_by_grammar(row)
    found_attributes = dict(zip(names, parts[1::2], strict=True))
    if len(found_attributes) != len(names):
        raise MalformedError("an attribute stands twice in the row")
    return found_attributes


def attributes_by_grammar(row: str) -> dict[str, str]:
    """The same by one regular expression, which `attributes` must equal (a test holds them against each other)."""
    whole = _ROW.fullmatch(row)
    if whole is None:
        raise MalformedError('not of the form <row name="value" … />')
    found = [(name, double or single) for name, double, single in _EACH_ATTRIBUTE.findall(whole[1])]
    if len(dict(found)) != len(found):
        raise MalformedError("an attribute stands twice in the row")
    return dict(found)


def refuse_illegal(row: bytes) -> None:
    """Raises MalformedError when the row (UTF-8) holds a raw character that XML does not allow."""
    if len(row.translate(None, _ILLEGAL_BYTES)) != len(row) or any(character in row for character in _NONCHARACTERS):
        raise MalformedError("a character that XML does not allow, such as NUL")


def unescape(value: str) -> str:
    """An attribute's value as an XML parser gives it.

    Raises MalformedError for an undefined entity or a reference to a character that XML does not allow.
    """
    if "\n" in value or "\t" in value or "\r" in value:  # XML 1.0, section 3.3.3: white space becomes spaces
        value = value.replace("\r\n", " ").replace("\n", " ").replace("\t", " ").replace("\r", " ")
    if "&" not in value:
        return value
    left = value.count("&")
    text = value
    # Exact as soon as every & began one of the references replaced so far: replacing one cannot make another.
    for reference, character in _COMMON:
        shorter = text.replace(reference, character)
        left -= (len(text) - len(shorter)) // (len(reference) - 1)
        text = shorter
        if not left:
            return text
    return unescape_exactly(value)


def unescape_exactly(value: str) -> str:
    """References replaced in one pass from left to right: what `unescape` must equal."""
    return _REFERENCE.sub(_referenced, value)


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
