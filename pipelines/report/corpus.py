"""The report's sections about posts and pairs: what came in, what was kept, what was dropped and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from tokenizer.languages import LANGUAGES
from transforms.datasets.schema import SPLITS

SHOWN_ROWS = 25  # of a long table; the others are one click away


def language_name(code: str) -> str:
    return LANGUAGES[code].name if code in LANGUAGES else code


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


def languages_section(build: Build) -> Html | None:
    if build.get("language") is None:
        return None
    most = max(build.languages.values(), default=0)
    whole = sum(build.languages.values())
    rows = [
        (
            language_name(code),
            tag("code", code),
            number(count),
            percent(share(count, whole)),
            bar(share(count, most)),
        )
        for code, count in by_size(build.languages)
    ]
    columns = [
        Column("language", "name"), Column("code", "code"), Column("documents"), Column("share"), Column("", "bar"),
    ]  # fmt: skip
    return join(
        [
            paragraph(
                f"{number(whole)} documents are written in {number(len(rows))} of the {len(LANGUAGES)} languages that "
                "Agora knows. A document whose language is not sure enough, or is not one of them, is kept for "
                "preference pairs and left out of the curriculum."
            ),
            long_table(columns, rows),
        ]
    )


def duplicates_section(build: Build) -> Html | None:
    sizes = build.count("duplicates", "cluster_size")
    if not sizes:
        return None
    ordered = sorted(sizes.items(), key=lambda item: int(item[0].split("-")[0]))
    alone = sizes.get("1", 0)
    dropped = build.count("duplicates", "drop")
    rows = [(f"{size} documents" if size != "1" else "1 document, no duplicate", number(n)) for size, n in ordered]
    return join(
        [
            paragraph(
                f"{number(alone)} documents have no near-duplicate; {number(sum(sizes.values()) - alone)} clusters "
                "hold the others. Of each cluster the document with the smallest id is kept, and "
                f"{number(sum(dropped.values()))} are marked."
            ),
            table([Column("cluster of", "name"), Column("clusters")], rows),
        ]
    )


def split_section(build: Build) -> Html | None:
    counts = build.count("split", "split")
    if not counts:
        return None
    pairs = build.pairs_by_split
    whole = sum(counts.values())
    rows = [
        (name, number(counts.get(name, 0)), percent(share(counts.get(name, 0), whole)), number(pairs.get(name)))
        for name in SPLITS
    ]
    return join(
        [
            paragraph(
                "Threads are split by a hash of their id, so a thread is never in two splits. Pairs and "
                "curriculum follow the same split: no held-out thread is trained on in any form."
            ),
            table([Column("split", "name"), Column("documents"), Column("share"), Column("preference pairs")], rows),
        ]
    )


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
        ]
    )
