"""Verify: every file of a dataset against its manifest."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from pipelines.command import console, run_command
from pipelines.progress import summary
from transforms.datasets.manifest import load_manifest
from transforms.datasets.verify import find_problems, unfinished

_DAMAGED = 1


def command(place: Annotated[str, typer.Argument(help="Folder of a dataset.")]) -> None:
    """Check every file of a dataset against its manifest: rows, bytes, SHA-256. Ends with status 1 on damage."""
    problems = find_problems(place)
    for problem in problems:
        console.print(f"[red]damaged[/] {escape(problem)}", soft_wrap=True, markup=True)
    if problems:
        raise SystemExit(_DAMAGED)
    if note := unfinished(place):
        console.print(f"note: {note}", soft_wrap=True)
    manifest = load_manifest(place)
    console.print(f"sound: {manifest.kind} {manifest.fingerprint}, {summary(manifest)}", soft_wrap=True)


if __name__ == "__main__":
    run_command(command)
