"""The report of a build: one HTML page that needs no other file, made from manifests and metrics alone.

The same build gives the same page, but for its last line, which says when the steps ran. Steps that have not run are
left out and named. Whatever came out of a dump is escaped (`html.py`). What cannot be read is told, on the page and on
the terminal, and costs itself only: there is always a page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.command import console, run_command
from pipelines.report.corpus import (
    documents_section,
    funnel_section,
    layer_section,
    pairs_section,
)
from pipelines.report.data import Build, rows_of
from pipelines.report.evaluation import evaluation_section
from pipelines.report.folder import read_build
from pipelines.report.html import (
    Column,
    Html,
    counted,
    join,
    long_table,
    number,
    page,
    paragraph,
    percent,
    tag,
    visible,
)
from pipelines.report.models import preference_section, pretrain_section
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


TROUBLES_SHOWN = 500  # on the page; of more it says how many
TROUBLES_SAID = 10  # on the terminal


def run(build_folder: str, output: str) -> None:
    """Writes the page of a build to `output`, and says on the terminal what could not be read.

    Raises ValueError when the folder holds no dataset of a build.
    """
    build = read_build(build_folder)
    places.write_atomically(output, build_page(build).encode())
    for trouble in build.troubles[:TROUBLES_SAID]:
        _warn(f"{visible(trouble.file)}: {visible(trouble.says)}")
    if (more := len(build.troubles) - TROUBLES_SAID) > 0:
        _warn(f"{number(more)} more such lines are on the page")


def _warn(message: str) -> None:
    console.print(f"[bold yellow]warning:[/] {escape(message)}", soft_wrap=True, markup=True)


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
        *_troubles(build),
        *(tag("section", tag("h2", title), content, id=anchor) for anchor, title, content in drawn),
    ]
    if missing:
        start = "Not in this build, or not readable" if build.troubles else "Not in this build"
        body.append(paragraph(f"{start}: {', '.join(missing).lower()}.", class_="note"))
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


def _troubles(build: Build) -> list[Html]:
    """What cannot be read, before all else: it says which figures not to expect."""
    if not build.troubles:
        return []
    rows = [(trouble.file, trouble.says) for trouble in build.troubles[:TROUBLES_SHOWN]]
    more = len(build.troubles) - TROUBLES_SHOWN
    says = (
        f"{counted(len(build.troubles), 'thing is', 'things are')} not as a build writes them. What cannot be read is "
        "left out, and the figures that need it are missing or too small. Run the build again with --replace, or copy "
        "its folder anew."
    )
    return [
        tag(
            "section",
            tag("h2", "What cannot be read"),
            paragraph(says, class_="alarm"),
            long_table([Column("file", "name"), Column("what is wrong", "name")], rows),
            paragraph(f"{number(more)} more are not listed.", class_="note") if more > 0 else "",
            id="troubles",
        )
    ]


def _summary(build: Build) -> list[Html]:
    """The build in a few sentences; only what is there is said."""
    sentences = []
    if documents := build.get("documents"):
        marks = rows_of(file for file in build.inputs if file.holds_marks)
        rows = counted(rows_of(build.inputs) - marks, "post or text", "posts and texts")
        rows += f" and {counted(marks, 'vote or link', 'votes and links')}" if marks else ""
        sentences.append(
            f"From {rows} of {counted(len(build.inputs), 'input file')} came {counted(documents.rows, 'document')}."
        )
    if build.languages:
        sure = counted(sum(build.languages.values()), "document is", "documents are")
        sentences.append(f"{sure} surely in one of {counted(len(build.languages), 'language')}.")
    if pairs := build.get("pairs"):
        sentences.append(f"Votes gave {counted(pairs.rows, 'preference pair')}.")
    return [*map(join, ([sentence] for sentence in sentences)), *_agreement(build)]


def _agreement(build: Build) -> list[Html]:
    """How right the model is, in a sentence that says on what."""
    found = build.evaluation
    if found is None:
        return []
    ours, best = found.whole.accuracy, found.best
    few = f" of only {counted(found.whole.prompts, 'prompt')}" if found.whole.few else ""
    rule = f"; the best trivial rule, “{best.name}”, in {percent(best.accuracy.value)}" if best else ""
    return [
        join(
            [
                f"On {counted(found.whole.pairs, 'pair')}{few} of the ",
                tag("bdi", found.split),
                f" split{HELD_OUT if found.split == 'holdout' else ''}, the preference model agrees with the votes in "
                f"{percent(ours.value)} (95% interval {percent(ours.low)} to {percent(ours.high)}){rule}.",
            ]
        )
    ]


HELD_OUT = ", held out of all training"


def _tiles(build: Build) -> list[tuple[str, str]]:
    tiles = []
    if documents := build.get("documents"):
        tiles.append(("documents", number(documents.rows)))
    if build.languages:
        tiles.append(("languages found", number(len(build.languages))))
    if pairs := build.get("pairs"):
        tiles.append(("preference pairs", number(pairs.rows)))
    if build.get("curriculum"):
        tiles.append(("curriculum tokens, repeats counted", number(sum(row.tokens for row in build.mix))))
    if found := build.evaluation:
        tiles.append((f"accuracy on {found.split}", percent(found.whole.accuracy.value)))
    return tiles


if __name__ == "__main__":
    run_command(command)
