"""Show: rows of a dataset as people read them, or as JSON lines; what was dropped for a reason, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer

from pipelines.command import Trust, printing, run_command
from transforms.datasets import places, shown
from transforms.datasets.dataset import Dataset
from transforms.datasets.manifest import Manifest, load_manifest
from transforms.datasets.names import REJECTS, split_of
from transforms.datasets.shards import iter_batches
from transforms.layers.kinds import LAYERS

_LONGEST_TEXT = 400  # characters that are shown of one
_MOST_ITEMS = 8  # of a list
_BESIDE = ("title", "text")  # columns of a document that are shown with its row in a layer
_SPLIT, _REASON = "split", "reason"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Chosen:
    """Which rows: those dropped for a reason, of a split; and which of their columns, by default all."""

    reason: str | None = None
    split: str | None = None
    columns: Sequence[str] = ()


def find_rows(place: str, chosen: Chosen, documents: str | None = None) -> Iterator[tuple[str, Row]]:
    """(shard, row) in order, as Arrow gives them in Python. Memory: a batch.

    Rows of a layer come with title and text of their documents: those at `documents`, or where a build has them. Raises
    ValueError for a dataset without rows, an unknown reason, split or column, and documents that are others.
    """
    dataset = Dataset.open(place)
    manifest = dataset.manifest
    paths = _paths(place, manifest, chosen)
    beside = _documents(place, manifest, documents)
    for path in paths:
        texts = iter_batches(beside, path, ["doc_id", *_BESIDE]) if beside else None
        for batch in iter_batches(dataset, path):
            table = pa.Table.from_batches([batch])
            if texts is not None:
                table = _joined(table, pa.Table.from_batches([next(texts)]), path)
            for column, value in ((_REASON, chosen.reason), (_SPLIT, chosen.split)):
                if value is not None and column in table.column_names:
                    table = table.filter(pc.equal(table.column(column), value))
            for row in _select(table, chosen.columns, path).to_pylist():
                yield path, row


def _paths(place: str, manifest: Manifest, chosen: Chosen) -> list[str]:
    """The shards that may hold the rows."""
    paths = [file.path for file in manifest.data_files]
    if not paths:
        raise ValueError(
            f"{place} is a {manifest.kind} dataset and holds no rows, but {', '.join(f.path for f in manifest.files)}"
        )
    if chosen.split is not None:
        found = [path for path in paths if split_of(path) == chosen.split]
        if not found and chosen.split not in manifest.counts.get(_SPLIT, {}):
            known = sorted({*filter(None, map(split_of, paths)), *manifest.counts.get(_SPLIT, {})})
            raise ValueError(f"{place} has no split {chosen.split!r}; {_one_of(known, 'it is not split')}")
        paths = found or paths
    if chosen.reason is not None:
        rejects = [file.path for file in manifest.files if file.path.startswith(f"{REJECTS}/")]
        _check_reason(place, manifest, chosen.reason, bool(rejects))
        paths = rejects or paths
    return paths


def _check_reason(place: str, manifest: Manifest, reason: str, rejects: bool) -> None:
    """Raises ValueError for a reason for which no row was dropped that stands somewhere."""
    dropped, candidates = (dict(manifest.counts.get(group, {})) for group in ("drop", "candidates"))
    written = rejects or manifest.kind in LAYERS
    if reason in dropped and written:
        return
    candidates.pop("kept", None)
    known = [f"{name} ({number:,})" for name, number in sorted({**dropped, **candidates}.items())]
    told = _one_of(known, "it dropped none") if written else f"it only counts them: {', '.join(known) or 'none'}"
    raise ValueError(f"{place} holds no rows that were dropped for {reason!r}; {told}")


def _one_of(names: Sequence[str], none: str) -> str:
    return f"one of {', '.join(names)}" if names else none


def _documents(place: str, manifest: Manifest, documents: str | None) -> Dataset | None:
    """The documents that a layer describes: those named, else those of the build that it is in; None for others."""
    if manifest.kind not in LAYERS:
        if documents is not None:
            raise ValueError(f"--documents is for layers, and {place} is a {manifest.kind} dataset")
        return None
    wanted = manifest.parents.get("documents")
    if documents is not None:
        found = Dataset.open(documents, "documents")
        if found.digest != wanted:
            raise ValueError(f"{place} does not describe the documents at {documents}, but others; name those")
        return found
    layers = place.rstrip("/").rpartition("/")[0] or "."
    build = places.join(layers, "..") if places.is_local(place) else layers.rpartition("/")[0]
    guess = places.join(build, "documents")
    try:
        found = Dataset.open(guess, "documents")
    except (ValueError, OSError):
        return None
    return found if found.digest == wanted else None


def _joined(layer: pa.Table, documents: pa.Table, path: str) -> pa.Table:
    """A layer's rows with their documents', which stand in the same order."""
    if not layer.column("doc_id").equals(documents.column("doc_id")):
        raise ValueError(f"the rows of {path} are not those of the documents; run agora verify on both")
    for name in _BESIDE:
        layer = layer.append_column(name, documents.column(name))
    return layer


def _select(table: pa.Table, columns: Sequence[str], path: str) -> pa.Table:
    for column in columns:
        if column not in table.column_names:
            raise ValueError(f"{path} has no column {column!r}; it has {', '.join(table.column_names)}")
    return table.select(list(columns)) if columns else table


# ------------------------------------------------------------------------------------- as people read it


def lines_of(row: Row) -> Iterator[str]:
    """A row as YAML would have it, roughly: without what is not there, long texts and lists cut, and nothing in it that
    steers a terminal."""
    for name, value in row.items():
        if value is not None and value != []:
            yield from _lines(f"{shown.name(name)}:", value)


def _lines(head: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield head
        yield from (f"  {line}" for line in lines_of(value))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        yield head
        for item in value[:_MOST_ITEMS]:
            first, *rest = [*lines_of(item or {})] or ["nothing"]
            yield f"  - {first}"
            yield from (f"    {line}" for line in rest)
        if len(value) > _MOST_ITEMS:
            yield f"  … ({len(value):,} in all)"
    elif isinstance(value, list):
        items = ", ".join(shown.name(_cut(str(item))) for item in value[:_MOST_ITEMS])
        more = f", … ({len(value):,} in all)" if len(value) > _MOST_ITEMS else ""
        yield f"{head} [{items}{more}]"
    else:
        first, *rest = shown.message(_cut(str(value))).split("\n")
        if rest:
            yield f"{head} |"
            yield from (f"  {line}" for line in [first, *rest])
        else:
            yield f"{head} {first}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} … ({len(text):,} characters)"


def command(
    place: Annotated[str, typer.Argument(metavar="DATASET", help="Folder of a dataset.")],
    reason: Annotated[
        str | None, typer.Option(help="Rows that were dropped for this: rejects, or rows of a layer.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many rows.")] = 5,
    split: Annotated[str | None, typer.Option(help="Rows of one split: train, validation or holdout.")] = None,
    columns: Annotated[str, typer.Option(help="Only these columns, separated by commas.")] = "",
    documents: Annotated[
        str | None, typer.Option(help="Documents of a layer, for their texts; by default those of its build.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Whole rows, as JSON lines.")] = False,
    trust: Trust = False,
) -> None:
    """Show rows of a dataset, or with --reason those that were dropped for it."""
    chosen = Chosen(reason, split, [name.strip() for name in columns.split(",") if name.strip()])
    found = islice(find_rows(place, chosen, documents), limit)
    number = 0
    with printing():
        for number, (path, row) in enumerate(found, 1):
            if as_json:
                print(shown.json_line(row))
            else:
                print(f"{'' if number == 1 else chr(10)}# {path}", *lines_of(row), sep="\n")
    if not number:
        raise ValueError(f"{place} holds no such rows; {load_manifest(place).rows:,} rows in all")


if __name__ == "__main__":
    run_command(command)
