"""How values become a page: templates that escape all that is put into them, and the words and tables they show.

A report shows names, languages and reasons that came out of a dump. Whatever a template prints is made visible and
escaped on its way (`fill`), in text and in attributes alike; only the template itself is HTML.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent
TEMPLATES, CSS = FOLDER / "templates", FOLDER / "report.css"

_MOST_CHARACTERS = 2000  # of one text; of a longer one the page says how many there are
_SHOWN_ROWS = 25  # of a long table; the others are one click away

# Characters without a shape of their own are shown as U+FFFD: some of them reorder the text around them. Of those that
# only format, the joiners and the Arabic signs belong to the spelling of words.
_SPELLING = frozenset(map(chr, (0x200C, 0x200D, 0xAD, *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2)))
_PATH = re.compile(r"[MLZh0-9.,]*")
_NO_SHAPE = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})


def visible(text: str) -> str:
    """A text as it may be shown, on a page or a terminal: nothing in it acts, and it is not endless."""
    if len(text) > _MOST_CHARACTERS:
        text = f"{text[:_MOST_CHARACTERS]}… ({len(text):,} characters)"
    return text if text.isprintable() else "".join(_visible(char) for char in text)


def _visible(char: str) -> str:
    seen = char in "\n\t" or char in _SPELLING or unicodedata.category(char) not in _NO_SHAPE
    return char if seen else "\ufffd"


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


def compact(value: float) -> str:
    """1234 -> '1,234', 25000 -> '25k', 3e6 -> '3M', 0.25 -> '0.25': a tick of an axis."""
    size = abs(value)
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if size >= factor and size >= 1e4:
            return f"{value / factor:,.6g}{unit}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def short_percent(share: float) -> str:
    """0.25 -> '25%': a tick of an axis."""
    return f"{100 * share:.6g}%"


@dataclass(frozen=True)
class Column:
    """A column of a table: numbers stand right, words left; a bar column takes the width that is left."""

    title: str
    kind: Literal["name", "text", "number", "bar", "code", "reason"] = "number"


@dataclass(frozen=True)
class Bar:
    """A cell: a bar of `fraction` of the width, with a tick at `plan`, where there is one. Both in [0, 1]."""

    fraction: float | None
    plan: float | None = None
    tone: Literal["main", "grey"] = "main"


@dataclass(frozen=True)
class Whisker:
    """A cell: a point with its interval on a line from 0 to 1, with a faint line at `reference`."""

    value: float
    low: float
    high: float
    reference: float | None = None
    tone: Literal["main", "grey"] = "main"


@dataclass(frozen=True)
class Spark:
    """A cell: how many values lie in bins of one width from 0 to 100%, left to right; a bar is seen, however low."""

    counts: Sequence[int]

    @property
    def says(self) -> str:
        """The bins that hold something, in words."""
        wide = 100 / len(self.counts)
        return ", ".join(
            f"{place * wide:g} to {(place + 1) * wide:g}%: {count:,}"
            for place, count in enumerate(self.counts)
            if count
        )

    @property
    def path(self) -> str:
        """The bars, in a frame of 100 by 100."""
        wide, most = 100 / len(self.counts), max(self.counts)
        boxes = (
            (place * wide, (place + 1) * wide, 100 - max(5, 100 * count / most))
            for place, count in enumerate(self.counts)
            if count
        )
        return "".join(
            f"M{left:.2f},100L{left:.2f},{top:.2f}L{right:.2f},{top:.2f}L{right:.2f},100Z" for left, right, top in boxes
        )


class Few(tuple[object, ...]):
    """The cells of a row that rests on few observations: it is drawn grey."""

    __slots__ = ()


@dataclass(frozen=True)
class Table:
    """What a table shows; rows past _SHOWN_ROWS are folded away. A cell of a bar column is a Bar or a Whisker.

    Raises ValueError when a row has another number of cells than there are columns.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[object]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(row)} cells in a table of {len(self.columns)} columns: {row!r}")

    @property
    def first(self) -> Sequence[Sequence[object]]:
        """The rows that are not folded away."""
        return self.rows[:_SHOWN_ROWS]

    @property
    def rest(self) -> Sequence[Sequence[object]]:
        """Those that are."""
        return self.rows[_SHOWN_ROWS:]


@dataclass(frozen=True)
class Sortable(Table):
    """A table whose reader sorts its rows by any column that has keys; until then they stand as they are given.

    name: of the table, unlike all others of the page. keys: by place of the column, a key a row: texts are sorted as
    texts, numbers the largest first, None comes last. by: the column by which the rows stand, in that order or turned.

    It is done by the style sheet: a page that shows what is in dumps has no script.
    """

    name: str
    keys: Mapping[int, Sequence[str | float | None]]
    by: int
    turned: bool = False

    @property
    def orders(self) -> list[str]:
        """Of each row its rank by each column that has keys, for the style sheet."""
        ranks = {column: _ranks(keys, self.turned) for column, keys in self.keys.items()}
        return [
            ";".join(f"--s{column + 1}:{places[row]}" for column, places in ranks.items())
            for row in range(len(self.rows))
        ]


def _ranks(keys: Sequence[str | float | None], turned: bool) -> list[int]:
    """The rank of each key; equal ones stand in their order."""

    def rank(row: int) -> tuple[bool, str | float]:
        key = keys[row]
        return (key is None, key if isinstance(key, str) else -(key or 0))

    rows = range(len(keys))
    places = {row: place for place, row in enumerate(sorted(reversed(rows) if turned else rows, key=rank))}
    return [places[row] for row in rows]


def fill(template: str, **values: object) -> str:
    """A template's text with these values in it. Raises UndefinedError for a value that it needs and has not."""
    return environment.get_template(template).render(values)


def style() -> Markup:
    """The style sheet: our own file, which goes into a page as it is."""
    return Markup(CSS.read_text(encoding="utf-8"))


def _shown(value: object) -> object:
    """What is printed of a value, before it is escaped; what a macro printed is HTML already."""
    return value if isinstance(value, Markup) else visible(str(value))


def _width(fraction: float | None) -> str:
    return f"{100 * min(1.0, max(0.0, fraction or 0.0)):.2f}%"


def _path(text: str) -> Markup:
    """The data of an SVG path: of any length, since nothing but numbers can be in it. Raises ValueError otherwise."""
    if not _PATH.fullmatch(text):
        raise ValueError(f"no path of numbers: {text[:80]!r}")
    return Markup(text)


environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_shown,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
environment.filters |= {
    "number": number, "counted": counted, "percent": percent, "width": _width, "path": _path,
}  # fmt: skip
environment.tests |= {
    "few": lambda row: isinstance(row, Few),
    "whisker": lambda cell: isinstance(cell, Whisker),
    "spark": lambda cell: isinstance(cell, Spark),
}
