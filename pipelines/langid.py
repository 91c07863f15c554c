"""Language identification of lines of text, from the command line."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Annotated

import typer

from pipelines.command import console, run_app
from transforms.datasets import places, shown
from transforms.langid.detect import Detector
from transforms.langid.labels import unknown
from transforms.langid.model import ModelHandle

_LINES = 1000  # read and identified at a time

app = typer.Typer(help="Language identification.", no_args_is_help=True)


@app.callback()
def langid() -> None:
    """Language identification."""


@app.command()
def predict(
    model: Annotated[str, typer.Option(help="A fastText model file, such as models/lid.176.ftz.")],
    file: Annotated[str, typer.Argument(help="A text file, a text per line; standard input by default.")] = "-",
) -> None:
    """Print language code, confidence and text for every line."""
    loaded = ModelHandle.of(model).load()
    for note in unknown(loaded.labels):
        console.print(note, soft_wrap=True)
    detector = Detector(loaded)
    with sys.stdin.buffer if file == "-" else places.open_input(file) as lines:
        while batch := list(islice(lines, _LINES)):
            texts = [line.decode("utf-8", "replace").rstrip("\r\n") for line in batch]
            for text, found in zip(texts, detector.detect(texts), strict=True):
                typer.echo(f"{found.language or 'und'}\t{found.confidence:.3f}\t{shown.message(text)}")


if __name__ == "__main__":
    run_app(app, "python -m pipelines.langid")
