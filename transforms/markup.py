"""HTML bodies to Markdown: prose is converted, code is kept as it was written.

The converter sees placeholders instead of code, so it cannot change any: every `<pre>` comes back as a fenced block
with its language tag and a fence longer than any run of backticks inside, every `<code>` as a code span. Inside a quote
or list, the lines of a block carry the container's prefix, which a Markdown reader takes off again.

Guarantees: no code block's text changes (line ends become LF, as HTML reads them; a final line end is added, since a
fenced block always has one); no input crashes or hangs. Loses: attributes, classes, comments, markup inside code, line
breaks inside code spans (Markdown reads them as spaces). HTML that cannot be converted (nested too deeply, or with code
where Markdown has no place for it) is flattened: tags are stripped, code is still fenced.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import NamedTuple

# The options object of the compiled module: the public wrapper builds one in Python for each call, which costs more
# than the conversion of a short post.
from html_to_markdown import ConversionError
from html_to_markdown._html_to_markdown import ConversionOptions, convert

# Elements nested deeper than this are no forum post; quotes in quotes would multiply the text by their depth.
MAX_DEPTH = 100
_MAX_CONTAINERS = 16

_OPTIONS = ConversionOptions(
    extract_metadata=False,
    autolinks=False,  # <http://…> where a post says http://…
    compact_tables=True,  # padding makes a table as wide as its longest cell in every row
    max_depth=MAX_DEPTH,
)

# Case is spelt out where every body is searched: without the flag the search jumps from < to <.
_CODE_TAG = re.compile(r"<(/?)([Pp][Rr][Ee]|[Cc][Oo][Dd][Ee])(?=[\s/>])([^<>]*)>")
_LANGUAGE = re.compile(r"\blang(?:uage)?-([A-Za-z0-9+#._-]{1,32})")
_NO_LANGUAGE = frozenset({"none", "default", "all"})
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"<[/!?]?[A-Za-z-][^<>]*>")
_BLOCK_TAG = re.compile(
    r"</?(?:p|div|li|ul|ol|br|hr|blockquote|h[1-6]|tr|td|th|table|section|article|dl|dt|dd)(?=[\s/>])[^<>]*>",
    re.IGNORECASE,
)
_CONTAINER_TAG = re.compile(r"<(/?)(?:[Bb][Ll][Oo][Cc][Kk]|[UuOoDd][Ll]\b|[Tt][Aa][Bb][Ll][Ee]\b)")
_SPAN_ATTRIBUTE = re.compile(r"\b(?:col|row)span\b", re.IGNORECASE)
_FENCE_LINE = re.compile(r"^([ >]*)(```|~~~)", re.MULTILINE)
_BEFORE_QUOTE = re.compile(r"^(?!>)(.+)\n(?=>)", re.MULTILINE)
_CONTAINER_PREFIX = re.compile(r"(?:[ >]|[-*+] |\d+[.)] )*")
_BACKTICKS = re.compile("`+")
_MANY_BREAKS = re.compile(r"\n{3,}")


class Markdown(NamedTuple):
    """A converted body. flattened: the HTML could not be converted, its tags were stripped instead."""

    text: str
    flattened: bool


class _Code(NamedTuple):
    """A piece of code in a body."""

    start: int  # of the whole element in the HTML
    end: int
    block: bool
    language: str
    text: str


class _NoPlaceError(Exception):
    """Code stands where Markdown has no place for it."""


def to_markdown(body: str, prose: Callable[[str], str] = str) -> Markdown:
    """Converts one HTML body. `prose` is applied to the Markdown without its code, such as `clean.repair`."""
    body = body.replace("\r\n", "\n").replace("\r", "\n") if "\r" in body else body
    codes = _find_code(body)
    if not _nests_too_deeply(body):
        try:
            return Markdown(_convert(body, codes, prose), flattened=False)
        except (_NoPlaceError, ConversionError):
            pass
    return Markdown(_flatten(body, codes, prose), flattened=True)


def _convert(body: str, codes: list[_Code], prose: Callable[[str], str]) -> str:
    stem = _unused_stem(body)
    if codes:
        body = _with_placeholders(body, codes, stem)
    if "<t" in body or "<T" in body:  # a cell that spans a million columns would be written a million times
        body = _SPAN_ATTRIBUTE.sub("data-span", body)
    result = convert(body, _OPTIONS)
    if result.warnings or result.content is None:
        raise _NoPlaceError
    text = prose(result.content)
    if "```" in text or "~~~" in text:  # prose that looks like a fence would swallow what follows
        text = _FENCE_LINE.sub(r"\1\\\2", text)
    if "\n>" in text:  # the converter leaves no blank line between a paragraph and a quote
        text = _BEFORE_QUOTE.sub("\\1\n\n", text)
    if codes:
        text = _put_back(text, codes, stem)
    return text.strip()


def _unused_stem(body: str) -> str:
    salt = 0
    while f"QXCODE{salt}X" in body:
        salt += 1
    return f"QXCODE{salt}X"


def _find_code(body: str) -> list[_Code]:
    """The `<pre>` and inline `<code>` elements, outermost ones, in order; unclosed ones are left to the converter."""
    codes: list[_Code] = []
    opened: re.Match[str] | None = None
    for tag in _CODE_TAG.finditer(body):
        closing, name = tag[1] == "/", tag[2].lower()
        if opened is None:
            opened = None if closing else tag
        elif closing and name == opened[2].lower():
            codes.append(_code(body, opened, tag))
            opened = None
        elif not closing and name == "pre" and opened[2].lower() == "code":
            opened = tag  # block code inside a span that was never closed
    return codes


def _code(body: str, opened: re.Match[str], closed: re.Match[str]) -> _Code:
    inner = body[opened.end() : closed.start()]
    block = opened[2].lower() == "pre"
    language = ""
    if block:
        first = _CODE_TAG.search(inner)
        attributes = opened[3] + " " + (first[3] if first and first[2].lower() == "code" else "")
        found = _LANGUAGE.search(attributes)
        language = found[1] if found and found[1] not in _NO_LANGUAGE else ""
        inner = inner.removeprefix("\n")  # HTML: a line end right after <pre> is not part of it
    text = html.unescape(_TAG.sub("", _BREAK.sub("\n", inner))) if "<" in inner else html.unescape(inner)
    return _Code(opened.start(), closed.end(), block, language, text.replace("\r\n", "\n").replace("\r", "\n"))


def _with_placeholders(body: str, codes: list[_Code], stem: str) -> str:
    parts: list[str] = []
    at = 0
    for number, code in enumerate(codes):
        parts.append(body[at : code.start])
        parts.append(f"<p>{stem}{number}B</p>" if code.block else f"{stem}{number}S")
        at = code.end
    parts.append(body[at:])
    return "".join(parts)


def _put_back(text: str, codes: list[_Code], stem: str) -> str:
    """The code in the place of its placeholders. Raises _NoPlaceError unless each stands there exactly once."""
    placeholder = re.compile(stem + r"(\d+)([BS])")
    numbers = sorted(int(found[1]) for found in placeholder.finditer(text))
    if numbers != list(range(len(codes))):
        raise _NoPlaceError
    lines: list[str] = []
    for line in text.split("\n"):
        found = placeholder.search(line)
        if found is None:
            lines.append(line)
        elif found[2] == "B":
            lines.extend(_fenced(codes[int(found[1])], line[: found.start()], line[found.end() :]))
        else:
            in_table = line.lstrip("> ").startswith("|")
            lines.append(placeholder.sub(lambda each: _span(codes[int(each[1])].text, in_table), line))  # noqa: B023
    return "\n".join(lines)


def _fenced(code: _Code, prefix: str, suffix: str) -> list[str]:
    """The lines of a fenced block. prefix: what the container wrote before it, such as `> ` or `- `."""
    if suffix.strip() or not _CONTAINER_PREFIX.fullmatch(prefix):
        raise _NoPlaceError
    following = re.sub(r"[^ >]", " ", prefix)
    fence = _fence(code.text, at_least=3)
    code_lines = code.text.removesuffix("\n").split("\n") if code.text else []
    return [prefix + fence + code.language, *(following + line for line in code_lines), following + fence]


def _fence(text: str, at_least: int) -> str:
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    return "`" * max(at_least, longest + 1)


def _span(text: str, in_table: bool) -> str:
    """A code span; a Markdown reader takes one space off both ends if both have one, so such text gets another."""
    text = text.replace("\n", " ")
    if not text:
        return ""
    if in_table:
        text = text.replace("|", "\\|")  # the one escape that a table reader undoes inside code
    fence = _fence(text, at_least=1)
    padded = text[0] == "`" or text[-1] == "`" or (text[0] == text[-1] == " " and bool(text.strip(" ")))
    return f"{fence} {text} {fence}" if padded else f"{fence}{text}{fence}"


def _nests_too_deeply(body: str) -> bool:
    depth = 0
    for tag in _CONTAINER_TAG.finditer(body):
        depth = max(0, depth - 1) if tag[1] else depth + 1
        if depth > _MAX_CONTAINERS:
            return True
    return False


def _flatten(body: str, codes: list[_Code], prose: Callable[[str], str]) -> str:
    """Tags stripped, blocks on lines of their own, code fenced."""
    parts: list[str] = []
    at = 0
    for code in codes:
        parts.append(_stripped(body[at : code.start], prose))
        parts.append("\n\n" + "\n".join(_fenced(code, "", "")) + "\n\n" if code.block else _span(code.text, False))
        at = code.end
    parts.append(_stripped(body[at:], prose))
    return "".join(parts).strip()


def _stripped(fragment: str, prose: Callable[[str], str]) -> str:
    text = html.unescape(_TAG.sub("", _BLOCK_TAG.sub("\n", fragment)))
    return _FENCE_LINE.sub(r"\1\\\2", _MANY_BREAKS.sub("\n\n", prose(text)))
