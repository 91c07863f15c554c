"""Files of fastText classifiers: loaded as the ones they are known as, and made. The only importer of fastText."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import fasttext

from transforms.datasets import places

LABEL = "__label__"  # begins the labels of a classifier, and marks them in the lines it is trained on


def load(place: str, sha256: str, called: str, again: str) -> Any:
    """The classifier at a place. called: what errors call it; again: the command that takes another one.

    Raises ValueError when the file is not the one of this SHA-256, or no fastText model.
    """
    if places.is_local(place):
        check(places.sha256(place), sha256, place, called, again)
        return _load(places.local_path(place), place)
    data = places.read_bytes(place)
    check(hashlib.sha256(data).hexdigest(), sha256, place, called, again)
    return read(data, place)


def check(found: str, wanted: str, place: str, called: str, again: str) -> None:
    """Raises ValueError when a file's SHA-256 is not the one wanted."""
    if found != wanted:
        raise ValueError(
            f"the {called} {place} changed: SHA-256 {found[:16]}, wanted {wanted[:16]}; {again} again with the model "
            "you mean"
        )


def read(data: bytes, place: str) -> Any:
    """The classifier of a file's bytes; place: what errors call it. Raises ValueError when it is no fastText model."""
    with tempfile.NamedTemporaryFile(suffix=".bin") as copy:  # fastText reads local files only
        copy.write(data)
        copy.flush()
        return _load(copy.name, place)


def _load(path: str, place: str) -> Any:
    try:
        model = fasttext.load_model(path)
        model.f.multilinePredict(["a\n"], 1, 0.0, "strict")  # of a file that is cut off, only this fails
        return model
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ValueError(f"{place} is no fastText model: {error}") from error


def train(
    samples: Iterable[tuple[str, str]], quantized: Mapping[str, int | bool] | None = None, **options: int | float | str
) -> bytes:
    """The file of a classifier of samples: labels, and lines of text. options: fastText's; quantized: those of its
    quantisation, None: none.

    The same samples in the same order give the same bytes: fastText does so on one thread only.
    """
    with tempfile.TemporaryDirectory() as folder:
        text, file = Path(folder, "lines.txt"), Path(folder, "model.bin")
        with text.open("w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(f"{LABEL}{label} {_plain(line)}\n" for label, line in samples)
        model = fasttext.train_supervised(str(text), thread=1, verbose=0, **options)
        if quantized is not None:
            model.quantize(str(text), thread=1, verbose=0, **quantized)
        model.save_model(str(file))
        return file.read_bytes()


def _plain(line: str) -> str:
    """Without what is a label to fastText, or the end of a line."""
    return line.replace(LABEL, " ").replace("</s>", " ") if "__" in line or "<" in line else line
