"""The duplicates layer: which cluster of near-duplicates each document belongs to, and whether it stands for it.

It needs all documents at once: transforms/dedup has the search as a graph.
"""

from __future__ import annotations

from transforms.datasets.fates import Reason
from transforms.datasets.step import Step
from transforms.dedup.spec import SCHEMA, MinHashSpec
from transforms.layers.layer import CountGroup, Keep, Layer

LAYER: Layer[MinHashSpec, None] = Layer(
    title="Near-duplicates",
    says=(
        "Documents that are equal to another one in their language, nearly so, or contained in it are removed for it: "
        "the longest is kept, then the oldest."
    ),
    step=Step("duplicates", version=2, libraries=("datasketch",)),
    schema=SCHEMA,
    settings=MinHashSpec,
    needs=lambda settings: {} if settings.across_languages else {"language": ("language",)},
    keep=Keep("no near-duplicate", unpaired=Reason.DUPLICATE_ANSWER),
    groups=(
        CountGroup("cluster_size", "documents in a cluster", "clusters", order=lambda size: int(size.split("-")[0])),
        CountGroup("rule", "how they are like the one that is kept"),
    ),
)
