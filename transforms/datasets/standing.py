"""What stands at a place where a dataset is to be built: the one that is wanted, another one, or nothing."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from transforms.datasets import places
from transforms.datasets.ids import plain
from transforms.datasets.manifest import BUILDING, MANIFEST, DatasetSpec, Manifest, OtherSchemaError, load_manifest


class Existing(Enum):
    """What becomes of another dataset that stands where one is to be built."""

    REFUSE = "refuse"
    REPLACE = "replace"  # it is built anew
    KEEP = "keep"  # it stays, where nothing differs but the version of its step or of a library

    @staticmethod
    def of(replace: bool, keep: bool) -> Existing:
        """As the command line has it. Raises ValueError for both."""
        if replace and keep:
            raise ValueError("replace and keep exclude each other: build what stands anew, or go on with it")
        return Existing.REPLACE if replace else Existing.KEEP if keep else Existing.REFUSE


def find(place: str, spec: DatasetSpec, existing: Existing) -> Manifest | None:
    """The manifest of the dataset at a place when it is the one that the spec describes; None when that is to be built.

    A dataset that is kept in spite of other versions says so in its manifest from then on.
    Raises ValueError when another dataset, or this one with damaged files, is at the place and `existing` does not say
    what becomes of it; and when the folder holds files that are no dataset.
    """
    if not places.exists(places.join(place, MANIFEST)):
        if not places.exists(places.join(place, BUILDING)) and (foreign := places.list_files(place)):
            raise ValueError(
                f"{place} holds files but no {MANIFEST}: it is not a dataset of ours, and a build would delete them. "
                f"Found {foreign[:3]}; name an empty or new folder as --output"
            )
        return None
    if existing is Existing.REPLACE and _is_of_other_schema(place):
        return None
    manifest = load_manifest(place)
    problem = _other_dataset(place, manifest, spec) or _damage(place, manifest)
    if problem is None and spec.versions not in (manifest.versions, manifest.kept_with):
        if existing is Existing.KEEP:
            manifest = replace(manifest, kept_with=dict(sorted(spec.versions.items())))
            places.write_atomically(places.join(place, MANIFEST), manifest.to_json())
        else:
            problem = _other_versions(place, manifest, spec)
    if problem is None:
        return manifest
    if existing is not Existing.REPLACE:
        raise ValueError(problem)
    return None


def _is_of_other_schema(place: str) -> bool:
    try:
        Manifest.from_json(places.read_bytes(places.join(place, MANIFEST)))
    except OtherSchemaError:
        return True
    return False


def _other_dataset(place: str, manifest: Manifest, spec: DatasetSpec) -> str | None:
    """How a dataset differs from the one that is wanted, versions aside; None when it does not."""
    wanted = plain(spec.settings)
    assert isinstance(wanted, dict)
    changed = sorted(
        key for key in {*wanted, *manifest.settings} if wanted.get(key) != manifest.settings.get(key)
    ) + sorted(
        role for role in {*spec.parents, *manifest.parents} if spec.parents.get(role) != manifest.parents.get(role)
    )
    if manifest.kind != spec.kind:
        changed = ["kind", *changed]
    if not changed and manifest.input_digests == spec.input_digests:
        return None
    what = f"differs in {', '.join(changed)}" if changed else "was made from other input files"
    return (
        f"{place} already holds a {manifest.kind} dataset (fingerprint {manifest.fingerprint}) that {what}; wanted "
        f"fingerprint {spec.fingerprint}. Pass --replace to build it anew, or name another --output"
    )


def _other_versions(place: str, manifest: Manifest, spec: DatasetSpec) -> str:
    """Names each version that is another one now."""
    before = manifest.kept_with or manifest.versions
    changes = [
        f"{name} {before.get(name, 'none')} there, {spec.versions.get(name, 'none')} here"
        for name in sorted({*before, *spec.versions})
        if before.get(name) != spec.versions.get(name)
    ]
    return (
        f"{place} holds a {manifest.kind} dataset made with other versions ({'; '.join(changes)}); its "
        "content may be another now. Pass --keep to go on with what stands, or --replace to build it anew"
    )


def _damage(place: str, manifest: Manifest) -> str | None:
    """What is plainly wrong with a dataset's files, seen without reading them; None when nothing is."""
    for file in manifest.files:
        target = places.join(place, file.path)
        if not places.exists(target) or places.size(target) != file.bytes:
            found = f"{places.size(target)} bytes" if places.exists(target) else "no file"
            return (
                f"{place} is damaged: {file.path} should have {file.bytes} bytes, got {found}. "
                "Pass --replace to build it anew"
            )
    return None
