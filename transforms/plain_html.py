"""The short way from HTML to Markdown, for bodies that hold nothing but plain constructs, as nearly all do.

`convert` gives what the general path of `markup` gives, byte for byte, or None. It knows what the converter does with
the constructs below, and refuses whatever else it meets: other tags and attributes, nested lists and quotes, text
outside of blocks, mathematics, characters that the converter treats in ways of its own. tests/test_plain_html.py
compares the two.

A body is cut once, into text and runs of tags; `plain_tags` says what a run writes. Time is linear: every expression
stops at the next `<`, or takes nothing back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from transforms.fences import fenced, language_of, placeholder, span, unescape
from transforms.plain_tags import (
    BARS,
    BREAK,
    CODE,
    DIFFERS,
    HEADINGS,
    IMAGE,
    LINE,
    LONGEST_RUN,
    NUMBERED,
    OPENED,
    RAISED,
    SLOW,
    SPACE,
    START,
    TEXT,
    State,
    Step,
    step,
)

_STEM = "QXCODE0X"  # how placeholders begin in a body that does not hold it
_QUICK_CHARS = 1 << 14  # half as many as in `markup`, since placeholders may be longer than code

_NAME = "(?!/?(?:c|pr))[a-z/1-6 ]{1,12}"  # of a tag that may stand in a run: any but code
_RUN = re.compile(rf"(<{_NAME}>[\n ]*(?:<{_NAME}>[\n ]*)*|<[^<>]*>)")
_WORD = r"[A-Za-z0-9\-_.~:/?@!$'*+,;=%#]*+"
_ADDRESS = rf'(?![#"]){_WORD}(?:(?:&amp;|\({_WORD}\)){_WORD})*+'
_TITLE = r'(?: title="([^"<>\\]++)")?'
_SIZE = r'(?: width="\d*+")?(?: height="\d*+")?'
_LINK = re.compile(rf'<a href="({_ADDRESS})"(?: class="[a-z -]*+")?{_TITLE}(?: rel="[a-z ]*+")?{_TITLE}>')
_IMAGE = re.compile(rf'<img src="({_ADDRESS})"{_SIZE}(?: alt="([^"<>\\\[\]]*+)")?{_TITLE}(?: /)?>')
_PRE = re.compile(r'<pre(?: class="([^"<>]*+)")?>')

_OTHER_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|nbsp|#39|#1[6-9]\d|#2[0-4]\d|#25[0-5]);)")
_SPACES = re.compile("[ \u1680\u2000-\u200a\u202f\u205f\u3000]+")
_CONTROLS = re.compile("[\x00-\t\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff]")
_ONE_PAIR = re.compile(r"[^\[\]]*+\[[^\[\]]*+\](?!\()[^\[\]#]*+")
_ENTITIES = (("&quot;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&nbsp;", "\xa0"))
_DOUBTFUL = " .)-+*#>_=0123456789"
_LINE_MARKER = re.compile(r">|(?:[-+*#_=]++|[0-9]++[.)])(?:[ \n]|\Z)")
_NEXT_LINE_MARKER = re.compile(r"\n(?:[-+*#_=]++|[0-9]++[.)])(?:[ \n]|\Z)")


class Plain(NamedTuple):
    """A converted body, and the same with placeholders for its code, as the general path gives it to repair."""

    text: str
    prose: str


def convert(body: str) -> Plain | None:
    """The Markdown of a plain body; None for any other."""
    cut = _RUN.split(body)
    texts, runs = cut[::2], cut[1::2]
    inner = _take_code(texts, runs) if "<code>" in runs else iter(())
    if texts[0] or texts.pop().strip("\n "):
        return None
    odd = "$" in body or "\\" in body or "`" in body or "~" in body
    state, edge, link, notes, broken = START, TEXT, "", 0, False
    parts: list[str] = []
    codes: dict[int, str] = {}  # a placeholder by its place in parts
    rest = zip(texts, runs, strict=True)
    for text, run in rest:
        if text:
            line = state.line
            if (
                odd
                or line == " "
                or not text.isprintable()
                or "&" in text
                or "  " in text
                or "<" in text
                or ">" in text
            ):
                text = _tidied(text, line, edge, run)
                broken = broken or (text is not None and "\n" in text)
            if text and line:
                if text[0] in _DOUBTFUL and _is_amiss(text, edge, state, broken):
                    return None
                parts.append(text)
                edge = TEXT
            elif text is None or not text.isspace():
                return None
            else:
                text = ""  # space between blocks
        special = _SPECIAL.get(run[:3])
        if special is None:
            done, code = step(state, run) if len(run) <= LONGEST_RUN else None, ""
        else:
            done, code, begun = special(state, run, rest, inner)
            if begun and done and edge & BREAK:
                done = done._replace(edge=OPENED | LINE | BREAK)
            link = begun or link
            broken = broken or run[:3] == "<im"
        if done is None:
            return None
        state, out, next_edge, not_behind, space, note = done
        if edge & not_behind:
            return None
        if space and (edge == SPACE or text[-1:] == " "):
            if space == BARS:
                return None
            parts[-1] = parts[-1][:-1]
        if note:
            notes |= note | (SLOW if note & notes & NUMBERED else 0)
            out = out.replace("\0", link)
        parts.append(out)
        if code:
            codes[len(parts)] = placeholder(_STEM, len(codes), block=run[:4] == "<pre")
            parts.append(code)
        edge = next_edge
    if state.stack or (codes and "QXCODE" in body) or (notes & DIFFERS and not _is_quick(body, notes)):
        return None
    return _joined(parts, codes)


def _is_quick(body: str, notes: int) -> bool:
    """Whether `markup` and the converter take the quick way through a body."""
    return not notes & SLOW and len(body) < _QUICK_CHARS and "*" not in body and 'title=""' not in body


def _joined(parts: list[str], codes: dict[int, str]) -> Plain:
    text = "".join(parts)
    if not codes:
        return Plain(text, text)
    for place, name in codes.items():
        parts[place] = name
    return Plain(text, "".join(parts))


def _take_code(texts: list[str], runs: list[str]) -> Iterator[str]:
    """The text in code elements, which is taken out of the texts."""
    inner = []
    for place, run in enumerate(runs, start=1):
        if run == "<code>":
            inner.append(texts[place])
            texts[place] = ""
    return iter(inner)


def _tidied(text: str, line: str, edge: int, run: str) -> str | None:
    """Text as the converter writes it. line: what a line end becomes; edge, run: what stands before and behind."""
    if "<" in text or ">" in text or "$" in text or "\\" in text or "```" in text or "~~~" in text:
        return None  # tags of other forms, mathematics, escapes, fences
    if text[0] in "`~" or text[-1] in "`~":  # may be part of a fence
        return None
    if "&" in text:
        text = _decoded(text)
    seen = text.strip(" \n")
    if seen and (seen.isspace() or not seen.strip("\u200b")):  # kept, or lost, by rules of their own
        return None
    if line == " " and _is_escaped(text, edge, run):
        return None
    if not text.isprintable():
        if "\xa0" in text:
            text = text.replace("\xa0", " ")
        if not text.replace("\n", " ").isprintable():
            if _CONTROLS.search(text):  # the converter's two ways do not treat these alike
                return None
            text = _SPACES.sub(" ", text)
    while "  " in text:
        text = text.replace("  ", " ")
    if "\n" in text:
        return _with_lines(text.replace(" \n", "\n").replace("\n ", "\n"), line, edge, run)
    return text


def _decoded(text: str) -> str:
    """Text without entities; "" with one that is not known here."""
    for entity, character in _ENTITIES:
        if entity in text:
            text = text.replace(entity, character)
    if text.count("&") != text.count("&amp;"):
        return "" if _OTHER_ENTITY.search(text) else unescape(text)
    return text.replace("&amp;", "&")


def _with_lines(text: str, line: str, edge: int, run: str) -> str | None:
    if "\n\n" in text or "\n>" in text:
        return None if line else text
    if text == "\n" and edge == IMAGE:
        return None
    if text[0] == "\n" and edge != CODE:  # code is part of the text around it, tags end it
        text = " " + text[1:]
    if text[-1] == "\n" and run != "<code>":
        if line == " " or text[-2:] == "\u200b\n":
            return None
        text = text[:-1] + " "
    in_item = line.endswith(" ") and line not in (" ", "\n> ")
    return None if in_item and _NEXT_LINE_MARKER.search(text) else text.replace("\n", line)


def _is_amiss(text: str, edge: int, state: State, broken: bool) -> bool:
    """Whether the converter would move a space at the text's start, or escape what begins a list or heading.

    In items it takes much for a line's start: what follows a mark's, an image, a line end. broken: there were such.
    """
    if text[0] == " " and edge & (LINE | OPENED | SPACE):
        return True
    if text[0] in ".)":  # behind a raised or lowered number, that of a list
        return bool(edge & RAISED)
    in_item = "li" in state.stack and (edge & OPENED or broken or state.last)
    return bool(edge & LINE or in_item) and _LINE_MARKER.match(text.lstrip(" ")) is not None


def _is_escaped(text: str, edge: int, run: str) -> bool:
    """Whether the converter may escape something in the text of a link (brackets) or heading (# at its end)."""
    if "[" in text or "]" in text:
        return edge != OPENED or not run.startswith("</a>") or not _ONE_PAIR.fullmatch(text)
    return text.rstrip().endswith("#")


# What a token does (None: it is not known here), the code behind what that writes, and what a link will end in.
_Piece = tuple[Step | None, str, str]
_OTHER: _Piece = (None, "", "")
_Rest = Iterator[tuple[str, str]]


def _link(state: State, tag: str, rest: _Rest, inner: Iterator[str]) -> _Piece:
    found, done = _LINK.fullmatch(tag), step(state, "a")
    if not found or not done or (found[2] and found[3]):
        return _OTHER
    end = _target(found[1], found[2] or found[3])
    return (done, "", end) if end else _OTHER


def _image(state: State, tag: str, rest: _Rest, inner: Iterator[str]) -> _Piece:
    found = _IMAGE.fullmatch(tag)
    if not found or not state.line or not HEADINGS.keys().isdisjoint(state.stack):
        return _OTHER
    alternative, end = _attribute(found[2] or ""), _target(found[1], found[3])
    if alternative is None or not end:
        return _OTHER
    return Step(state, f"![{alternative}{end}", IMAGE), "", ""


def _code(state: State, tag: str, rest: _Rest, inner: Iterator[str]) -> _Piece:
    if tag != "<code>" or not state.line or next(rest, None) != ("", "</code>"):
        return _OTHER
    written = span(unescape(next(inner)))
    return (Step(state, "", CODE), written, "") if written else _OTHER


def _block(state: State, tag: str, rest: _Rest, inner: Iterator[str]) -> _Piece:
    found, done = _PRE.fullmatch(tag), step(state, "pre")
    wanted = ("", "<code>"), ("", "</code>"), ("", "</pre>")
    if not found or not done or any(next(rest, None) != pair for pair in wanted):
        return _OTHER
    lines = fenced(unescape(next(inner)), language_of(found[1] or ""), "", state.margin)
    return done, "\n".join(lines), ""


_SPECIAL = {"<a ": _link, "<im": _image, "<co": _code, "<pr": _block}


def _target(address: str, title: str | None) -> str:
    """The end of a link or image; nothing when a title is one the converter escapes."""
    address = address.replace("&amp;", "&")
    if title is None:
        return f"]({address})"
    written = _attribute(title)
    return "" if written is None or '"' in written or not written.strip() else f']({address} "{written}")'


def _attribute(value: str) -> str | None:
    """An attribute's text; None when it holds what the converter may change."""
    text = _decoded(value) if "&" in value else value
    return text if text.isprintable() and "  " not in text and bool(text) == bool(value) else None
