"""What Agora is shipped with, a line each: pair rules, recipes, configurations, sources, by place; languages."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path
from typing import Annotated

import typer

from tokenizer.languages import LANGUAGES, Language, closest, from_tag, may_mean
from transforms.sources.kinds import SOURCES

_HERE = Path(__file__).parent
_CONFIGS = _HERE.parent / "trainers" / "configs"
_WORD = re.compile(r"[\w']+")


def says(file: Path) -> str:
    """The comment that a YAML file begins with, on one line."""
    lines = takewhile(lambda line: line.startswith("#"), file.read_text(encoding="utf-8").splitlines())
    return " ".join(line.lstrip("# ") for line in lines)


def _tell(rows: Iterable[Sequence[str]]) -> None:
    """A line each, in columns: name, place, what it is."""
    listed = list(rows)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    for row in listed:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _files(folder: Path, prefix: str = "") -> list[tuple[str, str, str]]:
    return [(f"{prefix}{file.stem}", str(file), says(file)) for file in sorted(folder.glob("*.yaml"))]


def rules() -> None:
    """List the pair rules that are shipped, with their files."""
    _tell(_files(_HERE / "rules"))


def recipes() -> None:
    """List the curriculum recipes that are shipped, with their files."""
    _tell(_files(_HERE / "recipes"))


def configs() -> None:
    """List the training configurations that are shipped, by what they train, with their files."""
    _tell(row for kind in sorted(_CONFIGS.iterdir()) if kind.is_dir() for row in _files(kind, f"{kind.name} "))


def sources() -> None:
    """List the forum formats and corpora that are read, and where each is written."""
    _tell(
        (source.name, str(sys.modules[source.describe.__module__].__file__), f"{source.says}{_mapped(source.mapped)}")
        for source in SOURCES.values()
    )


def _mapped(mapped: bool) -> str:
    return "; takes a mapping that says what the fields of its rows are" if mapped else ""


def languages(
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="[TAG]...", help="Only what these name: swh_Latn, pt-BR, Swahili.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with every column.")] = False,
) -> None:
    """List the languages that are known, with the labels that models have for them."""
    chosen = [_named(tag) for tag in tags] if tags else list(LANGUAGES.values())
    if as_json:
        for row in chosen:
            print(json.dumps(asdict(row), ensure_ascii=False))
        return
    heads = ("code", "name", "tag", "lid.176", "least", "Qwen2.5", "PolyLM", "GlotLID")
    _tell([heads, *(_columns(row) for row in chosen)])


def _columns(row: Language) -> Sequence[str]:
    sets = ("yes" if known else "-" for known in (row.qwen25, row.polylm))
    labels = " ".join(row.glotlid) or "-"
    return (row.code, row.name, row.bcp47, row.lid176 or "-", f"{row.lid_threshold:.2f}", *sets, labels)


def _named(tag: str) -> Language:
    if (row := from_tag(tag)) is not None:
        return row
    rows = may_mean(tag)
    if not rows and len(rows := _by_name(tag)) == 1:
        return rows[0]
    if rows:
        raise ValueError(f"{tag!r} leaves open what is meant; it may be {', '.join(row.code for row in rows)}")
    raise ValueError(f"{tag!r} names no language of the table; nearest: {', '.join(closest(tag))}")


def _by_name(name: str) -> list[Language]:
    """Rows with just the words of an English name, in any order; else those whose names have them all."""
    asked = _words(name)
    found = [row for row in LANGUAGES.values() if asked and asked <= _words(row.name)]
    return [row for row in found if asked == _words(row.name)] or found


def _words(name: str) -> set[str]:
    return set(_WORD.findall(name.casefold()))
