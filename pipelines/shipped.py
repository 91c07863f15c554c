"""What Agora is shipped with, each with its place and a line on it: pair rules, recipes, configurations, sources."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

from transforms.sources.kinds import SOURCES

_HERE = Path(__file__).parent
_CONFIGS = _HERE.parent / "trainers" / "configs"


def says(file: Path) -> str:
    """The comment that a YAML file begins with, on one line."""
    lines = takewhile(lambda line: line.startswith("#"), file.read_text(encoding="utf-8").splitlines())
    return " ".join(line.lstrip("# ") for line in lines)


def _tell(rows: Iterable[tuple[str, str, str]]) -> None:
    """name, place, what it is: a line each."""
    listed = list(rows)
    widths = [max(map(len, column)) for column in list(zip(*listed, strict=True))[:2]]
    for name, place, what in listed:
        print(f"{name:<{widths[0]}}  {place:<{widths[1]}}  {what}")


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
