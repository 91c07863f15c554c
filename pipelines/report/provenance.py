"""The report's last section: what each dataset was made from and with, down to the SHA-256 of its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from pipelines.report.data import Build
from pipelines.report.html import Column, Html, details, facts, file_size, join, number, paragraph, table, tag
from transforms.datasets.manifest import Manifest


def provenance_section(build: Build) -> Html | None:
    digests = {manifest.digest: role for role, manifest in build.manifests.items()}
    return join(
        [
            paragraph(
                "Every dataset names its parents by digest and its settings by fingerprint. The same inputs and "
                "settings give the same bytes: compare the figures below with those of another build."
            ),
            *(_dataset(role, manifest, digests) for role, manifest in build.manifests.items()),
        ]
    )


def _dataset(role: str, manifest: Manifest, digests: dict[str, str]) -> Html:
    size = sum(file.bytes for file in manifest.files)
    rows = f"{number(manifest.rows)} rows, " if manifest.data_files else ""
    summary = join([tag("b", role), f" · {rows}{file_size(size)}, ", tag("code", manifest.fingerprint)])
    parents = [
        (parent, tag("code", digest[:16], " ", f"({digests[digest]})" if digest in digests else "(not in this build)"))
        for parent, digest in manifest.parents.items()
    ]
    files = [
        (file.path, number(file.rows) if file.path.endswith(".arrow") else "", number(file.bytes), file.sha256)
        for file in manifest.files
    ]
    columns = [Column("file", "code"), Column("rows"), Column("bytes"), Column("SHA-256", "code")]
    return details(
        summary,
        facts(
            [
                ("digest", tag("code", manifest.digest)),
                ("fingerprint", tag("code", manifest.fingerprint)),
                ("made with", tag("code", _listed(manifest.versions))),
                *(("kept with", tag("code", _listed(_others(kept, manifest.versions)))) for kept in manifest.kept_with),
                *((f"parent: {parent}", value) for parent, value in parents),
            ]
        ),
        details("Settings", tag("pre", _pretty(manifest.settings))),
        details("Counts", tag("pre", _pretty(manifest.counts))),
        details(f"{len(files)} files", table(columns, files)),
    )


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _others(kept: Mapping[str, str], versions: Mapping[str, str]) -> Mapping[str, str]:
    return {name: number for name, number in kept.items() if versions.get(name) != number}


def _pretty(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)


def footer(build: Build) -> Html:
    """When the steps ran, from their run.json; the only part of the page that differs between two equal builds."""
    times = [(run["started"], run["finished"]) for run in build.runs.values()]
    if not times:
        return tag("footer", "Made by Agora.")
    first, last = min(start for start, _ in times), max(end for _, end in times)
    busy = sum(end - start for start, end in times)
    return tag(
        "footer",
        f"Made by Agora. Steps ran from {_clock(first)} to {_clock(last)} and took {busy:,.0f} seconds together.",
    )


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
