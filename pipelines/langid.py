"""Language identification from the command line: what lines of text are written in, and how right a model is."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.command import check_file, console, printing, run_app
from pipelines.langid_train import train
from pipelines.lines import Lines
from pipelines.report import html, identification
from pipelines.report.identification import Judged
from tokenizer.languages import LANGUAGES, closest, listed_by
from transforms.datasets import places, shown
from transforms.datasets.settings import SettingError
from transforms.langid.detect import Detector
from transforms.langid.evaluate import measure
from transforms.langid.labels import unknown
from transforms.langid.model import ModelHandle
from transforms.langid.verdict import Detected

_WIDTH = 120  # of tables that no terminal shows

app = typer.Typer(help="Language identification.", no_args_is_help=True)
app.command()(train)

Model = Annotated[
    str,
    typer.Option(help="`default`, the model that is shipped, or the place of one, such as lid.176.ftz."),
]


@app.callback()
def langid() -> None:
    """Language identification."""


@app.command()
def predict(
    file: Annotated[str, typer.Argument(help="A text file, a text a line; - is standard input.")] = "-",
    model: Model = "default",
    text: Annotated[bool, typer.Option("--text", help="Give each line's text as well.")] = False,
) -> None:
    """Print a line of JSON for every line of text: its language (null: none that is listed), how sure that is, the
    runner-up, and the reason why annotate would drop it (null: it would not)."""
    detector = _load(model)
    with _open(file) as stream:
        lines = Lines(stream)
        with printing():
            for texts in lines.batches():
                for line, found in zip(texts, detector.detect(texts), strict=True):
                    print(shown.json_line(_row(found) | ({"text": line} if text else {})))
                print(end="", flush=True)  # whoever reads a pipe waits for it
    for trouble in lines.troubles():
        console.print(f"note: {trouble}", soft_wrap=True)


def _open(file: str) -> IO[bytes]:
    if file != "-":
        return places.open_input(file)
    if sys.stdin is None:
        raise ValueError("there is no standard input to read; name a file")
    return sys.stdin.buffer


def _row(found: Detected) -> dict[str, object]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in found._asdict().items()}


def _load(place: str) -> Detector:
    """The model at work; labels that the table does not know are named."""
    loaded = ModelHandle.of(place).load()
    for note in unknown(loaded.labels):
        console.print(note, soft_wrap=True)
    return Detector(loaded)


@app.command()
def evaluate(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder of CODE.txt files, a text a line.")],
    model: Model = "default",
    beside: Annotated[list[str], typer.Option(help="A model to stand beside it, such as models/lid.176.ftz.")] = [],  # noqa: B006
    output: Annotated[str, typer.Option("--output", "-o", help="A page (.html) or all figures (.json) to write.")] = "",
) -> None:
    """Measure a model on texts of known languages.

    DIR holds a file for each, such as swh_Latn.txt. Files that are named by no code of the table hold texts in other
    languages, which should be told to be in none.
    """
    _check_output(output)
    files = _find_texts(folder)
    asked = (model, *beside)
    models = [_judge(place, name, folder, files) for place, name in zip(asked, _names(asked), strict=True)]
    if output.endswith(".html"):
        places.write_alone(output, identification.page(models).encode())
    elif output:
        places.write_alone(output, f"{json.dumps(identification.numbers(models), indent=1)}\n".encode())
    with printing():
        for title, table in identification.tables(models):
            if table.rows:
                print(_drawn(title, table))


def _check_output(output: str) -> None:
    if output and not output.endswith((".html", ".json")):
        raise SettingError("output", f"must end with .html or .json, got {output}")
    if output:
        check_file(output)


def _find_texts(folder: str) -> Mapping[str, str]:
    """The files by label. Raises ValueError when none is of a language of the table, or one is by another name."""
    files = {name.removesuffix(".txt"): name for name in places.list_files(folder) if name.endswith(".txt")}
    if not files:
        raise ValueError(f"{folder} holds no CODE.txt files, such as eng_Latn.txt, with a text a line")
    others = [label for label in files if label not in LANGUAGES]
    if len(others) == len(files):
        raise ValueError(
            f"none of the files in {folder} ({', '.join(others[:5])} …) is named by a code of the language table; for "
            f"{others[0]} it may be one of {', '.join(closest(others[0]))}"
        )
    for label in others:
        if meant := listed_by(label.rpartition("/")[2]):
            raise ValueError(
                f"{places.join(folder, files[label])} would be text in another language, and its name means "
                f"{meant[0].name}; name it {' or '.join(row.code for row in meant)}.txt, in {folder} itself"
            )
    if others:
        console.print(
            f"note: texts in other languages, since their files are named by no code of the table: {', '.join(others)}",
            soft_wrap=True,
        )
    return files


def _names(models: Sequence[str]) -> list[str]:
    """What models are called: by their files' names, those of one name by their whole places."""
    names = [places.name(place) for place in models]
    return [place if names.count(name) > 1 else name for place, name in zip(models, names, strict=True)]


def _judge(place: str, name: str, folder: str, files: Mapping[str, str]) -> Judged:
    detector = _load(place)
    return Judged(name, measure(detector.detect, _texts(folder, files)))


def _texts(folder: str, files: Mapping[str, str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Labels with their texts, in batches. What is empty is no text."""
    for label, name in files.items():
        empty = True
        with places.open_input(places.join(folder, name)) as stream:
            lines = Lines(stream)
            for batch in lines.batches():
                if texts := [line for line in batch if line.strip()]:
                    empty = False
                    yield label, texts
        for trouble in [*lines.troubles(), *(["it has no text, and is not measured"] if empty else [])]:
            console.print(f"note: {name}: {trouble}", soft_wrap=True)


def _drawn(title: str, table: html.Table) -> str:
    """A table for a terminal, below its title."""
    drawn = Table(box=None, pad_edge=False)
    for column in table.columns:
        drawn.add_column(column.title, justify="right" if column.kind == "number" else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(shown.name(str(cell))) for cell in row))
    screen = io.StringIO()
    width = None if sys.stdout and sys.stdout.isatty() else _WIDTH
    Console(file=screen, width=width, force_terminal=False).print(drawn)
    return "\n".join([*(["", title] if title else []), *(line.rstrip() for line in screen.getvalue().splitlines())])


if __name__ == "__main__":
    run_app(app, "python -m pipelines.langid")
