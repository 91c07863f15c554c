"""Tries with damaged files: what runs its own step again, and what reads them, notices and names them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.try_forum import STEPS, Forum, Outcome, Result, Tries, Try, emptied, wrong
from tests import laws
from tokenizer.encoder import Encoder
from trainers.data.curriculum import CurriculumLoader
from trainers.data.groups import PreferenceData
from transforms.datasets.names import DATA, MANIFEST, REJECTS

_FLIPS = 3  # of each file, at places that the seed draws


def _flipped(data: bytes, place: int, bit: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def _damages(data: bytes, chance: random.Random) -> Iterator[tuple[str, bytes | None]]:
    """Names and what becomes of the bytes; None: the file is removed."""
    yield "cut to nothing", b""
    yield "cut to half", data[: len(data) // 2]
    yield "without its last byte", data[:-1]
    yield "one byte longer", data + b"\0"
    yield "removed", None
    for _ in range(_FLIPS):
        place, bit = chance.randrange(len(data)), chance.randrange(8)
        yield f"bit {bit} of byte {place} flipped", _flipped(data, place, bit)


@contextmanager
def damaged(file: Path, data: bytes | None) -> Iterator[None]:
    """A file holds these bytes, or is not there (None), while the block runs."""
    before = file.read_bytes()
    try:
        file.unlink() if data is None else file.write_bytes(data)
        yield
    finally:
        file.write_bytes(before)


def _names_it(error: Exception, file: Path, folder: Path) -> bool:
    """Whether a message names the file, below its dataset."""
    name = file.name if file.parent == folder else f"{file.parent.name}/{file.name}"
    return name in str(error) and str(folder) in str(error)


def rerun(forum: Forum, seed: int) -> Tries:
    """Every file of every dataset is damaged, and its step is run again."""
    for step in STEPS:
        for dataset in forum.datasets(step):
            folder = forum.folder / dataset
            for file in forum.files(dataset):
                chance = random.Random(f"{seed} {dataset} {file.name}")
                for how, data in _damages(file.read_bytes(), chance):
                    name = f"{dataset}/{file.relative_to(folder)} {how}, {step} again"
                    yield Try(
                        name,
                        partial(_rerun, forum, step, file, data, folder),
                    )


def _rerun(forum: Forum, step: str, file: Path, data: bytes | None, folder: Path) -> Result:
    before = laws.files_of(folder)
    with damaged(file, data):
        try:
            forum.steps()[step]()
        except ValueError as error:
            if not _names_it(error, file, folder):
                return wrong(f"refused, but without its name: {error}")
            return Result(Outcome.TOLD, str(error))
        if laws.files_of(folder) != before:
            return wrong("called unchanged")
    return Result(Outcome.UNDISTURBED)


# What reads each dataset: the steps, and the loaders.
READERS: Mapping[str, tuple[str, ...]] = {
    "documents": ("layers", "pairs", "tokenizer", "tokens"),
    "layers/language": ("layers", "pairs", "tokenizer", "tokens", "curriculum"),
    "layers/quality": ("pairs", "tokenizer", "curriculum"),
    "layers/contamination": ("pairs", "tokenizer", "curriculum"),
    "layers/duplicates": ("pairs", "tokenizer", "curriculum"),
    "layers/repeated_lines": ("pairs", "tokenizer", "tokens", "curriculum"),
    "layers/signatures": (),  # searches in other documents: tests/test_against.py
    "layers/split": ("pairs", "tokenizer", "curriculum"),
    "pairs": ("preference",),
    "tokenizer": ("tokens", "preference"),
    "tokens": ("curriculum",),
    "preference": ("preference loader",),
    "curriculum": ("curriculum loader",),
}


def read(forum: Forum, seed: int) -> Tries:
    """Every file that later steps read is damaged, and each of them is run."""
    for dataset, readers in READERS.items():
        folder = forum.folder / dataset
        for file in forum.files(dataset):
            if file.parent.name == REJECTS:
                continue
            chance = random.Random(f"{seed} {dataset} {file.name}")
            for how, data in _damages(file.read_bytes(), chance):
                for reader in readers:
                    name = f"{dataset}/{file.relative_to(folder)} {how}, read by {reader}"
                    yield Try(
                        name,
                        partial(_read, forum, reader, file, data, folder),
                    )


def _read(forum: Forum, reader: str, file: Path, data: bytes | None, folder: Path) -> Result:
    into = emptied(forum.folder / "tries")
    gone = data is None and file.name == MANIFEST  # then it is no dataset, and a tokenizer is anybody's
    with damaged(file, data):
        try:
            _run(forum, reader, into)
        except Exception as error:  # Beam wraps what a worker raised
            if not (_names_it(error, file, folder) or (gone and folder.name in str(error))):
                return wrong(f"refused, but without its name: {error!r}")
            return Result(Outcome.TOLD, str(error))
    if reader in STEPS and (difference := forum.differences(reader, into)):
        return wrong(f"read in silence: {difference}")
    if reader not in STEPS and file.parent.name == DATA:
        return wrong("read in silence")
    if file.name == MANIFEST and not gone:
        return wrong("a manifest was read in silence")
    return Result(Outcome.UNDISTURBED)


def _run(forum: Forum, reader: str, into: Path) -> None:
    if reader in STEPS:
        forum.steps(into=into)[reader]()
        return
    encoder = Encoder.load(str(forum.folder / "tokenizer"))
    if reader == "preference loader":
        for split in ("train", "validation", "holdout"):
            PreferenceData(str(forum.folder / "preference"), split, encoder.end_of_text, encoder.vocab_size)
        return
    loader = CurriculumLoader(str(forum.folder / "curriculum"), 8, 4, encoder.pad, encoder.vocab_size)
    for step in range(loader.steps):
        loader.batch(step, 0, 1)
