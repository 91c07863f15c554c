"""The parts of a post in Markdown: what others wrote, code and mathematics, and prose.

Lines are read once for quotes and blocks of code, then each paragraph of prose once for spans of code and mathematics:
a span opens only where its end follows, so time is linear whatever the text holds. Texts without any of the characters
that begin such a part, which are most, are not looked at line by line.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple


class Part(NamedTuple):
    """A piece of a text. exact: it is code or mathematics, where letter case and each sign count."""

    text: str
    exact: bool


_INDENTS = ("    ", "\t")
_QUOTE = re.compile(r" {0,3}>(?!!)")  # not ">!", which hides a person's own words until they are clicked
_QUOTE_LINE = re.compile(rf"^{_QUOTE.pattern}", re.MULTILINE)
_BBCODE = re.compile(r"\[(/?)(?:quote|QUOTE)\b[^\]\n]{0,200}\]")
_HTML_QUOTE = re.compile(r"<(/?)blockquote\b[^<>]{0,200}>", re.IGNORECASE)
_FENCE = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}(?=[^`]*$)|~{3,})")
# What mail programs and forums write above a quote: who wrote it, in some languages with the name behind the verb.
_VERBS = (
    r"wrote|writes|said|says|posted|a écrit|écrit|escribió|escreveu|ha scritto|scrive|kirjoitti|skrev|skrifaði|schrieb"
    r"|schreef|pisze|napisał(?:a|\(a\))?|napsal(?:a|\(a\))?|napísal|napisao|írta|a scris|написала?|пишет|пише|написав"
    r"|yazdı|έγραψε|כתב|كتب|نوشت|viết|menulis"
)
_VERBS_BEFORE_NAMES = "schrieb|schreef|skrev|skreiv|escribió|escreveu|a écrit|написал|כתב|كتب"
_ANNOUNCES = re.compile(
    rf"(?:\b(?:{_VERBS})|写道|寫道|書きました|작성|\d\D{{0,60}}\b(?:{_VERBS_BEFORE_NAMES})\b.{{0,60}}"
    r"|<[^<>\s]{1,100}@[^<>\s]{1,100}>)\s?[:：]\Z"
)
_LONGEST_ANNOUNCEMENT = 200  # characters; it is one line, or two where a mail program broke it
_DELIMITER = re.compile(r"`+|\$\$?|\\(?:begin|end)\{[A-Za-z]{1,20}\*?\}|\\[^`]", re.DOTALL)
_ENVIRONMENT = "\\begin"
_CLOSED_BY = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}
_CODE_MARK = re.compile(r"[{}<>=;_\\|$#+&^~]|\w[(\[]")
_LEAST_CODE_MARKS = 0.04  # of the characters of an indented block that are no space: it may be a paragraph of a list


def is_plain(text: str) -> bool:
    """Whether a glance says that a text is all prose; if not, `parts` must tell."""
    return not (
        (">" in text and _QUOTE_LINE.search(text))
        or ("`" in text and text.count("`") > 1)
        or ("$" in text and text.count("$") > 1)
        or ("\\" in text and any(sign in text for sign in ("\\(", "\\[", _ENVIRONMENT)))
        or "\n    " in text
        or "\n\t" in text
        or text.startswith(_INDENTS)
        or "~~~" in text
        or ("<" in text and _HTML_QUOTE.search(text))
        or (("[quote" in text or "[QUOTE" in text) and _BBCODE.search(text))
    )


def parts(text: str) -> Iterator[Part]:
    """The parts of a text in order, without its quotes and the lines that only announce them."""
    if "[quote" in text or "[QUOTE" in text:
        text = _without_bbcode(text)
    prose: list[str] = []
    lines = text.split("\n")
    for block in _blocks(lines, _html_quotes(lines) if "</" in text else {}):
        for part in [block] if block.exact else _spans(block.text):
            if not part.exact:
                prose.append(part.text)
                continue
            if prose:
                yield Part("".join(prose), exact=False)
                prose.clear()
            yield part
    yield Part("".join(prose), exact=False)


def _without_bbcode(text: str) -> str:
    """Without [quote]…[/quote], nested or not."""
    kept, at = [], 0
    for begin, end in _bbcode_quotes(text):
        kept += [text[at:begin], "\n"]
        at = end
    return "".join([*kept, text[at:]])


def _bbcode_quotes(text: str) -> list[tuple[int, int]]:
    """Where each [quote]…[/quote] that is in no other begins and ends. What is never closed is no quote."""
    found: list[tuple[int, int]] = []
    opened: list[int] = []
    for tag in _BBCODE.finditer(text):
        if not tag[1]:
            opened.append(tag.start())
        elif opened:
            begin = opened.pop()
            while found and found[-1][0] > begin:
                found.pop()
            found.append((begin, tag.end()))
    return found


def _html_quotes(lines: Sequence[str]) -> dict[int, tuple[int, int]]:
    """By the number of each line that begins with a <blockquote> that is closed: where it ends, as line and place. One
    that begins where another ends is of the same quote.
    """
    closed: dict[int, tuple[int, int]] = {}
    opened: list[tuple[int, int]] = []
    last = 0
    for number, line in enumerate(lines):
        for tag in _HTML_QUOTE.finditer(line):
            if not tag[1]:
                opened.append((number, tag.start()))
            elif opened:
                begin, place = opened.pop()
                end, behind = closed.get(last, (-1, 0))
                goes_on = end == begin and behind <= place and not lines[begin][behind:place].strip()
                if goes_on or (place <= 3 and not lines[begin][:place].strip(" ")):  # further in it is code
                    last = last if goes_on else begin
                    closed[last] = (number, tag.end())
    return closed


def _blocks(lines: list[str], html_quotes: dict[int, tuple[int, int]]) -> list[Part]:
    """Paragraphs and blocks of code, without quotes; each begins with a line feed. Both arguments are used up: the rest
    of a line that closes a quote stands in its place.
    """
    found: list[Part] = []
    at = 0
    while at < len(lines):
        begin = at
        if not lines[at].strip():
            at += 1
        elif _is_quote(lines[at]):
            _drop_announcement(found)
            while at < len(lines) and _is_quote(lines[at]):
                at += 1
        elif at in html_quotes:
            _drop_announcement(found)
            at, place = html_quotes.pop(at)
            lines[at] = lines[at][place:]
        elif opening := _fence(lines[at]):
            found.append(Part("\n" + lines[at][opening.end() :], exact=False))  # the name of a language
            at = _end_of_fence(lines, at + 1, opening[1])
            found.append(Part("\n".join(["", *lines[begin + 1 : at]]), exact=True))
            at += 1
        elif lines[at].startswith(_INDENTS):
            while at < len(lines) and (lines[at].startswith(_INDENTS) or not lines[at].strip()):
                at += 1
            block = "\n".join(["", *lines[begin:at]])
            found.append(Part(block, exact=_looks_like_code(block)))
        else:
            at += 1
            while at < len(lines) and _goes_on(lines[at]) and at not in html_quotes:
                at += 1
            found.append(Part("\n".join(["", *lines[begin:at]]), exact=False))
    return found


def are_prose(lines: Sequence[str]) -> list[bool]:
    """Of each line of a text, whether it is neither empty, nor quoted, nor of a block of code or mathematics."""
    found = [False] * len(lines)
    at = 0
    while at < len(lines):
        begin = at
        if not lines[at].strip() or _is_quote(lines[at]):
            at += 1
        elif opening := _fence(lines[at]):
            at = _end_of_fence(lines, at + 1, opening[1]) + 1
        elif lines[at].startswith(_INDENTS):
            while at < len(lines) and lines[at].startswith(_INDENTS):
                at += 1
            found[begin:at] = [not _looks_like_code("\n".join(lines[begin:at]))] * (at - begin)
        else:
            while at < len(lines) and _goes_on(lines[at]):
                at += 1
            found[begin:at] = [True] * (at - begin)
            for part in _spans("\n".join(lines[begin:at])):
                end = begin + part.text.count("\n")
                if part.exact and end > begin:
                    found[begin : end + 1] = [False] * (end + 1 - begin)
                begin = end
    for number in _quoted(lines):
        found[number] = False
    return found


def _quoted(lines: Sequence[str]) -> Iterator[int]:
    """The numbers of the lines in which a quote in BBCode or HTML stands."""
    ends = list(accumulate(len(line) + 1 for line in lines))  # behind the line feed of each
    quotes = [(begin, end + 1) for begin, (end, _) in _html_quotes(lines).items()]
    for begin, end in _bbcode_quotes("\n".join(lines)):
        quotes.append((bisect(ends, begin), bisect(ends, end - 1) + 1))
    done = 0
    for begin, end in sorted(quotes):
        yield from range(max(begin, done), end)
        done = max(done, end)


def _goes_on(line: str) -> bool:
    """Whether a line goes on with the paragraph above it."""
    return bool(line.strip()) and not (_is_quote(line) or _fence(line))


def _is_quote(line: str) -> bool:
    return ">" in line and _QUOTE.match(line) is not None


def _fence(line: str) -> re.Match[str] | None:
    return _FENCE.match(line) if "```" in line or "~~~" in line else None


def _drop_announcement(found: list[Part]) -> None:
    """Takes from the end of what stands above a quote the one or two lines that only say whose it is."""
    if not found or found[-1].exact or not found[-1].text.rstrip().endswith((":", "：")):
        return
    lines = found[-1].text.split("\n")  # the first is empty
    for number in (2, 1):
        last = " ".join(lines[-number:]).strip()
        if number < len(lines) and len(last) <= _LONGEST_ANNOUNCEMENT and _ANNOUNCES.search(last):
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


def _looks_like_code(block: str) -> bool:
    return len(_CODE_MARK.findall(block)) >= _LEAST_CODE_MARKS * len("".join(block.split()))


def _spans(paragraph: str) -> Iterator[Part]:
    """Spans of code and mathematics of a paragraph, and the prose between them.

    An inline `$` opens before what is no space and closes after what is none, before anything but a digit, so that $5
    and $10 are prices.
    """
    start, closer, begin = 0, "", 0  # of the prose before the open span; what closes it; where it begins
    if "`" in paragraph or "$" in paragraph or "\\" in paragraph:
        last = {sign[0]: sign.start() for sign in _DELIMITER.finditer(paragraph) if _may_close(sign)}
        for sign in _DELIMITER.finditer(paragraph):
            if not closer:
                wanted = _closer_of(sign[0])
                if last.get(wanted, -1) > sign.start() and (sign[0] != "$" or not paragraph[sign.end()].isspace()):
                    closer, begin = wanted, sign.start()
            elif sign[0] == closer and _may_close(sign):
                yield Part(paragraph[start:begin], exact=False)
                yield Part(paragraph[begin : sign.end()], exact=True)
                start, closer = sign.end(), ""
    yield Part(paragraph[start:], exact=False)


def _closer_of(sign: str) -> str:
    if sign[0] == "`":
        return sign
    if sign.startswith(_ENVIRONMENT):
        return "\\end" + sign[len(_ENVIRONMENT) :]
    return _CLOSED_BY.get(sign, "")


def _may_close(sign: re.Match[str]) -> bool:
    """Whether a sign may end a span: a `$` may not before a digit or after a space."""
    text, begin, end = sign.string, sign.start(), sign.end()
    return sign[0] != "$" or (begin > 0 and not text[begin - 1].isspace() and not text[end : end + 1].isdigit())
