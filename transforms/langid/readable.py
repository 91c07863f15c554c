"""What of a text is read for its language: a person's words on one line, without code, URLs and shouting."""

from __future__ import annotations

import re

_READ_CHARS = 4_000  # of a text, after stripping: a language shows in far fewer
_SCANNED_CHARS = 5 * _READ_CHARS  # of a text, before stripping: bounds the work on an endless line

# Fences may stand in quotes and lists; one that is never closed runs to the end.
_FENCED_CODE = re.compile(
    r"^[ \t>]*(?:(?:[-*+]|\d+[.)])[ \t]+)*(`{3,}|~{3,}).*?(?:^[ \t>]*\1|\Z)", re.MULTILINE | re.DOTALL
)
_INLINE_CODE = re.compile(r"(`{1,16})[^\n]*?\1")  # of a run of n, n lengths would be tried, and the line read for each
# Two patterns that each begin with a literal, which Python searches for ten times as fast as for a choice.
_URL = re.compile(r"https?://[^\s<>)\]]+")
_WEB_NAME = re.compile(r"www\.[^\s<>)\]]+")
_LETTER = re.compile(r"[^\W\d_]")
# The capitals of Latin, Greek, Cyrillic, Armenian and their neighbours. Two in a row: few lines need counting.
_UPPER = "".join(letter for letter in map(chr, [*range(0x2E00), *range(0xA640, 0xA7FF)]) if letter.isupper())
_CAPITALS = re.compile(f"[{_UPPER}]{{2}}")


def readable(text: str) -> str:
    """One line of what a person wrote: no fenced or inline code, no URLs; "" when no letter is left."""
    text = text[:_SCANNED_CHARS]
    if "`" in text or "~~~" in text:
        text = _INLINE_CODE.sub(" ", _FENCED_CODE.sub(" ", text))
    text = _WEB_NAME.sub(" ", _URL.sub(" ", text))
    if not _LETTER.search(text):
        return ""
    text = _without_capitals(text[:_READ_CHARS])
    # "</s>" ends a line for fastText: what follows it would not be read.
    return text.replace("\n", " ").replace("</s>", " ")


def _without_capitals(text: str) -> str:
    """The text with its lines that are mostly capitals in small letters: models have seen next to none, and take them
    for other languages (of Bulgarian ones four in five)."""
    if not _CAPITALS.search(text):
        return text
    return "\n".join(
        _small(line) if _CAPITALS.search(line) and _is_mostly_capitals(line) else line for line in text.split("\n")
    )


def _is_mostly_capitals(line: str) -> bool:
    upper = sum(map(str.isupper, line))
    return 2 * upper > upper + sum(map(str.islower, line))


def _small(line: str) -> str:
    """In small letters; the capital İ of Turkish is one i, not an i with a dot above it, and there an I is an ı."""
    return (line.replace("I", "ı").replace("İ", "i") if "İ" in line else line).lower()
