"""The report's last section: what each dataset was made from and with, down to the SHA-256 of its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from pipelines.progress import human_bytes
from pipelines.report.data import BuildFolder, Dataset, View
from pipelines.report.html import Column, Table, counted, number
from transforms.datasets.manifest import STEP_VERSION

_VERSION = "version of the step"
_DEEPEST = 20  # of nested settings; no step has as many levels


def provenance_view(build: BuildFolder) -> View | None:
    """Each dataset with its parents, settings, counts and files."""
    digests = {dataset.digest: role for role, dataset in build.datasets.items()}
    return {"datasets": [_dataset(role, dataset, digests) for role, dataset in build.datasets.items()]}


def _dataset(role: str, dataset: Dataset, digests: Mapping[str, str]) -> View:
    rows = f"{counted(dataset.rows, 'row')}, " if dataset.data_files else ""
    parents = [
        (f"parent: {parent}", f"{digest[:16]} ({digests.get(digest, 'not in this build')})")
        for parent, digest in dataset.parents.items()
    ]
    files = [
        (file.path, number(file.rows) if file.path.endswith(".arrow") else "", number(file.bytes), file.sha256)
        for file in dataset.files
    ]
    return {
        "role": role,
        "size": rows + human_bytes(sum(file.bytes for file in dataset.files)),
        "fingerprint": dataset.fingerprint,
        "facts": [
            ("digest", dataset.digest),
            ("fingerprint", dataset.fingerprint),
            ("made with", _listed(dataset.versions)),
            *(("kept with", _listed(_others(kept, dataset.versions))) for kept in dataset.kept_with),
            *parents,
        ],
        "listings": [("Settings", _lines(dataset.settings)), ("Counts", _lines(dataset.counts))],
        "files": Table([Column("file", "code"), Column("rows"), Column("bytes"), Column("SHA-256", "code")], files),
    }


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{_VERSION if name == STEP_VERSION else name} {number}" for name, number in versions.items())


def _others(kept: Mapping[str, str], versions: Mapping[str, str]) -> Mapping[str, str]:
    return {name: number for name, number in kept.items() if versions.get(name) != number}


def _lines(value: object) -> list[str]:
    text = json.dumps(_shallow(value, _DEEPEST), indent=1, sort_keys=True, ensure_ascii=False, default=str)
    return text.split("\n")


def _shallow(value: object, levels: int) -> object:
    """A value of JSON without what is nested more deeply than `levels`, in whose place stands that it is."""
    if not isinstance(value, Mapping | list):
        return value
    if not levels:
        return f"… {len(value):,} more below"
    if isinstance(value, Mapping):
        return {str(key): _shallow(inner, levels - 1) for key, inner in value.items()}
    return [_shallow(inner, levels - 1) for inner in value]


def times(build: BuildFolder) -> View | None:
    """When the steps ran, from their run.json; the only part of the page that differs between two equal builds."""
    if not build.times:
        return None
    first, last = min(start for start, _ in build.times), max(end for _, end in build.times)
    busy = sum(end - start for start, end in build.times)
    return {"first": _clock(first), "last": _clock(last), "took": counted(round(busy), "second")}


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
