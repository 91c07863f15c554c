"""Why: what became of a document, dataset by dataset, and on what evidence; for people, or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Annotated

import typer

from pipelines.command import Trust, printing, run_command
from pipelines.differences import Pieces, shortened
from pipelines.explain.case import Case, Explanation
from pipelines.explain.kinds import explainers
from pipelines.show import lines_of
from transforms.datasets import places, shown
from transforms.datasets.dataset import Dataset
from transforms.datasets.names import MANIFEST

_CHARACTERS, _ALIKE = 1600, 300  # that are shown of a text, and of a stretch of it that is in both
_MARKS = (("[-", "-]"), ("{+", "+}"))  # around what differs in the document, and in the other one, as wdiff has it

Explained = Mapping[str, Explanation]


def explain(doc_id: str, place: str, documents: str | None = None) -> tuple[Explained, list[str]]:
    """What each dataset at a place says of a document, by kind, and what is not known.

    place: the folder of a build, of layers, or of one dataset. documents: where its documents are, by default where a
    build has them. Raises ValueError for a place without such datasets, documents that are others, and a document of
    which none of the datasets tells anything.
    """
    try:
        doc_id.encode()
    except UnicodeEncodeError:
        raise ValueError(f"no document has the id {doc_id!r}: ids are UTF-8, and these are other bytes") from None
    asked = _datasets(place)
    if not asked:
        raise ValueError(f"{place} holds no dataset that tells of documents; name a build, or one of its datasets")
    case = Case(doc_id, asked, _documents(place, asked, documents))
    is_document = "documents" not in asked or case.where(asked["documents"]) is not None
    asking = asked if is_document else {"documents": asked["documents"]}  # which knows of rejected records as well
    said = {kind: explainers()[kind](case, dataset) for kind, dataset in asking.items()}
    if not any(explanation.facts for explanation in said.values()):
        told = "; ".join(f"{kind}: {explanation.says}" for kind, explanation in said.items())
        such_as = f"; ids look like {some!r}" if (some := case.an_id()) else ""
        raise ValueError(f"nothing at {place} tells of {doc_id!r} ({told}){such_as}")
    unknown = [f"{kind}: {line}" for kind, explanation in said.items() for line in explanation.unknown]
    unknown += _others(asked)
    if len(asked) > 1 and (absent := [kind for kind in explainers() if kind not in asked]):
        unknown.append(f"{', '.join(absent)}: not at {place}")
    return said, unknown


def _others(asked: Mapping[str, Dataset]) -> Iterator[str]:
    """Datasets that were made from another one than is asked: what they say may be of another build."""
    for kind, dataset in asked.items():
        for role, digest in dataset.manifest.parents.items():
            parent = asked.get(role.removeprefix("layers/"))
            if parent is not None and parent.digest != digest:
                yield f"{kind}: was made from another {parent.manifest.kind} dataset than stands here"


def _datasets(place: str) -> dict[str, Dataset]:
    """The datasets that can be asked, by kind: the one at the place, or those below it."""
    if places.exists(places.join(place, MANIFEST)):
        dataset = Dataset.open(place)
        kind = dataset.manifest.kind
        return {kind: dataset} if kind in explainers() else {}
    found = {}
    for kind in explainers():
        for at in (places.join(place, kind), places.join(place, "layers", kind)):
            if kind not in found and places.exists(places.join(at, MANIFEST)):
                found[kind] = Dataset.open(at, kind)
    return found


def _documents(place: str, asked: Mapping[str, Dataset], named: str | None) -> Dataset | None:
    """The documents whose texts are shown; None where none are found."""
    if "documents" in asked:
        if named is not None:
            raise ValueError(f"{place} has documents; --documents is for layers, pairs and tokens that stand elsewhere")
        return asked["documents"]
    made_of = {dataset.manifest.parents.get("documents") for dataset in asked.values()}
    if named is not None:
        found = Dataset.open(named, "documents")
        if found.digest not in made_of:
            raise ValueError(
                f"what stands at {place} was not made of the documents at {named}, but of others; name those"
            )
        return found
    for above in islice(_folders_above(place), 2):
        with suppress(ValueError, OSError):
            found = Dataset.open(places.join(above, "documents"), "documents")
            if found.digest in made_of:
                return found
    return None


def _folders_above(place: str) -> Iterator[str]:
    while True:
        place = places.join(place, "..") if places.is_local(place) else place.rstrip("/").rpartition("/")[0]
        yield place


# ------------------------------------------------------------------------------------- as people read it


def _lines(doc_id: str, said: Explained, unknown: list[str]) -> Iterator[str]:
    yield shown.name(doc_id)
    for kind, explanation in said.items():
        yield f"\n{kind}: {shown.name(explanation.says)}"
        facts = {name: value for name, value in explanation.facts.items() if name != "doc_id"}
        yield from (f"  {line}" for line in lines_of(facts))
        for text, marks in zip(explanation.texts, _MARKS, strict=False):
            yield f"  {shown.name(text.doc_id)}, {'…'.join(marks)} {text.marked}:"
            written = _marked(shortened(text.pieces, _CHARACTERS, _ALIKE), *marks)
            yield from (f"    {line}" for line in shown.message(written).split("\n"))
    if unknown:
        yield "\nnot known:"
        yield from (f"  {shown.name(line)}" for line in unknown)


def _marked(pieces: Pieces, begin: str, end: str) -> str:
    return "".join(f"{begin}{piece.text}{end}" if piece.differs else piece.text for piece in pieces)


def _as_json(doc_id: str, said: Explained, unknown: list[str]) -> str:
    datasets = {
        kind: {
            "says": explanation.says,
            "facts": explanation.facts,
            "texts": [
                {"doc_id": text.doc_id, "pieces": [piece._asdict() for piece in text.pieces]}
                for text in explanation.texts
            ],
        }
        for kind, explanation in said.items()
    }
    return shown.json_line({"doc_id": doc_id, "datasets": datasets, "unknown": unknown})


def command(
    doc_id: Annotated[str, typer.Argument(metavar="DOC_ID", help="Id of a document.")],
    place: Annotated[
        str, typer.Argument(metavar="DIR", help="Folder of a build, of layers, or of one of their datasets.")
    ],
    documents: Annotated[
        str | None, typer.Option(help="Its documents, for their texts; by default those of the build.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, with whole texts.")] = False,
    trust: Trust = False,
) -> None:
    """Say what became of a document in each dataset of a build, and on what evidence."""
    said, unknown = explain(doc_id, place, documents)
    with printing():
        if as_json:
            print(_as_json(doc_id, said, unknown))
        else:
            print(*_lines(doc_id, said, unknown), sep="\n")


if __name__ == "__main__":
    run_command(command)
