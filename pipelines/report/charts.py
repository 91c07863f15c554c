"""Charts as values: where each mark stands in its frame, in percent, and the words beside it. `draw.html` writes SVG.

Lines stretch with the page, labels are HTML text that keeps its size. Not a plotting library's: the same numbers give
the same bytes on every machine, colours follow the page's light or dark theme, and a chart stays readable at phone
width. What cannot be drawn (not a number, nothing or less on a logarithmic axis) is left out, and the figure says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pipelines.report.html import compact, counted, short_percent
from pipelines.report.reading import FARTHEST
from pipelines.report.scales import Format, Scale, linear, logarithmic

MAX_POINTS = 400  # a longer curve is averaged in runs of equal length: a page stays small, a pixel shows no more
TONES = 6  # colours that the style sheet tells apart
_NEAREST = 1 / FARTHEST  # to zero, of what a logarithmic axis shows
_ROWS_REM, _BAR_REM = 0.5, 0.7  # height of a row of horizontal bars: between rows, and of each bar

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Mark:
    """A path of SVG in a frame of 100 by 100. kind, tone: how the style sheet draws it. says: shown when pointed at."""

    kind: str
    path: str
    tone: int = 0
    says: str = ""


@dataclass(frozen=True)
class Panel:
    """A frame. x, y: the labels beside it, each with its percent from the left or from the top. says: what is in this
    frame in words, for who does not see it."""

    name: str
    marks: tuple[Mark, ...]
    x: Labels
    y: Labels
    says: str


@dataclass(frozen=True)
class Key:
    """An entry of a legend; tone None is the reference line. end: a value that is looked up, or nothing."""

    name: str
    tone: int | None
    end: str = ""


@dataclass(frozen=True)
class Figure:
    """All that a page shows of a chart. shape: of each frame."""

    title: str
    panels: tuple[Panel, ...]
    keys: tuple[Key, ...] = ()
    x_title: str = ""
    y_title: str = ""
    notes: tuple[str, ...] = ()
    shape: str = "wide"
    height_rem: float | None = None

    def told(self, says: str) -> Figure:
        """With a sentence below that says what it shows."""
        return replace(self, notes=(says, *self.notes))


def _point(x: float, y: float) -> str:
    """x, y in [0, 1], y upwards."""
    return f"{100 * x:.3f},{100 * (1 - y):.3f}"


def _dot(at: tuple[float, float]) -> str:
    return f"M{_point(*at)}h0"  # a line of no length, which round ends make a dot in whatever frame


def _line(*points: tuple[float, float]) -> str:
    return f"M{'L'.join(_point(*point) for point in points)}"


def _box(left: float, right: float, bottom: float, top: float) -> str:
    return f"{_line((left, bottom), (left, top), (right, top), (right, bottom))}Z"


def _labels(scale: Scale, from_end: float = 0.0) -> Labels:
    return tuple((scale.label(tick), f"{100 * abs(from_end - scale.at(tick)):.2f}") for tick in scale.ticks)


def _panel(name: str, marks: Iterable[Mark], x: Scale, y: Scale, says: Iterable[str]) -> Panel:
    grid = (Mark("grid", _line((0, y.at(tick)), (1, y.at(tick)))) for tick in y.ticks)
    return Panel(name, (*grid, *marks), _labels(x), _labels(y, from_end=1.0), _sentence(says))


def _sentence(says: Iterable[str]) -> str:
    return f"{'; '.join(says) or 'Nothing is drawn'}."


def _can_be_drawn(value: float, log: bool) -> bool:
    return math.isfinite(value) and abs(value) <= FARTHEST and (not log or value >= _NEAREST)


def _nothing(title: str, notes: Sequence[str]) -> Figure:
    return Figure(title, (), notes=("There is nothing to draw.", *notes))


def _left_out(number: int, log: bool) -> tuple[str, ...]:
    """What is said of points that are not drawn."""
    why = "no finite numbers, or not above zero on a logarithmic axis" if log else "no finite numbers"
    return (f"{counted(number, 'point is', 'points are')} not drawn: {why}.",) if number else ()


@dataclass(frozen=True)
class Series:
    """One curve: xs ascending, ys of the same length. lows, highs: of an interval around each y, or empty."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    lows: Sequence[float] = ()
    highs: Sequence[float] = ()

    def __post_init__(self) -> None:
        xs, ys, lows, highs = sizes = [len(column) for column in (self.xs, self.ys, self.lows, self.highs)]
        if xs != ys or lows != highs or lows not in (0, ys):
            raise ValueError(f"series {self.name!r} has {sizes} values of x, y, low and high; should be equally many")

    @property
    def columns(self) -> tuple[Sequence[float], ...]:
        """x and y, and low and high where there are intervals."""
        return (self.xs, self.ys, self.lows, self.highs) if self.lows else (self.xs, self.ys)


