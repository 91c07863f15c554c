"""Charts: a mark stands where its scale puts its value, within the frame, and what cannot be drawn is told."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.report.charts import (
    MAX_POINTS,
    TONES,
    Calibrated,
    Figure,
    Mark,
    Panel,
    Series,
    bar_chart,
    calibration_plot,
    histogram,
    line_chart,
    thinned,
)
from pipelines.report.counting import LENGTHS, SMALL
from pipelines.report.scales import Scale, linear, logarithmic
from tests.small_build import HOSTILE, Page, assert_harmless, drawn

finite = st.floats(-1e15, 1e15)
positive = st.floats(1e-15, 1e15)
anything = st.floats() | st.sampled_from([0.0, -1.0, 1e300, -1e300, 5e-324, 1e15, 1e-15])
NAN, INF = float("nan"), float("inf")


def marks(figure: Figure, kind: str) -> list[Mark]:
    return [mark for panel in figure.panels for mark in panel.marks if mark.kind == kind]


def corners(mark: Mark) -> list[tuple[float, float]]:
    """The points of a path, in percent of the frame from its upper left corner."""
    found = re.findall(r"(-?[0-9.]+),(-?[0-9.]+)", mark.path)
    return [(float(x), float(y)) for x, y in found]


def box(mark: Mark) -> tuple[float, float, float, float]:
    """left, right, top, bottom"""
    xs, ys = zip(*corners(mark), strict=True)
    return min(xs), max(xs), min(ys), max(ys)


def chart(*series: Series, **how: object) -> Figure:
    return line_chart("Loss", [("", series)], "step", **how)  # type: ignore[arg-type]


def figures() -> dict[str, Figure]:
    """One of every kind, with hostile labels."""
    series = [Series(f"{HOSTILE}{n}", [1, 2, 3], [1, 2, n], [0, 1, n - 1], [2, 3, n + 1]) for n in range(3)]
    points = [Calibrated(0.6, 0.7, 0.5, 0.9, 9), Calibrated(0.9, 0.8, 0.7, 0.9, 9)]
    return {
        "lines": line_chart(HOSTILE, [("", series)], HOSTILE, str, str, (1.0, HOSTILE), dots=True),
        "panels": line_chart(HOSTILE, [(HOSTILE, series), (HOSTILE, series[:1])], HOSTILE, x_log=True, y_log=True),
        "histogram": histogram(HOSTILE, [0.5, 1.5, 4.5], [(HOSTILE, [3, 4]), ("b", [0, 1])], HOSTILE, HOSTILE, True),
        "bars": bar_chart(HOSTILE, [HOSTILE, "b"], [(HOSTILE, [1, -2]), ("b", [0, 5])], HOSTILE),
        "calibration": calibration_plot(HOSTILE, points, HOSTILE, HOSTILE, x_low=0.5),
        "nothing": chart(Series(HOSTILE, [1], [NAN])),
    }


# ---------------------------------------------------------------------------------------------- scales


@given(finite, finite, st.integers(5, 9), st.booleans())
def test_linear_ticks_are_few_round_and_ascend(first: float, second: float, wanted: int, tight: bool) -> None:
    low, high = sorted((first, second))
    found = linear(low, high, wanted, tight=tight)
    rounding = 1e-9 * (found.high - found.low)
    assert found.low - rounding <= low <= high <= found.high + rounding
    assert 2 <= len(found.ticks) <= 2 * wanted + 3
    assert all(a < b for a, b in pairwise(found.ticks))
    assert all(found.low <= tick <= found.high for tick in found.ticks)
    steps = [b - a for a, b in pairwise(found.ticks)]
    assert max(steps) <= min(steps) * (1 + 1e-6) + 1e-9 * max(map(abs, found.ticks))


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (3.0, 98.0, (0.0, 20.0, 40.0, 60.0, 80.0, 100.0)),
        (-2e-6, 5e-6, (-2e-6, 0.0, 2e-6, 4e-6, 6e-6)),
        (3.0, 3.0, (2.4, 2.6, 2.8, 3.0, 3.2, 3.4, 3.6)),
    ],
)
def test_linear_ticks(low: float, high: float, ticks: Sequence[float]) -> None:
    assert linear(low, high).ticks == ticks


@given(positive, positive, st.booleans())
def test_logarithmic_ticks_are_few_and_ascend(first: float, second: float, tight: bool) -> None:
    low, high = sorted((first, second))
    found = logarithmic(low, high, tight=tight)
    assert found.low <= low * (1 + 1e-9) <= high * (1 + 2e-9) <= found.high * (1 + 3e-9)
    assert 2 <= len(found.ticks) <= 12
    assert all(a < b for a, b in pairwise(found.ticks))
    assert all(found.low <= tick <= found.high for tick in found.ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1, 1_000, (1, 10, 100, 1_000)),
        (0.5, 100_000, (1, 10, 100, 1_000, 10_000, 100_000)),
        (3, 40, (2, 5, 10, 20, 50)),
        (1e-9, 1e9, (1e-9, 1e-6, 1e-3, 1, 1e3, 1e6, 1e9)),
        (7, 7, (2, 5, 10, 20)),
    ],
)
def test_logarithmic_ticks_are_decades(low: float, high: float, ticks: Sequence[float]) -> None:
    assert logarithmic(low, high).ticks == ticks


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (2, 1), (NAN, 1)])
def test_a_logarithmic_axis_begins_above_zero(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=r"from more than 0 upwards; got .*1"):
        logarithmic(low, high)


@given(st.lists(positive, min_size=2, max_size=9, unique=True), st.booleans())
def test_a_scale_keeps_order_and_ends_at_its_ends(values: list[float], log: bool) -> None:
    values.sort()
    scale = (logarithmic if log else linear)(values[0], values[-1])
    places = [scale.at(value) for value in values]
    assert places == sorted(places)
    assert (scale.at(scale.low), scale.at(scale.high)) == (0, 1)
    assert (scale.at(scale.low - 1), scale.at(scale.high * 2 + 1)) == (0, 1)


def test_a_decade_is_as_long_as_the_next() -> None:
    scale = Scale(1, 1000, (), log=True)
    assert [round(scale.at(value), 6) for value in (1, 10, 100, 1000)] == [0, 0.333333, 0.666667, 1]
    assert round(scale.at(math.sqrt(1000)), 9) == 0.5


# ---------------------------------------------------------------------------------------------- marks


@pytest.mark.parametrize("name", ["lines", "panels", "histogram", "bars", "calibration", "nothing"])
def test_a_figure_is_harmless_has_words_and_the_same_bytes(name: str) -> None:
    html = drawn("figure", figures()[name])
    assert html == drawn("figure", figures()[name])
    assert_harmless(f"<style></style>{html}")
    page = Page(html)
    shown = HOSTILE.replace("\u202e", "\ufffd").replace("\x00", "\ufffd")
    if name != "nothing":
        assert [tag for tag, _ in page.seen].count("svg") == [tag for tag, _ in page.seen].count("desc") > 0
        assert page.text.count(shown) >= 3
        assert all(attributes["role"] == "img" for tag, attributes in page.seen if tag == "svg")
    labels = [attributes for tag, attributes in page.seen if tag == "span" and attributes.get("class") in ("x", "y")]
    assert all(attributes["aria-hidden"] == "true" for attributes in labels)  # the words are in title and desc


def test_a_path_is_nothing_but_numbers() -> None:
    def figure(path: str) -> str:
        return drawn("figure", Figure("t", (Panel("", (Mark("curve", path),), (), (), ""),)))

    assert 'd="M0.5,0L1,1Z"' in figure("M0.5,0L1,1Z")
    for path in ('M0,0L1,1"><script>', "M0,0 onload=x"):
        with pytest.raises(ValueError, match="no path of numbers"):
            figure(path)


@given(st.lists(st.tuples(anything, anything, anything, anything), max_size=12), st.booleans(), st.booleans())
def test_whatever_is_given_marks_stay_in_the_frame(rows: list[tuple[float, ...]], x_log: bool, y_log: bool) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    found = chart(Series("a", *columns), x_log=x_log, y_log=y_log, dots=True, reference=(0.5, "half"))
    for panel in found.panels:
        for mark in panel.marks:
            assert all(0 <= x <= 100 and 0 <= y <= 100 for x, y in corners(mark)), mark
        assert all(0 <= float(at) <= 100 for _, at in (*panel.x, *panel.y))
    fine = [
        row for row in rows
        if all(math.isfinite(value) and abs(value) <= 1e15 for value in row)
        and (not x_log or row[0] >= 1e-15) and (not y_log or min(row[1:]) >= 1e-15)
    ]  # fmt: skip
    assert len(marks(found, "dot")) == len(fine)
    lost = len(rows) - len(fine)
    assert any(note.startswith(f"{lost} point") for note in found.notes) is bool(lost)


def test_a_line_goes_through_its_points() -> None:
    found = chart(Series("a", [0, 5, 10], [0, 1, 2]), Series("b", [10], [1]))
    (line,) = marks(found, "curve")
    assert corners(line) == [(0, 100), (50, 50), (100, 0)]
    (dot,) = marks(found, "dot")  # of one point there is no line
    assert corners(dot) == [(100, 50)]
    assert (line.tone, dot.tone) == (0, 1)
    assert [(key.name, key.tone, key.end) for key in found.keys] == [("a", 0, "2"), ("b", 1, "1")]


def test_a_line_on_logarithmic_axes_is_straight_where_a_power_is() -> None:
    found = chart(Series("a", [1, 10, 100, -1, 0], [1, 100, 10_000, 5, 5]), x_log=True, y_log=True)
    (line,) = marks(found, "curve")
    assert corners(line) == [(0, 100), (50, 50), (100, 0)]
    assert found.notes == ("2 points are not drawn: no finite numbers, or not above zero on a logarithmic axis.",)


def test_a_band_lies_around_its_line() -> None:
    found = chart(Series("a", [0, 10], [1, 1], [0, 0.5], [2, 1.5]))
    (band,) = marks(found, "band")
    assert corners(band) == [(0, 0), (100, 25), (100, 75), (0, 100)]
    single = chart(Series("a", [1], [1], [0], [2]))
    assert not marks(single, "band")
    assert [round(y) for _, y in corners(marks(single, "interval")[0])] == [100, 0]


def test_panels_share_axes_and_colours() -> None:
    series = [Series("a", [0, 1], [0, 1]), Series("b", [0, 4], [0, 8])]
    found = line_chart("t", [("one", series[:1]), ("two", series[::-1])], "x")
    first, second = found.panels
    assert (first.x, first.y, first.name, second.name) == (second.x, second.y, "one", "two")
    tones = [[mark.tone for mark in panel.marks if mark.kind == "curve"] for panel in found.panels]
    assert tones == [[0], [1, 0]]
    assert corners(marks(found, "curve")[0])[-1] == (25, 87.5)
    assert [key.end for key in found.keys] == ["", ""]  # a name may end at several values
    assert (first.says, second.says) == ("a ends at 1 for x 1.", "b ends at 8 for x 4; a ends at 1 for x 1.")


def test_a_legend_has_what_it_is_given_in_place_of_last_values() -> None:
    found = chart(Series("a", [0, 1], [0, 1]), Series("b", [0, 1], [0, 2]), ends={"a": "overall 0.3"})
    assert [key.end for key in found.keys] == ["overall 0.3", ""]


def test_a_reference_is_within_the_frame() -> None:
    found = chart(Series("a", [0, 1], [0, 1]), reference=(4.0, "four"))
    assert corners(marks(found, "reference")[0]) == [(0, 0), (100, 0)]
    assert found.keys[-1].name == "four"
    assert not marks(chart(Series("a", [1], [1]), reference=(NAN, "none")), "reference")


@pytest.mark.parametrize("ys", [[], [NAN], [INF], [-INF, NAN], [1e300]])
def test_a_chart_of_nothing_says_so(ys: list[float]) -> None:
    found = chart(Series("train", range(len(ys)), ys))
    assert found.panels == ()
    assert "There is nothing to draw." in Page(drawn("figure", found)).text
    assert ("not drawn" in " ".join(found.notes)) is bool(ys)


def test_more_names_than_colours_are_refused() -> None:
    with pytest.raises(ValueError, match="6 colours apart, got 7 names"):
        chart(*(Series(str(index), [1], [1]) for index in range(TONES + 1)))


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (([1], [1, 2]), r"\[1, 2, 0, 0\] values"),
        (([1], [1], [1]), r"\[1, 1, 1, 0\]"),
        (([1], [1], [1, 2], [1, 2]), r"\[1, 1, 2, 2\]"),
    ],
)
def test_a_series_has_as_many_of_all(columns: Sequence[list[float]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Series("a", *columns)


def test_thinned_keeps_the_mean_shape_and_the_last_point() -> None:
    ys = [float(x) for x in range(10_001)]
    series = thinned(Series("loss", range(10_001), ys, [y - 1 for y in ys], [y + 1 for y in ys]))
    assert len(series.xs) <= MAX_POINTS + 1
    assert (series.xs[-1], series.ys[-1]) == (10_000, 10_000)
    assert all(abs(x - y) < 1 for x, y in zip(series.xs, series.ys, strict=True))
    assert all(round(high - low) == 2 for low, high in zip(series.lows, series.highs, strict=True))


def test_a_curve_of_means_says_so_and_another_has_all_its_points() -> None:
    curve = Series("train", range(MAX_POINTS), [float(x % 7) for x in range(MAX_POINTS)])
    html = drawn("figure", chart(curve))
    (path,) = re.findall(r'class="curve c0" d="([^"]*)"', html)
    assert len(path.split("L")) == MAX_POINTS
    assert "mean" not in html
    assert "each point the mean of up to 3" in chart(Series("train", range(3 * MAX_POINTS), [1.0] * 1200)).x_title


# ---------------------------------------------------------------------------------------------- counts


def test_a_histogram_has_bars_as_high_as_shares_per_value_between_their_edges() -> None:
    found = histogram("t", [0.5, 1.5, 3.5, 4.5, 9.5], [("", [0, 3, 1, 0])], "x", "share per x")
    first, second = map(box, marks(found, "bar"))  # of an axis to 40%: 3/4 of two values, 1/4 of one
    assert first == (0, pytest.approx(66.667, abs=1e-3), pytest.approx(6.25), 100)
    assert second == (pytest.approx(66.667, abs=1e-3), 100, pytest.approx(37.5), 100)
    assert found.panels[0].says == "x 2 to 3: 3 of 4; x 4: 1 of 4."
    assert "share per x" in Page(drawn("figure", found)).text
    assert [mark.says for mark in marks(found, "bar")] == ["2 to 3: 3 of 4", "4: 1 of 4"]
    assert [text for text, _ in found.panels[0].x] == ["2", "3", "4"]


def heights(edges: Sequence[float], counts: Sequence[int], per_doubling: bool) -> list[float]:
    found = histogram("t", edges, [("", counts)], "x", "y", x_log=True, per_doubling=per_doubling)
    return [100 - box(mark)[2] for mark in marks(found, "bar")]


@pytest.mark.parametrize("edges", [SMALL[:12], LENGTHS[:20]])
def test_bins_of_other_widths_are_no_higher_for_it(edges: Sequence[float]) -> None:
    numbers = [round(high - low) for low, high in pairwise(edges)]
    assert len(set(numbers)) > 2
    even = heights(edges, numbers, False)  # each whole number once
    assert even == [pytest.approx(even[0], abs=1e-3)] * len(numbers)
    ratios = [round(1e9 * math.log(high / low)) for low, high in pairwise(edges)]
    even = heights(edges, ratios, True)  # as many each time that numbers double
    assert even == [pytest.approx(even[0], abs=1e-3)] * len(numbers)


def test_areas_of_a_histogram_of_doublings_are_shares() -> None:
    edges, counts = [0.5, 1.5, 2.5, 7.5, 15.5], [4, 1, 3, 8]
    found = histogram("t", edges, [("", counts)], "x", "y", x_log=True, per_doubling=True)
    boxes = [box(mark) for mark in marks(found, "bar")]
    areas = [(right - left) * (100 - top) for left, right, top, _ in boxes]
    assert [area / sum(areas) for area in areas] == [pytest.approx(count / 16, abs=1e-5) for count in counts]
    with pytest.raises(ValueError, match="its axis must be logarithmic"):
        histogram("t", edges, [("", counts)], "x", "y", per_doubling=True)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=9), st.lists(anything, max_size=9), st.booleans())
def test_bars_and_bins_stay_in_the_frame(counts: list[int], values: list[float], log: bool) -> None:
    edges = [place - 1.5 for place in range(len(counts) + 1)]  # of which the first have no place on a logarithmic axis
    names = [str(place) for place in range(len(values))]
    bins = histogram("t", edges, [("a", counts), ("b", counts[::-1])], "x", "y", log, per_doubling=log)
    for mark in (*marks(bins, "bar"), *marks(bar_chart("t", names, [("a", values)], "x"), "bar")):
        left, right, top, bottom = box(mark)
        assert 0 <= left <= right <= 100, mark
        assert 0 <= top <= bottom <= 100, mark


def test_panels_of_a_histogram_share_axes_and_each_adds_up() -> None:
    found = histogram("t", [0.5, 1.5, 2.5], [("a", [1, 3]), ("b", [400, 0]), ("c", [0, 0])], "x", "y", x_log=True)
    assert found.panels[0].x == found.panels[1].x
    assert found.panels[0].y == found.panels[1].y
    tops = [100 - box(mark)[2] for mark in marks(found, "bar")]
    assert tops == [pytest.approx(25), pytest.approx(75), pytest.approx(100)]
    says = [re.findall(r"<desc>(.*?)</desc>", html) for html in drawn("figure", found).split('class="panel"')[1:]]
    assert says == [["x 1: 1 of 4; x 2: 3 of 4."], ["x 1: 400 of 400."], ["Nothing is drawn."]]  # each its own


def test_a_bin_without_a_place_on_the_axis_is_told() -> None:
    found = histogram("t", [-0.5, 0.5, 1.5, 2.5], [("", [7, 1, 1])], "x", "y", x_log=True)
    assert found.notes[0].startswith("7 points are not drawn")
    assert [mark.says for mark in marks(found, "bar")] == ["1: 1 of 2", "2: 1 of 2"]  # shares of what is shown
    assert histogram("t", [0.5, 1.5], [("", [0])], "x", "y").panels == ()
    assert histogram("t", [], [], "x", "y").panels == ()


@pytest.mark.parametrize(("edges", "counts"), [([1, 2], [1, 2]), ([2, 1], [1]), ([1, 1], [1]), ([1, NAN], [1])])
def test_edges_that_are_none_are_refused(edges: list[float], counts: list[int]) -> None:
    with pytest.raises(ValueError, match="needs ascending edges, one more than counts"):
        histogram("t", edges, [("", counts)], "x", "y")


def test_bars_begin_at_zero_and_stand_beside_each_other() -> None:
    found = bar_chart("t", ["up", "down"], [("a", [10, -10]), ("b", [NAN, 5])], "votes")
    up, down, other = marks(found, "bar")
    assert box(up)[:2] == (50, 100)
    assert box(down)[:2] == (0, 50)
    assert box(other)[:2] == (50, 75)
    assert box(up)[3] < box(down)[2] < box(down)[3] <= box(other)[2] < box(other)[3] <= 100
    assert (up.tone, down.tone, other.tone) == (0, 0, 1)
    assert found.notes == ("1 point is not drawn: no finite numbers.",)
    assert found.panels[0].y == (("up", "25.00"), ("down", "75.00"))
    assert [mark.says for mark in (up, down, other)] == ["up, a: 10", "down, a: -10", "down, b: 5"]
    assert bar_chart("t", [], [("a", [])], "x").panels == ()


def test_a_group_has_a_value_for_each_row() -> None:
    with pytest.raises(ValueError, match="'b' of 't' has another number of values than the 1 rows"):
        bar_chart("t", ["one"], [("a", [1]), ("b", [1, 2])], "x")


def test_what_is_calibrated_lies_on_the_diagonal() -> None:
    points = [Calibrated(share, share, share - 0.1, share + 0.1, 5) for share in (0.55, 0.75, 0.9)]
    found = calibration_plot("t", points, "x", "y", x_low=0.5)
    (diagonal,) = marks(found, "reference")
    (x0, y0), (x1, y1) = corners(diagonal)
    assert (x0, y0, x1, y1) == (0, 50, 100, 0)
    for dot in marks(found, "dot"):
        (x, y) = corners(dot)[0]
        assert y == pytest.approx(y0 + (y1 - y0) * x / 100, abs=1e-3)
    assert [round(box(mark)[3] - box(mark)[2]) for mark in marks(found, "interval")] == [20, 20, 20]


def test_points_outside_the_axes_are_told() -> None:
    wrong = [(NAN, 0.5), (0.7, INF), (0.4, 0.5), (1.1, 0.5), (0.7, -0.1)]
    points = [Calibrated(x, y, y, y, 5) for x, y in wrong]
    found = calibration_plot("t", [*points, Calibrated(0.7, 0.7, 0.6, 0.8, 5)], "x", "y", x_low=0.5)
    assert len(marks(found, "dot")) == 1
    assert found.notes == ("5 points are not drawn: not within the axes.",)
    assert calibration_plot("t", [], "x", "y").panels == ()
