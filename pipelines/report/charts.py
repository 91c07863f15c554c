"""Line charts as inline SVG: the lines stretch with the page, the labels are HTML text and keep their size.

Written out by hand rather than through a plotting library: the same numbers give the same bytes on every machine,
colours follow the page's light or dark theme, and a curve stays readable at phone width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.report.html import Html, join, tag

MAX_POINTS = 400  # a longer curve is averaged in runs of equal length: a page stays small, a pixel shows no more


@dataclass(frozen=True)
class Series:
    """One curve: xs ascending, ys of the same length; values that are not finite are left out."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.xs) != len(self.ys):
            raise ValueError(f"series {self.name!r} has {len(self.xs)} x values and {len(self.ys)} y values")


@dataclass(frozen=True)
class Axis:
    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Where value stands between low (0) and high (1)."""
        return (value - self.low) / (self.high - self.low)


def axis(low: float, high: float, wanted_ticks: int) -> Axis:
    """An axis with round ticks (1, 2 or 5 times a power of ten) that covers [low, high]."""
    if high - low <= 1e-9 * max(1.0, abs(low), abs(high)):  # a line: ticks nearer than that cannot be told apart
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / wanted_ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = tuple(round(index * step, 12) for index in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def thinned(series: Series) -> Series:
    """Finite points only, at most MAX_POINTS of them; runs are averaged, the last point is kept as it is."""
    points = [(x, y) for x, y in zip(series.xs, series.ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
    if len(points) > MAX_POINTS:
        run = _run(len(points))
        means = [_mean(points[start : start + run]) for start in range(0, len(points) - 1, run)]
        points = [*means, points[-1]]
    return Series(series.name, [x for x, _ in points], [y for _, y in points])


def _run(number: int) -> int:
    """How many of a curve's points become one."""
    return math.ceil(number / MAX_POINTS)


def _mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def line_chart(
    title: str,
    series: Sequence[Series],
    x_title: str,
    y_format: Callable[[float], str],
    tick_format: Callable[[float], str] = "{:g}".format,
    reference: tuple[float, str] | None = None,
) -> Html:
    """A figure with one line per series, its last value beside its name; reference is a named horizontal line.

    Empty when there is nothing to draw.
    """
    curves = [curve for curve in map(thinned, series) if curve.xs]
    if not curves:
        return Html("")
    values = [y for curve in curves for y in curve.ys] + ([reference[0]] if reference else [])
    y_axis = axis(min(values), max(values), 4)
    x_high = max(x for curve in curves for x in curve.xs)
    x_axis = axis(0.0, x_high, 5)
    x_axis = Axis(0.0, x_high, tuple(tick for tick in x_axis.ticks if tick <= x_high)) if x_high > 0 else x_axis
    grid = [_rule(y_axis.place(tick), "grid") for tick in y_axis.ticks]
    if reference:
        grid.append(_rule(y_axis.place(reference[0]), "reference"))
    lines = [_polyline(curve, x_axis, y_axis, index) for index, curve in enumerate(curves)]
    drawing = tag("svg", *grid, *lines, viewBox="0 0 100 100", preserveAspectRatio="none", role="img", aria_label=title)
    labels = [_label(tick_format(tick), "y", "top", 1 - y_axis.place(tick)) for tick in y_axis.ticks]
    labels += [_label(f"{tick:,.0f}", "x", "left", x_axis.place(tick)) for tick in x_axis.ticks]
    longest = _run(max(len(curve.xs) for curve in series))
    averaged = f", each point the mean of up to {longest}" if longest > 1 else ""
    return tag(
        "figure",
        tag("figcaption", tag("b", title), _legend(curves, reference, y_format)),
        tag("div", drawing, *labels, class_="plot"),
        tag("div", x_title, averaged, class_="x-title"),
    )


def _label(text: str, class_: str, side: str, place: float) -> Html:
    return tag("span", text, class_=class_, style=f"{side}:{100 * place:.2f}%")


def _rule(place: float, class_: str) -> Html:
    y = f"{100 * (1 - place):.3f}"
    return tag("line", x1="0", x2="100", y1=y, y2=y, class_=class_)


def _polyline(curve: Series, x_axis: Axis, y_axis: Axis, index: int) -> Html:
    points = " ".join(
        f"{100 * x_axis.place(x):.3f},{100 * (1 - min(1.0, max(0.0, y_axis.place(y)))):.3f}"
        for x, y in zip(curve.xs, curve.ys, strict=True)
    )
    return tag("polyline", points=Html(points), class_=f"curve c{index % 3}")


def _legend(curves: Sequence[Series], reference: tuple[float, str] | None, y_format: Callable[[float], str]) -> Html:
    """Names with the last value: a curve's end is what a reader looks up."""
    entries = []
    for index, curve in enumerate(curves):
        end = tag("span", y_format(curve.ys[-1]), class_="end")
        entries.append(tag("span", tag("i", class_=f"key c{index % 3}"), f"{curve.name} ", end))
    if reference:
        entries.append(tag("span", tag("i", class_="key reference"), reference[1]))
    return tag("span", join(entries), class_="legend")