def _drawn(series: Series, x_log: bool, y_log: bool) -> Series:
    """The points that can be drawn."""
    rows = zip(*series.columns, strict=True)
    return _of_rows(series, [row for row in rows if all(map(_can_be_drawn, row, (x_log, y_log, y_log, y_log)))])


def thinned(series: Series) -> Series:
    """At most MAX_POINTS points, and the last one; runs are averaged, the last point is kept as it is."""
    rows = list(zip(*series.columns, strict=True))
    if len(rows) > MAX_POINTS:
        run = math.ceil(len(rows) / MAX_POINTS)
        parts = (rows[start : start + run] for start in range(0, len(rows) - 1, run))
        rows = [*(tuple(sum(column) / len(part) for column in zip(*part, strict=True)) for part in parts), rows[-1]]
    return _of_rows(series, rows)


def _of_rows(series: Series, rows: Sequence[tuple[float, ...]]) -> Series:
    return Series(series.name, *([row[column] for row in rows] for column in range(len(series.columns))))


def line_chart(
    title: str,
    panels: Sequence[tuple[str, Sequence[Series]]],
    x_title: str,
    y_format: Format = compact,
    tick_format: Format = compact,
    reference: tuple[float, str] | None = None,
    x_log: bool = False,
    y_log: bool = False,
    dots: bool = False,
    ends: Mapping[str, str] | None = None,
) -> Figure:
    """Curves, with bands where they have intervals; several panels share their axes, and curves of one name a colour.

    ends: what the legend has beside names; None: each curve's last value, of a single panel. reference: a horizontal
    line and its name. Linear x axes begin at zero. dots: a mark on every point. Raises ValueError for more than TONES
    names.
    """
    whole = [(name, [_drawn(curve, x_log, y_log) for curve in curves]) for name, curves in panels]
    missing = sum(len(curve.xs) for _, curves in panels for curve in curves)
    missing -= sum(len(curve.xs) for _, curves in whole for curve in curves)
    notes = _left_out(missing, x_log or y_log)
    found = [(name, [thinned(curve) for curve in curves if curve.xs]) for name, curves in whole]
    every = [curve for _, curves in found for curve in curves]
    if not every:
        return _nothing(title, notes)
    tones = _tones(curve.name for curve in every)
    xs = [x for curve in every for x in curve.xs]
    ys = [y for curve in every for y in (*curve.ys, *curve.lows, *curve.highs)]
    reference = reference if reference and _can_be_drawn(reference[0], y_log) else None
    ys += [reference[0]] if reference else []
    x_axis = logarithmic(min(xs), max(xs), tight=True) if x_log else linear(min(0.0, *xs), max(xs), tight=True)
    y_axis = logarithmic(min(ys), max(ys), tick_format) if y_log else linear(min(ys), max(ys), 4, tick_format)
    base = [Mark("reference", _line(*((x, y_axis.at(reference[0])) for x in (0, 1))))] if reference else []
    drawn = []
    for name, curves in found:
        marks = (mark for curve in curves for mark in _curve(curve, x_axis, y_axis, tones[curve.name], dots))
        says = (
            f"{curve.name} ends at {y_format(curve.ys[-1])} for {x_title} {compact(curve.xs[-1])}".strip()
            for curve in curves
        )
        drawn.append(_panel(name, [*base, *marks], x_axis, y_axis, says))
    if ends is None:
        ends = {curve.name: y_format(curve.ys[-1]) for curve in every} if len(panels) == 1 else {}
    keys = [Key(name, tone, ends.get(name, "")) for name, tone in tones.items()]
    keys += [Key(reference[1], None)] if reference else []
    longest = math.ceil(max(len(curve.xs) for _, curves in whole for curve in curves) / MAX_POINTS)
    axis_title = x_title + (f", each point the mean of up to {longest}" if longest > 1 else "")
    return Figure(title, tuple(drawn), tuple(keys), axis_title, notes=notes)


