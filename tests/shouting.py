"""A layer of a user's own, as docs/adding_a_layer.md shows it: texts that are mostly capitals."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from transforms.datasets.fates import Reason, Tally
from transforms.datasets.schema import required
from transforms.datasets.step import Step
from transforms.datasets.texts import TEXT_COLUMNS, iter_texts
from transforms.layers.layer import Batches, CountGroup, Keep, Layer

DROPPED = Reason.EMPTY  # a layer of the project adds a reason of its own to fates.py

SCHEMA = pa.schema(
    [
        required("doc_id", pa.string()),
        required("capitals", pa.float32()),  # share of the cased letters
        required("keep", pa.bool_()),
        pa.field("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class ShoutingSettings:
    """A text with a larger share of capitals shouts."""

    most_capitals: float = 0.7


def rows(batches: Batches, settings: ShoutingSettings) -> tuple[pa.Table, Tally]:
    """Rows of SCHEMA, and how many texts shout, by the first letter of their share."""
    ids: list[str] = []
    shares: list[float] = []
    for batch_ids, texts in iter_texts(batches):
        ids += batch_ids
        shares += [_share_of_capitals(text) for text in texts]
    keep = [share <= settings.most_capitals for share in shares]
    counts = Tally()
    for share in shares:
        counts.add("capitals", f"{int(share * 10) * 10}%")
    reasons = [None if kept else DROPPED.value for kept in keep]
    return pa.table({"doc_id": ids, "capitals": shares, "keep": keep, "reason": reasons}).cast(SCHEMA), counts


def _share_of_capitals(text: str) -> float:
    upper = sum(letter.isupper() for letter in text)
    lower = sum(letter.islower() for letter in text)
    return upper / (upper + lower) if upper + lower else 0.0


LAYER = Layer(
    title="Shouting",
    says="Texts that are mostly capitals.",
    step=Step("shouting", version=1),
    schema=SCHEMA,
    settings=ShoutingSettings,
    keep=Keep("not shouting", unpaired=DROPPED),
    groups=(CountGroup("capitals", "share of capitals", order=lambda share: int(share[:-1])),),
    columns=TEXT_COLUMNS,
    rows=rows,
)
