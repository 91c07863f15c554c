"""The real texts of ../shared/data by set, for measures of near-duplicates."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.generate import SHARED

DATA = SHARED.parents[1]
_ROW = re.compile(r"<row [^<]*/>")
_ATTRIBUTE = re.compile(r'\b(\w+)="([^"]*)"')
_TAG = re.compile(r"<[^>]*>")


def real_sets() -> dict[str, Callable[[], Iterator[str]]]:
    """By name, what gives the texts of a set; small sets first."""
    forums = {f"{folder.name}/{name}": _xml(folder / f"{name}.xml") for folder, name in _tables()}
    files = {
        name: _json(DATA / name)
        for name in (
            "forums/reddit-modern",
            "text",
            "decontam",
            "preference/llmbar",
            "preference/llama-factory",
        )
    }
    lines = {f"lid/{name}": _lines(DATA / "lid" / name) for name in _FOLDERS}
    return {**forums, **files, **lines}


_FOLDERS = ("nusax", "vardial-ili", "shami", "tatoeba", "common-voice", "udhr", "lingua", "flores-part-A", "nllb-seed")


def _tables() -> Iterator[tuple[Path, str]]:
    for folder in sorted(SHARED.iterdir()):
        for name in ("Posts", "Comments", "PostHistory"):
            if (folder / f"{name}.xml").exists():
                yield folder, name


def attributes(file: Path) -> Iterator[dict[str, str]]:
    """Of every row of a table of a dump."""
    for row in _ROW.findall(file.read_text("utf-8-sig", "replace")):
        yield {name: html.unescape(value) for name, value in _ATTRIBUTE.findall(row)}


def _xml(file: Path) -> Callable[[], Iterator[str]]:
    def texts() -> Iterator[str]:
        for row in attributes(file):
            if body := row.get("Body"):
                yield html.unescape(_TAG.sub(" ", body))
            elif text := row.get("Text"):
                yield text

    return texts


def _lines(folder: Path) -> Callable[[], Iterator[str]]:
    def texts() -> Iterator[str]:
        for file in sorted(path for path in folder.rglob("*") if path.suffix in (".txt", ".csv", ".tsv")):
            yield from file.read_text("utf-8", "replace").splitlines()

    return texts


def _json(folder: Path) -> Callable[[], Iterator[str]]:
    """Every string of five words or more in the JSON files of a folder."""

    def texts() -> Iterator[str]:
        for file in sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".jsonl")):
            said = file.read_text("utf-8", "replace")
            try:
                values = [json.loads(said)]
            except ValueError:
                values = [json.loads(line) for line in said.splitlines() if line.strip()]
            yield from (text for text in _strings(values) if len(text.split()) >= 5)

    return texts


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
