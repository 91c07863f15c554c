"""The report of a build: one HTML page that needs no other file, made from manifests and metrics alone.

The same build gives the same page, but for its last line, which says when the steps ran. Steps that have not run are
left out and named. Whatever came out of a dump is escaped (`report_html`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pipelines.command import console, run_command
from pipelines.report.corpus import (
    documents_section,
    funnel_section,
    layer_section,
    pairs_section,
)
from pipelines.report.data import Build, read_build
from pipelines.report.html import Html, counted, join, number, page, paragraph, percent, tag
from pipelines.report.models import evaluation_section, preference_section, pretrain_section
from pipelines.report.provenance import footer, provenance_section
from pipelines.report.tokens import curriculum_section, tokenizer_section
from transforms.datasets import places
from transforms.layers.kinds import LAYERS

CSS = Path(__file__).with_name("report.css")

# Anchor, title, the function that draws it; a section that returns None has nothing to show.
SECTIONS: Sequence[tuple[str, str, Callable[[Build], Html | None]]] = (
    ("funnel", "What became of every record", funnel_section),
    ("posts", "Posts", documents_section),
    *((name, layer.title, partial(layer_section, layer)) for name, layer in LAYERS.items()),
    ("pairs", "Preference pairs", pairs_section),
    ("tokenizer", "Tokenizer", tokenizer_section),
    ("curriculum", "Curriculum", curriculum_section),
    ("pretraining", "Pretraining", pretrain_section),
    ("preference", "Preference model", preference_section),
    ("evaluation", "Evaluation", evaluation_section),
    ("provenance", "Provenance", provenance_section),
)


def run(build_folder: str, output: str) -> None:
    """Writes the page of a build to `output`. Raises ValueError when the folder holds no dataset of a build."""
    places.write_atomically(output, build_page(read_build(build_folder)).encode())


def command(
    folder: Annotated[str, typer.Argument(help="The output folder of a build.")],
    output: Annotated[str, typer.Option("--output", "-o", help="The page; FOLDER/report.html by default.")] = "",
) -> None:
    """Write one self-contained HTML page about a build, from its manifests and metrics."""
    page_place = output or places.join(folder, "report.html")
    run(folder, page_place)
    console.print(f"report: {page_place}")


def build_page(build: Build) -> str:
    drawn = [(anchor, title, found) for anchor, title, draw in SECTIONS if (found := draw(build)) is not None]
    missing = [title for anchor, title, _ in SECTIONS if anchor not in {name for name, _, _ in drawn}]
    links = [tag("a", title, href=f"#{anchor}") for anchor, title, _ in drawn]
    body: list[Html] = [
        tag("header", *_head(build), tag("nav", *links, aria_label="Sections")),
        *(tag("section", tag("h2", title), content, id=anchor) for anchor, title, content in drawn),
    ]
    if missing:
        body.append(paragraph(f"Not in this build: {', '.join(missing).lower()}.", class_="note"))
    body.append(footer(build))
    return page(f"Agora report: {build.name}", CSS.read_text(encoding="utf-8"), body)


def _head(build: Build) -> list[Html]:
    tiles = [tag("div", tag("b", value), tag("span", name)) for name, value in _tiles(build)]
    return [
        paragraph("Agora build report", class_="eyebrow"),
        tag("h1", tag("bdi", build.name)),
        paragraph(join(_summary(build), " "), class_="lead"),
        tag("div", *tiles, class_="tiles"),
    ]


def _summary(build: Build) -> list[str]:
    """The build in a few sentences; only what is there is said."""
    sentences = []
    if documents := build.get("documents"):
        posts, marks = (sum(file["rows"] for file in files) for files in (build.posts, build.marks))
        rows = counted(posts, "post") + (f" and {counted(marks, 'vote or link', 'votes and links')}" if marks else "")
        source = f"From {rows} of {counted(len(build.inputs), 'input file')}"
        languages = f" in {counted(len(build.languages), 'language')}" if build.languages else ""
        sentences.append(f"{source} came {number(documents.rows)} documents{languages}.")
    if pairs := build.get("pairs"):
        sentences.append(f"Their votes gave {number(pairs.rows)} preference pairs.")
    if build.evaluation:
        ours, best = build.accuracy, build.best_baseline
        assert ours is not None, "there is an evaluation"
        assert best is not None, "an evaluation holds its baselines"
        sentences.append(
            f"On pairs held out of all training, the preference model agrees with the votes in {percent(ours.value)} "
            f"(95% interval {percent(ours.low)} to {percent(ours.high)}); the best trivial rule, "
            f"“{best.name}”, in {percent(best.value)}."
        )
    return sentences


def _tiles(build: Build) -> list[tuple[str, str]]:
    tiles = []
    if documents := build.get("documents"):
        tiles.append(("documents", number(documents.rows)))
    if build.languages:
        tiles.append(("languages", number(len(build.languages))))
    if pairs := build.get("pairs"):
        tiles.append(("preference pairs", number(pairs.rows)))
    if build.get("curriculum"):
        tiles.append(("curriculum tokens", number(sum(row.tokens for row in build.mix))))
    if build.accuracy:
        tiles.append(("holdout accuracy", percent(build.accuracy.value)))
    return tiles


if __name__ == "__main__":
    run_command(command)
