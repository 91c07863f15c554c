"""Too little memory is told in a line, within seconds: before the work begins, or where it shows."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import apache_beam as beam
import pytest
import typer

from pipelines.command import USER_ERROR
from pipelines.local import limits, nursery
from pipelines.local.options import beam_pipeline
from tests.conftest import ROOT

SECONDS = 60  # of a machine with much else to do; refusals take half a one


def ended(command: list[str], limit: int | None = None) -> str:
    """What a command that is refused says, all of it."""

    def bound() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, preexec_fn=bound
    )
    assert done.returncode == USER_ERROR, done.stderr
    return done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="bounds the address space of a process")
@pytest.mark.parametrize("limit", [500_000_000, 900_000_000, 1_500_000_000])
@pytest.mark.parametrize(
    "command",
    [
        ["pipelines.cli", "ingest", "examples/forum", "--site", "agora.example", "--workers", "2", "--output"],
        ["pipelines.cli", "annotate", "none", "--layers", "duplicates", "--output"],
        ["pipelines.cli", "pairs", "none", "--layers", "none", "--rule", "worldpm", "--output"],
    ],
    ids=lambda command: command[1],
)
def test_a_small_address_space_is_refused(command: list[str], limit: int, tmp_path: Path) -> None:
    told = ended(["-m", *command, str(tmp_path / "out")], limit)
    assert told.startswith(f"error: the address space of a process is limited to {limit / 1e9:.1f} GB")
    assert "ulimit -v 2000000" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_workers_need_more(monkeypatch: pytest.MonkeyPatch) -> None:
    nursery.stop()
    for limit, fewer in ((2_500_000_000, True), (1_500_000_000, False)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, limit=limit: (limit, limit))
        with pytest.raises(ValueError, match=r"limited to .* GB where there are workers") as error:
            nursery.ready()
        assert ("--workers 1" in str(error.value)) is fewer
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    limits.check_address_space(workers=64)


@pytest.mark.parametrize(
    ("error", "is_so"),
    [
        (MemoryError(), True),
        (RuntimeError("can't start new thread"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (ImportError("libx.so: failed to map segment from shared object"), True),
        (RuntimeError("MemoryError: std::bad_alloc [while running 'Parse']"), True),
        (ValueError("--memory 1kB is too little"), False),
        (OSError(28, "No space left on device"), False),
        (ImportError("No module named 'x'"), False),
    ],
)
def test_what_is_want_of_memory(error: BaseException, is_so: bool) -> None:
    assert limits.is_too_little(error) is is_so


def starve(where: str) -> str:
    if where == "here":
        raise MemoryError
    threading.Thread(target=starve, args=["here"]).start()
    time.sleep(SECONDS)
    return where


def app_of(where: str, workers: int) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def command() -> None:
        with beam_pipeline(workers) as p:
            p | beam.Create([where]) | "Starve here" >> beam.Map(starve)

    return app


@pytest.mark.parametrize(("where", "workers"), [("here", 1), ("here", 2), ("in a thread", 1)])
def test_where_it_shows_later(where: str, workers: int) -> None:
    run = f"sys.argv[1:] = []; run_app(app_of({where!r}, {workers}), 'agora')"
    code = f"import sys; from pipelines.command import run_app; from tests.test_limits import app_of; {run}"
    told = ended(["-c", code])
    assert f"error: {limits.TOO_LITTLE}\n" in told
    assert told.count("error: ") == 1
    assert "Traceback" not in told
