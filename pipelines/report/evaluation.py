"""The report's section about the evaluation: accuracy with intervals, beside trivial baselines, whole and in parts.

A part is never left out for being small: it is drawn grey, with its numbers and an interval as wide as they make it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipelines.report.calibration import calibration_figure
from pipelines.report.counting import FEW, Estimate
from pipelines.report.data import BuildFolder, Evaluation, Part, View
from pipelines.report.html import Column, Few, Table, Whisker, number, percent
from tokenizer.languages import language_name

_LEADING_NUMBER = re.compile(r"[0-9]{1,9}")


def evaluation_view(build: BuildFolder) -> View | None:
    """How right the model is, beside trivial rules, whole and in parts."""
    found = build.evaluation
    if found is None:
        return None
    parts = [found.whole, *found.by_margin.values(), *found.by_length.values(), *found.by_language.values()]
    # Paired differences decide: they are on the same pairs, where two intervals of their own may overlap.
    behind = [f"“{baseline.name}”" for baseline in found.baselines if baseline.ahead.low <= 0]
    return {
        "found": found,
        "behind": behind,
        "grey": FEW if any(part.few for part in parts) else 0,
        "against": _against(found),
        "ahead": _ahead(found),
        "parts": [
            ("By margin in votes", _parts("margin", sorted(found.by_margin.items(), key=_margin))),
            ("By length", _parts("", list(found.by_length.items()))),
            ("By language of the question", _parts("language", sorted(found.by_language.items(), key=_by_pairs))),
        ],
        "calibration": calibration_figure(build.contents.calibration),
    }


_SCALE = (Column("accuracy"), Column("95% interval"), Column("0 to 100%", "bar"))


def _scale(found: Estimate, grey: bool) -> tuple[object, ...]:
    """An accuracy on a scale from 0 to 100%, with a line at a half."""
    interval = f"{100 * found.low:.1f}–{100 * found.high:.1f}"
    return percent(found.value), interval, Whisker(found.value, found.low, found.high, 0.5, "grey" if grey else "main")


def _against(found: Evaluation) -> Table:
    row = Few if found.whole.few else tuple
    rows = [row(("preference model", *_scale(found.whole.accuracy, found.whole.few)))]
    rows += [row((baseline.name, *_scale(baseline.accuracy, True))) for baseline in found.baselines]
    return Table([Column("", "name"), *_SCALE], rows)


def _ahead(found: Evaluation) -> Table:
    row = Few if found.whole.few else tuple
    rows = [
        row((name, f"{100 * gap.value:+.1f}", f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}"))
        for name, gap in ((baseline.name, baseline.ahead) for baseline in found.baselines)
    ]
    return Table([Column("", "name"), Column("percentage points"), Column("95% interval")], rows)


def _parts(what: str, parts: Sequence[tuple[str, Part]]) -> Table:
    columns = [Column(what, "name"), Column("pairs"), Column("prompts"), *_SCALE]
    return Table(columns, [_part(name, part) for name, part in parts])


def _part(name: str, part: Part) -> Sequence[object]:
    cells = (language_name(name), number(part.pairs), number(part.prompts), *_scale(part.accuracy, part.few))
    return Few(cells) if part.few else cells


def _margin(item: tuple[str, Part]) -> tuple[float, str]:
    """Buckets such as "3-5" and "11+" by their smallest margin."""
    smallest = _LEADING_NUMBER.match(item[0])
    return float(smallest[0]) if smallest else float("inf"), item[0]


def _by_pairs(item: tuple[str, Part]) -> tuple[int, str]:
    return -item[1].pairs, item[0]
