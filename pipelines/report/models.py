"""The report's sections about models: loss and accuracy curves, and the evaluation beside its trivial baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.report.charts import Series, line_chart
from pipelines.report.data import Build, Estimate, Row, estimate, points
from pipelines.report.html import Column, Html, counted, join, number, paragraph, percent, table, tag, whisker
from tokenizer.languages import language_name
from transforms.datasets.names import split_of

FEW_PAIRS = 30  # a language with fewer has an interval too wide to show anything: the page only counts those


def pretrain_section(build: Build) -> Html | None:
    if not build.pretrain:
        return None
    return join(
        [
            paragraph(_ran(build.pretrain, "tokens")),
            line_chart("Loss, nats per token", _series(build.pretrain, "loss"), "step", "{:.2f}".format),
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
            _skipped(rows),
        ]
    )


def _loss_chart(rows: Sequence[Row]) -> Html:
    coin = (0.6931, "coin toss")
    return line_chart("Loss, nats per pair", _series(rows, "loss"), "step", "{:.3f}".format, reference=coin)


def _accuracy_chart(rows: Sequence[Row]) -> Html:
    half = (0.5, "chance")
    return line_chart("Pairwise accuracy", _series(rows, "accuracy"), "step", percent, lambda y: percent(y, 0), half)


def _passes(build: Build) -> str:
    """How often the training pairs were used, in a sentence: over 1 means that some were seen again."""
    pairs = build.get("pairs")
    train = sum(file.rows for file in pairs.files if split_of(file.path) == "train") if pairs else 0
    seen = sum(row["pairs"] for row in build.preference if row["kind"] == "train")
    return f" That is {seen / train:.1f} passes over {number(train)} training pairs." if train else ""


def _cut(build: Build) -> str:
    """What did not fit the model's length, in a sentence."""
    cuts = {name.replace("_", " "): count for name, count in build.count("preference model", "cuts").items() if count}
    shown = ", ".join(f"{number(count)} {name}" for name, count in cuts.items())
    return f" Too long for the model and cut: {shown}." if shown else ""


def _series(rows: Sequence[Row], key: str) -> list[Series]:
    """Training and validation curves; of neither when it has no point."""
    return [Series(kind, *points(rows, kind, key)) for kind in ("train", "validation")]


def _ran(rows: Sequence[Row], unit: str) -> str:
    train = [row for row in rows if row["kind"] == "train"]
    if not train:
        return "No step was taken."
    resumed = sum(row["kind"] == "resumed" for row in rows)
    again = f", resumed {counted(resumed, 'time')}" if resumed else ""
    return f"{counted(train[-1]['step'], 'step')} over {number(sum(row[unit] for row in train))} {unit}{again}."


def _skipped(rows: Sequence[Row]) -> Html:
    skipped = [row["step"] for row in rows if row["kind"] == "skipped"]
    if not skipped:
        return Html("")
    steps = ", ".join(map(str, skipped))
    return paragraph(f"Steps skipped for a loss or gradient that was not finite: {steps}.", class_="alarm")


def evaluation_section(build: Build) -> Html | None:
    found = build.evaluation
    accuracy = build.accuracy
    if not found or accuracy is None:
        return None
    return join(
        [
            paragraph(
                f"{number(found['pairs'])} pairs of {number(found['groups'])} prompts of the {found['split']} split. A "
                "pair is right when the answer with more votes gets the higher reward; a tie counts one half. "
                "Intervals are 95%, from a bootstrap over prompts, since pairs of one prompt share answers."
            ),
            _verdict(build, accuracy),
            tag("h3", "Against what needs no model"),
            _estimates("", [(accuracy, None), *((baseline, None) for baseline in build.baselines)], grey_from=1),
            tag("h3", "Ahead of each of them"),
            _differences(found["baselines"], [baseline.name for baseline in build.baselines]),
            *_parts("By margin in votes", "margin", _by_margin(_enough(found["by_margin"]))),
            *_parts("By length", "", _enough(found["by_length"])),
            *_parts("By language of the question", "language", _frequent(found["by_language"])),
            _rare(found["by_language"]),
            _loss(found["loss"]),
        ]
    )


def _verdict(build: Build, accuracy: Estimate) -> Html:
    best = build.best_baseline
    assert best is not None, "an evaluation holds its baselines"
    if accuracy.low > best.high:
        return paragraph(f"The model's interval lies above all trivial rules; the best of them is “{best.name}”.")
    return paragraph(
        f"The model's interval does not lie above that of “{best.name}”: it has not been shown to be better.",
        class_="alarm",
    )


def _estimates(what: str, rows: Sequence[tuple[Estimate, int | None]], grey_from: int = 1 << 30) -> Html:
    """Accuracies on one scale from 0 to 100%, with a line at a half. Numbers of pairs where they are given."""
    with_pairs = any(pairs is not None for _, pairs in rows)
    cells = [
        (
            found.name,
            *([number(pairs)] if with_pairs else []),
            percent(found.value),
            f"{100 * found.low:.1f}–{100 * found.high:.1f}",
            whisker(found.value, found.low, found.high, 0.5, "main" if index < grey_from else "grey"),
        )
        for index, (found, pairs) in enumerate(rows)
    ]
    columns = [Column(what, "name"), *([Column("pairs")] if with_pairs else [])]
    columns += [Column("accuracy"), Column("95% interval"), Column("0 to 100%", "bar")]
    return table(columns, cells)


def _differences(baselines: Mapping[str, Any], names: Sequence[str]) -> Html:
    rows = []
    for name, values in zip(names, baselines.values(), strict=True):
        gap = values["difference"]
        rows.append((name, f"{100 * gap['value']:+.1f}", f"{100 * gap['low']:+.1f} to {100 * gap['high']:+.1f}"))
    return table([Column("", "name"), Column("points ahead"), Column("95% interval")], rows)


def _parts(title: str, what: str, parts: Mapping[str, Row]) -> list[Html]:
    rows = [(estimate(language_name(name), part["accuracy"]), part["pairs"]) for name, part in parts.items()]
    return [tag("h3", title), _estimates(what, rows)] if rows else []


def _enough(parts: Mapping[str, Row]) -> dict[str, Row]:
    """The parts with enough pairs to say something."""
    return {name: part for name, part in parts.items() if part["pairs"] >= FEW_PAIRS}


def _by_margin(parts: Mapping[str, Row]) -> dict[str, Row]:
    """Buckets such as "3-5" and "11+" by their smallest margin."""
    return dict(sorted(parts.items(), key=lambda item: int(item[0].rstrip("+").split("-")[0])))


def _frequent(parts: Mapping[str, Row]) -> dict[str, Row]:
    """Languages with enough pairs to say something, by their number of pairs."""
    return dict(sorted(_enough(parts).items(), key=lambda item: (-item[1]["pairs"], item[0])))


def _rare(parts: Mapping[str, Row]) -> Html:
    few = [part["pairs"] for part in parts.values() if part["pairs"] < FEW_PAIRS]
    if not few:
        return Html("")
    return paragraph(
        f"Not shown: {counted(len(few), 'language')} with fewer than {FEW_PAIRS} pairs, {number(sum(few))} in all.",
        class_="note",
    )


def _loss(loss: Row) -> Html:
    return paragraph(
        f"Bradley-Terry loss {loss['value']:.3f} ({loss['low']:.3f} to {loss['high']:.3f}); a coin toss has 0.693.",
        class_="note",
    )
