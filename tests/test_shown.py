"""Names reach the terminal as text: through the real command line, on both of its streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.small_tokenizer import write_small_tokenizer
from transforms.datasets import shown

EVIL = "\x1b[2Ja\x9b31m\u202eb\nerror: all is well\x07"


def agora(*arguments: str | Path, folder: Path, module: str = "pipelines.cli") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(os.fsencode, map(str, arguments))]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=120)
    told = [stream.decode() for stream in (done.stdout, done.stderr)]
    assert not any(set(text) & set("\x1b\x9b\u202e\x07\ud800") for text in told), told
    assert not any(line.startswith("error: all is well") for text in told for line in text.splitlines())
    return subprocess.CompletedProcess(command, done.returncode, *told)


def test_messages_keep_their_lines_and_names_have_none() -> None:
    assert shown.message("a\tb\n[é] 中 👍\ud800\r\x1b") == "a\tb\n[é] 中 👍\\ud800\\r\\x1b"
    assert shown.name("a\tb\n\u2028") == "a\\tb\\n\\u2028"


@pytest.mark.parametrize(
    ("content", "told"),
    [("", "is empty"), ("a,b\n1,2\n", "cannot tell what"), ('{"id": 1}\n', "nothing could be read")],
)
def test_a_file_of_an_odd_name(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / f"{EVIL}.jsonl").write_text(content)
    for given in (f"{EVIL}.jsonl", "."):
        done = agora("ingest", given, "--site", "x", "--output", "out", folder=tmp_path)
        assert done.returncode != 0
        if given != ".":
            assert told in done.stderr or "EMPTY" in done.stderr or "empty-file" in done.stderr
        assert "\\x1b[2Ja\\x9b31m\\u202eb\\nerror: all is well\\x07.jsonl" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest", EVIL, "--output", "out"],
        ["ingest", "x", "--output", "out", f"--{EVIL}"],
        ["annotate", EVIL, "--layers", EVIL, "--output", "out"],
        ["verify", f"[/]{EVIL}\udc80"],
        [EVIL],
    ],
)
def test_an_odd_argument(arguments: list[str], tmp_path: Path) -> None:
    done = agora(*arguments, folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "\\x1b[2Ja\\x9b31m\\u202eb" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_odd_key(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text('output: o\ninputs: [{path: x}]\nannotate: {}\n"\\e[2Jk": 1\n')
    done = agora("build", "b.yaml", folder=tmp_path)
    assert done.returncode == 2
    assert "unknown key '\\x1b[2Jk'" in done.stderr


def test_a_trainers_odd_setting(tmp_path: Path) -> None:
    write_small_tokenizer(tmp_path)
    done = agora(f"{EVIL}=1", folder=tmp_path, module="trainers.preference")
    assert done.returncode != 0
    assert "\\x1b[2Ja" in done.stderr
