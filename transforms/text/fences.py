"""Code as Markdown writes it: spans and fenced blocks that no text inside can end."""

from __future__ import annotations

import html
import re

_LANGUAGE = re.compile(r"\blang(?:uage)?-([A-Za-z0-9+#._-]{1,32})")
_NO_LANGUAGE = frozenset({"none", "default", "all"})
_LONG_NUMBER = re.compile(r"&#[0-9]{8,};?")  # no character has such a number, and Python refuses to read long ones
_BACKTICKS = re.compile("`+")


def unescape(text: str) -> str:
    """Text with its HTML entities replaced by characters."""
    if "&" not in text:
        return text
    return html.unescape(_LONG_NUMBER.sub("\ufffd", text) if "&#" in text else text)


def placeholder(stem: str, number: int, block: bool) -> str:
    """What stands for a piece of code while the text around it is converted and repaired.

    It ends in Q, the one letter that no accent behind it can change: NFC makes one character of S and U+0301.
    """
    return f"{stem}{number}{'B' if block else 'S'}Q"


def language_of(attributes: str) -> str:
    """The language that the attributes of a `<pre>` or `<code>` name, such as "py" of class="lang-py"; or none."""
    found = _LANGUAGE.search(attributes)
    return found[1] if found and found[1] not in _NO_LANGUAGE else ""


def fenced(text: str, language: str, prefix: str, following: str) -> list[str]:
    """The lines of a fenced block. prefix: what a container writes before the first line; following: before others."""
    fence = _fence(text, at_least=3)
    lines = text.removesuffix("\n").split("\n") if text else []
    return [prefix + fence + language, *(following + line for line in lines), following + fence]


def span(text: str, in_table: bool = False) -> str:
    """A code span; a Markdown reader takes one space off both ends if both have one, so such text gets another."""
    text = text.replace("\n", " ")
    if not text:
        return ""
    if in_table:
        text = text.replace("|", "\\|")  # the one escape that a table reader undoes inside code
    fence = _fence(text, at_least=1)
    padded = text[0] == "`" or text[-1] == "`" or (text[0] == text[-1] == " " and bool(text.strip(" ")))
    return f"{fence} {text} {fence}" if padded else f"{fence}{text}{fence}"


def _fence(text: str, at_least: int) -> str:
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    return "`" * max(at_least, longest + 1)
