"""The report's sections about posts and pairs: what came in, what was kept, what was dropped and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pipelines.report.data import Build, InputFile, Step
from pipelines.report.html import (
    Column,
    Html,
    bar,
    counted,
    file_size,
    join,
    long_table,
    number,
    paragraph,
    percent,
    share,
    table,
    tag,
)
from tokenizer.languages import language_name
from transforms.layers.layer import CountGroup, Layer


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
        Column("step", "name"), Column("in"), Column("kept"), Column("dropped"), Column("", "bar"),
        Column("share kept"),
    ]  # fmt: skip
    reasons = [
        (step.name if first == 0 else "", tag("code", reason), number(count), percent(share(count, step.came_in), 2))
        for step in steps
        for first, (reason, count) in enumerate(by_size(step.reasons))
    ]
    reason_columns = [Column("step", "name"), Column("reason", "name"), Column("dropped"), Column("of those in")]
    return join(
        [
            *_verdict(steps),
            table(columns, rows),
            tag("h3", "Reasons"),
            long_table(reason_columns, reasons) if reasons else paragraph("Nothing was dropped."),
            *(paragraph(step.note, class_="note") for step in steps if step.note),
        ]
    )


def _verdict(steps: Sequence[Step]) -> list[Html]:
    """Whether every record is accounted for; not to be said of steps whose counts could not all be read."""
    wrong = [step for step in steps if step.came_in != step.kept + step.dropped]
    lost, unsure = [step for step in wrong if step.sure], [step for step in wrong if not step.sure]
    found = [
        paragraph(start, "; ".join(map(_sum, some)), end, class_="alarm")
        for start, some, end in (
            ("Not all records are accounted for: ", lost, ". This is a defect; please report it."),
            ("Not all counts can be read, so that this may be right or wrong: ", unsure, "."),
        )
        if some
    ]
    all_are = "In every step, what came in is what was kept plus what was dropped for a stated reason."
    return found or [paragraph(all_are)]


def _sum(step: Step) -> str:
    return f"{step.name}: {number(step.came_in)} in, {number(step.kept + step.dropped)} found"


def by_size(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Largest first, then by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def documents_section(build: Build) -> Html | None:
    if build.get("documents") is None:
        return None
    kinds = build.count("documents", "kind")
    columns = [
        Column("file", "name"), Column("size"), Column("rows"), Column("documents"), Column("joined to posts"),
        Column("dropped"),
    ]  # fmt: skip
    files = [
        (file.name, file_size(file.bytes), *map(number, (file.rows, file.kept, _total(file.used), _left_out(file))))
        for file in build.inputs
    ]
    accepted = build.count("documents", "accepted").get("answer")
    return join(
        [
            count_table("kind", kinds, "{}s".format),
            paragraph(f"{number(accepted)} answers were accepted by the asker.") if accepted else "",
            tag("h3", "Input files"),
            long_table(columns, files),
        ]
    )


def _left_out(file: InputFile) -> int:
    return _total(file.dropped) + _total(file.unused)


def _total(counts: Mapping[str, int]) -> int:
    return sum(counts.values())


def count_table(what: str, counts: Mapping[str, int], label: Callable[[str], str] = str, ordered: bool = False) -> Html:
    """Names with counts, shares and bars; largest first unless the order of `counts` has a meaning."""
    whole = sum(counts.values())
    most = max(counts.values(), default=0)
    rows = [
        (label(name), number(count), percent(share(count, whole)), bar(share(count, most)))
        for name, count in (counts.items() if ordered else by_size(counts))
    ]
    return long_table([Column(what, "name"), Column("count"), Column("share"), Column("", "bar")], rows)


def layer_section(layer: Layer[Any, Any], build: Build) -> Html | None:
    """A layer as its own value describes it: what it is, what it keeps, and its counts."""
    if build.get(layer.name) is None:
        return None
    fates = build.count(layer.name, "documents")
    kept = layer.keep and paragraph(
        f"{number(fates.get('kept', 0))} of {number(fates.get('in', 0))} documents are {layer.keep.documents}; the "
        "others are left out of the curriculum"
        + (", and their answers are not paired." if layer.keep.unpaired else " and kept for preference pairs.")
    )
    return join([paragraph(layer.says), kept or "", *(_count_group(group, layer, build) for group in layer.groups)])


def _count_group(group: CountGroup, layer: Layer[Any, Any], build: Build) -> Html:
    counts = build.count(layer.name, group.name)
    whole, most = sum(counts.values()), max(counts.values(), default=0)
    names = [name for name, _ in by_size(counts)]
    if group.order:
        names = _ordered(names, group.order)
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


def _ordered(names: Sequence[str], order: Callable[[str], Any]) -> list[str]:
    """Names in a layer's order; those that are none of the layer's stand last."""
    places: dict[str, Any] = {}
    for name in names:
        with suppress(ValueError):
            places[name] = order(name)
    return sorted(places, key=lambda name: places[name]) + [name for name in names if name not in places]


def pairs_section(build: Build) -> Html | None:
    pairs = build.get("pairs")
    if pairs is None:
        return None
    threads = build.count("pairs", "threads")
    candidates = sum(build.count("pairs", "candidates_in").values())
    languages = build.count("pairs", "pairs_by_language")
    return join(
        [
            paragraph(
                "Rule ",
                tag("bdi", build.rule),
                f": {number(candidates)} candidate pairs of answers under the same question, "
                f"{number(pairs.rows)} kept, from {counted(threads.get('with-pairs', 0), 'thread')}. Another "
                f"{counted(threads.get('without-pairs', 0), 'thread')} had candidates and gave no pair.",
            ),
            count_table("language of the question", languages, language_name),
            count_table("split", build.pairs_by_split, ordered=True),
        ]
    )
