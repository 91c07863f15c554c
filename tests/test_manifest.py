"""The manifest round-trips, and says what is wrong where there is none of the right kind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.small_dataset import build
from transforms.datasets.align import check_aligned
from transforms.datasets.manifest import DatasetSpec, Manifest, ShardFile, load_manifest
from transforms.datasets.names import MANIFEST


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


def test_the_digest_names_the_content_of_every_kept_file_and_of_nothing_else(tmp_path: Path) -> None:
    manifest = build(tmp_path)
    first, second = manifest.files
    for change in ({"sha256": "0" * 64}, {"rows": 9}, {"path": "data/other.arrow"}):
        assert replace(manifest, files=[first, replace(second, **change)]).digest != manifest.digest, change
    reject = ShardFile("rejects/00000.jsonl", 0, 9, "0" * 64, "0" * 32)
    account = [{"name": "Posts.xml", "sha256": "1"}]
    assert replace(manifest, files=[*manifest.files, reject], inputs=account).digest == manifest.digest


def test_inputs_are_told_apart_by_content_and_by_what_they_are_read_as() -> None:
    def digests(**change: str) -> list[str]:
        one = {"name": "a.xml", "sha256": "1", "source": "stackexchange", "site": "beer"}
        return DatasetSpec("documents", {}, inputs=({**one, **change},)).input_digests

    assert digests(name="b.xml") == digests()
    for change in ({"sha256": "2"}, {"source": "reddit"}, {"site": "wine"}):
        assert digests(**change) != digests(), change


@pytest.mark.parametrize("change", [{"rows": 9}, {"ids_sha256": "0" * 64}, {"path": "data/other.arrow"}])
def test_a_layer_of_other_rows_ids_or_shards_describes_other_documents(
    tmp_path: Path, change: dict[str, object]
) -> None:
    documents = build(tmp_path)
    check_aligned(documents, documents, "split")
    first, second = documents.files
    layer = replace(documents, files=[first, replace(second, **change)])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the split layer does not describe these documents"):
        check_aligned(documents, layer, "split")


@pytest.mark.parametrize(
    "change",
    [{"rows": "9"}, {"rows": True}, {"bytes": 1.0}, {"sha256": None}, {"counts": []}, {"counts": {"a": {"b": "1"}}}],
)
def test_values_of_another_type_make_no_manifest(change: dict[str, Any], tmp_path: Path) -> None:
    """Also where the manifest carries the digest of just these values."""
    manifest = build(tmp_path)
    first, *others = manifest.files
    (tmp_path / MANIFEST).write_bytes(replace(manifest, files=(replace(first, **change), *others)).to_json())
    with pytest.raises(ValueError, match="is no manifest of schema version"):
        load_manifest(str(tmp_path))
