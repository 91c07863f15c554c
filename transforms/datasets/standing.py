"""What stands at a place where a dataset is to be built: the one that is wanted, another one, or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import Enum

from transforms.datasets import checks, places, strict_json
from transforms.datasets.checks import DamagedError
from transforms.datasets.ids import plain
from transforms.datasets.lease import is_begun
from transforms.datasets.manifest import DatasetSpec, Manifest, NoDatasetError, UnreadableError, load_manifest
from transforms.datasets.names import MANIFEST, RUN

STAMPS = "stamps"  # in run.json
_SHORT = 80  # characters of two values that are told


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

    Writes nothing. Raises ValueError when another dataset, or this one with damaged files, is at the place and
    `existing` does not say what becomes of it; and when the folder holds files that are no dataset.
    """
    try:
        manifest = load_manifest(place)
    except NoDatasetError:
        if not is_begun(place) and (foreign := places.list_files(place)):
            raise ValueError(
                f"{place} holds files but no {MANIFEST}: it is not a dataset of ours, and a build would delete them. "
                f"Found {foreign[:3]}; name an empty or new folder as output"
            ) from None
        return None
    except UnreadableError:
        if existing is Existing.REPLACE:
            return None
        raise
    problem = _other_dataset(place, manifest, spec) or damage(place, manifest)
    if problem is None and not is_known(manifest, spec) and existing is not Existing.KEEP:
        problem = _other_versions(place, manifest, spec)
    if problem is None:
        return manifest
    if existing is not Existing.REPLACE:
        raise ValueError(problem)
    return None


def is_known(manifest: Manifest, spec: DatasetSpec) -> bool:
    """Whether a dataset was made, or is kept, with the versions that are at work."""
    return spec.versions in (manifest.versions, *manifest.kept_with)


def _other_dataset(place: str, manifest: Manifest, spec: DatasetSpec) -> str | None:
    """How a dataset differs from the one that is wanted, versions aside; None when it does not."""
    changed = ["kind"] if manifest.kind != spec.kind else []
    changed += _differences(manifest.settings, plain(spec.settings))
    both = sorted(spec.parents.keys() & manifest.parents.keys())
    changed += [role for role in both if spec.parents[role] != manifest.parents[role]]
    how = [f"differs in {', '.join(changed)}"] if changed else []
    how += [f"was made without {role}" for role in sorted(spec.parents.keys() - manifest.parents.keys())]
    how += [f"was made with {role}" for role in sorted(manifest.parents.keys() - spec.parents.keys())]
    if not how and manifest.input_digests == spec.input_digests:
        return None
    return (
        f"{place} already holds a {manifest.kind} dataset (fingerprint {manifest.fingerprint}) that "
        f"{' and '.join(how) or 'was made from other input files'}; wanted fingerprint {spec.fingerprint}. Pass "
        "--replace to build it anew, or name another output"
    )


def _differences(there: Mapping[str, object], here: Mapping[str, object], above: str = "") -> list[str]:
    """The settings that differ, by their dotted names, with both values where they are short."""
    found = []
    for key in sorted({*there, *here}):
        old, new = there.get(key), here.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += _differences(old, new, f"{above}{key}.")
        elif old != new:
            values = f"{json.dumps(old)} there, {json.dumps(new)} here"
            found.append(f"{above}{key}" + (f" ({values})" if len(values) <= _SHORT else ""))
    return found


def _other_versions(place: str, manifest: Manifest, spec: DatasetSpec) -> str:
    """Names each version that is another one now."""
    changes = []
    for name in sorted({*manifest.versions, *spec.versions}):
        made, here = manifest.versions.get(name, "none"), spec.versions.get(name, "none")
        kept = sorted({number for versions in manifest.kept_with if (number := versions.get(name, made)) != made})
        if made != here:
            changes.append(f"{name} {made} there{f' (kept with {_listed(kept)})' if kept else ''}, {here} here")
    return (
        f"{place} holds a {manifest.kind} dataset made with other versions ({'; '.join(changes)}); its "
        "content may be another now. Pass --keep to go on with what stands, or --replace to build it anew"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def damage(place: str, manifest: Manifest) -> str | None:
    """What is wrong with a dataset's files; None when nothing is.

    A local file is read, unless it is as it was when it was committed, by its stamp; of a remote one its size is looked
    at, and whoever reads it checks it.
    """
    stamps = _stamps(place)
    local = places.is_local(place)
    try:
        for file in manifest.files:
            if local:
                checks.check(place, file, stamps.get(file.path))
            else:
                checks.check_size(place, file)
    except DamagedError as error:
        return str(error)
    return None


def _stamps(place: str) -> Mapping[str, object]:
    """The stamps of a dataset's files when it was committed, as far as its account of the run can be read."""
    run = places.join(place, RUN)
    try:
        return dict(strict_json.load(run)[STAMPS])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
