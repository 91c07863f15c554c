"""What an attribute layer is: one value that says all that others need to know of it.

A layer is a dataset that stands beside the documents, file for file and row for row. Its value is Beam-free: whoever
reads layers, draws them or writes a build file reads it. `kinds` lists the layers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

import pyarrow as pa

from transforms.datasets.fates import Reason, Tally
from transforms.datasets.manifest import Counts, Manifest
from transforms.datasets.step import Step

S = TypeVar("S")  # the settings: a frozen dataclass
M = TypeVar("M")  # the means: what a process loads once, such as a model

Batches = Iterable[pa.RecordBatch]
Inputs = Sequence[Mapping[str, Any]]  # of the documents, as their manifest accounts for them


@dataclass(frozen=True)
class Keep:
    """What a layer's columns `keep` and `reason` mean to those who read them.

    Tokenizers and curricula take a document only if every layer keeps it.

    documents: which ones are kept, as the report says it: "documents that are …". unpaired: the fate of a candidate
    pair when the layer does not keep one of its answers; None when answers are paired all the same. questions: whether
    that is the fate as well when it does not keep the question.
    """

    documents: str
    unpaired: Reason | None = None
    questions: bool = False


@dataclass(frozen=True)
class CountGroup:
    """A group of counts that a layer's shards leave, and how a page shows it.

    name: in the manifest's counts. title: over the names. counted: over the numbers. label: of a name for people.
    order: sorts names; None: the largest count first. of: the group that counts all those of which it counts some, by
    the same names; whole: over those numbers.
    """

    name: str
    title: str
    counted: str = "documents"
    label: Callable[[str], str] = str
    order: Callable[[str], float] | None = None
    of: str = ""
    whole: str = "documents"


def _settings_as_they_are(settings: Any) -> Mapping[str, object]:
    return asdict(settings)


def _no_places(settings: Any) -> Sequence[str]:
    return ()


def _no_notes(settings: Any, inputs: Inputs) -> Iterable[str]:
    return ()


def _no_layers(settings: Any) -> Mapping[str, Sequence[str]]:
    return {}


def _nothing_to_check(settings: Any, counts: Counts) -> None:
    pass


def _as_given(settings: Any, beside: Callable[[str], Manifest]) -> Any:
    return settings


def _settings_alone(settings: Any, identity: Mapping[str, object]) -> Any:
    return settings


@dataclass(frozen=True)
class Layer(Generic[S, M]):
    """An attribute layer.

    title, says: what it is, for people. step: the kind of dataset, its version and libraries. schema: its columns;
    doc_id, and with a `keep` also keep and reason. settings: a section of a build file, whose first field may be given
    alone.

    by_default: whether it is made where no layers are named; those that must be told something are not. for_readers:
    whether those who read documents with all layers beside them take it as well. cuts: the column of the spans that
    those who read the documents' texts leave out (`read.read_documents`); of one layer only. settle: the settings, once
    layers stand that say them, whose manifests it gets by name.

    hint: where to get what a setting without a default names. identity: what of the settings decides the layer, places
    as digests of what is there; raises ValueError for settings that cannot be used. notes: what to tell of those that
    can, of documents with such inputs, a line each. check: raises HeldBackError when the settings do not allow a layer
    of such counts; it is asked before the layer stands, and whenever it is made again. open: loads in each process what
    `rows` needs. opens: the places that it reads. needs: the layers that it is made from with such settings, which come
    before it in `kinds`, and their columns. rows: batches of the documents' `columns`, and of those of the layers it
    needs as "layer.column", to the layer's rows and counts; None for a layer that needs all documents at once, for
    which annotate has a transform.
    """

    title: str
    says: str
    step: Step
    schema: pa.Schema
    settings: type[S]
    keep: Keep | None = None
    groups: Sequence[CountGroup] = ()
    columns: Sequence[str] = ("doc_id",)
    needs: Callable[[S], Mapping[str, Sequence[str]]] = _no_layers
    by_default: bool = True
    for_readers: bool = True
    cuts: str = ""
    settle: Callable[[S, Callable[[str], Manifest]], S] = _as_given
    hint: str = ""
    identity: Callable[[S], Mapping[str, object]] = _settings_as_they_are
    notes: Callable[[S, Inputs], Iterable[str]] = _no_notes
    check: Callable[[S, Counts], None] = _nothing_to_check
    opens: Callable[[S], Sequence[str]] = _no_places
    open: Callable[[S, Mapping[str, object]], M] = _settings_alone
    rows: Callable[[Batches, M], tuple[pa.Table, Tally]] | None = None

    @property
    def name(self) -> str:
        """Of its folder, its kind of dataset, its section in build files."""
        return self.step.kind
