"""The manifest round-trips, and says what is wrong where there is none of the right kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.small_dataset import build
from transforms.manifest import Manifest, load_manifest


def test_manifests_are_json_that_round_trips(tmp_path: Path) -> None:
    manifest = build(tmp_path)
    text = (tmp_path / "manifest.json").read_bytes()
    assert Manifest.from_json(text).to_json() == text
    assert json.loads(text)["kind"] == "split"
    with pytest.raises(ValueError, match="a pairs dataset is needed"):
        load_manifest(str(tmp_path), "pairs")
    assert manifest.digest == load_manifest(str(tmp_path)).digest


def test_a_folder_of_datasets_names_them(tmp_path: Path) -> None:
    build(tmp_path / "layers" / "split")
    with pytest.raises(ValueError, match="the datasets split are below it"):
        load_manifest(str(tmp_path / "layers"))
