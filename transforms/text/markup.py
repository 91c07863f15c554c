"""HTML bodies to Markdown: prose is converted, code is kept as it was written.

The converter sees placeholders instead of code, so it cannot change any: every `<pre>` comes back as a fenced block
with its language tag and a fence longer than any run of backticks inside, every `<code>` as a code span. Inside a quote
or list, the lines of a block carry the container's prefix, which a Markdown reader takes off again.

Guarantees: no code block's text changes (line ends become LF, as HTML reads them; a final line end is added, since a
fenced block always has one); no input crashes or hangs. Loses: attributes, classes, comments, markup inside code, line
breaks inside code spans (Markdown reads them as spaces). HTML that cannot be converted (nested too deeply, or with code
where Markdown has no place for it) is flattened: tags are stripped, code is still fenced. Mathematics (`math_spans`)
stays as it was written. The banner that old Stack Exchange posts carry above a duplicate is taken off: the dump says
the same in a table.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import NamedTuple

# The options object of the compiled module: the public wrapper builds one in Python for each call, which costs more
# than the conversion of a short post.
from html_to_markdown import ConversionError
from html_to_markdown._html_to_markdown import ConversionOptions, TierStrategy, convert

from transforms.text.fences import fenced, language_of, placeholder, span, unescape
from transforms.text.math_spans import find_math

# Elements nested deeper than this are no forum post; quotes in quotes would multiply the text by their depth.
_MAX_DEPTH = 100
_MAX_CONTAINERS = 16
_QUICK_CHARS = 1 << 15


def _options(tier: TierStrategy) -> ConversionOptions:
    return ConversionOptions(
        extract_metadata=False,
        autolinks=False,  # <http://…> where a post says http://…
        compact_tables=True,  # padding makes a table as wide as its longest cell in every row
        max_depth=_MAX_DEPTH,
        tier_strategy=tier,
        sup_symbol="<sup>",  # 2<sup>10</sup> is not 210; the careful way alone heeds this
        sub_symbol="<sub>",
    )


# The converter's two ways. The quick one takes 0.6 of the time. It pads tables, writes empty titles of images, and its
# time grows with the square of a run of `<` (400 kB: 5.6 s against 0.04), so it gets no long bodies.
_QUICK, _CAREFUL = _options(TierStrategy.TIER1), _options(TierStrategy.TIER2)

# Case is spelt out where every body is searched: without the flag the search jumps from < to <.
_CODE_TAG = re.compile(r"<(/?)([Pp][Rr][Ee]|[Cc][Oo][Dd][Ee])(?=[\s/>])([^<>]*)>")
# Bodies with none of these have no code, quotes, lists, tables or scripts.
_WITH_CARE = re.compile(r"<(?:/?[bB][lL]|/?[uUoOdD][lL]\b|/?[tT]|/[pP][rR]|/[cC][oO]|/[sS][cC])")
_CODE_END = re.compile("</[PpCc][RrOo]")  # no code element without one
_SCRIPT_OR_START = re.compile("<(?:[sS][uU][bBpP]|[oO][lL] )")  # which the quick way leaves out
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"<[/!?]?[A-Za-z-][^<>]*>")
_BLOCK_TAG = re.compile(
    r"</?(?:p|div|li|ul|ol|br|hr|blockquote|h[1-6]|tr|td|th|table|section|article|dl|dt|dd)(?=[\s/>])[^<>]*>",
    re.IGNORECASE,
)
_CONTAINER_TAG = re.compile(r"<(/?)(?:[Bb][Ll][Oo][Cc][Kk]|[UuOoDd][Ll]\b|[Tt][Aa][Bb][Ll][Ee]\b)")
_MAYBE_CONTAINER = re.compile("<[BbUuOoTt]")
_SPAN_ATTRIBUTE = re.compile(r"\b(?:col|row)span\b", re.IGNORECASE)
_FENCE_LINE = re.compile(r"^([ >]*)(```|~~~)", re.MULTILINE)
# Of a text behind a line end: a search for a line end is many times as fast as one for the start of a line.
_BEFORE_QUOTE = re.compile(r"\n([^>\n][^\n]*+)\n(?=>)")
_MANY_QUOTED_BREAKS = re.compile(r"\n((?:> ?)++)\n(?:(?:> ?)++\n)++")
_NO_CONTAINER = re.compile("[^ >]")
_CONTAINER_PREFIX = re.compile(r"(?:[ >]|[-*+] |\d+[.)] )*")
_QUOTE_AFTER_QUOTE = re.compile(r"</blockquote>\s*+(?=<blockquote[\s>])")
_MATH_SCRIPT = re.compile(r"<script\b(?:(?!math/tex)[^<>])*+math/tex([^<>]*+)>", re.IGNORECASE)
_STEM = re.compile(r"QXCODE(\d{1,9})X", re.ASCII)
_MANY_BREAKS = re.compile(r"\n{3,}")
# Posts closed before 2013 begin with a quote that links to what they repeat.
_BANNER = re.compile(
    r"\s*<blockquote>\s*<p><strong>\s*(?:Possible\s+|Exact\s+)?Duplicates?:?\s*</strong>:?"
    r"(?:\s|<br ?/?>|<a [^<>]*+>[^<>]*+</a>)*+</p>\s*</blockquote>",
    re.IGNORECASE,
)
_EDIT_LABEL = re.compile(
    r"^((?:> ?)*+)(?:#{1,6} )?(\*{0,3})(?:EDIT|Edit|EDITED|Edited|UPDATE|Update|UPDATED|Updated)(?: ?#?\d{1,2})?"
    r"(?:\2[ ]?:|:[ ]?\2|\2$)[ ]*",
    re.MULTILINE,
)


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


def to_markdown(body: str, prose: Callable[[str], str] = str, strip_edit_labels: bool = False) -> Markdown:
    """Converts one HTML body. `prose` is applied to the Markdown without its code, such as `clean.repair`.

    strip_edit_labels: `EDIT:`, `**Update 2:**` and the like are taken off the beginnings of lines; what follows stays.
    """
    body = body.replace("\r\n", "\n").replace("\r", "\n") if "\r" in body else body
    if "uplicate" in body[:200]:
        body = body[banner.end() :] if (banner := _BANNER.match(body)) else body
    finish = (lambda text: _EDIT_LABEL.sub(r"\1", prose(text))) if strip_edit_labels else prose
    codes: list[_Code] = []
    try:
        if not ("$" in body or "\\" in body or _WITH_CARE.search(body)):
            return Markdown(_prose_of(body, _options_for(body), finish).strip(), flattened=False)
        if "math/tex" in body:
            body = _with_delimiters(body)
        codes = _find_code(body) if _CODE_END.search(body) else []
        if not _nests_too_deeply(body):
            return Markdown(_convert(body, codes, finish), flattened=False)
    except (_NoPlaceError, ConversionError):
        pass
    return Markdown(_flatten(body, codes, finish), flattened=True)


def _with_delimiters(body: str) -> str:
    """`<script type="math/tex">x</script>`, as MathJax rewrites pages, back to `$x$`."""
    *parts, rest = body.split("</script>")
    written = []
    for part in parts:
        found = _MATH_SCRIPT.search(part)
        if found:
            delimiter = "$$" if "display" in found[1] else "$"
            part = f"{part[: found.start()]}{delimiter}{html.escape(part[found.end() :], quote=False)}{delimiter}"
        else:
            part += "</script>"
        written.append(part)
    return "".join(written) + rest


def _convert(body: str, codes: list[_Code], prose: Callable[[str], str]) -> str:
    stem = _unused_stem(body)
    if codes:
        body = _with_placeholders(body, codes, stem)
    separated = "</blockquote>" in body and _QUOTE_AFTER_QUOTE.search(body)
    if separated:  # the converter would join two quotes
        body = _QUOTE_AFTER_QUOTE.sub(f"</blockquote><p>{stem}Q</p>", body)
    options = _options_for(body)
    if "<t" in body or "<T" in body:  # a cell that spans a million columns would be written a million times
        body = _SPAN_ATTRIBUTE.sub("data-span", body)
        options = _CAREFUL
    math: list[str] = []
    text = None
    if "$" in body or "\\" in body:
        protected, math = _with_math_placeholders(body, stem)
        if math:
            text = _prose_of(protected, options, prose)
            text = _put_math_back(text, math, prose, stem)
    if text is None:
        text = _prose_of(body, options, prose)
    if separated:
        line = re.compile(rf"^[> ]*+{stem}Q\n(?:[> ]*+\n)*+", re.MULTILINE)
        text = line.sub("", text).replace(f"{stem}Q", "")
    if codes:
        text = _put_back(text, codes, stem)
    return text.strip()


def _options_for(body: str) -> ConversionOptions:
    careful = len(body) > _QUICK_CHARS or 'title=""' in body or _SCRIPT_OR_START.search(body)
    return _CAREFUL if careful else _QUICK


def _prose_of(body: str, options: ConversionOptions, prose: Callable[[str], str]) -> str:
    """The Markdown of a body without code."""
    result = convert(body, options)
    content = result.content
    if content is None or result.warnings:
        raise _NoPlaceError
    text = prose(content)
    if ("`" in text and "```" in text) or ("~" in text and "~~~" in text):
        # Prose that looks like a fence would swallow what follows.
        text = _FENCE_LINE.sub(r"\1\\\2", text)
    if "\n\n\n" in text:
        text = _MANY_BREAKS.sub("\n\n", text)
    if "\n>" in text:  # the converter leaves no blank line between a paragraph and a quote, and two within one
        if ">\n>" in text or "> \n>" in text:
            text = _MANY_QUOTED_BREAKS.sub("\n\\1\n", f"\n{text}")[1:]
        text = _BEFORE_QUOTE.sub("\n\\1\n\n", f"\n{text}")[1:]
    return text


def _with_math_placeholders(body: str, stem: str) -> tuple[str, list[str]]:
    """The body with a placeholder for each line of its mathematics, and these lines."""
    parts: list[str] = []
    lines: list[str] = []
    at = 0
    for start, end in find_math(body):
        parts.append(body[at:start])
        written = []
        for line in body[start:end].split("\n"):
            line = line.strip(" \t")
            if line:
                written.append(f"{stem}{len(lines)}MQ")
                lines.append(unescape(line))
        parts.append("\n".join(written))
        at = end
    parts.append(body[at:])
    return "".join(parts), lines


def _put_math_back(text: str, math: list[str], prose: Callable[[str], str], stem: str) -> str | None:
    """The mathematics in the place of its placeholders; None unless each stands there exactly once."""
    stands = re.compile(stem + r"(\d+)MQ")
    if sorted(int(number) for number in stands.findall(text)) != list(range(len(math))):
        return None
    lines = text.split("\n")
    for index, line in enumerate(lines):
        if stem in line:
            in_table = line.lstrip("> ").startswith("|")

            def original(found: re.Match[str], in_table: bool = in_table) -> str:
                line = prose(math[int(found[1])])
                return line.replace("|", "\\|") if in_table else line

            lines[index] = stands.sub(original, line)
    return "\n".join(lines)


def _unused_stem(body: str) -> str:
    """What placeholders begin with; the body holds it nowhere."""
    if "QXCODE" not in body:
        return "QXCODE0X"
    used = {int(number) for number in _STEM.findall(body)}
    return f"QXCODE{next(number for number in range(len(used) + 1) if number not in used)}X"


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
        language = language_of(attributes)
        inner = inner.removeprefix("\n")  # HTML: a line end right after <pre> is not part of it
    text = unescape(_TAG.sub("", _BREAK.sub("\n", inner))) if "<" in inner else unescape(inner)
    return _Code(opened.start(), closed.end(), block, language, text.replace("\r\n", "\n").replace("\r", "\n"))


def _with_placeholders(body: str, codes: list[_Code], stem: str) -> str:
    parts: list[str] = []
    at = 0
    for number, code in enumerate(codes):
        parts.append(body[at : code.start])
        name = placeholder(stem, number, code.block)
        parts.append(f"<p>{name}</p>" if code.block else name)
        at = code.end
    parts.append(body[at:])
    return "".join(parts)


def _put_back(text: str, codes: list[_Code], stem: str) -> str:
    """The code in the place of its placeholders. Raises _NoPlaceError unless each stands there exactly once."""
    stands = re.compile(stem + r"(\d+)([BS])Q")
    numbers = sorted(int(found[1]) for found in stands.finditer(text))
    if numbers != list(range(len(codes))):
        raise _NoPlaceError
    lines: list[str] = []
    for line in text.split("\n"):
        found = stands.search(line) if stem in line else None
        if found is None:
            lines.append(line)
        elif found[2] == "B":
            lines.extend(_fenced(codes[int(found[1])], line[: found.start()], line[found.end() :]))
        else:
            in_table = line.lstrip("> ").startswith("|")
            lines.append(stands.sub(lambda each: span(codes[int(each[1])].text, in_table), line))  # noqa: B023
    return "\n".join(lines)


def _fenced(code: _Code, prefix: str, suffix: str) -> list[str]:
    """The lines of a fenced block. prefix: what the container wrote before it, such as `> ` or `- `."""
    if suffix.strip() or not _CONTAINER_PREFIX.fullmatch(prefix):
        raise _NoPlaceError
    return fenced(code.text, code.language, prefix, _NO_CONTAINER.sub(" ", prefix))


def _nests_too_deeply(body: str) -> bool:
    if len(_MAYBE_CONTAINER.findall(body)) <= _MAX_CONTAINERS:
        return False
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
        parts.append("\n\n" + "\n".join(_fenced(code, "", "")) + "\n\n" if code.block else span(code.text))
        at = code.end
    parts.append(_stripped(body[at:], prose))
    return "".join(parts).strip()


def _stripped(fragment: str, prose: Callable[[str], str]) -> str:
    text = unescape(_TAG.sub("", _BLOCK_TAG.sub("\n", fragment)))
    return _FENCE_LINE.sub(r"\1\\\2", _MANY_BREAKS.sub("\n\n", prose(text)))
