"""`agora langid train`: a model of one's own from sentences of known languages."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.command import check_file, console
from transforms.datasets import places
from transforms.langid import bundle
from transforms.langid.corpus import read_corpus
from transforms.langid.train import TrainSettings
from transforms.langid.train import train as train_model


def train(
    data: Annotated[str, typer.Option(help="Folder with sources.tsv and <source>/<label>.txt, a sentence a line.")],
    output: Annotated[str, typer.Option("--output", "-o", help="The model to write, one file.")],
    seed: Annotated[int, typer.Option(help="Another number, another draw of sentences.")] = 0,
    replace: Annotated[bool, typer.Option("--replace", help="Write over a model that stands there.")] = False,
) -> None:
    """Train a model on sentences of known languages (docs/languages.md). The same data and seed give the same file."""
    _check_output(output, replace)
    made = train_model(
        read_corpus(data, seed), TrainSettings(seed=seed), lambda line: console.print(line, soft_wrap=True)
    )
    written = bundle.write(made)
    places.write_alone(output, written)
    console.print(f"langid: wrote {output} ({len(written) / 1e6:.1f} MB)", soft_wrap=True)


def _check_output(output: str, replace: bool) -> None:
    if not output:
        raise ValueError("--output is empty text; check the variable that it comes from")
    if places.exists(output) and not replace:
        raise ValueError(f"{output} is there already; name another --output, or give --replace")
    check_file(output)
