"""HTML by construction: every value is escaped on its way into the page unless this module made it.

A report shows names, languages and reasons that came out of a dump, so a page is never put together by pasting strings:
`tag` escapes all its children except `Html`, the type only this module's functions return.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

VOID = frozenset({"meta"})

MOST_CHARACTERS = 2000  # of one text; of a longer one the page says how many there are
SHOWN_ROWS = 25  # of a long table; the others are one click away

# Characters without a shape of their own are shown as U+FFFD: some of them reorder the text around them. Of those that
# only format, the joiners and the Arabic signs belong to the spelling of words.
_SPELLING = frozenset(map(chr, (0x200C, 0x200D, 0xAD, *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2)))
_NO_SHAPE = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})


class Html(str):
    """A string that is HTML already."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Value as text of a page, safe in element content and in quoted attributes. Html passes unchanged."""
    return value if isinstance(value, Html) else Html(html.escape(visible(str(value)), quote=True))


def visible(text: str) -> str:
    """A text as it may be shown, on a page or a terminal: nothing in it acts, and it is not endless."""
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]}… ({len(text):,} characters)"
    return text if text.isprintable() else "".join(_visible(char) for char in text)


def _visible(char: str) -> str:
    seen = char in "\n\t" or char in _SPELLING or unicodedata.category(char) not in _NO_SHAPE
    return char if seen else "\ufffd"


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """One element. Attribute names: a trailing underscore is dropped, others become dashes; None leaves it out."""
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    pairs = "".join(f' {key}="{escape(value)}"' for key, value in given.items())
    if name in VOID:
        return Html(f"<{name}{pairs}>")
    return Html(f"<{name}{pairs}>{join(children)}</{name}>")


def join(parts: Iterable[object], separator: str = "") -> Html:
    return Html(escape(separator).join(escape(part) for part in parts))


def number(value: float | int | None, digits: int = 0) -> str:
    """1234567 -> '1,234,567'; None -> a dash."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) and not digits else f"{value:,.{digits}f}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """1 -> '1 file', 1234 -> '1,234 files'. plural: where it is more than an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def percent(share: float | None, digits: int = 1) -> str:
    """0.1234 -> '12.3%'; None -> a dash; '<0.1%' and '>99.9%' for what is not nothing and not all."""
    if share is None:
        return "–"
    shown, step = f"{100 * share:.{digits}f}", 10.0**-digits
    if share > 0 and float(shown) == 0:
        return f"<{step:.{digits}f}%"
    if share < 1 and float(shown) == 100:
        return f">{100 - step:.{digits}f}%"
    return f"{shown}%"


def share(part: float, whole: float) -> float | None:
    """part / whole, or None where there is no whole."""
    return part / whole if whole else None


def file_size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


@dataclass(frozen=True)
class Column:
    """A column of a table: numbers stand right, names left; a bar column takes the width that is left."""

    title: str
    kind: Literal["name", "number", "bar", "code"] = "number"


class Few(tuple[object, ...]):
    """The cells of a row that rests on few observations: it is drawn grey."""

    __slots__ = ()


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> Html:
    """A table that scrolls sideways on a narrow screen.

    Raises:
        ValueError: a row has another number of cells than there are columns.
    """
    head = tag("tr", *(tag("th", column.title, class_=column.kind, scope="col") for column in columns))
    body = [tag("tr", *_cells(columns, row), class_="few" if isinstance(row, Few) else None) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="scroll", tabindex="0")


def long_table(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> Html:
    """A table whose rows past SHOWN_ROWS are folded away; it says how many."""
    first, rest = rows[:SHOWN_ROWS], rows[SHOWN_ROWS:]
    return join([table(columns, first), details(f"{len(rest):,} more", table(columns, rest)) if rest else Html("")])


def _cells(columns: Sequence[Column], row: Sequence[object]) -> list[Html]:
    if len(row) != len(columns):
        raise ValueError(f"a row of {len(row)} cells in a table of {len(columns)} columns: {row!r}")
    return [
        tag("th" if index == 0 else "td", tag("bdi", cell) if column.kind == "name" else cell, class_=column.kind)
        for index, (column, cell) in enumerate(zip(columns, row, strict=True))
    ]


def bar(fraction: float | None, plan: float | None = None, tone: str = "main") -> Html:
    """A bar of `fraction` of the width, with a tick at `plan`. Both in [0, 1]."""
    marks = [tag("span", class_=f"fill {tone}", style=f"width:{_place(fraction or 0.0)}")]
    if plan is not None:
        marks.append(tag("span", class_="tick", style=f"left:{_place(plan)}"))
    return tag("span", *marks, class_="bar", aria_hidden="true")


def whisker(value: float, low: float, high: float, reference: float | None = None, tone: str = "main") -> Html:
    """A point with its interval on a line from 0 to 1, with a faint line at `reference`."""
    marks = [
        tag("span", class_=f"interval {tone}", style=f"left:{_place(low)};width:{_place(high - low)}"),
        tag("span", class_=f"point {tone}", style=f"left:{_place(value)}"),
    ]
    if reference is not None:
        marks.insert(0, tag("span", class_="tick faint", style=f"left:{_place(reference)}"))
    return tag("span", *marks, class_="bar whisker", aria_hidden="true")


def _place(fraction: float) -> str:
    return f"{100 * min(1.0, max(0.0, fraction)):.2f}%"


def paragraph(*children: object, class_: str | None = None) -> Html:
    return tag("p", *children, class_=class_)


def details(summary: object, *children: object, open_: bool = False) -> Html:
    return tag("details", tag("summary", summary), *children, open="" if open_ else None)


def facts(rows: Iterable[tuple[str, object]]) -> Html:
    """Names and values side by side; one above the other on a narrow screen."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in rows))


def page(title: str, css: str, body: Iterable[object]) -> str:
    """The whole document; css is our own file and goes in as it is."""
    head = join(
        [
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", title),
            tag("style", Html(css)),
        ],
        "\n",
    )
    document = tag("html", Html(f"<head>\n{head}\n</head>"), tag("body", tag("main", *body)), lang="en")
    return f"<!doctype html>\n{document}\n"
