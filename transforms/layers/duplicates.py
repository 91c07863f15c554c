"""The duplicates layer: which cluster of near-duplicates each document belongs to, and whether it stands for it.

It needs all documents at once: transforms/dedup has the search as a graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transforms.datasets.fates import Reason
from transforms.datasets.step import Step
from transforms.dedup.spec import SCHEMA, MinHashSpec
from transforms.layers.layer import CountGroup, Keep, Layer


def _needs(settings: MinHashSpec) -> Mapping[str, Sequence[str]]:
    language = {} if settings.across_languages else {"language": ("language",)}
    return language | ({"quality": ("keep", "score")} if settings.by_quality else {})


LAYER: Layer[MinHashSpec, None] = Layer(
    title="Near-duplicates",
    says=(
        "Documents that are equal to another one in their language, nearly so, or contained in it are removed for it: "
        "by default the longest is kept, then the oldest."
    ),
    step=Step("duplicates", version=2, libraries=("datasketch",)),
    schema=SCHEMA,
    settings=MinHashSpec,
    needs=_needs,
    keep=Keep("no near-duplicate", unpaired=Reason.DUPLICATE_ANSWER),
    groups=(
        CountGroup("cluster_size", "documents in a cluster", "clusters", order=lambda size: int(size.split("-")[0])),
        CountGroup("rule", "how they are like the one that is kept"),
    ),
)
