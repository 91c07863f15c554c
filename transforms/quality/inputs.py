"""Texts to train a classifier on, or to score: lines of text, lines of JSON, or a documents dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO

import orjson

from transforms.datasets import places
from transforms.datasets.dataset import Dataset
from transforms.datasets.shards import iter_batches
from transforms.datasets.texts import TEXT_COLUMNS, iter_texts

Row = Mapping[str, object]
"""What is known of a text, which is its `text`."""


def digest(place: str) -> str:
    """What names the content of an input: the SHA-256 of a file or of a dataset's manifest. Raises ValueError when
    there is none."""
    if places.is_folder(place):
        return Dataset.open(place, "documents").digest
    if not places.exists(place):
        raise ValueError(f"no file and no documents at {place}; check the path")
    return places.sha256(place)


def read(place: str) -> Iterator[tuple[str, Row]]:
    """Each text of an input, with its row, in order: of a folder, the documents with their titles.

    Raises ValueError when there is no input, the folder is no documents dataset, or the file is read as JSON (see
    `read_lines`) and a line is not.
    """
    if places.is_folder(place):
        dataset = Dataset.open(place, "documents")
        for path in dataset.paths:
            for ids, texts in iter_texts(iter_batches(dataset, path, TEXT_COLUMNS)):
                yield from ((text, {"doc_id": doc_id, "text": text}) for doc_id, text in zip(ids, texts, strict=True))
        return
    if not places.exists(place):
        raise ValueError(f"no file and no documents at {place}; check the path")
    with places.open_input(place) as file:
        yield from read_lines(file, place)


def read_lines(file: IO[bytes], place: str) -> Iterator[tuple[str, Row]]:
    """A text a line; where the first line is a JSON object, all are, and their `text` is read.

    place: what errors call the file. Raises ValueError for a line of JSON that is no object with a text.
    """
    is_json = False
    for number, line in enumerate(file, 1):
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if number == 1:
            is_json = isinstance(_parsed(line), dict)
        if not is_json:
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            yield text, {"text": text}
        elif not line.isspace():
            row = _parsed(line)
            found = row.get("text") if isinstance(row, dict) else None
            if not isinstance(row, dict) or not isinstance(found, str):
                raise ValueError(
                    f"{place}, line {number}: got {_cut(line)}, wanted a JSON object with a text, as in line 1; mend "
                    "the line, or name a file with a text a line"
                )
            yield found, row


def _parsed(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _cut(line: bytes) -> str:
    text = line.decode("utf-8", "replace").strip()
    return repr(text if len(text) <= 60 else f"{text[:60]} …")
