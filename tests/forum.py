"""A small forum as datasets: documents and layers, written as ingest and annotate do, for tests of later steps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.small_dataset import dataset_of, read_file
from transforms.datasets.manifest import DatasetSpec, Manifest, load_manifest
from transforms.datasets.names import shard_name
from transforms.datasets.schema import DOCUMENTS
from transforms.dedup.spec import SCHEMA as DUPLICATES
from transforms.layers.language import SCHEMA as LANGUAGE
from transforms.layers.split import SCHEMA as SPLIT

Row = dict[str, Any]

EPOCH = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def post(number: int, kind: str, thread: int, text: str, **more: Any) -> Row:
    """A document row; post ids are "test:NNNNN", a thread is named by its question."""
    row: Row = dict.fromkeys(DOCUMENTS.names)
    row |= {
        "doc_id": f"test:{number:05d}",
        "thread_id": f"test:{thread:05d}",
        "kind": kind,
        "text": text,
        "tags": [],
        "flags": [],
        "attributes": [],
        "source": "test",
        "site": "test",
        "created": EPOCH + dt.timedelta(minutes=number),
        "license": "CC BY-SA 4.0",
        "url": f"https://test.example/{number}",
    }
    return row | more


def write_documents(place: Path, shards_of_rows: Sequence[Sequence[Row]]) -> Manifest:
    """A documents dataset with these rows in these shards, in the order given."""
    return _write(place, "documents", DOCUMENTS, shards_of_rows)


def write_layers(
    place: Path,
    documents: Path,
    language: Callable[[Row], str | None] = lambda row: "eng_Latn",
    duplicate_of: Mapping[str, str] | None = None,
    split: Callable[[Row], str] = lambda row: "train",
) -> None:
    """The three layers of a documents dataset, from functions of a row. duplicate_of: an id to its representative."""
    copies = duplicate_of or {}
    rows = [read_file(str(documents), file.path).to_pylist() for file in load_manifest(str(documents)).data_files]
    _write(place / "language", "language", LANGUAGE, [[_language(row, language(row)) for row in part] for part in rows])
    _write(
        place / "duplicates",
        "duplicates",
        DUPLICATES,
        [[_duplicate(row["doc_id"], copies) for row in part] for part in rows],
    )
    _write(
        place / "split",
        "split",
        SPLIT,
        [[{"doc_id": row["doc_id"], "split": split(row)} for row in part] for part in rows],
    )


def _language(row: Row, code: str | None) -> Row:
    return {
        "doc_id": row["doc_id"],
        "language": code,
        "confidence": 0.9 if code else 0.1,
        "runner_up": None,
        "runner_up_confidence": 0.0,
        "stated": False,
        "mixed": False,
        "keep": code is not None,
        "reason": None if code else "language-unsure",
    }


def _duplicate(doc_id: str, copies: Mapping[str, str]) -> Row:
    copy = doc_id in copies
    return {
        "doc_id": doc_id,
        "cluster": copies.get(doc_id, doc_id),
        "cluster_size": 2 if copy or doc_id in copies.values() else 1,
        "keep": not copy,
        "reason": "near-duplicate" if copy else None,
    }


def _write(place: Path, kind: str, schema: pa.Schema, shards_of_rows: Iterable[Sequence[Row]]) -> Manifest:
    parts = [pa.Table.from_pylist(list(rows), schema=schema) for rows in shards_of_rows]
    spec = DatasetSpec(kind, {"version": 1, "rows": [part.to_pylist() for part in parts].__repr__()})
    return dataset_of(place, spec, {shard_name(number, len(parts)): part for number, part in enumerate(parts)})
