"""Quality of texts: thresholds of what is usual in a language; a classifier of one's own, and its scores."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated

import typer

from pipelines.command import Trust, console, run_app
from transforms.datasets import places, shown
from transforms.quality import inputs
from transforms.quality.classifier import QualityHandle
from transforms.quality.thresholds import make, read_texts, to_tsv
from transforms.quality.train import Trained, TrainSettings
from transforms.quality.train import train as train_classifier

_CARD = ".json"  # behind the model's name
_TEXTS = 1000  # scored at a time
_DIGITS = 6  # of a score; it is compared as it is printed
_SHOWN = 80  # characters of a row in an error
_KEY = "quality"  # of a score in its row; `score` is what forums call their votes

app = typer.Typer(help="Quality of texts: thresholds and classifiers of one's own.", no_args_is_help=True)

_DEFAULTS = TrainSettings()


@app.callback()
def quality() -> None:
    """Quality of texts: thresholds and classifiers of one's own."""


@app.command()
def thresholds(
    data: Annotated[
        str, typer.Option(help="Folder of clean text, CODE.txt or SOURCE/CODE.txt: a sentence or paragraph a line.")
    ],
    output: Annotated[str, typer.Option("--output", "-o", help="The file to write: a table with a row a language.")],
    replace: Annotated[bool, typer.Option("--replace", help="Write over a file that stands there.")] = False,
) -> None:
    """Measure what is usual in clean text of each language: percentiles of signals, and frequent words."""
    _check_output(output, replace)
    found = make(read_texts(data))
    places.write_alone(output, to_tsv(found).encode())
    told = f"{len(found)} languages, {sum(usual.texts for usual in found.values()):,} texts"
    console.print(f"quality: wrote {output}: {told}", soft_wrap=True)


@app.command()
def train(
    positive: Annotated[
        list[str],
        typer.Option(help="Texts that are good: a file with one a line (text or JSON), or documents. Repeat for more."),
    ],
    negative: Annotated[list[str], typer.Option(help="Texts that are not, in the same forms. Repeat for more.")],
    output: Annotated[str, typer.Option("--output", "-o", help="The file to write; its card gets .json behind that.")],
    seed: Annotated[int, typer.Option(help="Another number, another classifier.")] = _DEFAULTS.seed,
    ngram: Annotated[int, typer.Option(help="Runs of up to so many words are features.")] = _DEFAULTS.ngram,
    epochs: Annotated[int, typer.Option(help="How often each example is read.")] = _DEFAULTS.epochs,
    most: Annotated[int, typer.Option(help="Examples of a class; more are left out.")] = _DEFAULTS.most,
    replace: Annotated[bool, typer.Option("--replace", help="Write over a classifier that stands there.")] = False,
    trust: Trust = False,
) -> None:
    """Train a fastText classifier on positive and negative examples, and judge it on a tenth of them."""
    settings = TrainSettings(seed, ngram, epochs, most)
    _check_output(output, replace)
    trained = train_classifier(positive, negative, settings)
    places.write_alone(output, trained.model)
    places.write_alone(f"{output}{_CARD}", json.dumps(trained.card, indent=2).encode() + b"\n")
    for line in _told(trained):
        console.print(line, soft_wrap=True)
    console.print(f"quality: wrote {output} ({len(trained.model) / 1e6:.1f} MB) and {output}{_CARD}", soft_wrap=True)


def _check_output(place: str, replace: bool) -> None:
    if not place:
        raise ValueError("--output is empty text; check the variable that it comes from")
    if places.exists(place) and not replace:
        raise ValueError(f"{place} is there already; name another --output, or give --replace")


def _told(trained: Trained) -> Iterator[str]:
    for name, counts in trained.counts.items():
        yield f"{name}: {', '.join(f'{number:,} {fate}' for fate, number in counts.items() if number)}"
    judged = trained.judged
    yield f"held out: accuracy {judged['accuracy']:.3f}, AUC {judged['auc']:.3f}"
    yield "  score from   precision   recall"
    for at in judged["at"]:
        precision = "–" if at["precision"] is None else f"{at['precision']:.3f}"
        yield f"  {at['score']:<10g}   {precision:<9}   {at['recall']:.3f}"


@app.command()
def score(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A classifier that `agora quality train` wrote.")],
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Texts, one a line (text or JSON), or documents; - is standard input.")
    ] = "-",
    at_least: Annotated[float | None, typer.Option("--from", help="Only texts with this score or a higher.")] = None,
    below: Annotated[float | None, typer.Option(help="Only texts with a lower score.")] = None,
    trust: Trust = False,
) -> None:
    """Print a JSON line for each text with its score as `quality`: the probability to be like the positive examples."""
    classifier = QualityHandle.of(model).load()
    rows = inputs.read_lines(sys.stdin.buffer, "standard input") if file == "-" else inputs.read(file)
    try:
        while batch := list(islice(rows, _TEXTS)):
            scores = classifier.score([text for text, _ in batch]).tolist()
            for (_, row), exact in zip(batch, scores, strict=True):
                _check_free(row, file)
                found = round(exact, _DIGITS)
                if (at_least is None or found >= at_least) and (below is None or found < below):
                    print(json.dumps({**row, _KEY: found}, ensure_ascii=False))
        print(end="", flush=True)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_free(row: Mapping[str, object], file: str) -> None:
    if _KEY in row:
        raise ValueError(
            f"a row of {'standard input' if file == '-' else file} has a `{_KEY}` of its own, where its score would "
            f"stand: {shown.json_line(row)[:_SHOWN]}; give that another name, or take it out"
        )


if __name__ == "__main__":
    run_app(app, "python -m pipelines.quality")
