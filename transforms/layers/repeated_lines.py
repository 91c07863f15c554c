"""The layer repeated_lines: which lines of each document stand in another one, which keeps them.

It needs all documents at once: transforms/dedup/line_owners.py has the search as a graph. Texts stay as they are; those
who read them with this layer beside them get them without these lines (`read.read_documents`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tokenizer.languages import language_name
from transforms.datasets.fates import Reason
from transforms.datasets.step import Step
from transforms.dedup.line_spec import LANGUAGE, SCHEMA, SHARES, LineSettings
from transforms.layers.layer import CountGroup, Keep, Layer


def needs(settings: LineSettings) -> Mapping[str, Sequence[str]]:
    """The layers whose documents own lines, and the languages by which is counted."""
    return {LANGUAGE: (LANGUAGE,)} | {
        name: ("keep", *([LANGUAGE] if name == LANGUAGE else [])) for name in settings.kept_by
    }


LAYER: Layer[LineSettings, None] = Layer(
    title="Repeated lines",
    says=(
        "Lines that stand in several documents stay in the oldest of them. Tokens and pairs are made of the others "
        "without these lines; where too little is left the document is left out."
    ),
    step=Step("repeated_lines", version=1),
    schema=SCHEMA,
    settings=LineSettings,
    keep=Keep("more than lines of others", unpaired=Reason.REPEATED_LINES),
    groups=(
        CountGroup("share_cut", "cut of a document's tokens", order=SHARES.index),
        CountGroup(
            "cut_by_language",
            "language",
            "tokens cut",
            label=language_name,
            of="tokens_by_language",
            whole="tokens",
        ),
    ),
    by_default=False,
    cuts="cut",
    needs=needs,
)
