"""The data that a model is trained on: sentences of known languages, by source.

    DIR/sources.tsv             source, licence, attribution, cap, weight: a row a source
    DIR/<source>/<label>.txt    sentences, one a line

A label is a code of the table, or any other name: then its language is not listed. cap: the most sentences that a
source gives to a label. weight: how many times one of its sentences counts.
"""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tokenizer.languages import LANGUAGES, closest, listed_by
from transforms.datasets import places
from transforms.datasets.ids import keyed_hash

SOURCES = "sources.tsv"
_COLUMNS = ["source", "licence", "attribution", "cap", "weight"]
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_NUMBER = re.compile(r"0*[1-9][0-9]{0,9}")
_MOST_WEIGHT = 100  # a sentence is in memory as often as it counts
_LIKE_OURS = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
_SCRIPTS = {row.script for row in LANGUAGES.values()}
_BLOCK = 20  # lines: neighbours are often of one document, and are held out together
_PARTS = 10  # of which one is held out


@dataclass(frozen=True)
class Source:
    """A row of sources.tsv."""

    name: str
    licence: str
    attribution: str
    cap: int
    weight: int


@dataclass(frozen=True)
class Sentences:
    """What one source has in one language."""

    source: Source
    label: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Corpus:
    """All sentences, in order of source and label, whatever the order of the files."""

    sources: Sequence[Source]
    parts: Sequence[Sentences]

    def labels(self) -> list[str]:
        """Ascending."""
        return sorted({part.label for part in self.parts})

    def of(self, label: str) -> list[Sentences]:
        """What the sources have of a label."""
        return [part for part in self.parts if part.label == label]

    def split(self) -> tuple[Corpus, Corpus]:
        """Nine tenths and the rest: of each file every tenth block of 20 lines."""
        kept: list[Sentences] = []
        held_out: list[Sentences] = []
        for part in self.parts:
            for into, wanted in ((kept, False), (held_out, True)):
                lines = [line for number, line in enumerate(part.lines) if _is_held_out(number) == wanted]
                if lines:
                    into.append(Sentences(part.source, part.label, lines))
        return Corpus(self.sources, kept), Corpus(self.sources, held_out)


def _is_held_out(line: int) -> bool:
    return line // _BLOCK % _PARTS == _PARTS // 2 - 1


def random_of(seed: int, *purpose: str) -> random.Random:
    """Chance for one purpose, the same on every machine."""
    return random.Random(keyed_hash("langid-train", str(seed), *purpose))


def read_corpus(folder: str, seed: int) -> Corpus:
    """Reads a folder; of a file with more sentences than its source's cap, some by the seed.

    Raises ValueError when the folder is not as the head of this file says.
    """
    table = places.join(folder, SOURCES)
    if not places.exists(table):
        raise ValueError(
            f"{folder} has no {SOURCES}; wanted one line for each folder of sentences: {', '.join(_COLUMNS)}, "
            "between tabs (docs/languages.md)"
        )
    sources = _read_sources(table)
    files: dict[str, list[str]] = {source: [] for source in sources}
    for path in sorted(places.list_files(folder)):
        if path == SOURCES:
            continue
        source, _, file = path.partition("/")
        if source not in sources or "/" in file or not file.endswith(".txt"):
            raise ValueError(
                f"{places.join(folder, path)} is not of the layout: wanted {SOURCES} and, for the sources that it "
                f"names ({', '.join(sources)}), <source>/<label>.txt"
            )
        files[source].append(file)
    parts = []
    for name, found in sorted(files.items()):
        if not found:
            raise ValueError(f"{table} names the source {name!r}, and {folder} has no file {name}/<label>.txt")
        for file in found:
            parts.append(_read_sentences(folder, sources[name], file, seed))
    return Corpus(list(sources.values()), parts)


def _read_sources(table: str) -> Mapping[str, Source]:
    text = _decoded(places.read_bytes(table), table)
    rows = list(csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))
    if not rows or rows[0] != _COLUMNS:
        raise ValueError(
            f"{table} must begin with the columns {', '.join(_COLUMNS)}, between tabs; "
            f"got {' | '.join(rows[0] if rows else [])}"
        )
    sources: dict[str, Source] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(_COLUMNS):
            raise ValueError(f"{table}, line {number}, has {len(row)} values; wanted {len(_COLUMNS)}, between tabs")
        name, licence, attribution, *numbers = row
        if not all(_NUMBER.fullmatch(value) for value in numbers) or int(numbers[1]) > _MOST_WEIGHT:
            raise ValueError(
                f"{table}, line {number}: cap and weight must be whole and positive, and a weight at most "
                f"{_MOST_WEIGHT}; got {', '.join(numbers)}"
            )
        if not _LABEL.fullmatch(name) or name in sources or not licence:
            raise ValueError(
                f"{table}, line {number}: wanted a source's name, once, and its licence; got {name!r}, {licence!r}"
            )
        sources[name] = Source(name, licence, attribution, *map(int, numbers))
    if not sources:
        raise ValueError(f"{table} names no source")
    return sources


def _read_sentences(folder: str, source: Source, file: str, seed: int) -> Sentences:
    place = places.join(folder, source.name, file)
    label = file.removesuffix(".txt")
    _check_label(label, place)
    lines = [" ".join(line.split()) for line in _decoded(places.read_bytes(place), place).split("\n")]
    lines = [line for line in dict.fromkeys(lines) if line]
    if not lines:
        raise ValueError(f"{place} has no sentence; wanted one a line")
    if len(lines) > source.cap:
        picked = random_of(seed, "cap", source.name, label).sample(range(len(lines)), source.cap)
        lines = [lines[number] for number in sorted(picked)]
    return Sentences(source, label, lines)


def _check_label(label: str, place: str) -> None:
    """A listed language by another name, or its code mistyped, would silently be a language that is not listed."""
    if label in LANGUAGES:
        return
    if meant := listed_by(label):
        raise ValueError(
            f"{place}: {label!r} is a name of {meant[0].name}, and no code of the language table; name the file by the "
            f"code: {', '.join(row.code for row in meant)}"
        )
    near = closest(label)
    same = label.replace("-", "_").casefold() == near[0].casefold()
    if not _LABEL.fullmatch(label) or same or (_LIKE_OURS.fullmatch(label) and label[4:] not in _SCRIPTS):
        raise ValueError(
            f"{place}: {label!r} is no code of the language table, nearest: {', '.join(near)}; a language that is not "
            "listed may have any other name of letters, digits and _"
        )


def _decoded(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{place} is not UTF-8: {error}") from error
