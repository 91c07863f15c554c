"""Split: train, validation or holdout, decided for a whole thread by the keyed hash of its id.

Pairs and curriculum read the same layer, so a held-out thread is in no pretraining shard. A thread's split never
changes when others are added, and a larger holdout contains the smaller one.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil

import pyarrow as pa

from transforms.datasets.fates import Tally
from transforms.datasets.ids import keyed_hash
from transforms.datasets.schema import required
from transforms.datasets.settings import SettingError
from transforms.datasets.step import Step
from transforms.layers.layer import Batches, CountGroup, Layer

SCHEMA = pa.schema([required("doc_id", pa.string()), required("split", pa.string())])
COLUMNS = ("doc_id", "thread_id")


_RANGE = 1 << 64  # of keyed_hash
_PURPOSE = "split"


@dataclass(frozen=True)
class SplitSettings:
    """Shares of threads; what remains is train. A share is exact: 0.1 means one tenth, not the nearest double."""

    holdout: float = 0.1
    validation: float = 0.1

    def __post_init__(self) -> None:
        for name in ("holdout", "validation"):
            share = getattr(self, name)
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
                raise SettingError(name, f"must be a share from 0 to below 1; got {share!r}")
        if _exact(self.holdout) + _exact(self.validation) >= 1:
            raise SettingError(
                "holdout",
                f"{self.holdout} and validation {self.validation} leave nothing to train on; make their sum less "
                "than 1",
            )


def _exact(share: float) -> Fraction:
    """The decimal number that was written: 0.1 + 0.2 is 0.3 here, as it is not in floating point."""
    return Fraction(str(share))


@lru_cache(maxsize=16)
def _bounds(settings: SplitSettings) -> tuple[int, int]:
    """The least hashes that are in validation and in train."""
    holdout, validation = _exact(settings.holdout), _exact(settings.validation)
    return ceil(holdout * _RANGE), ceil((holdout + validation) * _RANGE)


def split_of(thread_id: str, settings: SplitSettings) -> str:
    """The split of a thread: "holdout" below the first bound, "validation" below the second, else "train".

    The hash is compared with the bounds in whole numbers, so that no rounding depends on machine or order.
    """
    drawn = keyed_hash(_PURPOSE, thread_id)
    validation, train = _bounds(settings)
    return "holdout" if drawn < validation else "validation" if drawn < train else "train"


def rows(batches: Batches, settings: SplitSettings) -> tuple[pa.Table, Tally]:
    """Rows of SCHEMA, and the documents of each split. Memory: the ids of the shard."""
    columns = [batch.select(COLUMNS).columns for batch in batches]
    ids, threads = (pa.chunked_array([each[n] for each in columns], pa.string()) for n in range(len(COLUMNS)))
    threads = threads.combine_chunks().dictionary_encode()
    split_of_thread = pa.array([split_of(thread, settings) for thread in threads.dictionary.to_pylist()], pa.string())
    splits = split_of_thread.take(threads.indices)
    counts = Tally()
    for split in splits.to_pylist():
        counts.add("split", split)
    return pa.table({"doc_id": ids, "split": splits}, schema=SCHEMA), counts


LAYER = Layer(
    title="Split",
    says=(
        "Threads are split by a hash of their id, so a thread is never in two splits. Pairs and curriculum follow the "
        "same split: no held-out thread is trained on in any form."
    ),
    step=Step("split", version=1),
    schema=SCHEMA,
    settings=SplitSettings,
    groups=(CountGroup("split", "split"),),
    columns=COLUMNS,
    rows=rows,
)
