"""The duplicates layer: which cluster of near-duplicates each document belongs to, and whether it stands for it.

It needs all documents at once: transforms/dedup has the search as a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tokenizer.languages import language_name
from transforms.datasets.fates import Reason
from transforms.datasets.ids import plain
from transforms.datasets.manifest import Counts, Manifest
from transforms.datasets.opening import HeldBackError
from transforms.datasets.settings import SettingError
from transforms.datasets.step import Step
from transforms.dedup.earlier import STEP as SIGNATURES_STEP
from transforms.dedup.earlier import Earlier
from transforms.dedup.spec import ORIGINS, SCHEMA, MinHashSpec
from transforms.layers.layer import CountGroup, Inputs, Keep, Layer

_STEP = Step("duplicates", version=2)
_DECIDE_NO_ROW = ("against", "most_removed")
_ENOUGH = 1_000  # documents of a language or source, for their share to say something
_TOLD = 3  # of those with too large a share
_NAMES: Mapping[str, Callable[[str], str]] = {"language": language_name, "source": str}  # for people


def needs(settings: MinHashSpec) -> Mapping[str, Sequence[str]]:
    """The layers that decide who is compared, and who is better."""
    language = {} if settings.across_languages else {"language": ("language",)}
    return language | ({"quality": ("keep", "score")} if settings.by_quality else {})


def deciding(settings: Any) -> Mapping[str, object]:
    """The settings by which it is decided which of some documents are duplicates."""
    return {name: value for name, value in asdict(settings).items() if name not in _DECIDE_NO_ROW}


def identity(settings: MinHashSpec) -> Mapping[str, object]:
    """The settings that decide, and of finished builds the digests of what was made of them.

    Raises SettingError for a folder without these layers, or with such as were made otherwise.
    """
    try:
        against = [Earlier.open(place) for place in settings.earlier]
        for place, earlier in zip(settings.earlier, against, strict=True):
            for dataset, step in ((earlier.duplicates, _STEP), (earlier.signatures, SIGNATURES_STEP)):
                _check_alike(place, dataset.manifest, settings, step)
    except ValueError as error:
        raise SettingError("against", f"cannot be used: {error}") from error
    digests = [earlier.digests for earlier in against]
    return {**deciding(settings), "catch_curves": settings.catch_curves, "against": digests}


def _check_alike(place: str, manifest: Manifest, settings: MinHashSpec, step: Step) -> None:
    """Raises ValueError for a layer at a place that was made with other settings or versions."""
    own = plain(deciding(settings))
    for what, found, wanted in (
        ("settings", {name: manifest.settings.get(name) for name in own}, own),
        ("versions", manifest.versions, step.versions()),
    ):
        names = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        if names:
            raise ValueError(
                f"the {manifest.kind} layer at {place} was made with other {what}, so that documents cannot be held "
                f"against it: {', '.join(f'{name} {found.get(name)}, here {wanted.get(name)}' for name in names)}. "
                "Make it anew, or these documents with what it was made with"
            )


def notes(settings: MinHashSpec, inputs: Inputs) -> Iterator[str]:
    """Names of `priority` that no document can have, as far as the inputs tell: rows with a mapping, and some others,
    name their sites themselves."""
    if not inputs or any(file.get("mapping") or not file.get("site") for file in inputs):
        return
    known = sorted({str(file[key]) for file in inputs for key in ("source", "site")})
    for name in settings.priority:
        if name not in known:
            yield f"priority names {name!r}, which is neither source nor site of any input; they are {', '.join(known)}"


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
    step=_STEP,
    schema=SCHEMA,
    settings=MinHashSpec,
    needs=needs,
    identity=identity,
    notes=notes,
    check=check_removed,
    opens=lambda settings: settings.earlier,
    keep=Keep("no near-duplicate", unpaired=Reason.DUPLICATE_ANSWER),
    groups=(
        CountGroup("cluster_size", "documents in a cluster", "clusters", order=lambda size: int(size.split("-")[0])),
        CountGroup("rule", "how they are like the one that is kept"),
        CountGroup("capped", "compared with the likeliest 16 of their candidates", "texts"),
        *(
            CountGroup(f"removed_by_{origin}", origin, "removed", label=_NAMES[origin], of=f"documents_by_{origin}")
            for origin in ORIGINS
        ),
    ),
)
