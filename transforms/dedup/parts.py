"""The parts of a post in Markdown: what others wrote, code and mathematics, and prose.

Lines are read once for quotes and blocks of code, then each paragraph of prose once for spans of code and mathematics:
a span opens only where its end follows, so time is linear whatever the text holds. Texts without any of the characters
that begin such a part, which are most, are not looked at line by line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Part(NamedTuple):
    """A piece of a text. exact: it is code or mathematics, where letter case and each sign count."""

    text: str
    exact: bool


_QUOTE = re.compile(r" {0,3}>(?!!)")  # not ">!", which hides a person's own words until they are clicked
_BBCODE = re.compile(r"\[(/?)quote\b[^\]\n]{0,200}\]", re.IGNORECASE)
_FENCE = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}(?=[^`]*$)|~{3,})")
# What mail programs and forums write above a quote: who wrote it, in some languages with the name behind the verb.
_VERBS = (
    r"wrote|writes|said|says|posted|a écrit|écrit|escribió|escreveu|ha scritto|scrive|kirjoitti|skrev|skrifaði|schrieb"
    r"|schreef|pisze|napisał(?:a|\(a\))?|napsal(?:a|\(a\))?|napísal|napisao|írta|a scris|написала?|пишет|пише|написав"
    r"|yazdı|έγραψε|כתב|كتب|نوشت|viết|menulis|\w*(?:写道|寫道|書きました|작성)"
)
_VERBS_BEFORE_A_NAME = "schrieb|schreef|skrev|skreiv|escribió|escreveu|a écrit|написал|כתב|كتب"
_ANNOUNCES = re.compile(
    rf"(?:.*\b(?:{_VERBS})|.*\b(?:{_VERBS_BEFORE_A_NAME})\b[^.!?]{{0,60}}|.*<[^<>\s]+@[^<>\s]+>)\s?[:：]"
)
_LONGEST_ANNOUNCEMENT = 200  # characters; it is one line, or two where a mail program broke it
_DELIMITER = re.compile(r"`+|\$\$?|\\[^`]", re.DOTALL)
_CLOSED_BY = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}
_CODE_MARK = re.compile(r"[{}<>=;_\\|$#+&^~]|\w[(\[]")
_LEAST_CODE_MARKS = 0.04  # of the characters of an indented block that are no space: it may be a paragraph of a list


def is_plain(text: str) -> bool:
    """Whether a text is all prose by a glance at it; if not, `parts` must tell."""
    return not (
        ">" in text
        or "`" in text
        or "$" in text
        or "\\" in text
        or "    " in text
        or "\t" in text
        or "~~~" in text
        or "[quote" in text
        or "[QUOTE" in text
    )


def parts(text: str) -> list[Part]:
    """The parts of a text in order, without its quotes and the lines that only announce them."""
    if "[quote" in text or "[QUOTE" in text:
        text = _without_bbcode(text)
    found: list[Part] = []
    for block in _blocks(text.split("\n")):
        if found:
            found.append(Part("\n", exact=False))
        found += [block] if block.exact else _inline(block.text)
    return found


def _without_bbcode(text: str) -> str:
    """Without [quote]…[/quote], nested or not. What is never closed is no quote."""
    kept: list[str] = []
    opened: list[int] = []  # how many pieces were kept before each quote that is open
    start = 0
    for tag in _BBCODE.finditer(text):
        kept.append(text[start : tag.start()])
        start = tag.end() if tag[1] and opened else tag.start()
        if not tag[1]:
            opened.append(len(kept))
        elif opened:
            del kept[opened.pop() :]
            kept.append("\n")
    return "".join([*kept, text[start:]])


def _blocks(lines: Sequence[str]) -> list[Part]:
    """Paragraphs and blocks of code, without quotes. Memory: that of the text."""
    found: list[Part] = []
    at = 0
    while at < len(lines):
        begin = at
        if not lines[at].strip():
            at += 1
        elif _QUOTE.match(lines[at]):
            _drop_announcement(found)
            while at < len(lines) and _QUOTE.match(lines[at]):
                at += 1
        elif opening := _FENCE.match(lines[at]):
            found.append(Part(lines[at][opening.end() :], exact=False))  # the name of a language
            at = _end_of_fence(lines, at + 1, opening[1])
            found.append(Part("\n".join(lines[begin + 1 : at]), exact=True))
            at += 1
        elif _is_indented(lines[at]):
            while at < len(lines) and (_is_indented(lines[at]) or not lines[at].strip()):
                at += 1
            block = "\n".join(lines[begin:at])
            found.append(Part(block, exact=_looks_like_code(block)))
        else:
            while at < len(lines) and lines[at].strip() and not (_QUOTE.match(lines[at]) or _FENCE.match(lines[at])):
                at += 1
            found.append(Part("\n".join(lines[begin:at]), exact=False))
    return found


def _drop_announcement(found: list[Part]) -> None:
    """Takes from the end of what stands above a quote the one or two lines that only say whose it is."""
    if not found or found[-1].exact:
        return
    lines = found[-1].text.split("\n")
    for number in (2, 1):
        last = " ".join(lines[-number:])
        if number <= len(lines) and len(last) <= _LONGEST_ANNOUNCEMENT and _ANNOUNCES.fullmatch(last.strip()):
            found[-1] = Part("\n".join(lines[:-number]), exact=False)
            return


def _end_of_fence(lines: Sequence[str], at: int, fence: str) -> int:
    """The number of the line that closes a fence; one that none closes runs to the end."""
    while at < len(lines):
        line = lines[at].strip(" \t")
        if line.startswith(fence) and not line.strip(fence[0]):
            break
        at += 1
    return at


def _is_indented(line: str) -> bool:
    return line.startswith(("    ", "\t")) and not line.isspace()


def _looks_like_code(block: str) -> bool:
    return len(_CODE_MARK.findall(block)) >= _LEAST_CODE_MARKS * len("".join(block.split()))


def _inline(paragraph: str) -> list[Part]:
    """Spans of code and mathematics of a paragraph, and the prose between them.

    An inline `$` opens before what is no space and closes after what is none, before anything but a digit, so that $5
    and $10 are prices.
    """
    tokens = list(_DELIMITER.finditer(paragraph))
    last = {token[0]: number for number, token in enumerate(tokens) if token[0] != "$" or _closes(paragraph, token)}
    found: list[Part] = []
    start, closer, begin = 0, "", 0  # of the prose before the open span; what closes it; where it begins
    for number, token in enumerate(tokens):
        sign = token[0]
        if closer:
            if sign == closer and (sign != "$" or _closes(paragraph, token)):
                found += [Part(paragraph[start:begin], exact=False), Part(paragraph[begin : token.end()], exact=True)]
                start, closer = token.end(), ""
        else:
            wanted = sign if sign[0] == "`" else _CLOSED_BY.get(sign, "")
            if last.get(wanted, -1) > number and (sign != "$" or not paragraph[token.end()].isspace()):
                closer, begin = wanted, token.start()
    return [*found, Part(paragraph[start:], exact=False)]


def _closes(paragraph: str, token: re.Match[str]) -> bool:
    before = paragraph[max(0, token.start() - 1) : token.start()]
    after = paragraph[token.end() : token.end() + 1]
    return bool(before.strip()) and not after.isdigit()
