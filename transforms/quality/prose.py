"""What of a text is prose: without code, formulas and URLs, which are measured for themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from transforms.text.math_spans import Span, find_math

# Fences may stand in quotes and lists; one that is never closed runs to the end.
_FENCED_CODE = re.compile(
    r"^[ \t>]*(?:(?:[-*+]|\d+[.)])[ \t]+)*(`{3,}|~{3,}).*?(?:^[ \t>]*\1|\Z)", re.MULTILINE | re.DOTALL
)
_INLINE_CODE = re.compile(r"(`{1,16})[^\n]*?\1")
# A block of lines behind four spaces. It may be a paragraph of a list, too: marks tell code from prose.
_INDENTED = re.compile(r"(?:\A\n?|\n[ \t]*\n)(?: {4}|\t)[^\n]+(?:\n(?: {4}|\t)[^\n]+)*")
_CODE_MARK = re.compile(r"[{}<>=;_\\|$#+&^~]|\w[(\[]")
_LEAST_CODE_MARKS = 0.04  # of the characters that are no space
_URL = re.compile(r"https?://[^\s<>)\]]+")
_WEB_NAME = re.compile(r"www\.[^\s<>)\]]+")


class Prose(NamedTuple):
    """A text's prose, and how many characters of the text are code or formulas, and URLs."""

    text: str
    code: int
    urls: int


def prose_of(text: str) -> Prose:
    """Time is linear in the text, whatever it holds."""
    words, code = text, 0
    if "`" in words or "~~~" in words:
        for pattern in (_FENCED_CODE, _INLINE_CODE):
            words, code = _without(pattern, words, code)
    if "    " in words or "\t" in words:
        for block in _INDENTED.findall(words):
            code += len(block.strip("\n")) if _is_code(block) else 0
        words = _INDENTED.sub(lambda block: "\n\n" if _is_code(block[0]) else block[0], words)
    if "$" in words or "\\" in words:
        pieces = _between(words, find_math(words))
        code += len(words) - sum(map(len, pieces))
        words = " ".join(pieces)
    urls = 0
    if "://" in words or "www." in words:
        for pattern in (_URL, _WEB_NAME):
            words, urls = _without(pattern, words, urls)
    return Prose(words, code, urls)


def _is_code(block: str) -> bool:
    return len(_CODE_MARK.findall(block)) >= _LEAST_CODE_MARKS * len("".join(block.split()))


def _without(pattern: re.Pattern[str], text: str, taken: int) -> tuple[str, int]:
    """The text with a space for each span, and `taken` more by their characters."""
    left, number = pattern.subn(" ", text)
    return left, taken + len(text) - len(left) + number


def _between(text: str, spans: Sequence[Span]) -> list[str]:
    starts, ends = [span.start for span in spans], [span.end for span in spans]
    return [text[start:end] for start, end in zip([0, *ends], [*starts, len(text)], strict=True)]
