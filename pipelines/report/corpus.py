"""The report's sections about posts and pairs: what came in, what was kept, what was dropped and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pipelines.progress import human_bytes
from pipelines.report.charts import Figure, Series, line_chart
from pipelines.report.contamination import items_table, matches_table
from pipelines.report.cuts import cuts_table
from pipelines.report.data import BuildFolder, Catch, InputAccount, StepAccount, View
from pipelines.report.examples import dropped_table, rejects_table
from pipelines.report.html import Bar, Column, Table, counted, number, percent, share, short_percent
from pipelines.report.languages import CLOSE, languages_table, left_out_table
from pipelines.report.paired import bias_table, pairs_figures
from pipelines.report.posts import posts_figures
from pipelines.report.replay import unpaired_table
from tokenizer.languages import language_name
from transforms.layers.kinds import LAYERS
from transforms.layers.layer import CountGroup, Layer

_MOST_NAMES = 200  # of sites, in a table; the others are added up


def funnel_view(build: BuildFolder) -> View | None:
    """What became of the records of each step, with examples; None when no step has run."""
    steps = build.funnel
    if not steps:
        return None
    rows = [
        (
            step.name,
            number(step.came_in),
            number(step.kept),
            number(step.dropped),
            Bar(share(step.kept, step.came_in)),
            percent(share(step.kept, step.came_in)),
        )
        for step in steps
    ]
    columns = [
        Column("step", "name"), Column("in"), Column("kept"), Column("dropped"), Column("", "bar"),
        Column("share kept"),
    ]  # fmt: skip
    reasons = [
        (step.name if first == 0 else "", reason, number(count), percent(share(count, step.came_in), 2))
        for step in steps
        for first, (reason, count) in enumerate(_by_size(step.reasons))
    ]
    reason_columns = [Column("step", "name"), Column("reason", "reason"), Column("dropped"), Column("of those in")]
    wrong = [step for step in steps if step.came_in != step.kept + step.dropped]
    return {
        "lost": [_sum(step) for step in wrong if step.sure],
        "unsure": [_sum(step) for step in wrong if not step.sure],  # counts that could not all be read prove nothing
        "steps": Table(columns, rows),
        "reasons": Table(reason_columns, reasons),
        "notes": [step.note for step in steps if step.note],
        "rejects": rejects_table(build.contents.rejected, build.count("documents", "drop")),
        "dropped": dropped_table(build.contents.dropped),
        "unpaired": unpaired_table(build.contents.unpaired, build.count("pairs", "candidates")),
    }


def _sum(step: StepAccount) -> str:
    return f"{step.name}: {number(step.came_in)} in, {number(step.kept + step.dropped)} found"


def _by_size(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Largest first, then by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def documents_view(build: BuildFolder) -> View | None:
    """The documents, what they are like, and the files that they came from."""
    if build.get("documents") is None:
        return None
    columns = [
        Column("file", "name"), Column("size"), Column("rows"), Column("documents"), Column("joined to posts"),
        Column("dropped"),
    ]  # fmt: skip
    files = [
        (file.name, human_bytes(file.bytes), *map(number, (file.rows, file.kept, _total(file.used), _left_out(file))))
        for file in build.inputs
    ]
    posts = build.contents.posts
    return {
        "kinds": _count_table("kind", build.count("documents", "kind"), "{}s".format),
        "accepted": build.count("documents", "accepted").get("answer", 0),
        "figures": posts_figures(posts),
        "looked": posts.looked.says("the documents") if posts else "",
        "files": Table(columns, files),
    }


def _left_out(file: InputAccount) -> int:
    return _total(file.dropped) + _total(file.unused)


def _total(counts: Mapping[str, int]) -> int:
    return sum(counts.values())


def _count_table(
    what: str, counts: Mapping[str, int], label: Callable[[str], str] = str, ordered: bool = False
) -> Table:
    """Names with counts, shares and bars; largest first unless the order of `counts` has a meaning."""
    whole = sum(counts.values())
    most = max(counts.values(), default=0)
    rows = [
        (label(name), number(count), percent(share(count, whole)), Bar(share(count, most)))
        for name, count in (counts.items() if ordered else _by_size(counts))
    ]
    return Table([Column(what, "name"), Column("count"), Column("share"), Column("", "bar")], rows)


def layer_view(layer: Layer[Any, Any], build: BuildFolder) -> View | None:
    """A layer as its own value describes it: what it is, what it keeps, and its counts."""
    if build.get(layer.name) is None:
        return None
    fates = build.count(layer.name, "documents")
    return {
        "layer": layer,
        "kept": fates.get("kept", 0),
        "came_in": fates.get("in", 0),
        "groups": _count_groups(layer, build),
    }


def languages_view(build: BuildFolder) -> View | None:
    """The language layer with a table of its languages in place of their counts, where its shards can be read."""
    layer = LAYERS["language"]
    view, found = layer_view(layer, build), build.contents.languages
    if view is None or found is None or not found.of:
        return view and {**view, "languages": None}
    disputed = build.count("language", "language-disagreement")
    return {
        **view,
        "groups": _count_groups(layer, build, ("language", "mixed")),
        "languages": languages_table(found, disputed),
        "disputed": disputed,
        "close": CLOSE,
        "unlisted": _count_table("language", _most(found.unlisted), ordered=True),
        "looked": found.looked.says("the language layer"),
        "left_out": left_out_table(found),
    }


def contamination_view(build: BuildFolder) -> View | None:
    """The contamination layer with examples of its matches, where its shards can be read."""
    view, found = layer_view(LAYERS["contamination"], build), build.contents.contamination
    if view is None or found is None:
        return view and {**view, "matches": None}
    looked = found.looked.says("the contamination layer")
    return {**view, "found": items_table(found), "matches": matches_table(found), "looked": looked}


def duplicates_view(build: BuildFolder) -> View | None:
    """The duplicates layer with how texts are found, and examples of each rule, where its shards can be read."""
    view, found = layer_view(LAYERS["duplicates"], build), build.contents.removals
    if view is None:
        return None
    view = {**view, "chart": _catch_chart(build.catches) if build.catches else None}
    if found is None:
        return {**view, "removals": {}}
    return {**view, "removals": found.by_rule, "looked": found.looked.says("the duplicates layer")}


def _catch_chart(catches: Sequence[Catch]) -> Figure:
    names = [
        f"{catch.name} texts: runs of {counted(catch.ngram, 'token')}, {counted(catch.bands, 'band')} of "
        f"{counted(catch.rows, 'row')}"
        for catch in catches
    ]
    curves = [Series(name, catch.similarities, catch.probabilities) for name, catch in zip(names, catches, strict=True)]
    title, of = "Probability that two texts are compared", "Jaccard similarity of their runs"
    chart = line_chart(title, [("", curves)], of, percent, short_percent, dots=True, ends={})
    return chart.told(
        "Two texts may also meet by way of a third. Of texts that are compared and are not alike both stay."
    )


def _count_groups(layer: Layer[Any, Any], build: BuildFolder, without: Sequence[str] = ()) -> list[Table]:
    """Those in which something was counted, but for some by name."""
    tables = [_count_group(group, layer, build) for group in layer.groups if group.name not in without]
    return [table for table in tables if table.rows]


def _count_group(group: CountGroup, layer: Layer[Any, Any], build: BuildFolder) -> Table:
    counts = build.count(layer.name, group.name)
    if group.of:
        return _parts_of(group, counts, build.count(layer.name, group.of))
    whole, most = sum(counts.values()), max(counts.values(), default=0)
    names = [name for name, _ in _by_size(counts)]
    if group.order:
        names = _ordered(names, group.order)
    coded = any(group.label(name) != name for name in names)  # a code stands beside the name that people use
    rows = [
        (
            group.label(name),
            *([name] if coded else []),
            number(counts[name]),
            percent(share(counts[name], whole)),
            Bar(share(counts[name], most)),
        )
        for name in names
    ]
    columns = [Column(group.title, "name"), *([Column("code", "code")] if coded else []), Column(group.counted)]
    return Table([*columns, Column("share"), Column("", "bar")], rows)


def _parts_of(group: CountGroup, parts: Mapping[str, int], whole: Mapping[str, int]) -> Table:
    """What each name has of its own, the largest names first."""
    coded = any(group.label(name) != name for name in whole)
    rows = [
        (
            group.label(name),
            *([name] if coded else []),
            number(count),
            number(parts.get(name, 0)),
            percent(share(parts.get(name, 0), count)),
            Bar(share(parts.get(name, 0), count)),
        )
        for name, count in _by_size(_most(whole))
    ]
    columns = [Column(group.title, "name"), *([Column("code", "code")] if coded else []), Column(group.whole)]
    return Table([*columns, Column(group.counted), Column("share"), Column("", "bar")], rows)


def _ordered(names: Sequence[str], order: Callable[[str], Any]) -> list[str]:
    """Names in a layer's order; those that are none of the layer's stand last."""
    places: dict[str, Any] = {}
    for name in names:
        with suppress(ValueError):
            places[name] = order(name)
    return sorted(places, key=lambda name: places[name]) + [name for name in names if name not in places]


def pairs_view(build: BuildFolder) -> View | None:
    """The pairs, where they come from and what they are like, with examples."""
    pairs = build.get("pairs")
    if pairs is None:
        return None
    threads = build.count("pairs", "threads")
    found, cuts = build.contents.pairs, build.contents.cuts
    looked = [found.looked.says("the pairs") if found else "", cuts.looked.says("the preference data") if cuts else ""]
    return {
        "rule": build.rule,
        "candidates": sum(build.count("pairs", "candidates_in").values()),
        "kept": pairs.rows,
        "giving": threads.get("with-pairs", 0),
        "without": threads.get("without-pairs", 0),
        "languages": _count_table("language of the question", build.count("pairs", "pairs_by_language"), language_name),
        "splits": _count_table("split", build.pairs_by_split, ordered=True),
        "sites": _count_table("site", _most(found.sites) if found else {}, ordered=True),
        "sources": _count_table("source", found.sources if found else {}),
        "figures": pairs_figures(found),
        "biases": bias_table(found),
        "cuts": cuts_table(cuts, build.contents.trained_length),
        "looked": [says for says in looked if says],
        "examples": found.examples if found else (),
    }


def _most(counts: Mapping[str, int]) -> dict[str, int]:
    """The largest _MOST_NAMES counts, and the sum of the others."""
    ordered = _by_size(counts)
    rest = ordered[_MOST_NAMES:]
    others = {counted(len(rest), "other"): sum(count for _, count in rest)} if rest else {}
    return dict(ordered[:_MOST_NAMES]) | others
