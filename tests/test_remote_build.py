"""A build on an object store, killed and taken up again, is the local one to the byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, forum_rows, write_posts
from tests.emulators import Emulator
from tests.laws import assert_sound
from transforms.datasets import places
from transforms.datasets.names import RUN

DATASETS = ["docs", "layers/language", "layers/duplicates", "layers/split", "pairs"]
KILLED = -9

# Runs commands, and is killed where it would publish the file of that number.
RUN_COMMANDS = """
import os, signal, sys
from pipelines.cli import main
from transforms.datasets import places

left, publish = int(sys.argv[1]), places.AtomicFile.publish

def counted(file):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    publish(file)

places.AtomicFile.publish = counted
for command in sys.argv[2:]:
    sys.argv = ["agora", *command.split()]
    try:
        main()
    except SystemExit as error:
        if error.code:
            raise
print(left)
"""


def build(dump: Path, output: str, lid_model: Path, files: int) -> tuple[int, str]:
    """Ingest, annotate and pairs in a process that is killed after so many files; its status and what it printed."""
    commands = [
        f"ingest {dump} --site tiny.example --num-shards 3 --output {output}/docs",
        f"annotate {output}/docs --output {output}/layers --set language={lid_model}",
        f"pairs {output}/docs --layers {output}/layers --rule worldpm --output {output}/pairs",
    ]
    command = [sys.executable, "-c", RUN_COMMANDS, str(files), *commands]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, KILLED), done.stderr[-3000:]
    return done.returncode, done.stdout


def files_of(folder: str) -> dict[str, bytes]:
    names = [name for name in places.list_files(folder) if places.name(name) != RUN]
    return {name: places.read_bytes(places.join(folder, name)) for name in names}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, lid_model: Path) -> tuple[Path, Path, int]:
    """(dump, an undisturbed build of it, how many files it wrote)."""
    folder = tmp_path_factory.mktemp("local")
    dump = write_posts(folder / "dump" / "Posts.xml", forum_rows(40))
    status, left = build(dump, str(folder / "out"), lid_model, 10**6)
    assert status == 0
    return dump, folder / "out", 10**6 - int(left.split()[-1])


@pytest.mark.parametrize(("store", "killed_in"), [("gs", "docs"), ("s3", "layers/duplicates")], indirect=["store"])
def test_a_killed_build_on_a_store_is_finished_by_the_next(
    store: Emulator, killed_in: str, local: tuple[Path, Path, int], lid_model: Path
) -> None:
    dump, undisturbed, num_files = local
    output = f"{store.url}/build"
    killed_at = num_files // 12 if killed_in == "docs" else num_files // 2
    assert build(dump, output, lid_model, killed_at)[0] == KILLED
    assert places.exists(f"{output}/{killed_in}/building/000001.json")
    assert not places.exists(f"{output}/{killed_in}/manifest.json")
    assert build(dump, output, lid_model, num_files)[0] == 0
    for name in DATASETS:
        assert_sound(f"{output}/{name}")
        assert files_of(f"{output}/{name}") == files_of(str(undisturbed / name)), name
