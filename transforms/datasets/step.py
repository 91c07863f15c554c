"""A step: begun, built, checked and committed in one place, for every dataset that is made.

What decides a dataset's content is its settings, its parents, and the code that makes it: the step's own version and
those of the libraries that decide content. All of them are in its fingerprint, so an upgrade is never "unchanged".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from transforms.datasets import places
from transforms.datasets.building import Build
from transforms.datasets.manifest import STEP_VERSION, Counts, DatasetSpec, Manifest
from transforms.datasets.opening import Opened, begin, nothing_to_check
from transforms.datasets.standing import Existing, find


@dataclass(frozen=True)
class Step:
    """What makes the datasets of one kind.

    version: raised whenever content may change though no setting did. libraries: distributions of which the same holds
    (pyarrow and numpy are none of them: they store and compute what we say).
    """

    kind: str
    version: int
    libraries: tuple[str, ...] = ()

    def spec(
        self,
        settings: Mapping[str, object],
        parents: Mapping[str, str] | None = None,
        inputs: Sequence[Mapping[str, object]] = (),
    ) -> DatasetSpec:
        """What one dataset is made from. Raises ValueError when a library is not installed."""
        return DatasetSpec(self.kind, settings, parents or {}, inputs, self.versions())

    def versions(self) -> dict[str, str]:
        """The versions that are at work here."""
        return {STEP_VERSION: str(self.version), **library_versions(self.libraries)}


# What trainers make. It stands here, so that a build can tell an upgrade without loading torch.
MODEL = Step("model", version=2)
EVALUATION = Step("evaluation", version=2)


def library_versions(names: Sequence[str]) -> dict[str, str]:
    """The installed versions of distributions. Raises ValueError for one that is not installed."""
    try:
        return {name: version(name) for name in names}
    except PackageNotFoundError as error:
        raise ValueError(f"the library {error.name} is not installed; install Agora with its requirements") from None


class RefusedError(ValueError):
    """Raised by a build whose outcome must not become a dataset: nothing of it stays."""


@dataclass(frozen=True)
class Whole:
    """What is known of a dataset when its files are written, and of no single one of them.

    inputs: the account of the raw inputs, with what was counted in them. counts: added to the sum of the files' counts.
    run: what else run.json shall say of this run.
    """

    inputs: Sequence[Mapping[str, object]] | None = None
    counts: Counts | None = None
    run: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Wanted:
    """A dataset that a step makes: where, from what, and which files it will have.

    reads: the places of the datasets it is made from. check: sees the manifest before anybody else does, and raises
    ValueError when it must not be published, HeldBackError when another run may.
    """

    place: str
    spec: DatasetSpec
    paths: Sequence[str]
    reads: Sequence[str] = ()
    check: Callable[[Manifest], None] = nothing_to_check


_REHEARSAL = "rehearsal"  # the nonce of builds that are no one's


def make(
    datasets: Sequence[Wanted],
    existing: Existing,
    build: Callable[[Sequence[Build]], Whole | None],
    rehearse: bool = False,
) -> list[Manifest]:
    """Makes datasets that one run builds together; returns their manifests, in order.

    build: gets the builds of those that do not stand yet, and writes every file of theirs that an interrupted run has
    not finished (`Build.finished`); it is not called when all of them stand. rehearse: nothing is begun, and `build`
    must raise when it has done what it does before it writes; what an interrupted run has finished stays.

    Raises ValueError when another dataset stands at a place, unless `existing` says what becomes of it, OwnedError when
    another process builds at one, and what `build` and `check` raise. After a refusal by either nothing of the builds
    is left; after another error, such as HeldBackError, finished files stay. What stood before stands until its
    successor is committed.
    """
    for wanted in datasets:
        _check_apart(wanted)
    # All, before anything is begun.
    missing = [wanted for wanted in datasets if find(wanted.place, wanted.spec, existing) is None]
    if rehearse and missing:
        build([Build(wanted.place, wanted.spec.kind, wanted.spec.fingerprint, _REHEARSAL) for wanted in missing])
    manifests: dict[str, Manifest] = {}
    with ExitStack() as stack:
        opened: dict[str, Opened] = {}
        for wanted in datasets:
            begun = begin(wanted.place, wanted.spec, existing)
            if isinstance(begun, Opened):
                opened[wanted.place] = stack.enter_context(begun)
            else:
                manifests[wanted.place] = begun
        try:
            builds = [found.build for found in opened.values()]
            whole = (build(builds) if builds else None) or Whole()
        except RefusedError:
            for found in opened.values():
                found.abandon()
            raise
        for wanted in datasets:
            if wanted.place in opened:
                manifests[wanted.place] = opened[wanted.place].commit(
                    wanted.paths, whole.counts, whole.inputs, whole.run, wanted.check
                )
    return [manifests[wanted.place] for wanted in datasets]


def make_one(
    wanted: Wanted, existing: Existing, build: Callable[[Build], Whole | None], rehearse: bool = False
) -> Manifest:
    """`make` of a single dataset."""
    (manifest,) = make([wanted], existing, lambda builds: build(builds[0]), rehearse)
    return manifest


def _check_apart(wanted: Wanted) -> None:
    if places.absolute(wanted.place) in map(places.absolute, wanted.reads):
        raise ValueError(
            f"the output {wanted.place} is what the {wanted.spec.kind} are made from: it would be replaced "
            "by them; name another output"
        )
