"""The duplicates layer: which cluster of near-duplicates each document belongs to, and whether it stands for it.

It needs all documents at once: `dedup` has the search as a graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from transforms.datasets.fates import Reason
from transforms.datasets.schema import required
from transforms.datasets.settings import SettingError
from transforms.datasets.step import Step
from transforms.layers.layer import CountGroup, Keep, Layer

SCHEMA = pa.schema(
    [
        required("doc_id", pa.string()),
        required("cluster", pa.string()),  # smallest doc_id of the cluster; its own id when it has no duplicate
        required("cluster_size", pa.int64()),
        required("keep", pa.bool_()),  # true for the representative: the document with the smallest id
        pa.field("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class MinHashSpec:
    """How near-duplicates are searched for. bands * rows is the length of a signature.

    The defaults are datatrove's and FineWeb's: two texts of Jaccard similarity 0.8 become candidates with probability
    0.924, of 0.7 with 0.56, of 0.5 with 0.05.
    """

    ngram: int = 5  # tokens per shingle
    bands: int = 14
    rows: int = 8  # rows per band
    seed: int = 1

    def __post_init__(self) -> None:
        for name, least, most in (("ngram", 1, 64), ("bands", 1, 1024), ("rows", 1, 1024), ("seed", 0, 2**32 - 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise SettingError(name, f"must be a whole number from {least} to {most}; got {value!r}")

    @property
    def num_perm(self) -> int:
        """Length of a signature."""
        return self.bands * self.rows

    def p_candidate(self, jaccard: float) -> float:
        """The probability that two texts of this Jaccard similarity share a band."""
        return float(1.0 - (1.0 - jaccard**self.rows) ** self.bands)


def size_class(size: int) -> str:
    """The name of the size class a cluster falls into: "1", "2", "3-4", "5-8", "9-16" …"""
    most = 1 << (size - 1).bit_length()
    return str(size) if size <= 2 else f"{most // 2 + 1}-{most}"


LAYER: Layer[MinHashSpec, None] = Layer(
    title="Near-duplicates",
    says=(
        "Documents whose texts are equal or nearly so form clusters; of each cluster the document with the smallest id "
        "is kept."
    ),
    step=Step("duplicates", version=1, libraries=("datasketch",)),
    schema=SCHEMA,
    settings=MinHashSpec,
    keep=Keep("no near-duplicate", unpaired=Reason.DUPLICATE_ANSWER),
    groups=(
        CountGroup("cluster_size", "documents in a cluster", "clusters", order=lambda size: int(size.split("-")[0])),
    ),
)
