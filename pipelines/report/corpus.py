"""The report's sections about posts and pairs: what came in, what was kept, what was dropped and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.report.data import Build, Row
from pipelines.report.html import (
    Column,
    Html,
    bar,
    details,
    file_size,
    join,
    number,
    paragraph,
    percent,
    share,
    table,
    tag,
)
from tokenizer.languages import language_name
from transforms.datasets.schema import SPLITS
from transforms.layers.layer import CountGroup, Layer

SHOWN_ROWS = 25  # of a long table; the others are one click away


def funnel_section(build: Build) -> Html | None:
    steps = build.funnel
    if not steps:
        return None
    rows = [
        (
            step.name,
            number(step.came_in),
            number(step.kept),
            number(step.dropped),
            bar(share(step.kept, step.came_in)),
            percent(share(step.kept, step.came_in)),
        )
        for step in steps
    ]
    columns = [
        Column("step", "name"), Column("in"), Column("kept"), Column("dropped"), Column("", "bar"), Column(""),
    ]  # fmt: skip
    reasons = [
        (step.name if first == 0 else "", tag("code", reason), number(count), percent(share(count, step.came_in), 2))
        for step in steps
        for first, (reason, count) in enumerate(by_size(step.reasons))
    ]
    wrong = [step for step in steps if step.came_in != step.kept + step.dropped]
    verdict = (
        paragraph(
            "Not all records are accounted for: ",
            "; ".join(f"{s.name}: {number(s.came_in)} in, {number(s.kept + s.dropped)} found" for s in wrong),
            ". This is a defect; please report it.",
            class_="alarm",
        )
        if wrong
        else paragraph("In every step, what came in is what was kept plus what was dropped for a stated reason.")
    )
    reason_columns = [Column("step", "name"), Column("reason", "name"), Column("dropped"), Column("of those in")]
    return join(
        [
            verdict,
            table(columns, rows),
            tag("h3", "Reasons"),
            table(reason_columns, reasons) if reasons else paragraph("Nothing was dropped."),
            *(paragraph(step.note, class_="note") for step in steps if step.note),
        ]
    )


def by_size(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Largest first, then by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def documents_section(build: Build) -> Html | None:
    if build.get("documents") is None:
        return None
    kinds = build.count("documents", "kind")
    columns = [Column("file", "name"), Column("size"), Column("rows"), Column("kept"), Column("dropped")]
    files = [
        (file["name"], file_size(file["bytes"]), number(file["rows"]), number(file["kept"]), number(_drops(file)))
        for file in build.inputs
    ]
    accepted = build.count("documents", "accepted").get("answer")
    return join(
        [
            count_table("kind", {f"{kind}s": count for kind, count in kinds.items()}),
            paragraph(f"{number(accepted)} answers were accepted by the asker.") if accepted else "",
            tag("h3", "Input files"),
            long_table(columns, files),
        ]
    )


def _drops(file: Row) -> int:
    return sum(file["dropped"].values())


def count_table(what: str, counts: Mapping[str, int], ordered: bool = False) -> Html:
    """Names with counts, shares and bars; largest first unless the order of `counts` has a meaning."""
    whole = sum(counts.values())
    most = max(counts.values(), default=0)
    rows = [
        (name, number(count), percent(share(count, whole)), bar(share(count, most)))
        for name, count in (counts.items() if ordered else by_size(counts))
    ]
    return long_table([Column(what, "name"), Column("count"), Column("share"), Column("", "bar")], rows)


def long_table(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> Html:
    """A table whose rows past SHOWN_ROWS are folded away."""
    first, rest = rows[:SHOWN_ROWS], rows[SHOWN_ROWS:]
    return join([table(columns, first), details(f"{len(rest)} more", table(columns, rest)) if rest else Html("")])


def layer_section(layer: Layer[Any, Any], build: Build) -> Html | None:
    """A layer as its own value describes it: what it is, what it keeps, and its counts."""
    if build.get(layer.name) is None:
        return None
    fates = build.count(layer.name, "documents")
    kept = layer.keep and paragraph(
        f"{number(fates.get('kept', 0))} of {number(fates['in'])} documents are {layer.keep.documents}; the others are "
        "left out of the curriculum"
        + (", and their answers are not paired." if layer.keep.unpaired else " and kept for preference pairs.")
    )
    return join([paragraph(layer.says), kept or "", *(_count_group(group, layer, build) for group in layer.groups)])


def _count_group(group: CountGroup, layer: Layer[Any, Any], build: Build) -> Html:
    counts = build.count(layer.name, group.name)
    whole, most = sum(counts.values()), max(counts.values(), default=0)
    names = sorted(counts, key=group.order) if group.order else [name for name, _ in by_size(counts)]
    coded = any(group.label(name) != name for name in names)  # a code stands beside the name that people use
    rows = [
        (
            group.label(name),
            *([tag("code", name)] if coded else []),
            number(counts[name]),
            percent(share(counts[name], whole)),
            bar(share(counts[name], most)),
        )
        for name in names
    ]
    columns = [Column(group.title, "name"), *([Column("code", "code")] if coded else []), Column(group.counted)]
    return long_table([*columns, Column("share"), Column("", "bar")], rows)


def pairs_section(build: Build) -> Html | None:
    pairs = build.get("pairs")
    if pairs is None:
        return None
    threads = build.count("pairs", "threads")
    candidates = sum(build.count("pairs", "candidates").values())
    languages = {language_name(code): count for code, count in build.count("pairs", "pairs_by_language").items()}
    rule = pairs.settings.get("rule", pairs.settings)
    name = rule.get("name", "") if isinstance(rule, Mapping) else rule
    return join(
        [
            paragraph(
                f"Rule {name}: {number(candidates)} candidate pairs of answers under the same question, "
                f"{number(pairs.rows)} kept, from {number(threads.get('with-pairs', 0))} threads. Another "
                f"{number(threads.get('without-pairs', 0))} threads had candidates and gave no pair."
            ),
            count_table("language of the question", languages),
            count_table("split", {name: build.pairs_by_split.get(name, 0) for name in SPLITS}, ordered=True),
        ]
    )
