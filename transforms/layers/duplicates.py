"""The duplicates layer: which cluster of near-duplicates each document belongs to, and whether it stands for it.

It needs all documents at once: transforms/dedup has the search as a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from tokenizer.languages import language_name
from transforms.datasets.fates import Reason
from transforms.datasets.manifest import Counts
from transforms.datasets.opening import HeldBackError
from transforms.datasets.step import Step
from transforms.dedup.spec import ORIGINS, SCHEMA, MinHashSpec
from transforms.layers.layer import CountGroup, Keep, Layer

_ENOUGH = 1_000  # documents of a language or source, for their share to say something
_TOLD = 3  # of those with too large a share
_NAMES: Mapping[str, Callable[[str], str]] = {"language": language_name, "source": str}  # for people


def _needs(settings: MinHashSpec) -> Mapping[str, Sequence[str]]:
    language = {} if settings.across_languages else {"language": ("language",)}
    return language | ({"quality": ("keep", "score")} if settings.by_quality else {})


def _identity(settings: MinHashSpec) -> Mapping[str, object]:
    decides = {name: value for name, value in asdict(settings).items() if name != "most_removed"}
    return {**decides, "catch_curves": settings.catch_curves}


def check_removed(settings: MinHashSpec, counts: Counts) -> None:
    """Raises HeldBackError when more of a language's or a source's documents are removed than `most_removed` allows,
    of those that have at least 1,000."""
    over: list[tuple[float, str]] = []
    for origin in ORIGINS:
        removed = counts.get(f"removed_by_{origin}", {})
        for name, documents in counts.get(f"documents_by_{origin}", {}).items():
            gone = removed.get(name, 0)
            if documents >= _ENOUGH and gone > settings.most_removed * documents:
                shown = _NAMES[origin](name)
                of = f"{gone:,} of {documents:,} documents ({gone / documents:.1%}) of the {origin} {shown}"
                over.append((gone / documents, of if shown == name else f"{of} ({name})"))
    if over:
        told = [text for _, text in sorted(over, key=lambda found: (-found[0], found[1]))]
        more = f"; and too many of {len(told) - _TOLD} others" if len(told) > _TOLD else ""
        raise HeldBackError(
            f"near-duplicates are {'; '.join(told[:_TOLD])}{more}: more than the bound most_removed, "
            f"{settings.most_removed:.1%}. It may be a template that all share, a mistake of the dump, or right: then "
            "raise the bound (--set duplicates.most_removed=…, or annotate.duplicates.most_removed in the build file) "
            "and run it again; nothing is computed anew"
        )


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
    identity=_identity,
    check=check_removed,
    keep=Keep("no near-duplicate", unpaired=Reason.DUPLICATE_ANSWER),
    groups=(
        CountGroup("cluster_size", "documents in a cluster", "clusters", order=lambda size: int(size.split("-")[0])),
        CountGroup("rule", "how they are like the one that is kept"),
        *(
            CountGroup(f"removed_by_{origin}", origin, "removed", label=_NAMES[origin], of=f"documents_by_{origin}")
            for origin in ORIGINS
        ),
    ),
)
