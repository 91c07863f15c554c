"""What is asked of one document: the datasets that may know of it, where it stands in them, and what they say.

Documents, layers and tokens stand row for row beside each other: a document is looked for in the smallest of them, by
its id alone, and read from the others by its row. Memory: a batch of a shard.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.differences import Pieces
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.datasets.names import in_split
from transforms.datasets.schema import SPLITS
from transforms.datasets.texts import TEXT_COLUMNS, full_text
from transforms.layers.kinds import LAYERS

MOST_LISTED = 20  # of the documents, pairs or sequences that an explanation names; of more it says how many there are

_LAYER = "layers/"  # before the name of a layer among parents

Row = Mapping[str, Any]


class Where(NamedTuple):
    """A shard, and a row in it."""

    path: str
    row: int


class Text(NamedTuple):
    """What a document says, in pieces. marked: what is said of those that differ."""

    doc_id: str
    pieces: Pieces
    marked: str = "is not in the other"


@dataclass(frozen=True)
class Explanation:
    """What a dataset says of the document. says: in a line. facts: by name, as Arrow gives them in Python. texts: the
    document's, and perhaps another one's. unknown: what cannot be told, and why."""

    says: str
    facts: Row = field(default_factory=dict)
    texts: Sequence[Text] = ()
    unknown: Sequence[str] = ()


class Case:
    """A document, and the datasets by kind. documents: those whose texts are shown, whether or not they are asked."""

    def __init__(self, doc_id: str, datasets: Mapping[str, Dataset], documents: Dataset | None) -> None:
        self.doc_id, self.datasets, self.documents = doc_id, datasets, documents
        known = [*datasets.values(), *([documents] if documents else [])]
        self._smallest: dict[Dataset, Dataset] = {}  # of those that stand row for row beside each
        for beside in _row_for_row(known):
            smallest = min(beside, key=lambda dataset: sum(file.bytes for file in dataset.manifest.data_files))
            self._smallest |= dict.fromkeys(beside, smallest)
        self._found: dict[Dataset, dict[str, Where | None]] = {}

    def find(self, dataset: Dataset, ids: Collection[str]) -> dict[str, Where]:
        """Where those of these documents stand that are there. dataset: documents, a layer or tokens."""
        smallest = self._smallest[dataset]
        found = self._found.setdefault(smallest, {})
        if missing := set(ids) - found.keys():
            found |= dict.fromkeys(missing) | _find(smallest, missing)
        return {doc_id: where for doc_id in ids if (where := found[doc_id]) is not None}

    def where(self, dataset: Dataset) -> Where | None:
        """Where the document stands."""
        return self.find(dataset, [self.doc_id]).get(self.doc_id)

    def row(self, dataset: Dataset, columns: Sequence[str] | None = None, doc_id: str | None = None) -> Row | None:
        """The document's row, or that of another one."""
        wanted = self.doc_id if doc_id is None else doc_id
        where = self.find(dataset, [wanted]).get(wanted)
        return None if where is None else _read_row(dataset, where, wanted, columns)

    def an_id(self) -> str | None:
        """The first id that there is."""
        for dataset in self._smallest.values():
            for path in dataset.paths:
                for batch in shards.iter_batches(dataset, path, ["doc_id"]):
                    return str(batch["doc_id"][0])
        return None

    def texts(self, ids: Collection[str]) -> dict[str, str]:
        """What documents say, of those that are there."""
        if self.documents is None:
            return {}
        rows = {
            doc_id: _read_row(self.documents, where, doc_id, TEXT_COLUMNS)
            for doc_id, where in self.find(self.documents, ids).items()
        }
        return {doc_id: full_text(row["title"], row["text"]) for doc_id, row in rows.items()}

    def split_paths(self, dataset: Dataset, made_from: Sequence[str]) -> Sequence[str]:
        """The shards of pairs or preference data that may hold the document: all, unless its own shard is known.

        made_from: the kinds from which the dataset was made, step by step, down to the documents.
        """
        origin: Dataset | None = dataset
        for kind in made_from:
            parent = self.documents if kind == "documents" else self.datasets.get(kind)
            same = origin is not None and parent is not None and origin.manifest.parents.get(kind) == parent.digest
            origin = parent if same else None
        if origin is None:
            return dataset.paths
        where = self.where(origin)
        wanted = [in_split(where.path, split) for split in SPLITS] if where else []
        return [path for path in dataset.paths if path in wanted]

    def layers_of(self, dataset: Dataset) -> tuple[dict[str, Dataset], list[str]]:
        """The layers that a dataset was made with, and the names of those of them that are not here."""
        parents = dataset.manifest.parents
        made_with = {role.removeprefix(_LAYER): parents[role] for role in parents if role.startswith(_LAYER)}
        here = {name: found for name, found in self.datasets.items() if made_with.get(name) == found.digest}
        return here, sorted(made_with.keys() - here.keys())


def _read_row(dataset: Dataset, where: Where, doc_id: str, columns: Sequence[str] | None = None) -> Row:
    """A row, with its doc_id. Raises ValueError when another document stands there."""
    wanted = columns if columns is None or "doc_id" in columns else ["doc_id", *columns]
    row: Row = shards.read_rows(dataset, where.path, [where.row], wanted).to_pylist()[0]
    if row["doc_id"] != doc_id:
        raise ValueError(
            f"row {where.row:,} of {where.path} in {dataset.place} is {row['doc_id']!r}, and {doc_id!r} in what stands "
            "beside it; run agora verify on both"
        )
    return row


def _row_for_row(datasets: Iterable[Dataset]) -> Iterable[Sequence[Dataset]]:
    """Those whose rows are documents, as they stand beside each other."""
    found: dict[tuple[object, ...], list[Dataset]] = {}
    for dataset in datasets:
        if dataset.manifest.kind in {"documents", "tokens", *LAYERS}:
            rows = tuple((file.path, file.rows, file.ids_sha256) for file in dataset.manifest.data_files)
            found.setdefault(rows, []).append(dataset)
    return found.values()


def _find(dataset: Dataset, ids: Collection[str]) -> dict[str, Where]:
    found: dict[str, Where] = {}
    wanted = pa.array(sorted(ids), pa.string())
    for path in dataset.paths:
        start = 0
        for batch in shards.iter_batches(dataset, path, ["doc_id"]):
            for row in np.flatnonzero(pc.is_in(batch["doc_id"], wanted).to_numpy(False)).tolist():
                found[batch["doc_id"][row].as_py()] = Where(path, start + row)
            if len(found) == len(ids):
                return found
            start += batch.num_rows
    return found
