"""A training run whose disk is full ends in one line that names the file."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.training_data import arguments, write_all
from trainers import launch, pretrain
from trainers.configs import PretrainConfig
from trainers.runlog import RunLog


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("full"))


def ends_in(folder: Path, output: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """The last line of a run that fails, which is all that it says of it."""
    capfd.readouterr()
    settings = arguments(folder, output, "pretrain", checkpoint_every=2, max_steps=4)
    assert launch.main(settings, "", PretrainConfig, "pretrain", pretrain.make_job) == 1
    said = capfd.readouterr().err
    assert "Traceback" not in said
    return said.splitlines()[-1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_of_metrics(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    opened = RunLog.open

    def then_full(self: RunLog, step: int, validated: int) -> None:
        opened(self, step, validated)
        (tmp_path / "metrics.jsonl").unlink()
        (tmp_path / "metrics.jsonl").symlink_to("/dev/full")

    monkeypatch.setattr(RunLog, "open", then_full)
    place = tmp_path / "metrics.jsonl"
    assert ends_in(folder, tmp_path, capfd) == f"pretrain: [Errno 28] No space left on device: '{place}'"


def test_of_a_checkpoint(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As a limit on the size of files shows it, which the system tells in the same way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    opened = RunLog.open
    with pytest.MonkeyPatch.context() as patch:

        def then_limited(self: RunLog, step: int, validated: int) -> None:
            opened(self, step, validated)
            (tmp_path / "metrics.jsonl").unlink()
            (tmp_path / "metrics.jsonl").symlink_to("/dev/null")
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))

        patch.setattr(RunLog, "open", then_limited)
        try:
            line = ends_in(folder, tmp_path, capfd)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert line.startswith(f"pretrain: {tmp_path}/checkpoints/saving-00000002 could not be written: [Errno 27]"), line
