"""The command line `agora`: one command per step, and `build` for all of them. Everything after `--` goes to Beam.

A command's module is chosen by its name and loaded when it is called: importing Beam takes a second and more, and
`agora --help`, `verify` and `report` need none of it.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import NamedTuple

import typer

from pipelines.command import refuse, run_app, stopping
from pipelines.local import limits, watch
from transforms.datasets import shown


class Command(NamedTuple):
    """Where a command is: a function, or an application with commands of its own."""

    module: str
    name: str
    help: str  # the first line of the function's docstring
    takes_settings: bool = False  # key=value, behind its own arguments
    takes_beam: bool = False  # Beam's arguments, behind --


COMMANDS = {
    "demo": Command(
        "pipelines.build",
        "demo",
        "Run the whole path on the embedded sample (made-up forum, see examples/), ending with a report.",
    ),
    "build": Command("pipelines.build", "command", "Run every step of a build file; unchanged steps are skipped."),
    "ingest": Command(
        "pipelines.ingest", "command", "Read forum dumps and text corpora into documents.", takes_beam=True
    ),
    "reblock": Command(
        "pipelines.reblock",
        "command",
        "Cut one large packed file into many small ones, so that later runs read it in parallel.",
    ),
    "annotate": Command(
        "pipelines.annotate",
        "command",
        "Describe documents in attribute layers that stand beside them, such as their languages and duplicates.",
        takes_beam=True,
    ),
    "decontaminate": Command(
        "pipelines.decontaminate",
        "command",
        "Find the documents that hold items of benchmarks, so that nothing is trained on them.",
        takes_beam=True,
    ),
    "pairs": Command(
        "pipelines.pairs",
        "command",
        "Make preference pairs from the answers of each thread by their votes.",
        takes_beam=True,
    ),
    "tokenizer": Command(
        "pipelines.tokenizer", "command", "Train a tokenizer on a per-language sample of the training documents."
    ),
    "tokenize": Command(
        "pipelines.tokenize",
        "command",
        "Encode documents into a token pool, or pairs into preference shards.",
        takes_beam=True,
    ),
    "curriculum": Command(
        "pipelines.curriculum",
        "command",
        "Mix and pack a token pool into training sequences, stage by stage; their order is the schedule.",
        takes_beam=True,
    ),
    "train": Command(
        "pipelines.train",
        "train",
        "Train a language model on curriculum shards, or a preference model on preference shards.",
        takes_settings=True,
    ),
    "evaluate": Command(
        "pipelines.train",
        "evaluate",
        "Measure a preference model: accuracy and loss with intervals, beside trivial baselines.",
        takes_settings=True,
    ),
    "report": Command(
        "pipelines.report.page",
        "command",
        "Write one self-contained HTML page about a build, from its datasets and metrics.",
    ),
    "show": Command(
        "pipelines.show", "command", "Show rows of a dataset, or with --reason those that were dropped for it."
    ),
    "why": Command(
        "pipelines.why", "command", "Say what became of a document in each dataset of a build, and on what evidence."
    ),
    "verify": Command(
        "pipelines.verify",
        "command",
        "Check every file of a dataset against its manifest: rows, bytes, SHA-256. Ends with status 1 on damage.",
    ),
    "secret": Command(
        "pipelines.secret", "command", "Make a secret that keys author keys (a new file of 32 random bytes)."
    ),
    "rules": Command("pipelines.shipped", "rules", "List the pair rules that are shipped, with their files."),
    "recipes": Command(
        "pipelines.shipped", "recipes", "List the curriculum recipes that are shipped, with their files."
    ),
    "configs": Command(
        "pipelines.shipped",
        "configs",
        "List the training configurations that are shipped, by what they train, with their files.",
    ),
    "sources": Command(
        "pipelines.shipped", "sources", "List the forum formats and corpora that are read, and where each is written."
    ),
    "languages": Command(
        "pipelines.shipped",
        "languages",
        "List the languages that are known, with the labels that models have for them.",
    ),
    "langid": Command("pipelines.langid", "app", "Language identification."),
    "quality": Command("pipelines.quality", "app", "Quality of texts: thresholds and classifiers of one's own."),
}


def _application(called: str) -> typer.Typer:
    """All commands by name and help; only the one that is called is loaded."""
    app = typer.Typer(
        name="agora",
        help="Public forum dumps to preference pairs and a 119-language curriculum, and training on both. "
        "Everything after -- goes to Beam.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for name, command in COMMANDS.items():
        target = getattr(importlib.import_module(command.module), command.name) if name == called else _not_called
        if isinstance(target, typer.Typer):
            app.add_typer(target, name=name)
            continue
        settings = {"allow_extra_args": True} if command.takes_settings else None
        shown = command.help if target is _not_called else None
        app.command(name, help=shown, context_settings=settings)(target)
    return app


def _not_called() -> None:
    """Stands for a command that is only listed."""


def main() -> None:
    """Runs what was typed. Ends by SystemExit with the command's status."""
    handler = logging.StreamHandler()
    handler.setFormatter(shown.Formatter(logging.BASIC_FORMAT))
    logging.basicConfig(
        level=logging.ERROR, handlers=[handler]
    )  # before Beam is imported, which warns of libraries that are not needed
    called = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        with stopping():
            if called in COMMANDS:
                limits.check_address_space()
            app = _application(called)
    except ValueError as error:
        raise SystemExit(refuse(str(error))) from error
    except (MemoryError, ImportError, OSError) as error:
        if not limits.is_too_little(error):
            raise
        watch.leave(refuse(limits.TOO_LITTLE))
    run_app(app, "agora", takes_beam=called not in COMMANDS or COMMANDS[called].takes_beam)


if __name__ == "__main__":
    main()
