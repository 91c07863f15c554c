"""The report of a build: one HTML page that needs no other file, made from its datasets and metrics.

The same build gives the same page, but for its last line, which says when the steps ran. Steps that have not run are
left out and named. Whatever came out of a dump is escaped (`html.fill`). What cannot be read is told, on the page and
on the terminal, and costs itself only: there is always a page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.command import console, run_command
from pipelines.report.corpus import (
    contamination_view,
    documents_view,
    duplicates_view,
    funnel_view,
    languages_view,
    layer_view,
    pairs_view,
)
from pipelines.report.data import BuildFolder, View, rows_of
from pipelines.report.evaluation import evaluation_view
from pipelines.report.folder import read_build
from pipelines.report.html import Column, Table, fill, number, percent, style, visible
from pipelines.report.models import preference_view, pretrain_view
from pipelines.report.provenance import provenance_view, times
from pipelines.report.tokens import curriculum_view, tokenizer_view
from transforms.datasets import places
from transforms.layers.kinds import LAYERS

# Layers of which a page shows more than their values say: template and function.
_LAYER_VIEWS: Mapping[str, tuple[str, Callable[[BuildFolder], View | None]]] = {
    "language": ("languages.html", languages_view),
    "contamination": ("contamination.html", contamination_view),
    "duplicates": ("duplicates.html", duplicates_view),
}

# Anchor, title, template, the function that says what is in it; None when there is nothing to show.
SECTIONS: Sequence[tuple[str, str, str, Callable[[BuildFolder], View | None]]] = (
    ("funnel", "What became of every record", "funnel.html", funnel_view),
    ("posts", "Posts", "posts.html", documents_view),
    *(
        (name, layer.title, *_LAYER_VIEWS.get(name, ("layer.html", partial(layer_view, layer))))
        for name, layer in LAYERS.items()
    ),
    ("pairs", "Preference pairs", "pairs.html", pairs_view),
    ("tokenizer", "Tokenizer", "tokenizer.html", tokenizer_view),
    ("curriculum", "Curriculum", "curriculum.html", curriculum_view),
    ("pretraining", "Pretraining", "training.html", pretrain_view),
    ("preference", "Preference model", "training.html", preference_view),
    ("evaluation", "Evaluation", "evaluation.html", evaluation_view),
    ("provenance", "Provenance", "provenance.html", provenance_view),
)


_TROUBLES_SHOWN = 500  # on the page; of more it says how many
TROUBLES_SAID = 10  # on the terminal


def run(build_folder: str, output: str) -> None:
    """Writes the page of a build to `output`, and says on the terminal what could not be read.

    Raises ValueError when the folder holds no dataset of a build.
    """
    build = read_build(build_folder)
    places.write_alone(output, _build_page(build).encode())
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
    """Write one self-contained HTML page about a build, from its datasets and metrics."""
    page_place = output or places.join(folder, "report.html")
    run(folder, page_place)
    console.print(f"report: {page_place}")


@dataclass(frozen=True)
class _Section:
    """What is drawn: a template and what it shows."""

    anchor: str
    title: str
    template: str
    view: View


def _build_page(build: BuildFolder) -> str:
    """The whole page."""
    found = [(anchor, title, template, view(build)) for anchor, title, template, view in SECTIONS]
    troubles = [(trouble.file, trouble.says) for trouble in build.troubles[:_TROUBLES_SHOWN]]
    marks = rows_of(file for file in build.inputs if file.holds_marks)
    return fill(
        "page.html",
        css=style(),
        build=build,
        documents=build.get("documents"),
        pairs=build.get("pairs"),
        evaluation=build.evaluation,
        posts=rows_of(build.inputs) - marks,
        marks=marks,
        tiles=_tiles(build),
        sections=[
            _Section(anchor, title, template, view) for anchor, title, template, view in found if view is not None
        ],
        missing=[title for _, title, _, view in found if view is None],
        troubles=Table([Column("file", "name"), Column("what is wrong", "text")], troubles),
        unlisted=len(build.troubles) - len(troubles),
        times=times(build),
    )


def _tiles(build: BuildFolder) -> list[tuple[str, str]]:
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
