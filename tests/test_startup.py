"""Commands start with what they need and no more, and the table that lists them says what they say."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pipelines.cli import COMMANDS
from tests.conftest import ROOT
from tests.small_dataset import build

HEAVY = ("apache_beam", "grpc", "scipy", "torch", "transformers")
CODE = """
import sys
from pipelines import cli
try:
    cli.main()
except SystemExit as end:
    assert not end.code, end.code
print(*sorted(sys.modules), file=sys.stderr)
"""


def loaded(*arguments: str) -> set[str]:
    """What is loaded when a command has ended."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


def test_help_loads_no_library_but_the_command_line_s() -> None:
    assert not {"pyarrow", "numpy", *HEAVY} & loaded("--help")


def test_verify_loads_no_beam(tmp_path: Path) -> None:
    build(tmp_path)
    modules = loaded("verify", str(tmp_path))
    assert "pyarrow" in modules, "rows are counted in the files"
    assert not set(HEAVY) & modules


def test_report_loads_no_beam(tmp_path: Path) -> None:
    build(tmp_path / "layers" / "split")
    assert not set(HEAVY) & loaded("report", str(tmp_path))
    assert (tmp_path / "report.html").exists()


def test_why_loads_no_beam(tmp_path: Path) -> None:
    build(tmp_path / "layers" / "split")
    assert not set(HEAVY) & loaded("why", "d000000", str(tmp_path))


def test_a_step_loads_beam_and_no_torch() -> None:
    modules = loaded("pairs", "--help")
    assert "apache_beam" in modules
    assert not {"torch", "transformers"} & modules


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    command = COMMANDS[name]
    target = getattr(importlib.import_module(command.module), command.name)
    if isinstance(target, typer.Typer):
        assert command.help == target.info.help
    else:
        assert command.help == target.__doc__.split("\n\n")[0].replace("\n    ", " ")


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not command.takes_beam])
def test_what_would_go_to_beam_is_refused_where_there_is_no_pipeline(name: str) -> None:
    code = CODE.replace("assert not end.code, end.code", "print(end.code)")
    command = [sys.executable, "-c", code, name, "x", "--", "--runner=Foo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "2\n"
    assert f"nothing goes to Beam from agora {name}, got --runner=Foo" in done.stderr


def test_those_that_take_beams_arguments_hand_them_on() -> None:
    for name, command in COMMANDS.items():
        source = Path(ROOT, *command.module.split(".")).with_suffix(".py").read_text("utf-8")
        assert command.takes_beam is ("beam_args(context)" in source), name


def test_every_command_is_in_the_table() -> None:
    found = {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for path in (ROOT / "pipelines").rglob("*.py")
        if "\ndef command(" in path.read_text("utf-8")
    }
    assert found == {command.module for command in COMMANDS.values() if command.name == "command"}


def test_a_misspelt_command_names_the_nearest() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "ingst"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Did you mean 'ingest'?" in done.stderr
