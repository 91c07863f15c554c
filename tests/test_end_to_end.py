"""The whole path, from a dump to curriculum and preference shards, held against the laws: same bytes for any workers,
order and cut of the input; a killed build is finished by the next; nothing half-done is ever visible."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests import laws
from tests.conftest import ROOT, forum_rows, write_posts
from transforms.datasets.verify import find_problems

QUESTIONS = 60
DATASETS = [
    "documents", "layers/language", "layers/quality", "layers/duplicates", "layers/split", "pairs", "tokenizer",
    "tokens", "curriculum", "preference",
]  # fmt: skip
RECIPE = {
    "name": "tiny",
    "version": 1,
    "max_repeats": 8,
    "stages": [
        {"name": "one", "share_of_pool": 0.8, "sequence_length": 128, "alpha": 1.0, "shards": 2},
        {"name": "two", "share_of_pool": 0.2, "sequence_length": 256, "alpha": 0.5, "shards": 1},
    ],
}


def build_file(folder: Path, output: Path, inputs: list[Path], lid_model: Path) -> Path:
    """A build file without training."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    build = {
        "output": str(output),
        "inputs": [{"path": str(path), "source": "stackexchange", "site": "tiny.example"} for path in inputs],
        "ingest": {"num_shards": 3, "author_secret": str(ROOT / "examples" / "author_secret.txt")},
        "annotate": {"language": str(lid_model), "quality": None, "duplicates": None, "split": {}},
        "pairs": {"rule": "worldpm"},
        "tokenizer": {"vocab_size": 1600},
        "curriculum": {"recipe": str(recipe)},
    }
    place = folder / "build.yaml"
    place.write_text(yaml.safe_dump(build))
    return place


def agora(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines.cli", *map(str, arguments)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == options.get("status", 0), run.stderr[-3000:]
    return run


def count_files(folder: Path) -> int:
    """Of a folder that another process may be writing to."""
    return sum(len(files) for _, _, files in os.walk(folder))


def same_build(left: Path, right: Path, other_files: bool = False) -> None:
    """other_files: the dumps were cut differently, so the account of the inputs may differ, and nothing else."""
    for name in DATASETS:
        account = ("manifest.json", "rejects/") if other_files and name == "documents" else ()
        laws.assert_same_bytes(left / name, right / name, account)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, lid_model: Path) -> tuple[Path, Path]:
    """(folder with the dump, an undisturbed build with one worker)."""
    folder = tmp_path_factory.mktemp("tiny")
    write_posts(folder / "dump" / "Posts.xml", forum_rows(QUESTIONS))
    place = build_file(folder, folder / "whole", [folder / "dump"], lid_model)
    agora("build", place)
    return folder, folder / "whole"


def test_every_dataset_is_sound_and_a_second_build_skips_all(tiny: tuple[Path, Path]) -> None:
    folder, whole = tiny
    for name in DATASETS:
        laws.assert_sound(whole / name)
        assert laws.no_strays(whole / name)
    before = laws.files_of(whole)
    again = agora("build", folder / "build.yaml")
    assert again.stderr.count("unchanged, skipped") == len(DATASETS)
    assert laws.files_of(whole) == before
    assert "report.html" in again.stderr
    assert agora("verify", whole / "pairs").stderr.startswith("sound: pairs")


def test_two_workers_and_another_order_give_the_same_bytes(
    tiny: tuple[Path, Path], tmp_path: Path, lid_model: Path
) -> None:
    _, whole = tiny
    rows = forum_rows(QUESTIONS)
    parts = [
        write_posts(tmp_path / f"Posts-{number}.xml", part) for number, part in enumerate((rows[0::2], rows[1::2]))
    ]
    for name, inputs, workers in (("one", parts, 1), ("two", parts[::-1], 2)):
        agora("build", build_file(tmp_path / name, tmp_path / name / "out", inputs, lid_model), "--workers", workers)
    same_build(tmp_path / "one" / "out", tmp_path / "two" / "out")
    same_build(whole, tmp_path / "one" / "out", other_files=True)


def test_a_build_killed_at_any_moment_is_finished_by_the_next(
    tiny: tuple[Path, Path], tmp_path: Path, lid_model: Path
) -> None:
    folder, whole = tiny
    num_files, interrupted = count_files(whole), 0
    chance = random.Random(20_230_516)
    for moment in sorted(chance.uniform(0.02, 0.95) for _ in range(5)):
        output = tmp_path / "killed"
        place = build_file(tmp_path, output, [folder / "dump"], lid_model)
        command = [sys.executable, "-m", "pipelines.cli", "build", str(place)]
        process = subprocess.Popen(
            command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and count_files(output) < moment * num_files:
            time.sleep(0.005)
        interrupted += process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for manifest in output.rglob("manifest.json"):  # whole, or not there; leftovers are swept by the next run
            problems = find_problems(str(manifest.parent))
            assert all(problem.endswith("not in the manifest") for problem in problems), problems
        agora("build", place)
        same_build(whole, output)
        for name in DATASETS:
            assert laws.no_strays(output / name)
        shutil.rmtree(output)
    assert interrupted >= 3, "the builds were over before they were killed"


def test_a_changed_recipe_is_refused_then_rebuilds_only_what_depends_on_it(
    tiny: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, whole = tiny
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    build = yaml.safe_load((folder / "build.yaml").read_text())
    changed = {**RECIPE, "stages": [RECIPE["stages"][0]]}  # type: ignore[index]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(changed))
    build |= {"output": str(copy), "curriculum": {"recipe": str(tmp_path / "recipe.yaml")}}
    (tmp_path / "build.yaml").write_text(yaml.safe_dump(build))
    refused = agora("build", tmp_path / "build.yaml", status=2)
    assert "--replace" in refused.stderr
    done = agora("build", tmp_path / "build.yaml", "--replace")
    assert done.stderr.count("unchanged, skipped") == len(DATASETS) - 1
    laws.assert_sound(copy / "curriculum")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"inptus": []}, "did you mean 'inputs'"),
        ({"pairs": {"rule": "wordlpm"}}, "did you mean 'worldpm'"),
        ({"tokenizer": {"vocab_size": "many"}}, "tokenizer.vocab_size"),
        ({"inputs": []}, "name at least one dump"),
        ({"inputs": [{"path": "/nowhere", "source": "stackexchange", "site": "x"}]}, "/nowhere"),
    ],
)
def test_a_wrong_build_file_is_refused_with_what_to_do(
    tmp_path: Path, lid_model: Path, change: dict[str, object], says: str
) -> None:
    place = build_file(tmp_path, tmp_path / "out", [ROOT / "examples" / "forum"], lid_model)
    place.write_text(yaml.safe_dump(yaml.safe_load(place.read_text()) | change))
    refused = agora("build", place, status=2)
    assert says in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
