"""The duplicates layer: which cluster of near-duplicates each document belongs to, and whether it stands for it.

It needs all documents at once: `dedup` has the search as a graph.
"""

from __future__ import annotations

import pyarrow as pa

from transforms.datasets.fates import Reason
from transforms.datasets.schema import required
from transforms.datasets.step import Step
from transforms.dedup.spec import MinHashSpec
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
    step=Step("duplicates", version=2, libraries=("datasketch",)),
    schema=SCHEMA,
    settings=MinHashSpec,
    keep=Keep("no near-duplicate", unpaired=Reason.DUPLICATE_ANSWER),
    groups=(
        CountGroup("cluster_size", "documents in a cluster", "clusters", order=lambda size: int(size.split("-")[0])),
    ),
)
