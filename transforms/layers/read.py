"""The layers beside a dataset, for those who read them: where they are, their rows, and what they say together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets import places
from transforms.datasets.align import check_aligned, check_rows_aligned
from transforms.datasets.dataset import Dataset
from transforms.datasets.manifest import Manifest
from transforms.datasets.names import MANIFEST
from transforms.datasets.texts import cut_out
from transforms.io.shard import Shard
from transforms.layers.kinds import LAYERS

_ROLE = "layers/"  # of a layer among parents: layers/split


@dataclass(frozen=True)
class Beside:
    """Layers that stand beside a dataset, by name."""

    layers: Mapping[str, Dataset]

    @property
    def parents(self) -> dict[str, str]:
        """Their digests, by role."""
        return {f"{_ROLE}{name}": layer.digest for name, layer in self.layers.items()}

    @property
    def places(self) -> list[str]:
        """Their folders."""
        return [layer.place for layer in self.layers.values()]


def cutting_at(place: str) -> list[str]:
    """The layers at a place without whose spans texts are read, whole or not."""
    return [name for name, layer in LAYERS.items() if layer.cuts and places.list_files(places.join(place, name))]


def find_layers(dataset: Manifest, place: str, needed: Sequence[str], others: bool = True) -> Beside:
    """The layers at a place: those that are needed, and with `others` every other one for readers that is there.

    Raises ValueError for one that is needed and missing, is not whole, describes other documents, or was made from
    another layer than the one that is found beside it; and for tokens of texts that were cut by others than these.
    """
    found = {}
    for name in (name for name, layer in LAYERS.items() if name in needed or (others and layer.for_readers)):
        layer = places.join(place, name)
        if places.exists(places.join(layer, MANIFEST)):
            found[name] = Dataset.open(layer, name)
        elif name in needed:
            raise ValueError(f"no {name} layer at {place}; make it with agora annotate --layers {','.join(needed)}")
        elif places.list_files(layer):
            raise ValueError(
                f"the {name} layer at {place} has no manifest: it is not whole; finish it with agora annotate --layers "
                f"{name}, or remove the folder {layer} to be without it"
            )
    for name, layer_dataset in found.items():
        check_aligned(dataset, layer_dataset.manifest, name)
    beside = Beside(found)
    for name, layer_dataset in found.items():
        made_from = layer_dataset.manifest.parents
        if other := [role for role, digest in beside.parents.items() if made_from.get(role, digest) != digest]:
            raise ValueError(
                f"the {name} layer at {place} was made from another {other[0].removeprefix(_ROLE)} layer than the one "
                f"beside it; make it anew with agora annotate --layers {name} --replace"
            )
    if dataset.kind == "tokens":
        _check_cut(dataset, beside, place)
    return beside


def _check_cut(tokens: Manifest, beside: Beside, place: str) -> None:
    for role in (f"{_ROLE}{name}" for name, layer in LAYERS.items() if layer.cuts):
        if tokens.parents.get(role) != beside.parents.get(role):
            raise ValueError(
                f"the tokens were made of texts with the {role.removeprefix(_ROLE)} layer "
                f"{tokens.parents.get(role, 'nowhere')[:16]}, and at {place} it is "
                f"{beside.parents.get(role, 'nowhere')[:16]}: lines would be cut by one and documents left out by the "
                f"other. Make the tokens anew with agora tokenize --layers {place} --replace"
            )


def read_layers(shard: Shard, columns: Mapping[str, Sequence[str]]) -> dict[str, pa.Table]:
    """The rows of each layer beside a shard: doc_id, keep and reason where it has them, and the columns named.

    columns: by layer. Raises ValueError when one of these layers is not there.
    """
    tables = {}
    for name in dict.fromkeys((*shard.layers, *columns)):
        fates = ("keep", "reason") if LAYERS[name].keep else ()
        tables[name] = shard.read_layer(name, list(dict.fromkeys(("doc_id", *fates, *columns.get(name, ())))))
    return tables


def read_documents(shard: Shard, columns: Sequence[str]) -> pa.Table:
    """Columns of documents, whose text is without what the layers beside them cut. Raises ValueError as
    `document_batches`."""
    batches = list(document_batches(shard, columns)) if _cut_by(shard, columns) else []
    return pa.Table.from_batches(batches) if batches else shard.read(columns)


def document_batches(shard: Shard, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """`read_documents` batch by batch. Memory: besides, ids and spans of the shard.

    Raises ValueError for spans of other documents or other texts.
    """
    tables = {name: shard.read_layer(name, ["doc_id", LAYERS[name].cuts]) for name in _cut_by(shard, columns)}
    if tables:
        check_rows_aligned(shard.read(["doc_id"]), tables)
    start = 0
    for batch in shard.batches(columns):
        here = {name: table.slice(start, batch.num_rows) for name, table in tables.items()}
        start += batch.num_rows
        yield from cut_texts(pa.Table.from_batches([batch]), here).to_batches() if here else [batch]


def cut_texts(documents: pa.Table, layers: Mapping[str, pa.Table]) -> pa.Table:
    """Documents whose text is without what these layers cut, row for row. Raises ValueError as `cut_out`."""
    for name in layers:
        if spans := LAYERS[name].cuts:
            text = cut_out(documents.column("text"), layers[name].column(spans))
            documents = documents.set_column(documents.column_names.index("text"), documents.schema.field("text"), text)
    return documents


def _cut_by(shard: Shard, columns: Sequence[str]) -> list[str]:
    return [name for name in shard.layers if LAYERS[name].cuts and "text" in columns]


def drop_reasons(layers: Mapping[str, pa.Table]) -> pa.Array:
    """[rows] why a document is not kept, as the first layer says that does not keep it; null where all keep it.

    Raises ValueError where a layer drops a document and does not say why.
    """
    reasons = pa.nulls(_num_rows(layers), pa.string())
    for name in reversed([name for name, layer in LAYERS.items() if layer.keep and name in layers]):
        keep, reason = (layers[name].column(column).combine_chunks() for column in ("keep", "reason"))
        if pc.any(pc.and_(pc.invert(keep), pc.is_null(reason))).as_py():
            raise ValueError(f"the {name} layer drops a document without a reason; annotate these documents anew")
        reasons = pc.if_else(keep, reasons, reason)
    return reasons


def unpaired_reasons(layers: Mapping[str, pa.Table], are_questions: pa.Array) -> pa.Array:
    """[rows] the fate of candidate pairs with this answer, or of all pairs under this question; null where no layer has
    anything against it. are_questions: [rows] of booleans."""
    reasons = pa.nulls(_num_rows(layers), pa.string())
    for name in reversed([name for name in LAYERS if name in layers]):
        meaning = LAYERS[name].keep
        if meaning and meaning.unpaired:
            keep = layers[name].column("keep").combine_chunks()
            paired = keep if meaning.questions else pc.or_(keep, are_questions)
            reasons = pc.if_else(paired, reasons, pa.scalar(meaning.unpaired.value))
    return reasons


def _num_rows(layers: Mapping[str, pa.Table]) -> int:
    return next((table.num_rows for table in layers.values()), 0)
