"""Reads what torch.distributed.checkpoint (dcp) wrote as data: nothing that a checkpoint holds can run code.

dcp's own reader unpickles `.metadata`, and every saved value that is no tensor, and a pickle may call any function.
Here `.metadata` may name only what dcp describes a checkpoint with, and values are read by torch.load's `weights_only`,
as dcp itself reads tensors. Hashes do not help against forgers: who changes a file can change its hash.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Collection
from enum import Enum
from pathlib import Path, PurePosixPath

import torch
from torch.distributed.checkpoint import DefaultLoadPlanner, FileSystemReader, Metadata
from torch.distributed.checkpoint.planner import ReadItem

METADATA = ".metadata"
# What torch 2.11 to 2.13 write; all are plain records, and _get_layout looks a name up in a table.
_ALLOWED = {
    *(
        ("torch.distributed.checkpoint.metadata", name)
        for name in (
            *("Metadata", "MetadataIndex", "StorageMeta", "BytesStorageMetadata", "TensorStorageMetadata"),
            *("TensorProperties", "ChunkStorageMetadata", "_MEM_FORMAT_ENCODING"),
        )
    ),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    ("torch.serialization", "_get_layout"),
    ("torch", "Size"),
}


def read_metadata(checkpoint: Path, files: Collection[str]) -> Metadata:
    """A checkpoint's table of contents. Raises ValueError when it names anything but dcp's own records, or a file that
    is not one of `files`."""
    path = checkpoint / METADATA
    try:
        with path.open("rb") as file:
            metadata = _Unpickler(file).load()
        outside = sorted({info.relative_path for info in metadata.storage_data.values()} - set(files))
    except Exception as error:  # a pickle can raise anything
        raise ValueError(
            f"{path} is refused: {error}. A checkpoint holds data alone, so this one was not written by a trainer, or "
            "not left as written; find out who changed it, and remove it"
        ) from error
    if outside:
        raise ValueError(f"{path} is refused: it points to {outside[0]}, which is no file of the checkpoint; remove it")
    return metadata


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        if module == "torch" and isinstance(torch.__dict__.get(name), torch.dtype):
            return torch.__dict__[name]
        if module in ("pathlib", "pathlib._local") and name == "PosixPath":  # the second since Python 3.13
            return PurePosixPath
        if (module, name) == ("builtins", "getattr"):  # how Python 3.11.0 to 3.11.3 pickle a member of an enum
            return _member
        raise pickle.UnpicklingError(f"it names {module}.{name}, which has no place in a checkpoint's metadata")


def _member(kind: type[Enum], name: str) -> Enum:
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        raise pickle.UnpicklingError(f"it reads {name} of {kind!r}, which is no enum")
    return kind[name]


class Reader(FileSystemReader):
    """dcp's reader of a folder, with a table of contents that is already read."""

    def __init__(self, checkpoint: Path, metadata: Metadata) -> None:
        super().__init__(checkpoint)
        self._metadata = metadata

    def read_metadata(self) -> Metadata:  # without `rank`, so that dcp looks for no other table
        """The checkpoint's table, as it was checked."""
        return self._metadata


class Planner(DefaultLoadPlanner):
    """dcp's planner, which takes values for what `weights_only` makes of them."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        """Reads a value that is no tensor. Raises what torch does for anything but plain data."""
        plain = io.BytesIO()
        torch.save(torch.load(value, weights_only=True), plain)  # dcp's own planner reads its bytes without limits
        plain.seek(0)
        super().load_bytes(read_item, plain)
