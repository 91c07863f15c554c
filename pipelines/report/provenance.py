"""The report's last section: what each dataset was made from and with, down to the SHA-256 of its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from pipelines.report.data import Build, Dataset
from pipelines.report.html import Column, Html, details, facts, file_size, join, number, paragraph, table, tag
from transforms.datasets.manifest import STEP_VERSION

VERSION = "version of the step"
DEEPEST = 20  # of nested settings; no step has as many levels


def provenance_section(build: Build) -> Html | None:
    digests = {dataset.digest: role for role, dataset in build.datasets.items()}
    return join(
        [
            paragraph(
                "Every dataset names its parents by digest and its settings by fingerprint. The same inputs and "
                "settings give the same bytes: compare the figures below with those of another build."
            ),
            *(_dataset(role, dataset, digests) for role, dataset in build.datasets.items()),
        ]
    )


def _dataset(role: str, dataset: Dataset, digests: dict[str, str]) -> Html:
    size = sum(file.bytes for file in dataset.files)
    rows = f"{number(dataset.rows)} rows, " if dataset.data_files else ""
    summary = join([tag("b", role), f" · {rows}{file_size(size)}, ", tag("code", dataset.fingerprint)])
    parents = [
        (parent, tag("code", digest[:16], " ", f"({digests[digest]})" if digest in digests else "(not in this build)"))
        for parent, digest in dataset.parents.items()
    ]
    files = [
        (file.path, number(file.rows) if file.path.endswith(".arrow") else "", number(file.bytes), file.sha256)
        for file in dataset.files
    ]
    columns = [Column("file", "code"), Column("rows"), Column("bytes"), Column("SHA-256", "code")]
    return details(
        summary,
        facts(
            [
                ("digest", tag("code", dataset.digest)),
                ("fingerprint", tag("code", dataset.fingerprint)),
                ("made with", tag("code", _listed(dataset.versions))),
                *(("kept with", tag("code", _listed(_others(kept, dataset.versions)))) for kept in dataset.kept_with),
                *((f"parent: {parent}", value) for parent, value in parents),
            ]
        ),
        details("Settings", tag("pre", _pretty(dataset.settings))),
        details("Counts", tag("pre", _pretty(dataset.counts))),
        details(f"{len(files)} files", table(columns, files)),
    )


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{VERSION if name == STEP_VERSION else name} {number}" for name, number in versions.items())


def _others(kept: Mapping[str, str], versions: Mapping[str, str]) -> Mapping[str, str]:
    return {name: number for name, number in kept.items() if versions.get(name) != number}


def _pretty(value: object) -> Html:
    lines = json.dumps(_shallow(value, DEEPEST), indent=1, sort_keys=True, ensure_ascii=False, default=str)
    return join(lines.split("\n"), "\n")


def _shallow(value: object, levels: int) -> object:
    """A value of JSON without what is nested more deeply than `levels`, in whose place stands that it is."""
    if not isinstance(value, Mapping | list):
        return value
    if not levels:
        return f"… {len(value):,} more below"
    if isinstance(value, Mapping):
        return {str(key): _shallow(inner, levels - 1) for key, inner in value.items()}
    return [_shallow(inner, levels - 1) for inner in value]


def footer(build: Build) -> Html:
    """When the steps ran, from their run.json; the only part of the page that differs between two equal builds."""
    if not build.times:
        return tag("footer", "Made by Agora.")
    first, last = min(start for start, _ in build.times), max(end for _, end in build.times)
    busy = sum(end - start for start, end in build.times)
    return tag(
        "footer",
        f"Made by Agora. Steps ran from {_clock(first)} to {_clock(last)} and took {busy:,.0f} seconds together.",
    )


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
