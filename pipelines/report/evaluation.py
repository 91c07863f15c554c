"""The report's section about the evaluation: accuracy with intervals, beside trivial baselines, whole and in parts.

A part is never left out for being small: it is drawn grey, with its numbers and an interval as wide as they make it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipelines.report.data import FEW, Build, Estimate, Evaluation, Part
from pipelines.report.html import Column, Few, Html, counted, join, long_table, number, paragraph, percent, tag, whisker
from tokenizer.languages import language_name

_LEADING_NUMBER = re.compile(r"[0-9]{1,9}")

GREY = (
    f"Grey: fewer than {FEW} prompts. A bootstrap over so few draws too narrow an interval, so theirs is Wilson's, for "
    "as many independent answers as there are prompts."
)


def evaluation_section(build: Build) -> Html | None:
    found = build.evaluation
    if found is None:
        return None
    parts = [found.whole, *found.by_margin.values(), *found.by_length.values(), *found.by_language.values()]
    return join(
        [
            paragraph(
                f"{counted(found.whole.pairs, 'pair')} of {counted(found.whole.prompts, 'prompt')} of the ",
                tag("bdi", found.split),
                " split. A pair is right when the answer with more votes gets the higher reward; a tie counts one "
                "half. Intervals are 95%, from a bootstrap over prompts, since pairs of one prompt share answers.",
            ),
            _verdict(found),
            paragraph(GREY, class_="note") if any(part.few for part in parts) else "",
            tag("h3", "Against what needs no model"),
            _against(found),
            tag("h3", "Ahead of each of them"),
            _ahead(found),
            *_parts("By margin in votes", "margin", sorted(found.by_margin.items(), key=_margin)),
            *_parts("By length", "", list(found.by_length.items())),
            *_parts("By language of the question", "language", sorted(found.by_language.items(), key=_by_pairs)),
            _loss(found.loss),
        ]
    )


def _verdict(found: Evaluation) -> Html:
    """Paired differences decide: they are on the same pairs, where two intervals of their own may overlap."""
    if found.whole.few:
        few = counted(found.whole.prompts, "prompt")
        return paragraph(f"{few}: too few to tell whether the model is better than a trivial rule.", class_="alarm")
    behind = [f"“{baseline.name}”" for baseline in found.baselines if baseline.ahead.low <= 0]
    if behind:
        return paragraph(f"The model has not been shown to be better than {', '.join(behind)}.", class_="alarm")
    if found.best is None:
        return paragraph("There is no trivial rule to compare the model with.", class_="alarm")
    return paragraph(
        "The model is ahead of every trivial rule: the intervals of all differences lie above zero. The best of the "
        f"rules is “{found.best.name}”."
    )


_SCALE = (Column("accuracy"), Column("95% interval"), Column("0 to 100%", "bar"))


def _scale(found: Estimate, tone: str) -> tuple[object, ...]:
    """An accuracy on a scale from 0 to 100%, with a line at a half."""
    interval = f"{100 * found.low:.1f}–{100 * found.high:.1f}"
    return percent(found.value), interval, whisker(found.value, found.low, found.high, 0.5, tone)


def _against(found: Evaluation) -> Html:
    row = Few if found.whole.few else tuple
    rows = [row(("preference model", *_scale(found.whole.accuracy, "grey" if found.whole.few else "main")))]
    rows += [row((baseline.name, *_scale(baseline.accuracy, "grey"))) for baseline in found.baselines]
    return long_table([Column("", "name"), *_SCALE], rows)


def _ahead(found: Evaluation) -> Html:
    row = Few if found.whole.few else tuple
    rows = [
        row((name, f"{100 * gap.value:+.1f}", f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}"))
        for name, gap in ((baseline.name, baseline.ahead) for baseline in found.baselines)
    ]
    return long_table([Column("", "name"), Column("percentage points"), Column("95% interval")], rows)


def _parts(title: str, what: str, parts: Sequence[tuple[str, Part]]) -> list[Html]:
    columns = [Column(what, "name"), Column("pairs"), Column("prompts"), *_SCALE]
    rows = [_part(name, part) for name, part in parts]
    return [tag("h3", title), long_table(columns, rows)] if rows else []


def _part(name: str, part: Part) -> Sequence[object]:
    scale = _scale(part.accuracy, "grey" if part.few else "main")
    cells = (language_name(name), number(part.pairs), number(part.prompts), *scale)
    return Few(cells) if part.few else cells


def _margin(item: tuple[str, Part]) -> tuple[float, str]:
    """Buckets such as "3-5" and "11+" by their smallest margin."""
    smallest = _LEADING_NUMBER.match(item[0])
    return float(smallest[0]) if smallest else float("inf"), item[0]


def _by_pairs(item: tuple[str, Part]) -> tuple[int, str]:
    return -item[1].pairs, item[0]


def _loss(loss: Estimate | None) -> Html:
    if loss is None:
        return Html("")
    interval = f"{number(loss.low, 3)} to {number(loss.high, 3)}"
    says = f"Bradley-Terry loss {number(loss.value, 3)} ({interval}) nats per pair; a coin toss has 0.693."
    return paragraph(says, class_="note")