def _tones(names: Iterable[str]) -> dict[str, int]:
    found = {name: tone for tone, name in enumerate(dict.fromkeys(names))}
    if len(found) > TONES:
        raise ValueError(f"a chart tells {TONES} colours apart, got {len(found)} names: {', '.join(found)}")
    return found


def _curve(curve: Series, x: Scale, y: Scale, tone: int, dots: bool) -> list[Mark]:
    """A band, a line, dots: what there is of it. A single point has no line, and is a dot."""
    marks = []
    if curve.lows and len(curve.xs) > 1:
        upper, lower = (
            [(x.at(a), y.at(b)) for a, b in zip(curve.xs, ys, strict=True)] for ys in (curve.highs, curve.lows)
        )
        marks.append(Mark("band", f"{_line(*upper, *reversed(lower))}Z", tone))
    elif curve.lows:
        marks.append(
            Mark("interval", _line(*((x.at(curve.xs[0]), y.at(end[0])) for end in (curve.lows, curve.highs))), tone)
        )
    points = [(x.at(a), y.at(b)) for a, b in zip(curve.xs, curve.ys, strict=True)]
    if len(points) > 1:
        marks.append(Mark("curve", _line(*points), tone))
    if dots or len(points) == 1:
        values = zip(points, curve.xs, curve.ys, strict=True)
        marks += [Mark("dot", _dot(at), tone, f"{curve.name}: {y.label(b)} at {x.label(a)}") for at, a, b in values]
    return marks


def histogram(
    title: str,
    edges: Sequence[float],
    panels: Sequence[tuple[str, Sequence[int]]],
    x_title: str,
    y_title: str,
    x_log: bool = False,
    x_label: Format = compact,
    per_doubling: bool = False,
) -> Figure:
    """Of whole numbers, the density in each bin of its panel, so that bins of other widths are no higher or lower for
    it: its share of the panel, divided by the number of values in it, or by how often values double from edge to edge.
    A value at an edge is in the bin above it. Panels share their axes. Raises ValueError for edges that do not ascend,
    or are not one more than the counts of a panel, and for per_doubling on an axis that is not logarithmic."""
    if per_doubling and not x_log:
        raise ValueError(f"{title!r} has a share per doubling, for which its axis must be logarithmic; it is linear")
    if any(not low < high for low, high in pairwise(edges)) or any(len(c) + 1 != len(edges) for _, c in panels):
        sizes = ", ".join(str(len(counts)) for _, counts in panels)
        raise ValueError(f"{title!r} needs ascending edges, one more than counts; got {len(edges)} for {sizes}")
    fine = [_can_be_drawn(low, x_log) and _can_be_drawn(high, x_log) for low, high in pairwise(edges)]
    lost = sum(count for _, counts in panels for count, can in zip(counts, fine, strict=True) if not can)
    notes = _left_out(lost, x_log)
    filled = [place for place, can in enumerate(fine) if can and any(counts[place] for _, counts in panels)]
    if not filled:
        return _nothing(title, notes)
    shown = range(filled[0], filled[-1] + 1)
    totals = [sum(counts[place] for place in shown) for _, counts in panels]
    widths = [
        math.log2(high / low) if per_doubling else _values(low, high)
        for low, high in pairwise(edges[shown[0] : shown[-1] + 2])
    ]
    heights = [
        [counts[place] / width / (total or 1) for place, width in zip(shown, widths, strict=True)]
        for (_, counts), total in zip(panels, totals, strict=True)
    ]
    make = logarithmic if x_log else linear
    x_axis = make(edges[shown[0]], edges[shown[-1] + 1], label=x_label, tight=True)
    x_axis = replace(x_axis, ticks=tuple(tick for tick in x_axis.ticks if tick == int(tick)))
    y_axis = linear(0.0, max(map(max, heights)), 3, short_percent)
    drawn = []
    for (name, counts), total, of_panel in zip(panels, totals, heights, strict=True):
        marks = []
        for place, height in ((place, height) for place, height in zip(shown, of_panel, strict=True) if height):
            low, high = edges[place], edges[place + 1]
            box = _box(x_axis.at(low), x_axis.at(high), 0.0, y_axis.at(height))
            marks.append(Mark("bar", box, 0, f"{_range(low, high, x_label)}: {counts[place]:,} of {total:,}"))
        drawn.append(_panel(name, marks, x_axis, y_axis, (f"{x_title} {mark.says}" for mark in marks)))
    return Figure(title, tuple(drawn), x_title=x_title, y_title=y_title, notes=notes)


