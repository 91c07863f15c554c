"""A build from its beginning to its end: opened under a lease, taken up again, committed, or given up.

While another dataset stands at the place, the new one is built in a folder below it and takes its place only when it is
whole and checked: nothing that stands is lost for a build that fails. A kill at any moment leaves the old dataset, the
new one, or a build that the next run goes on with.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from transforms.datasets import checks, places, strict_json
from transforms.datasets.building import Build, path_in_record
from transforms.datasets.checks import is_whole
from transforms.datasets.fates import Tally
from transforms.datasets.ids import plain
from transforms.datasets.lease import Lease, LostError, OwnedError, is_begun
from transforms.datasets.manifest import (
    Counts,
    DatasetSpec,
    Manifest,
    ShardFile,
    UnreadableError,
    load_manifest,
)
from transforms.datasets.names import BUILDING, MANIFEST, NEXT, OURS, PARTS, REPLACED, RUN, is_ours
from transforms.datasets.schema import SCHEMA_VERSION
from transforms.datasets.standing import STAMPS, Existing, find, is_known


def nothing_to_check(manifest: Manifest) -> None:
    """The check of a dataset of which each file was checked as it was written."""


class HeldBackError(ValueError):
    """Raised by a check of a dataset that is not published as things stand. What is written stays: a run that asks for
    the same dataset, and sees it otherwise, has nothing to do but to check it again."""


class Opened:
    """A build that this process owns. Leaving a `with` block lets go of it: what is finished stays."""

    def __init__(self, place: str, spec: DatasetSpec, lease: Lease) -> None:
        self.place, self.spec = place, spec
        self._lease = lease
        self._beside = places.exists(places.join(place, MANIFEST))
        work = places.join(place, NEXT) if self._beside else place
        self.build = Build(work, spec.kind, spec.fingerprint, lease.marker.build)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self._lease.let_go()

    def clean(self) -> None:
        """Removes what earlier runs left, but for the files that this build has finished, with their records."""
        keep: set[str] = set()
        for record in _records(self.build.work):
            file = self.build.read_record(self.build.at(record))
            if file is not None and is_whole(self.build.work, file):
                keep |= {record, file.path}
        self._remove(keep)

    def _remove(self, keep: Collection[str]) -> None:
        """Removes what builds wrote into the folder, other builds too: what is a build's by its place, and what a
        record names. But for the lease; and records last, so that a kill leaves nothing that none of them names."""
        work = self.build.work
        named = {path for record in _records(work) if (path := path_in_record(places.join(work, record)))}
        paths = [path for path in places.list_files(work) if path not in keep and not path.startswith(f"{BUILDING}/")]
        for path in sorted(paths, key=lambda path: path.startswith(f"{PARTS}/")):
            if is_ours(path) or path in named:
                places.remove(places.join(work, path))

    def commit(
        self,
        paths: Iterable[str],
        counts: Counts | None = None,
        inputs: Sequence[Mapping[str, object]] | None = None,
        run: Mapping[str, object] | None = None,
        check: Callable[[Manifest], None] = nothing_to_check,
    ) -> Manifest:
        """Makes the folder a dataset: the manifest is written last, and what is not in it is swept.

        counts: what is known of the whole and of no one file; added to the sum of the files' counts. inputs: the
        account of the raw inputs, with what was counted in them; by default as the spec lists them. run: what else
        run.json shall say of this run. check: sees the manifest before anybody else does.
        Raises ValueError when a file is missing or not what its record says, and what `check` raises, after which
        nothing of the build is left but after a HeldBackError; LostError when another process has taken the build over.
        """
        self._lease.check()
        manifest = self._gather(paths, inputs, counts)
        try:
            check(manifest)
        except HeldBackError:
            raise
        except ValueError:
            self.abandon()
            raise
        self._lease.check()  # to look at all files took its time
        self._write_run(manifest, run or {})
        if self._beside:
            old = json.dumps(_paths(self.place)).encode()
            places.write_atomically(self.build.at(REPLACED), old)
        places.write_atomically(self.build.at(MANIFEST), manifest.to_json())
        if self._beside:
            take_place(self.place)
        _sweep(self.place, manifest)
        self._lease.end()
        return manifest

    def abandon(self) -> None:
        """Removes what this build wrote; what stood at the place before stays as it was, and all that is another
        process's by now."""
        try:
            self._lease.check()
        except LostError:
            return
        self._remove(keep=())
        _remove_empty_folders(self.place)
        self._lease.end()

    def check(self) -> None:
        """Raises LostError when another process has taken the build over."""
        self._lease.check()

    def _gather(
        self, paths: Iterable[str], inputs: Sequence[Mapping[str, object]] | None, counts: Counts | None
    ) -> Manifest:
        """The manifest of a build whose files are written, out of their part-records; nobody sees it yet."""
        files: list[ShardFile] = []
        missing: list[str] = []
        for path in sorted(paths):
            file = self.build.finished(path)
            if file is None:
                missing.append(path)
            elif not is_whole(self.build.work, file):
                raise ValueError(
                    f"cannot commit {self.place}: {path} is not what was written: its bytes were changed since. "
                    "Run the command again; it is written anew"
                )
            else:
                files.append(file)
        if missing:
            raise ValueError(f"cannot commit {self.place}: {len(missing)} files were not written, such as {missing[0]}")
        spec, whole = self.spec, Tally(counts)
        tally = Tally(counts)
        for file in files:
            tally.merge(file.counts)
        account = spec.inputs if inputs is None else inputs
        return Manifest(
            kind=spec.kind,
            schema_version=SCHEMA_VERSION,
            fingerprint=spec.fingerprint,
            settings=plain(spec.settings),
            versions=dict(sorted(spec.versions.items())),
            kept_with=(),
            parents=dict(sorted(spec.parents.items())),
            inputs=tuple(sorted(map(plain, account), key=lambda item: json.dumps(item, sort_keys=True))),
            files=tuple(files),
            counts=tally.to_dict(),
            whole=whole.to_dict(),
        )

    def _write_run(self, manifest: Manifest, more: Mapping[str, object]) -> None:
        host = {"host": platform.node(), "python": platform.python_version()}
        stamps = {file.path: checks.stamp(self.build.at(file.path)) for file in manifest.files}
        run = {**more, "started": self._lease.marker.started, "finished": time.time(), STAMPS: stamps, **host}
        places.write_atomically(self.build.at(RUN), json.dumps(run, sort_keys=True).encode())


