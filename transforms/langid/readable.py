"""What of a text is read for its language: a person's own words, without code, quotes, URLs, names, emoji and shouting.

Most texts hold none of these. So one expression looks for all of them in a whole batch, by an automaton that takes a
tenth of the time that Python does, and only what it finds something in is looked at piece by piece.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

_Gap = str | Callable[[re.Match[str]], str]
"""What stands where something was left out."""

_GAP = "\x1f"  # a space at the end; until then four of them do not indent what follows as code

_READ_CHARS = 4_000  # of a text, after stripping: a language shows in far fewer
_SCANNED_CHARS = 5 * _READ_CHARS  # of a text, before stripping: bounds the work on an endless line

# Fences may stand in quotes and lists; one that is never closed runs to the end.
_FENCED_CODE = re.compile(
    r"^[ \t>]*(?:(?:[-*+]|\d+[.)])[ \t]+)*(`{3,}|~{3,}).*?(?:^[ \t>]*\1|\Z)", re.MULTILINE | re.DOTALL
)
_INLINE_CODE = re.compile(r"(`{1,16})[^\n]*?\1")  # of a run of n, n lengths would be tried, and the line read for each
_QUOTE = re.compile(r"\n {0,3}>[^\n]*")  # a line of Markdown; the text gets a line feed before its first
# A block of lines behind four spaces. It may be a paragraph of a list, too: marks tell code from prose.
_INDENTED = re.compile(r"\n[^\S\n]*\n(?:(?: {4}|\t)[^\n]+\n?)+")
_CODE_MARK = re.compile(r"[{}<>=;_\\|$#+&^~]|\w[(\[]")
_LEAST_CODE_MARKS = 0.04  # of the characters that are no space

# What is left out wherever it stands, and a literal without which it does not occur. Names are bounded: so is the work.
_LEFT_OUT = (
    ("://", re.compile(r"https?://[^\s<>)\]]+")),
    ("www.", re.compile(r"www\.[^\s<>)\]]+")),
    ("@", re.compile(r"(?<![A-Za-z0-9._+-])[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]+")),  # an e-mail address
    ("@", re.compile(r"@[\w.-]+")),
    ("u/", re.compile(r"(?<![\w/])/?u/[\w-]+")),  # a name on Reddit
    ("<", re.compile(r"</?[A-Za-z][^<>\n]{0,300}>")),
    ("&", re.compile(r"&(?:[A-Za-z]{2,8}|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});")),
    (":", re.compile(r":[a-z][a-z0-9_+-]{1,31}:")),  # :custom_emoji:
    (":", re.compile(r":(?<!\S:)['^-]?[DPpOoSsXx3](?!\w)")),  # emoticons with letters; others say nothing
    ("xD", re.compile(r"xD+(?<!\wxD)(?!\w)")),
)
_EMOJI = re.compile(
    "[\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
    "[\ufe0e\ufe0f\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
)
# For Arrow: finds something in every text that `_stripped` changes, and in few others.
_ANYTHING = (
    r"[`@<&\t\x{2300}-\x{23ff}\x{2600}-\x{27bf}\x{2b00}-\x{2bff}\x{1f000}-\x{1faff}]|~~~|^ {0,3}>|\n {0,3}>|    |://"
    r"|www\.|u/|:[a-z][a-z0-9_+-]+:|:['^-]?[DPpOoSsXx3]|xD|[\p{Lu}\x{2160}-\x{216f}\x{24b6}-\x{24cf}]{2}"
    r"|[\r\v\f\x1c-\x1f\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
)
_LETTER = re.compile(r"[^\W\d_]")
_SPACE = re.compile(r"[^\S\n ]")  # of other kinds, such as U+00A0: fastText takes most of them for letters

# The capitals of Latin, Greek, Cyrillic, Armenian and their neighbours. Two in a row: few lines need counting.
_UPPER = "".join(letter for letter in map(chr, [*range(0x2E00), *range(0xA640, 0xA7FF)]) if letter.isupper())
_CAPITALS = re.compile(f"[{_UPPER}]{{2}}")
_SMALL_BYTES = bytes(range(ord("a"), ord("z") + 1))


def readable(text: str) -> str:
    """One line of what a person wrote; "" when no letter is left. A text that is all quote has no line."""
    return one_line(_stripped(text))


def one_line(text: str) -> str:
    """A text that fastText reads whole: it stops at a line's end, and takes "</s>" for one. Between words is one space,
    as in what models are trained on: what was left out leaves no trace."""
    line = text.replace("\n", " ").replace("</s>", " ").strip(" ")
    while "  " in line:  # several times as fast as an expression; each time the longest run is half as long
        line = line.replace("  ", " ")
    return line


def stripped_all(texts: Sequence[str]) -> list[str]:
    """`_stripped` of each text, in a fraction of the time."""
    has_anything = pc.match_substring_regex(pa.array(texts, pa.string()), _ANYTHING).to_pylist()
    return [
        _stripped(text)
        if has
        else text[:_READ_CHARS]
        if text[:1].isalpha() or _LETTER.search(text, 0, _READ_CHARS)
        else ""
        for text, has in zip(texts, has_anything, strict=True)
    ]


def _stripped(text: str, gap: _Gap = _GAP, most_chars: int = _READ_CHARS) -> str:
    """What a person wrote, in lines: no code, quotes, URLs, addresses, names, tags and emoji, and no line in capitals;
    "" when no letter is left; spaces of all kinds as one kind. most_chars: of the result."""
    text = text[:_SCANNED_CHARS]
    if "`" in text or "~~~" in text:
        text = _INLINE_CODE.sub(gap, _FENCED_CODE.sub(gap, text))
    if ">" in text:
        text = _QUOTE.sub(gap, "\n" + text)[1:]
    if "    " in text or "\t" in text:
        text = _INDENTED.sub(lambda block: _without_code(block, gap), "\n\n" + text)[2:]
    for literal, pattern in _LEFT_OUT:
        if literal in text:
            text = pattern.sub(gap, text)
    if not text.isascii():
        text = _EMOJI.sub(gap, text)
    text = _SPACE.sub(" ", text[:most_chars])
    return _without_capitals(text) if _LETTER.search(text) else ""


def in_place(text: str) -> str:
    """`_stripped`, with every character where it stood: what is left out is blank. As far as texts are looked at."""
    return _stripped(text, _blank, _SCANNED_CHARS)


def _blank(left_out: re.Match[str]) -> str:
    return _GAP * len(left_out[0])


def _without_code(block: re.Match[str], gap: _Gap) -> str:
    text = block[0]
    if len(_CODE_MARK.findall(text)) < _LEAST_CODE_MARKS * len("".join(text.split())):
        return text
    return gap if isinstance(gap, str) else gap(block)


def _without_capitals(text: str) -> str:
    """The text with its lines that are mostly capitals in small letters: models have seen next to none, and take them
    for other languages (of Bulgarian ones four in five)."""
    data = text.encode("utf-8", "replace")
    bytes_of = map(len, data.split(b"\n"))
    others_of = map(len, data.translate(None, _SMALL_BYTES).split(b"\n"))  # this counts a hundred times as fast
    few_small = [
        number for number, (size, others) in enumerate(zip(bytes_of, others_of, strict=True)) if size < 2 * others
    ]
    if not few_small:
        return text
    lines = text.split("\n")
    for number in few_small:
        if _CAPITALS.search(line := lines[number]) and _is_mostly_capitals(line):
            lines[number] = _small(line)
    return "\n".join(lines)


def _is_mostly_capitals(line: str) -> bool:
    upper = sum(map(str.isupper, line))
    return 2 * upper > upper + sum(map(str.islower, line))


def _small(line: str) -> str:
    """In small letters; the capital İ of Turkish is one i, not an i with a dot above it, and there an I is an ı."""
    return (line.replace("I", "ı").replace("İ", "i") if "İ" in line else line).lower()
