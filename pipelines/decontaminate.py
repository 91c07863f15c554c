"""Decontaminate: the contamination layer of documents, by a command of its own (`agora annotate` makes it as well).

documents, benchmarks ── contamination    which documents hold an item, of which benchmark, where and by which rule
"""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines import annotate
from pipelines.command import Keep, Output, Replace, Trust, Workers, beam_args, console, run_command
from pipelines.progress import progress
from transforms.datasets import places
from transforms.datasets.standing import Existing
from transforms.layers import contamination
from transforms.layers.contamination import ContaminationSettings

_NAME = contamination.LAYER.name


def command(
    context: typer.Context,
    documents: Annotated[str, typer.Argument(metavar="DOCS", help="Folder of documents.")],
    output: Output,
    benchmarks: Annotated[
        list[str],
        typer.Option(
            metavar="FILE",
            help="A file of GSM8K, HumanEval, MBPP, MGSM, RewardBench, RM-Bench or LLMBar, packed or not, any JSON "
            "with --field, or a folder of such. Repeat it for more.",
        ),
    ],
    rule: Annotated[str, typer.Option(help="qwen2, coder or math: docs/decontamination.md says what each is.")] = (
        ContaminationSettings.rule
    ),
    field: Annotated[
        list[str] | None, typer.Option(help="A field with a text, of rows of no known benchmark. Repeat it for more.")
    ] = None,
    workers: Workers = 1,
    replace: Replace = False,
    keep: Keep = False,
    trust: Trust = False,
) -> None:
    """Find the documents that hold items of benchmarks, so that nothing is trained on them."""
    existing = Existing.of(replace, keep)
    settings = ContaminationSettings(tuple(benchmarks), rule, tuple(field or ()))
    place = places.join(output, _NAME)
    with progress(console, "decontaminate", place) as runs:
        made = annotate.run(documents, output, {_NAME: settings}, workers, existing, beam_args(context))
    console.print(f"{_NAME}: {runs.told(place, made[_NAME])}", soft_wrap=True)
    for name, count in sorted(made[_NAME].counts.get("benchmark", {}).items()):
        console.print(f"  {name}: {count:,}", soft_wrap=True)


if __name__ == "__main__":
    run_command(command)