def begin(place: str, spec: DatasetSpec, existing: Existing = Existing.REFUSE) -> Manifest | Opened:
    """The dataset that the spec describes, when it stands (`standing.find`); else its build, opened and cleaned.

    Raises ValueError as `find` does, and OwnedError when another process builds at the place.
    """
    _refuse_within_another(place)
    manifest = find(place, spec, existing)
    as_it_is = manifest is not None and is_known(manifest, spec)
    if manifest is not None and as_it_is and not strays(place, manifest):
        return manifest
    try:
        lease = Lease.take(place, spec.fingerprint, spec.input_digests)
    except (OwnedError, OSError):
        # What another process builds there is its own affair, and what lies about where nothing may be written has to
        # stay.
        if manifest is not None and as_it_is:
            return manifest
        raise
    try:
        take_place(place)
        manifest = find(place, spec, existing)  # again: now nobody else writes there
        if manifest is None:
            opened = Opened(place, spec, lease)
            opened.clean()
            return opened
    except ValueError:  # another dataset stands here: nothing was begun
        lease.end()
        raise
    except BaseException:
        lease.let_go()
        raise
    if not is_known(manifest, spec):  # it is kept, and says so from now on
        manifest = replace(manifest, kept_with=(*manifest.kept_with, dict(sorted(spec.versions.items()))))
        places.write_atomically(places.join(place, MANIFEST), manifest.to_json())
    _sweep(place, manifest)
    lease.end()
    return manifest


def take_place(place: str) -> None:
    """Puts the dataset that was built beside another one in its place; nothing when there is none that is whole.

    What a kill leaves of this is finished by the next call.
    """
    beside = places.join(place, NEXT)
    if not places.exists(places.join(beside, MANIFEST)):
        return
    manifest = load_manifest(beside)
    old = strict_json.load(places.join(beside, REPLACED))
    kept = {file.path for file in manifest.files if not places.exists(places.join(beside, file.path))}
    for folder in sorted({path.rpartition("/")[0] for path in (*old, *(file.path for file in manifest.files))}):
        places.check_writable(places.join(place, folder))  # before anything of what stands is gone
    places.remove(places.join(place, MANIFEST))  # before its files: what loses them is no dataset any more
    for path in old:
        target = places.join(place, path)
        if path not in kept and not places.is_folder(target):  # those have been moved already
            places.remove(target)
    for path in (*(file.path for file in manifest.files if file.path not in kept), RUN):
        if places.exists(places.join(beside, path)):
            places.move(places.join(beside, path), places.join(place, path))
    places.write_atomically(places.join(place, MANIFEST), manifest.to_json())
    places.remove(places.join(beside, MANIFEST))
    places.remove(beside)


def _refuse_within_another(place: str) -> None:
    """Raises ValueError where the place lies in a folder of another dataset that its builds clear."""
    parts = places.absolute(place).rstrip("/").split("/")
    for number, part in enumerate(parts):
        above = "/".join(parts[:number])
        if f"{part}/" in OURS and above and (places.exists(places.join(above, MANIFEST)) or is_begun(above)):
            raise ValueError(
                f"{place} lies in the folder {part}/ of the dataset {above}, which is cleared when that is built; name "
                "another output"
            )


def _records(work: str) -> list[str]:
    """The part-records in a build's folder, below it."""
    return [f"{PARTS}/{name}" for name in places.list_files(places.join(work, PARTS)) if name.endswith(".json")]


def _paths(place: str) -> Sequence[str]:
    """The files that the manifest at a place names, as far as it can be read."""
    try:
        return [file.path for file in load_manifest(place).files]
    except UnreadableError as error:
        return error.paths


def strays(place: str, manifest: Manifest) -> list[str]:
    """What builds left at a place that is not in the manifest."""
    named = {file.path for file in manifest.files}
    return [path for path in places.list_files(place) if path not in named and is_ours(path)]


def _sweep(place: str, manifest: Manifest) -> None:
    """Removes what a build left that is not in the manifest, but for the lease."""
    for path in strays(place, manifest):
        if not path.startswith(f"{BUILDING}/"):
            places.remove(places.join(place, path))
    _remove_empty_folders(place)


def _remove_empty_folders(place: str) -> None:
    for folder in OURS:
        places.remove_empty_folders(places.join(place, folder))
