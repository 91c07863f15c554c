"""What a newcomer meets on the command line: what is wrong is named, with its place; what was done is said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import py7zr
import pytest

from pipelines.cli import main
from tests.conftest import ROOT
from tests.small_dataset import dataset_of, opened
from transforms.datasets.manifest import DatasetSpec

Agora = Callable[..., tuple[int, str]]


@pytest.fixture
def agora(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Agora:
    """Runs a command; its status, and what it said."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", ["agora", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


def empty_folder(place: Path) -> None:
    place.mkdir()


def empty_file(place: Path) -> None:
    place.write_bytes(b"")


def empty_archive(place: Path) -> None:
    with py7zr.SevenZipFile(place, "w"):
        pass


def no_rows(place: Path) -> None:
    place.write_text('<?xml version="1.0" encoding="utf-8"?>\r\n<posts>\r\n</posts>')


@pytest.mark.parametrize(
    ("name", "make", "wanted"),
    [
        ("folder", empty_folder, "wanted in it: Stack Exchange (folder, .7z or Posts.xml)"),
        ("Posts.xml", no_rows, "Wanted: whole files with posts in them"),
        ("Posts.xml", empty_file, "Wanted: whole files with posts in them"),
        ("rows.jsonl", empty_file, "Wanted: whole files with posts in them"),
        ("dump.7z", empty_file, "Wanted: whole files with posts in them"),
        ("dump.7z", empty_archive, "none of posts, votes, comments, postlinks (.xml), which are read"),
    ],
)
def test_an_empty_dump_names_its_path_and_what_was_wanted(
    name: str, make: Callable[[Path], None], wanted: str, agora: Agora, tmp_path: Path
) -> None:
    place = tmp_path / "dumps" / name
    place.parent.mkdir()
    make(place)
    status, said = agora("ingest", place, "--site", "a.example", "--output", tmp_path / "new" / "deep" / "docs")
    assert status == 2
    assert str(place) in said
    assert wanted in said
    assert os.listdir(tmp_path) == ["dumps"], "nothing of the run is left, not even folders"


def test_only_folders_that_were_made_for_a_build_go_with_it(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for place in (tmp_path / "mine", tmp_path / "mine" / "new" / "docs"):
        with opened(place) as build:
            build.abandon()
        assert os.listdir(tmp_path / "mine") == []
    with opened(tmp_path / "new" / "docs"):
        pass  # killed: what the next run does not know, the marker does
    with opened(tmp_path / "new" / "docs") as build:
        build.abandon()
    assert os.listdir(tmp_path) == ["mine"]
    with opened(tmp_path / "new" / "docs") as build:
        (tmp_path / "new" / "notes.txt").write_text("a user's")
        build.abandon()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine", "new", "notes.txt"]


def test_a_rerun_says_that_nothing_was_done(agora: Agora, tmp_path: Path) -> None:
    docs, layers = tmp_path / "docs", tmp_path / "layers"
    ingest = ["ingest", "examples/forum", "--site", "agora.example", "--output", docs]
    status, first = agora(*ingest)
    assert status == 0
    assert "unchanged" not in first
    summary = first.splitlines()[-1].removeprefix("ingest: ")
    assert agora(*ingest)[1].splitlines()[-1] == f"ingest: unchanged · {summary}"
    annotate = ["annotate", docs, "--output", layers, "--layers"]
    assert "unchanged" not in agora(*annotate, "split")[1]
    said = agora(*annotate, "duplicates,split", "--set", "duplicates.across_languages=true")[1].splitlines()
    assert [line.partition(" · ")[0] for line in said if line.startswith("split:")] == ["split: unchanged"]
    assert not any("unchanged" in line for line in said if line.startswith("duplicates:"))


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nobody may write, not even root."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], capture_output=True, check=False
    ).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 100 kB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def write_build(folder: Path, output: Path) -> Path:
    file = folder / "build.yaml"
    file.write_text(
        f"output: {output}\ninputs: [{{path: examples/forum, site: agora.example}}]\n"
        "annotate: {duplicates: {across_languages: true}}\n"
    )
    return file


def test_a_read_only_output_is_called_so(agora: Agora, read_only: Path, tmp_path: Path) -> None:
    for command in (
        ["ingest", "examples/forum", "--site", "agora.example", "--output", read_only / "docs"],
        ["build", write_build(tmp_path, read_only / "build")],
    ):
        status, said = agora(*command)
        assert status == 2
        assert f"Read-only file system: '{read_only}" in said.splitlines()[1]
        assert "nothing can be written there: name an --output on another disk" in said


def test_a_full_disk_is_one_error_in_a_build_and_in_its_report(agora: Agora, full: Path, tmp_path: Path) -> None:
    status, said = agora("build", write_build(tmp_path, full / "build"))
    assert status == 2
    assert "No space left on device" in said or "not enough space" in said
    assert "free some space" in said or "not enough space" in said
    assert agora("build", write_build(tmp_path, tmp_path / "good"))[0] == 0
    (full / "filler").write_bytes(b"x" * (60 << 10))
    status, said = agora("report", tmp_path / "good", "--output", full / "page" / "report.html")
    assert status == 2
    assert said.count("error:") == 1
    assert "No space left on device" in said
    assert "; free some space" in said
    assert not [path for path in full.rglob("*") if path.name.startswith(".tmp-")]


@pytest.mark.parametrize(
    ("model", "pairs", "message"),
    [
        ("nowhere", "preference", "MODEL: no dataset at {}/nowhere: it has no manifest.json; check the path"),
        ("run", "preference", "MODEL: no dataset at {}/run: it has no manifest.json; the datasets export are below it"),
        ("pairs", "preference", "MODEL: {}/pairs is a pairs dataset. Wanted is a preference model"),
        (
            "pretrain",
            "preference",
            "MODEL: {}/pretrain is a model dataset of agora train pretrain. Wanted is a preference",
        ),
        ("run/export", "nowhere", "--pairs: no dataset at {}/nowhere: it has no manifest.json; check the path"),
        ("run/export", "documents", "--pairs: {}/documents is a documents dataset. Wanted is preference shards"),
        (
            "run/export",
            "pairs",
            "--pairs: {}/pairs is a pairs dataset. Wanted is preference shards: what agora tokenize",
        ),
    ],
)
def test_evaluate_names_what_it_wants(model: str, pairs: str, message: str, agora: Agora, tmp_path: Path) -> None:
    for name, spec in {
        "run/export": DatasetSpec("model", {"trainer": "preference"}),
        "pretrain": DatasetSpec("model", {"trainer": "pretrain"}),
        **{kind: DatasetSpec(kind, {}) for kind in ("documents", "pairs", "preference")},
    }.items():
        dataset_of(tmp_path / name, spec, {})
    status, said = agora("evaluate", tmp_path / model, "--pairs", tmp_path / pairs, "--output", tmp_path / "out")
    assert status == 2
    assert said.startswith(f"error: {message.format(tmp_path)}")
    assert not (tmp_path / "out").exists()
