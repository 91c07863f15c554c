"""A dataset that is read: its manifest, and files that are checked against it before they are used."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from transforms.datasets import checks, places
from transforms.datasets.checks import DamagedError
from transforms.datasets.lease import is_begun
from transforms.datasets.manifest import Manifest, ShardFile, load_manifest
from transforms.datasets.names import MANIFEST, RUN


@dataclass(frozen=True)
class Dataset:
    """A dataset as it stood when it was opened: small enough to be sent to every worker. digest: its manifest's."""

    place: str
    digest: str

    @staticmethod
    def open(place: str, kind: str | None = None) -> Dataset:
        """Raises ValueError when there is none, or it is of another kind."""
        manifest = load_manifest(place, kind)
        dataset = Dataset(place, manifest.digest)
        _known[dataset] = _Known(manifest)
        return dataset

    @property
    def manifest(self) -> Manifest:
        """Raises DamagedError when another dataset stands there by now."""
        return _know(self).manifest

    @property
    def paths(self) -> list[str]:
        """The kept shards in order."""
        return _know(self).paths

    def file(self, path: str) -> ShardFile:
        """The manifest's entry. Raises ValueError when it has none."""
        if path not in (files := _know(self).files):
            raise ValueError(f"{self.place} has no file {path}")
        return files[path]

    def open_file(self, path: str) -> pa.NativeFile:
        """A file, checked. A local one is mapped; a remote one is fetched whole, and held in memory."""
        file, place = self.file(path), places.join(self.place, path)
        try:
            if places.is_local(place):
                return pa.BufferReader(checks.mapped(self.place, file))
            data = places.read_bytes(place)
            checks.check_hash(self.place, file, places.xxh3_of(data))
            return pa.BufferReader(data)
        except DamagedError:
            _refuse_replaced(self, load_manifest(self.place))
            raise

    def check(self) -> None:
        """Raises DamagedError, which names the file, unless every file is the one that was committed."""
        for file in self.manifest.files:
            checks.check(self.place, file)


class _Known:
    """What a process knows of a dataset that it reads."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.paths = [file.path for file in manifest.data_files]
        self.files = {file.path: file for file in manifest.files}


_known: dict[Dataset, _Known] = {}


def _know(dataset: Dataset) -> _Known:
    if dataset not in _known:  # a worker's first look
        manifest = load_manifest(dataset.place)
        _refuse_replaced(dataset, manifest)
        _known[dataset] = _Known(manifest)
    return _known[dataset]


def _refuse_replaced(dataset: Dataset, now: Manifest) -> None:
    if now.digest != dataset.digest:
        raise DamagedError(
            f"{dataset.place} was replaced while it was read: it was dataset {dataset.digest[:16]}, now "
            f"{now.digest[:16]} stands there; run the command again"
        )


def check_folder(place: str) -> None:
    """Checks every file of a tokenizer or model that is a dataset of ours; any other folder is taken as it is.

    Raises ValueError for one whose build has not ended, DamagedError for one with other files.
    """
    if places.exists(places.join(place, MANIFEST)) or is_begun(place):
        dataset = Dataset.open(place)
        dataset.check()
        if foreign := foreign_files(place, dataset.manifest):
            raise DamagedError(
                f"{place} is damaged: {foreign[0]} is not in its manifest, and whoever loads a tokenizer or model "
                "reads it; remove it"
            )


def foreign_files(place: str, manifest: Manifest) -> list[str]:
    """What lies beside the files of a tokenizer or model, and would be read as one of them."""
    named = {file.path for file in manifest.files}
    if any("/" in path for path in named):  # shards
        return []
    read = (".json", ".jinja", ".safetensors", ".model", ".bin")
    return [
        path
        for path in places.list_files(place)
        if path not in named and path not in (MANIFEST, RUN) and "/" not in path and path.endswith(read)
    ]
