"""Errors on the command line: what a user can mend is said in a line, wherever it arose; a defect shows its trace."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import apache_beam as beam
import pytest
import typer

from pipelines import cli
from pipelines.command import USER_ERROR, Output, Told, run_app
from pipelines.local.options import beam_pipeline
from tests.conftest import ROOT


def fail(kind: str) -> None:
    if kind == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    if kind == "forbidden":
        raise PermissionError(errno.EACCES, "Permission denied", "/data/x")
    if kind == "read-only":
        raise OSError(errno.EROFS, "Read-only file system", f"/data/.tmp-{'0' * 32}-report.html")
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "user":
        raise ValueError("two lines,\nboth told")
    raise AttributeError("'X' has no attribute 'y'")


def app_of(kind: str, workers: int) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def command() -> None:
        with beam_pipeline(workers) as p:
            p | beam.Create([kind]) | "Fail here" >> beam.Map(fail)

    return app


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("tokenizer D --layers L --output O --sample-bytes 0", "--sample-bytes must be positive; got 0"),
        ("tokenizer D --layers L --output O --alpha 2", "--alpha must be from 0"),
        ("ingest D --output O --num-shards 0", "--num-shards must be at least 1, got 0"),
        ("ingest D --output O --max-unpack-ratio 0", "--max-unpack-ratio must be at least 1, got 0"),
        ("ingest D --output O --memory much", "--memory 'much' is no size"),
        ("ingest D --output O --source beer", "--source 'beer' of D is not read"),
        ("ingest --input D,source=beer --output O", "--input D,source=beer: source 'beer' of D is not read"),
        ("reblock F --output O --block-bytes 0", "--block-bytes must be at least 1, got 0"),
        ("annotate D --output O --layers split --set split=2", "--set: split.holdout must be a share"),
    ],
)
def test_an_error_about_a_setting_names_it_as_the_command_line_does(
    arguments: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["agora", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == USER_ERROR
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("kind", "workers", "message"),
    [
        ("full", 1, "error: [Errno 28] No space left on device; free some space"),
        ("full", 2, "error: [Errno 28] No space left on device; free some space"),
        ("forbidden", 1, "error: [Errno 13] Permission denied: '/data/x'; give yourself the right to it"),
        ("read-only", 1, "error: [Errno 30] Read-only file system: '/data/report.html'; nothing can be written there"),
        ("user", 1, "error: two lines,\nboth told"),
        ("user", 2, "error: two lines,\nboth told (in the step Fail here)"),
    ],
)
def test_what_a_user_can_mend(
    kind: str, workers: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["agora"])
    with pytest.raises(SystemExit) as ended:
        run_app(app_of(kind, workers), "agora")
    assert ended.value.code == USER_ERROR
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize("workers", [1, 2])
def test_a_defect_shows_its_trace(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["agora"])
    with pytest.raises((AttributeError, RuntimeError), match="no attribute"):
        run_app(app_of("defect", workers), "agora")


def test_a_killed_worker_ends_the_run() -> None:
    code = "from tests.test_command import *; sys.argv[1:] = []; run_app(app_of('killed', 2), 'agora')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == USER_ERROR
    assert (
        done.stderr.count("error: a worker process has died. If nothing above says why, the system has killed it") == 1
    )
    assert "Traceback" not in done.stderr


def test_what_a_trainer_has_told_is_not_told_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()

    @app.command()
    def command() -> None:
        raise Told(75)

    monkeypatch.setattr(sys, "argv", ["agora"])
    with pytest.raises(SystemExit) as ended:
        run_app(app, "agora")
    assert ended.value.code == 75
    assert not capsys.readouterr().err


def test_an_empty_output_is_not_this_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()

    @app.command()
    def command(output: Output) -> None:
        raise AssertionError(f"would write into {output!r}")

    monkeypatch.setattr(sys, "argv", ["agora", "--output", ""])
    with pytest.raises(SystemExit) as ended:
        run_app(app, "agora")
    assert ended.value.code == USER_ERROR
    assert "--output is empty text" in capsys.readouterr().err
