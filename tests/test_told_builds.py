"""A build that is told to stop, or killed, while two ranks train: nothing goes on, and the same command finishes it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, forum_rows, write_posts
from tests.test_end_to_end import QUESTIONS, agora, build_file
from tests.test_training import metrics
from tests.training_data import TINY

SECONDS = 120
TRAIN = {"checkpoint_every": 2, "max_steps": 24, "global_sequences": 4, "micro_sequences": 1, **TINY}

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, lid_model: Path) -> Path:
    """A folder with a build up to its training."""
    folder = tmp_path_factory.mktemp("told")
    posts = write_posts(folder / "dump" / "Posts.xml", forum_rows(QUESTIONS))
    agora("build", build_file(folder, folder / "out", [posts.parent], lid_model))
    return folder


def with_training(prepared: Path, folder: Path) -> Path:
    """A copy of the build, and its file, with training on two ranks and the report after it."""
    shutil.copytree(prepared / "out", folder / "out", ignore=shutil.ignore_patterns("report.html"))
    build = yaml.safe_load((prepared / "build.yaml").read_text())
    train = {"pretrain": {"config": "debug_cpu", "processes": 2, "set": TRAIN}}
    place = folder / "build.yaml"
    place.write_text(yaml.safe_dump({**build, "output": str(folder / "out"), "train": train}))
    return place


def of(folder: Path) -> list[int]:
    """The processes that have the folder in their command."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def trained(run: Path) -> int:
    """The step that its metrics tell of last."""
    lines = (run / "metrics.jsonl").read_text().count("\n") if (run / "metrics.jsonl").exists() else 0
    return max((line["step"] for line in metrics(run)[:lines]), default=0) if lines else 0


def test_however_it_is_stopped_nothing_goes_on_and_the_same_command_ends_the_same(
    prepared: Path, tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    agora("build", with_training(prepared, tmp_path / "whole"))
    (tmp_path / "stopped").mkdir()
    place = with_training(prepared, tmp_path / "stopped")
    run = tmp_path / "stopped" / "out" / "pretrain"
    for number, status in ((signal.SIGTERM, 75), (signal.SIGINT, 75), (signal.SIGKILL, -9), (signal.SIGUSR1, 75)):
        before = trained(run)
        command = [sys.executable, "-m", "pipelines.cli", "build", str(place)]
        driver = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        until(lambda before=before, driver=driver: trained(run) > before or driver.poll() is not None)
        assert len(of(tmp_path / "stopped")) == 4, "the build, the launcher, and two ranks"
        os.kill(driver.pid, number)
        said = driver.communicate(timeout=SECONDS)[1]
        assert driver.returncode == status, said
        assert "Traceback" not in said
        assert ("told to stop after" in said) == (status == 75)
        until(lambda: not of(tmp_path / "stopped"))
        assert not (run / "export" / "manifest.json").exists()
        assert not (tmp_path / "stopped" / "out" / "report.html").exists()
        assert not list((run / "checkpoints").glob("saving-*")) or status != 75
    agora("build", place)
    name = "out/pretrain/export/model.safetensors"
    assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