def _values(low: float, high: float) -> int:
    """How many whole numbers there are from low on and below high; for a narrow bin of none it is 1."""
    return max(1, math.ceil(high) - math.ceil(low))


def _range(low: float, high: float, label: Format) -> str:
    """The whole numbers from low on and below high."""
    first, last = math.ceil(low), math.ceil(high) - 1
    return label(first) if first == last else f"{label(first)} to {label(last)}"


def bar_chart(
    title: str,
    rows: Sequence[str],
    groups: Sequence[tuple[str, Sequence[float]]],
    x_title: str,
    label: Format = compact,
    tick_format: Format = compact,
) -> Figure:
    """Horizontal bars from zero: a row a name from the top, in it a bar a group. label: of a bar's value. Raises
    ValueError for a group that has not a value a row, and for more than TONES groups."""
    tones = _tones(name for name, _ in groups)
    if wrong := [name for name, values in groups if len(values) != len(rows)]:
        raise ValueError(f"group {wrong[0]!r} of {title!r} has another number of values than the {len(rows)} rows")
    values = [value for _, column in groups for value in column]
    fine = [value for value in values if _can_be_drawn(value, False)]
    notes = _left_out(len(values) - len(fine), False)
    if not fine:
        return _nothing(title, notes)
    x_axis = linear(min(0.0, *fine), max(0.0, *fine), 4, tick_format)
    marks = [Mark("grid", _line((x_axis.at(tick), 0), (x_axis.at(tick), 1))) for tick in x_axis.ticks]
    for order, (group, column) in enumerate(groups):
        for row, value in enumerate(column):
            if _can_be_drawn(value, False):
                left, right = sorted((x_axis.at(0.0), x_axis.at(value)))
                top = 1 - (row + 0.1 + 0.8 * order / len(groups)) / len(rows)
                box = _box(left, right, top - 0.8 / len(groups) / len(rows), top)
                says = f"{rows[row]}, {group}: {label(value)}" if group else f"{rows[row]}: {label(value)}"
                marks.append(Mark("bar", box, tones[group], says))
    labels = tuple((name, f"{100 * (row + 0.5) / len(rows):.2f}") for row, name in enumerate(rows))
    keys = tuple(Key(name, tone) for name, tone in tones.items() if name)
    height = round(len(rows) * (_ROWS_REM + _BAR_REM * len(groups)), 2)
    panel = Panel("", tuple(marks), _labels(x_axis), labels, _sentence(mark.says for mark in marks if mark.says))
    return Figure(title, (panel,), keys, x_title, notes=notes, shape="rows", height_rem=height)


@dataclass(frozen=True)
class Calibrated:
    """What was predicted and what was observed in `number` cases, shares, with the interval of what was observed."""

    predicted: float
    observed: float
    low: float
    high: float
    number: int


def calibration_plot(
    title: str, points: Sequence[Calibrated], x_title: str, y_title: str, x_low: float = 0.0
) -> Figure:
    """Observed over predicted shares with their intervals, and the diagonal on which what is calibrated lies."""
    inside = (x_low <= p.predicted <= 1 and 0 <= p.low <= p.observed <= p.high <= 1 for p in points)  # no NaN is
    found = [point for point, fits in zip(points, inside, strict=True) if fits]
    lost = len(points) - len(found)
    notes = (f"{counted(lost, 'point is', 'points are')} not drawn: not within the axes.",) if lost else ()
    if not found:
        return _nothing(title, notes)
    x_axis, y_axis = (linear(low, 1.0, 5, short_percent, tight=True) for low in (x_low, 0.0))
    marks = [Mark("reference", _line((0, y_axis.at(x_low)), (1, 1)))]
    for point in found:
        x = x_axis.at(point.predicted)
        says = f"predicted {100 * point.predicted:.1f}%, observed {100 * point.observed:.1f}% of {point.number:,}"
        marks.append(Mark("interval", _line((x, y_axis.at(point.low)), (x, y_axis.at(point.high)))))
        marks.append(Mark("dot", _dot((x, y_axis.at(point.observed))), 0, says))
    keys = (Key("observed, with 95% interval", 0), Key("as predicted", None))
    panel = _panel("", marks, x_axis, y_axis, (mark.says for mark in marks if mark.says))
    return Figure(title, (panel,), keys, x_title, y_title, notes, "square")
