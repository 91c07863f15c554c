"""The report's sections about training: loss and accuracy curves."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.report.charts import Figure, Series, line_chart
from pipelines.report.data import BuildFolder, Line, View, points
from pipelines.report.html import number, percent, short_percent
from transforms.datasets.names import split_of

_SKIPPED_SHOWN = 20  # steps by number; of more than that the page says how many


def pretrain_view(build: BuildFolder) -> View | None:
    """Steps and loss; None when there is no log."""
    rows = build.pretrain
    if not rows:
        return None
    exported = build.count("pretrained model", "steps").get("exported", 0)
    chart = line_chart("Loss, nats per token", _series(rows, "loss", exported), "step", "{:.2f}".format)
    told = build.verdicts.get("pretrained model", [])
    return _view(rows, "tokens", [chart], exported) | {"passes": None, "pairs": 0, "cuts": [], "told": told}


def preference_view(build: BuildFolder) -> View | None:
    """Steps, loss and accuracy; None when there is no log."""
    rows = build.preference
    if not rows:
        return None
    pairs = build.get("pairs")
    train = sum(file.rows for file in pairs.files if split_of(file.path) == "train") if pairs else 0
    cuts = {name.replace("_", " "): count for name, count in build.count("preference model", "cuts").items() if count}
    exported = build.count("preference model", "steps").get("exported", 0)
    return _view(rows, "pairs", [_loss_chart(rows, exported), _accuracy_chart(rows, exported)], exported) | {
        "passes": _trained(rows, "pairs") / train if train else None,  # over 1: some were seen again
        "pairs": train,
        "cuts": [f"{number(count)} {name}" for name, count in cuts.items()],
        "told": build.verdicts.get("preference model", []),
    }


def _view(rows: Sequence[Line], unit: str, charts: Sequence[Figure], exported: int) -> dict[str, object]:
    return {
        "steps": max((row.step for row in rows if row.kind == "train"), default=0),
        "exported": exported,
        "trained": _trained(rows, unit),
        "unit": unit,
        "resumed": sum(row.kind == "resumed" for row in rows),
        "charts": charts,
        "skipped": _skipped(rows),
    }


def _loss_chart(rows: Sequence[Line], exported: int) -> Figure:
    coin = (0.6931, "coin toss")
    return line_chart("Loss, nats per pair", _series(rows, "loss", exported), "step", "{:.3f}".format, reference=coin)


def _accuracy_chart(rows: Sequence[Line], exported: int) -> Figure:
    half = (0.5, "chance")
    curves = _series(rows, "accuracy", exported)
    return line_chart("Pairwise accuracy", curves, "step", percent, short_percent, half)


def _series(rows: Sequence[Line], key: str, exported: int) -> list[tuple[str, list[Series]]]:
    """Training and validation curves in one panel, and where on the latter the exported step is."""
    curves = [Series(kind, *points(rows, kind, key)) for kind in ("train", "validation")]
    at = points([row for row in rows if row.step == exported], "validation", key)
    return [("", [*curves, Series("exported", *at)] if at[0] else curves)]


def _trained(rows: Sequence[Line], unit: str) -> float:
    return sum(row.numbers.get(unit, 0.0) for row in rows if row.kind == "train")


def _skipped(rows: Sequence[Line]) -> str:
    steps = [str(row.step) for row in rows if row.kind == "skipped"]
    more = len(steps) - _SKIPPED_SHOWN
    return ", ".join(steps[:_SKIPPED_SHOWN]) + (f" and {number(more)} more" if more > 0 else "")
