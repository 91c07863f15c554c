"""The command line `agora`: one command per step, and `build` for all of them. Everything after `--` goes to Beam."""

from __future__ import annotations

import logging
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

logging.basicConfig(level=logging.ERROR)  # before Beam is imported, which warns of libraries that are not needed here

from pipelines import annotate, build, curriculum, ingest, pairs, reblock, tokenize, tokenizer  # noqa: E402
from pipelines.command import Replace, Workers, console, run_app  # noqa: E402
from pipelines.progress import summary  # noqa: E402
from pipelines.report import page as report  # noqa: E402
from transforms.datasets import places  # noqa: E402
from transforms.datasets.manifest import load_manifest  # noqa: E402
from transforms.datasets.verify import find_problems  # noqa: E402
from transforms.layers import langid  # noqa: E402

EXAMPLE = Path(__file__).parents[1] / "examples" / "demo.yaml"
KINDS = ("pretrain", "preference")
DAMAGED = 1
_LINES = 1000  # read and identified at a time

app = typer.Typer(
    name="agora",
    help="Public forum dumps to preference pairs and a 119-language curriculum, and training on both. "
    "Everything after -- goes to Beam.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("ingest")(ingest.command)
app.command("reblock")(reblock.command)
app.command("annotate")(annotate.command)
app.command("pairs")(pairs.command)
app.command("tokenizer")(tokenizer.command)
app.command("tokenize")(tokenize.command)
app.command("curriculum")(curriculum.command)
app.command("build")(build.command)
app.command("report")(report.command)

langid_app = typer.Typer(help="Language identification.", no_args_is_help=True)
app.add_typer(langid_app, name="langid")


@app.command()
def demo(workers: Workers = 1) -> None:
    """Run the whole path on the embedded sample (made-up forum, see examples/), ending with a report."""
    if not EXAMPLE.exists():
        raise ValueError(f"the sample is part of the repository and not at {EXAMPLE}: run this from a checkout")
    build.run(build.load_build(str(EXAMPLE)), console, workers)


@app.command(context_settings={"allow_extra_args": True})
def train(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="pretrain|preference", help="What to train.")],
    config: Annotated[str, typer.Argument(help="A configuration shipped by name (debug_cpu), or a YAML file.")],
    processes: Annotated[int, typer.Option(help="Processes on this machine, under torchrun.")] = 1,
) -> None:
    """Train a language model on curriculum shards, or a preference model on preference shards.

    Settings follow as key=value: data=…, tokenizer=…, init=…, output=…, optimizer.lr=3e-4 and so on. On a cluster, run
    torchrun -m trainers.pretrain or trainers.preference with the same arguments.
    """
    if kind not in KINDS:
        raise ValueError(f"cannot train {kind!r}; it is one of {', '.join(KINDS)}")
    build.launch(kind, [config, *context.args], processes)


@app.command(context_settings={"allow_extra_args": True})
def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Folder of a preference model.")],
    pairs: Annotated[str, typer.Option(help="Folder of preference shards.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for the evaluation.")],
    split: Annotated[str, typer.Option(help="train, validation or holdout.")] = "holdout",
    replace: Replace = False,
) -> None:
    """Measure a preference model: accuracy and loss with intervals, beside trivial baselines.

    Settings follow as key=value.
    """
    given = [f"model={model}", f"data={pairs}", f"output={output}", f"split={split}"]
    build.launch("evaluate", [*given, *(["replace=true"] if replace else []), *context.args])


@app.command()
def verify(place: Annotated[str, typer.Argument(help="Folder of a dataset.")]) -> None:
    """Check every file of a dataset against its manifest: rows, bytes, SHA-256. Ends with status 1 on damage."""
    problems = find_problems(place)
    for problem in problems:
        console.print(f"[red]damaged[/] {escape(problem)}", soft_wrap=True)
    if problems:
        raise SystemExit(DAMAGED)
    manifest = load_manifest(place)
    console.print(f"sound: {manifest.kind} {manifest.fingerprint}, {summary(manifest)}", soft_wrap=True)


@langid_app.command("predict")
def langid_predict(
    model: Annotated[str, typer.Option(help="A fastText model file, such as models/lid.176.ftz.")],
    file: Annotated[str, typer.Argument(help="A text file, a text per line; standard input by default.")] = "-",
) -> None:
    """Print language code, confidence and text for every line."""
    detector = langid.ModelHandle.of(model).load()
    with sys.stdin.buffer if file == "-" else places.open_input(file) as lines:
        while batch := list(islice(lines, _LINES)):
            texts = [line.decode("utf-8", "replace").rstrip("\r\n") for line in batch]
            for text, found in zip(texts, detector.detect(texts), strict=True):
                typer.echo(f"{found.language or 'und'}\t{found.confidence:.3f}\t{text}")


def main() -> None:
    run_app(app, "agora")


if __name__ == "__main__":
    main()
