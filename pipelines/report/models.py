"""The report's sections about training: loss and accuracy curves."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.report.charts import Series, line_chart
from pipelines.report.data import Build, Line, points
from pipelines.report.html import Html, counted, join, number, paragraph, percent, tag
from transforms.datasets.names import split_of

SKIPPED_SHOWN = 20  # steps by number; of more than that the page says how many

LAST = (
    "Beside each name stands its last point. A training point is what one step's own batch gave before the step, a "
    "validation point what the validation split gave after it."
)


def pretrain_section(build: Build) -> Html | None:
    if not build.pretrain:
        return None
    return join(
        [
            paragraph(_ran(build.pretrain, "tokens")),
            line_chart("Loss, nats per token", _series(build.pretrain, "loss"), "step", "{:.2f}".format),
            paragraph(LAST, class_="note"),
            _skipped(build.pretrain),
        ]
    )


def preference_section(build: Build) -> Html | None:
    if not build.preference:
        return None
    rows = build.preference
    return join(
        [
            paragraph(_ran(rows, "pairs"), _passes(build), _cut(build)),
            tag("div", _loss_chart(rows), _accuracy_chart(rows), class_="pair"),
            paragraph(LAST, class_="note"),
            _skipped(rows),
        ]
    )


def _loss_chart(rows: Sequence[Line]) -> Html:
    coin = (0.6931, "coin toss")
    return line_chart("Loss, nats per pair", _series(rows, "loss"), "step", "{:.3f}".format, reference=coin)


def _accuracy_chart(rows: Sequence[Line]) -> Html:
    half = (0.5, "chance")
    return line_chart("Pairwise accuracy", _series(rows, "accuracy"), "step", percent, lambda y: f"{100 * y:g}%", half)


def _passes(build: Build) -> str:
    """How often the training pairs were used, in a sentence: over 1 means that some were seen again."""
    pairs = build.get("pairs")
    train = sum(file.rows for file in pairs.files if split_of(file.path) == "train") if pairs else 0
    seen = _trained(build.preference, "pairs")
    return f" That is {number(seen / train, 1)} passes over {number(train)} training pairs." if train else ""


def _cut(build: Build) -> str:
    """What did not fit the model's length, in a sentence."""
    cuts = {name.replace("_", " "): count for name, count in build.count("preference model", "cuts").items() if count}
    shown = ", ".join(f"{number(count)} {name}" for name, count in cuts.items())
    return f" Too long for the model and cut: {shown}." if shown else ""


def _series(rows: Sequence[Line], key: str) -> list[Series]:
    """Training and validation curves; of neither when it has no point."""
    return [Series(kind, *points(rows, kind, key)) for kind in ("train", "validation")]


def _ran(rows: Sequence[Line], unit: str) -> str:
    steps = [row.step for row in rows if row.kind == "train"]
    if not steps:
        return "No step was taken."
    resumed = sum(row.kind == "resumed" for row in rows)
    again = f", resumed {counted(resumed, 'time')}" if resumed else ""
    return f"{counted(max(steps), 'step')} over {number(_trained(rows, unit))} {unit}{again}."


def _trained(rows: Sequence[Line], unit: str) -> float:
    return sum(row.numbers.get(unit, 0.0) for row in rows if row.kind == "train")


def _skipped(rows: Sequence[Line]) -> Html:
    skipped = [str(row.step) for row in rows if row.kind == "skipped"]
    if not skipped:
        return Html("")
    more = len(skipped) - SKIPPED_SHOWN
    steps = ", ".join(skipped[:SKIPPED_SHOWN]) + (f" and {number(more)} more" if more > 0 else "")
    return paragraph(f"Steps skipped for a loss or gradient that was not finite: {steps}.", class_="alarm")
