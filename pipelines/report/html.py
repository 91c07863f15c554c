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

# Characters that reorder the text around them, or draw it over other text: shown as U+FFFD.
_UNSEEN = frozenset(map(chr, (0x200E, 0x200F, 0x061C, *range(0x2028, 0x202F), *range(0x2066, 0x206A))))


class Html(str):
    """A string that is HTML already."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Value as text of a page, safe in element content and in quoted attributes. Html passes unchanged."""
    if isinstance(value, Html):
        return value
    text = str(value)
    if not text.isprintable():
        text = "".join(_visible(char) for char in text)
    return Html(html.escape(text, quote=True))


def _visible(char: str) -> str:
    if char in "\n\t ":
        return char
    return "\ufffd" if char in _UNSEEN or unicodedata.category(char) in ("Cc", "Cs", "Cn", "Co") else char


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
    return "–" if value is None else f"{value:,.{digits}f}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """1 -> '1 file', 1234 -> '1,234 files'. plural: where it is more than an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def percent(share: float | None, digits: int = 1) -> str:
    """0.1234 -> '12.3%'; None -> a dash."""
    return "–" if share is None else f"{100 * share:.{digits}f}%"


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


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]], total: Sequence[object] | None = None) -> Html:
    """A table that scrolls sideways on a narrow screen. total: a last row that sums the others.

    Raises:
        ValueError: a row has another number of cells than there are columns.
    """
    head = tag("tr", *(tag("th", column.title, class_=column.kind, scope="col") for column in columns))
    body = [tag("tr", *_cells(columns, row)) for row in rows]
    if total is not None:
        body.append(tag("tr", *_cells(columns, total), class_="total"))
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="scroll", tabindex="0")


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


def section(anchor: str, title: str, *children: object) -> Html:
    return tag("section", tag("h2", title), *children, id=anchor)


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
