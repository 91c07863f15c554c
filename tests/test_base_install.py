"""The base install, which is what a worker on a cluster has, runs every command but those that train."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import COMMANDS
from tests import base_install
from tests.conftest import ROOT, forum_rows, write_posts
from tests.laws import assert_sound
from tests.test_end_to_end import DATASETS, build_file

_TRAINERS = {"train", "evaluate", "demo"}  # they run torch, which is of an extra
# Runs commands, one after another in one process.
_RUN_COMMANDS = """
import pathlib, sys
from pipelines import cli

assert pathlib.Path(cli.__file__).is_relative_to(sys.argv[1]), cli.__file__
for command in sys.argv[2:]:
    sys.argv = ["agora", *command.split()]
    try:
        cli.main()
    except SystemExit as error:
        if error.code:
            raise
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_install.install(tmp_path_factory.mktemp("install"))


def commands(folder: Path, lid_model: Path) -> list[str]:
    """Every command that the base install has, over a dump in the folder; the first two with worker processes."""
    docs, layers, words = folder / "docs", folder / "layers", folder / "words"
    beside = f"--layers {layers} --output"
    return [
        f"ingest {folder}/dump --site tiny.example --num-shards 2 --output {docs} --workers 2",
        f"annotate {docs} --output {layers} --workers 2",
        f"decontaminate {docs} --output {layers} --benchmarks {folder}/items.jsonl --field text",
        f"pairs {docs} {beside} {folder}/pairs",
        f"tokenizer {docs} {beside} {words} --vocab-size 1200",
        f"tokenize {docs} --tokenizer {words} {beside} {folder}/tokens",
        f"tokenize {folder}/pairs --tokenizer {words} --output {folder}/preference",
        f"curriculum {folder}/tokens {beside} {folder}/shards --recipe {folder}/recipe.yaml",
        f"report {folder}",
        f"verify {folder}/shards",
        f"reblock {folder}/lines.jsonl --output {folder}/blocks",
        f"langid predict {folder}/lines.jsonl",
        "langid train --help",
        f"quality thresholds --data {folder}/clean --output {folder}/thresholds.tsv",
        f"quality train --positive {folder}/good.txt --negative {folder}/bad.txt --output {folder}/quality.bin",
        f"quality score {folder}/quality.bin {folder}/lines.jsonl",
        f"langid evaluate {folder}/texts --output {folder}/languages.html",
        f"build {folder}/build.yaml",
        f"show {docs}",
        f"why stackexchange:tiny.example:1 {folder} --documents {docs}",
        f"secret {folder}/secret",
        *("rules", "recipes", "configs", "sources", "languages"),
    ]


def test_the_base_install_has_no_torch_pandas_or_object_store() -> None:
    absent = base_install.absent_modules()
    assert {"torch", "transformers", "gcsfs", "s3fs", "pandas", "lxml", "pytest"} <= absent
    assert not {"apache_beam", "pyarrow", "numpy", "tokenizers", "google", "google.protobuf"} & absent


def test_the_wheel_holds_every_file_of_the_packages(site: Path) -> None:
    for package in base_install.PACKAGES:
        ours = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*") if path.is_file()}
        wheels = {path.relative_to(site) for path in (site / package).rglob("*") if path.is_file()}
        assert wheels == {path for path in ours if path.suffix != ".pyc"}


def test_every_command_but_training_runs_in_the_base_install(site: Path, tmp_path: Path, lid_model: Path) -> None:
    driven = commands(tmp_path, lid_model)
    assert {line.split()[0] for line in driven} == set(COMMANDS) - _TRAINERS, "a command that is not driven here"
    write_posts(tmp_path / "dump" / "Posts.xml", forum_rows(40))
    (tmp_path / "lines.jsonl").write_text('{"text": "The bread rises slowly in a cold kitchen."}\n')
    (tmp_path / "items.jsonl").write_text((tmp_path / "lines.jsonl").read_text())
    for name, words in (("good", "a proof by"), ("bad", "a sale of")):
        (tmp_path / f"{name}.txt").write_text("".join(f"{words} {number}\n" for number in range(200)))
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "eng_Latn.txt").write_text("The bread rises slowly in a cold kitchen.\n")
    (tmp_path / "clean").mkdir()
    sentences = "".join(f"The bread rises slowly in a cold kitchen, faster in a warm one. {n}\n" for n in range(200))
    (tmp_path / "clean" / "eng_Latn.txt").write_text(sentences)
    build_file(tmp_path, tmp_path / "build", [tmp_path / "dump"], lid_model)
    done = subprocess.run(
        [sys.executable, "-c", _RUN_COMMANDS, str(site), *driven],
        cwd=tmp_path,
        env=base_install.environment(site),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name in DATASETS:
        assert_sound(tmp_path / "build" / name)
    assert (tmp_path / "build" / "report.html").exists()
