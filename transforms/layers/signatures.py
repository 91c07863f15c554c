"""The signatures layer: what later searches for near-duplicates need of these documents (`agora annotate --against`).

It is made as the duplicates layer beside it says, and has no settings of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets.fates import Tally
from transforms.datasets.manifest import Manifest
from transforms.dedup.earlier import SIGNATURES, STEP
from transforms.dedup.signing import COLUMNS, signed
from transforms.dedup.spec import MinHashSpec, spec_of
from transforms.layers import duplicates
from transforms.layers.layer import Batches, CountGroup, Layer


@dataclass(frozen=True)
class SignatureSettings:
    """None: those of the duplicates layer beside it."""


_Settings = SignatureSettings | MinHashSpec  # before the duplicates layer is looked at, and after


def settle(settings: _Settings, beside: Callable[[str], Manifest]) -> MinHashSpec:
    """The settings of the duplicates layer."""
    return spec_of(beside("duplicates").settings)


def needs(settings: _Settings) -> Mapping[str, Sequence[str]]:
    """The layers that it is made from; at first the duplicates alone, which say what else these were made from."""
    others = duplicates.needs(settings) if isinstance(settings, MinHashSpec) else {}
    return {**others, "duplicates": ("keep", "rule")}


def rows(batches: Batches, spec: MinHashSpec) -> tuple[pa.Table, Tally]:
    """`signed`, and of how many documents it has the tokens. Memory: as that."""
    table, counts = signed(batches, spec), Tally()
    counts.add("signatures", "tokens", pc.sum(pc.greater(pc.list_value_length(table.column("tokens")), 0)).as_py() or 0)
    return table, counts


LAYER: Layer[_Settings, MinHashSpec] = Layer(
    title="Signatures",
    says="What later documents are compared with, so that these need not be read again.",
    step=STEP,
    schema=SIGNATURES,
    settings=SignatureSettings,
    groups=(CountGroup("signatures", "signatures", "documents"),),
    columns=COLUMNS,
    needs=needs,
    identity=duplicates.deciding,
    settle=settle,
    by_default=False,
    for_readers=False,
    rows=rows,
)
