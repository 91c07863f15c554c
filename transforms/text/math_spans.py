"""Finds mathematics in the text of an HTML body, so that it can be kept as it was written.

MathJax reads `$…$`, `$$…$$`, `\\(…\\)`, `\\[…\\]` and `\\begin{…}…\\end{…}`. A Markdown writer that does not know them
doubles backslashes and joins spaces inside. One pass over the delimiters with one open span at most, so time is linear
whatever the text holds.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = re.compile(r"\$\$?|\\(?:begin|end)\{[A-Za-z]{1,20}\*?\}|\\.|<[^<>]*")
_CLOSED_BY = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}
_SPACE = " \t\n\r"


class Span(NamedTuple):
    """Characters [start, end) of the body, delimiters included."""

    start: int
    end: int


def find_math(body: str) -> list[Span]:
    """The spans of mathematics in order, not overlapping. None reaches over a tag.

    An inline `$` opens before a character that is no space and closes after one that is none, before anything but a
    digit, so that $5 and $10 are prices.
    """
    spans: list[Span] = []
    start, closer, depth = -1, "", 0  # of the open span; depth: environments inside an environment
    for token in _TOKEN.finditer(body):
        found = token[0]
        if found.startswith("<"):
            start = -1
        elif start < 0 or (closer == "$" and found == "$" and not _closes(body, start, token)):
            if found in _CLOSED_BY and (found != "$" or body[token.end() : token.end() + 1] not in _SPACE):
                start, closer = token.start(), _CLOSED_BY[found]
            elif found.startswith("\\begin"):
                start, closer, depth = token.start(), "\\end", 1
        elif closer == "\\end":
            depth += found.startswith("\\begin") - found.startswith("\\end")
            if depth == 0:
                spans.append(Span(start, token.end()))
                start = -1
        elif found == closer:
            spans.append(Span(start, token.end()))
            start = -1
        elif found == "$$" and closer == "$":  # "$a$$b$": the first closes, the second opens
            spans.append(Span(start, token.start() + 1))
            start, closer = token.start() + 1, "$"
    return spans


def _closes(body: str, start: int, token: re.Match[str]) -> bool:
    before, after = body[token.start() - 1], body[token.end() : token.end() + 1]
    return token.start() > start + 1 and before not in _SPACE and not after.isdigit()
