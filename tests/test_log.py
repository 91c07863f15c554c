"""A build keeps a log of what was said and of what trainers said; nothing is missing, and it changes nothing else."""

from __future__ import annotations

import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import log
from pipelines.command import console
from tests.conftest import ROOT
from tests.laws import files_of

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (.*)")


@pytest.fixture(autouse=True)
def _no_log_afterwards() -> Iterator[None]:
    yield
    log._open.clear()


def lines(folder: Path) -> list[str]:
    """What was logged, without the two lines that say which run it is; each line has its time."""
    found = [LINE.fullmatch(line) for line in (folder / log.LOG).read_text().splitlines()]
    assert all(found)
    return [match[1] for match in found[2:] if match]


TRAINER = r"""
import sys
sys.stderr.write("is a terminal\n" if sys.stderr.isatty() else "is none\n")
for step in range(3):
    sys.stderr.write(f"\r\x1b[Kstep {step}")
    sys.stderr.flush()
sys.stderr.write("\nwarning: \x1b[1mrows\x1b[0m\r\nTraceback\n  of a defect\nno line end")
"""
HEARD = ["begins", "step 2", "warning: rows", "Traceback", "of a defect", "no line end", "ends"]


def hear() -> None:
    console.print("begins")
    with log.hearing():
        subprocess.run([sys.executable, "-c", TRAINER], check=True)
    console.print("[bold]ends[/]", markup=True)


def test_what_a_trainer_writes_is_shown_and_logged_without_what_it_wrote_over(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log.begin(str(tmp_path / "new"))
    hear()
    said = [line.strip() for line in lines(tmp_path / "new")]
    assert said == [HEARD[0], "is none", *HEARD[1:]]
    shown = capfd.readouterr().err
    assert "\r\x1b[Kstep 0\r\x1b[Kstep 1\r\x1b[Kstep 2\nwarning: \x1b[1mrows\x1b[0m\r\n" in shown


def test_on_a_terminal_a_trainer_has_one(tmp_path: Path) -> None:
    code = f"from tests.test_log import *; log.begin({str(tmp_path)!r}); hear()"
    terminal, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(terminal, 4096):
            shown += data
    except OSError:
        pass
    assert process.wait() == 0
    assert b"is a terminal" in shown
    assert [line.strip() for line in lines(tmp_path)] == [HEARD[0], "is a terminal", *HEARD[1:]]


def test_without_a_log_nothing_is_in_between(capfd: pytest.CaptureFixture[str]) -> None:
    log._open.clear()
    hear()
    assert capfd.readouterr().err.startswith("begins\nis none\n")
    assert log.place() is None


def test_no_text_ends_a_line_or_steers_a_terminal(tmp_path: Path) -> None:
    log.begin(str(tmp_path))
    log.write("two\nlines \x1b[2J")
    assert lines(tmp_path) == ["two", "lines \\x1b[2J"]
    log.begin(str(tmp_path))  # the next run
    log.write("more")
    assert [line for line in lines(tmp_path) if ":" not in line] == ["two", "lines \\x1b[2J", "more"]


def test_what_cannot_be_logged_keeps_nothing_from_its_end(tmp_path: Path) -> None:
    (tmp_path / log.LOG).symlink_to("/dev/full")
    log.begin(str(tmp_path))
    log.write("lost")
    (tmp_path / "file").write_text("")
    log.begin(str(tmp_path / "file" / "below"))
    log.write("lost")
    log.begin("memory://elsewhere")
    hear()


BUILD = """
output: {folder}/out
inputs: [{{path: examples/forum, site: agora.example}}]
annotate: {{duplicates: {{across_languages: true}}}}
"""


def test_a_build_logs_its_steps_and_its_errors_and_a_rerun_changes_only_the_log(tmp_path: Path) -> None:
    file = tmp_path / "build.yaml"
    file.write_text(BUILD.format(folder=tmp_path))
    command = [sys.executable, "-m", "pipelines.cli", "build", str(file)]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    place = f"{tmp_path}/out/{log.LOG}"
    assert re.search(rf"^  log +{place}$", first.stderr, re.MULTILINE)
    said = (tmp_path / "out" / log.LOG).read_text()
    assert f"command: {ROOT}/pipelines/cli.py build {file} (in {ROOT})" in said
    assert all(line.strip() in said for line in first.stderr.splitlines())
    before = files_of(tmp_path / "out")
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert files_of(tmp_path / "out") == before, "but for the log"
    assert (tmp_path / "out" / log.LOG).read_text().startswith(said)
    file.write_text(BUILD.format(folder=tmp_path).replace("across_languages: true", "across_languages: true, bands: 3"))
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == f"the log: {place}"
    logged = (tmp_path / "out" / log.LOG).read_text()
    assert re.search(r" error: .*already holds a duplicates dataset", logged)
    assert "in the step 'annotate'" in logged


def test_a_name_on_the_command_line_begins_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["agora", "build", "a\nerror: forged.yaml"])
    log.begin(str(tmp_path))
    (line,) = [line for line in (tmp_path / "build.log").read_text().splitlines() if "forged" in line]
    assert "command: agora build a\\nerror: forged.yaml (in " in line


def test_a_record_that_cannot_be_told_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.begin(str(tmp_path))
    log._Records().emit(logging.LogRecord("a library", logging.ERROR, "f.py", 1, "%d rows", ("no number",), None))
    assert "no number" not in (tmp_path / "build.log").read_text()
