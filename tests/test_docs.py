"""docs/formats.md names the columns that the code writes, and the documents' links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from transforms.datasets import schema
from transforms.layers.kinds import LAYERS

ROOT = Path(__file__).parents[1]
FORMATS = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")

SECTIONS = {
    "documents": schema.DOCUMENTS,
    "rejects": schema.REJECTS,
    **{name: layer.schema for name, layer in LAYERS.items()},
    "pairs": schema.PAIRS,
    "tokens": schema.tokens_schema(pa.uint16()),
    "preference": schema.preference_schema(pa.uint16()),
    "curriculum": schema.curriculum_schema(pa.uint16()),
    "evaluation": schema.SCORES,
}


def section(title: str) -> str:
    assert f"\n## {title}\n" in FORMATS, f"docs/formats.md has no section {title!r} that names its columns"
    return FORMATS.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("name", SECTIONS)
def test_formats_names_every_column_and_no_other(name: str) -> None:
    named = set()
    nullable = set()
    for line in section(name).splitlines():
        if line.startswith("| `"):
            first, kind = line.split(" | ")[:2]
            columns = re.findall(r"`(\w+)`", first)
            named.update(columns)
            nullable.update(columns if "or null" in kind else ())
    assert named == set(SECTIONS[name].names)
    assert nullable == {field.name for field in SECTIONS[name] if field.nullable}


def test_formats_states_the_version() -> None:
    assert FORMATS.startswith(f"# Formats, schema version {schema.SCHEMA_VERSION}\n")


PAGES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name} links to {target}, which is not there"


def test_architecture_names_real_files() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:transforms|tokenizer|trainers|pipelines|tests)/[\w/]+\.(?:py|tsv))`", text):
        assert (ROOT / name).exists(), name
