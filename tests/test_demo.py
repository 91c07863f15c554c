"""The main job on the embedded sample, as `make demo` runs it: what the sample and the shipped settings must reach."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from tests import laws
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, lid_model: Path) -> Path:
    """A build of examples/demo.yaml, elsewhere."""
    folder = tmp_path_factory.mktemp("demo")
    build = yaml.safe_load((ROOT / "examples" / "demo.yaml").read_text()) | {"output": str(folder / "out")}
    (folder / "demo.yaml").write_text(yaml.safe_dump(build))
    command = [sys.executable, "-m", "pipelines.cli", "build", str(folder / "demo.yaml")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return folder / "out"


def test_the_model_lies_above_every_trivial_rule(demo: Path) -> None:
    found = json.loads((demo / "evaluation" / "evaluation.json").read_text())
    assert found["split"] == "holdout"
    assert found["pairs"] >= 300
    assert set(found["baselines"]) == {"longer", "earlier", "chance"}
    for name, baseline in found["baselines"].items():
        assert found["accuracy"]["low"] > baseline["accuracy"]["high"], name
        assert baseline["difference"]["low"] > 0, name


def test_no_kept_answer_stands_in_two_splits(demo: Path) -> None:
    splits = {row["doc_id"]: row["split"] for row in laws.all_rows(demo / "layers" / "split")}
    kept = {row["doc_id"] for row in laws.all_rows(demo / "layers" / "duplicates") if row["keep"]}
    where: dict[str, set[str]] = defaultdict(set)
    for row in laws.all_rows(demo / "documents"):
        if row["kind"] == "answer" and row["doc_id"] in kept:
            where[row["text"]].add(splits[row["doc_id"]])
    assert len(where) > 4000
    assert not [text for text, found in where.items() if len(found) > 1]


def test_every_dataset_is_sound_and_the_report_is_written(demo: Path) -> None:
    manifests = sorted(path.parent for path in demo.rglob("manifest.json"))
    assert len(manifests) == 13
    for place in manifests:
        laws.assert_sound(place)
    page = (demo / "report.html").read_text("utf-8")
    assert len(page) > 50_000
    assert "In every step, what came in is what was kept plus what was dropped for a stated reason." in page
    assert "defect" not in page
    assert "What cannot be read" not in page
