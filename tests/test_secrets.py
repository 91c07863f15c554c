"""Secrets: neither the author secret nor the remove list is in a graph, or in anything that a run says and leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
import yaml

from pipelines.build import BuildFile, steps
from pipelines.cli import COMMANDS
from tests import laws
from tests.conftest import ROOT, forum_rows
from tests.emulators import Emulator
from tests.payloads import found_in, spellings
from tests.test_end_to_end import RECIPE
from tests.test_ingest import posts, write
from tests.test_people import KILLED, RUN
from tests.test_stackexchange import row
from transforms.datasets import strict_yaml
from transforms.datasets.manifest import load_manifest
from transforms.datasets.standing import Existing
from transforms.ingest.withheld import withhold

SECRET = b"Zq7-vT2xJ0cWm9_LrB4eYd8KsN1uHf6G"
NAME = "Qzv Leaver"
LISTED = [
    f"author:{NAME}",
    "author:4207318865",
    "https://tiny.example/users/4207318866/qzv",
    "Qzv Unknown",
    "qzv_87654321",
]


@dataclass(frozen=True)
class Files:
    """A build without training, of a forum where two posts are of authors on the list."""

    build: Path
    secret: Path
    listed: Path
    made: Path

    def wanted(self) -> set[bytes]:
        """What must be found nowhere: the secret, its key, the entries and their hashes."""
        opened = withhold(str(self.secret), str(self.listed)).open()
        assert opened.author_key
        hashes = [opened.remove.hashes[start : start + 16] for start in range(0, len(opened.remove.hashes), 16)]
        assert len(hashes) >= len(LISTED)
        texts = [SECRET, opened.author_key, *hashes, NAME.encode(), *(entry.encode() for entry in LISTED)]
        return {spelled for text in texts for spelled in spellings(text)}


@pytest.fixture
def files(tmp_path: Path, lid_model: Path) -> Files:
    left = [
        row(900_001, PostTypeId="2", ParentId="1", OwnerDisplayName=NAME),
        row(900_002, PostTypeId="2", ParentId="1", OwnerUserId="4207318865"),
    ]
    dump = write(tmp_path / "Posts.xml", posts(*(post.encode() for post in forum_rows(40)), *left))
    secret, listed = write(tmp_path / "secret", SECRET), write(tmp_path / "list", "\n".join(LISTED).encode())
    made = tmp_path / "made"
    build = {
        "output": str(made / "out"),
        "inputs": [{"path": str(dump), "source": "stackexchange", "site": "tiny.example"}],
        "ingest": {
            "num_shards": 2, "author_secret": str(secret), "remove_list": str(listed), "reuse": str(made / "reused"),
        },
        "annotate": {"language": str(lid_model), "duplicates": None, "split": {}},
        "pairs": {"rule": "worldpm"},
        "tokenizer": {"vocab_size": 1400},
        "curriculum": {"recipe": str(write(tmp_path / "recipe.yaml", yaml.safe_dump(RECIPE).encode()))},
    }  # fmt: skip
    return Files(write(tmp_path / "build.yaml", yaml.safe_dump(build).encode()), secret, listed, made)


_ALSO = {"decontaminate"}  # one layer, by the graph of annotate


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every graph that is run, as a runner stores it."""
    kept: list[bytes] = []
    run = beam.Pipeline.run

    def keeping(self: beam.Pipeline, *given: Any, **named: Any) -> Any:
        kept.append(self.to_runner_api().SerializeToString())
        return run(self, *given, **named)

    monkeypatch.setattr(beam.Pipeline, "run", keeping)
    return kept


def test_no_graph_holds_them(files: Files, graphs: list[bytes]) -> None:
    wanted, seen = files.wanted(), set[str]()
    for step in steps(strict_yaml.load(BuildFile, str(files.build)), 1, Existing.REFUSE):
        before = len(graphs)
        step.run()
        for graph in graphs[before:]:
            seen.add(step.name.split()[0])
            assert not found_in(graph, wanted), f"{step.name}: its graph tells a secret"
    assert seen >= {name for name, command in COMMANDS.items() if command.takes_beam} - _ALSO, (
        "these make graphs as well"
    )
    travels = {str(files.secret).encode(), str(files.listed).encode(), b"scrypt:"}
    assert found_in(graphs[0], travels) == travels
    assert {post["author_key"] for post in laws.all_rows(files.made / "out" / "documents")} != {None}


@pytest.mark.parametrize("workers", [1, 2])
def test_no_run_says_or_leaves_them(files: Files, workers: int) -> None:
    if workers > 1:  # ingest alone reads secrets; after one worker of all steps, its processes are what matters
        build = yaml.safe_load(files.build.read_text())
        first = {name: build[name] for name in ("output", "inputs", "ingest")}
        files.build.write_text(yaml.safe_dump({**first, "annotate": {"split": {}}}))
    for script, status in ((KILLED, -signal.SIGKILL), (RUN, 0)):
        done = run(files, script, [["build", str(files.build), "--workers", str(workers)]])
        assert done.returncode == status, done.stderr
        assert not found_in((done.stdout + done.stderr).encode(), files.wanted())
        assert_left_nowhere(files)
    assert list((files.made / "reused").rglob("*.arrow"))


def test_no_run_that_fails_says_them(files: Files) -> None:
    for listed, secret in ((b"\xff" + NAME.encode(), SECRET), (NAME.encode(), SECRET[:15]), (b"# " + SECRET, SECRET)):
        files.listed.write_bytes(listed)
        files.secret.write_bytes(secret)
        done = run(files, RUN, [["build", str(files.build)]])
        assert "error:" in done.stderr
        assert not found_in((done.stdout + done.stderr).encode(), {NAME.encode(), secret})


def run(
    files: Files, script: str, given: Sequence[object], more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a script with its one argument in a process whose temporary files lie in `made` too."""
    (files.made / "tmp").mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(files.made / "tmp"), **(more or {})}
    command = [sys.executable, "-c", script, json.dumps(given)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


def assert_left_nowhere(files: Files) -> None:
    wanted = files.wanted()
    assert any(files.made.rglob("*.arrow"))
    for path in sorted(files.made.rglob("*")):
        assert not found_in(str(path.relative_to(files.made)).encode(), wanted), path
        assert not found_in(path.read_bytes() if path.is_file() else b"", wanted), path


# Copies files to a store, runs a command that is given them, and says what it ended with.
ON_A_STORE = """
import json, sys
from pipelines import cli
from transforms.datasets import places

copies, arguments = json.loads(sys.argv.pop())
for source, target in copies:
    places.write_atomically(target, places.read_bytes(source))
sys.argv[1:] = arguments
cli.main()
"""


@pytest.mark.parametrize("store", ["gs", "s3"], indirect=True)
def test_workers_read_them_from_a_store(files: Files, store: Emulator) -> None:
    for name, folder in (("here", str(files.build.parent)), ("there", f"{store.url}/private")):
        given = [(str(files.secret), f"{folder}/secret"), (str(files.listed), f"{folder}/list")]
        arguments = ["ingest", str(files.build.parent / "Posts.xml"), "--site", "tiny.example", "--workers", "2"]
        arguments += ["--author-secret", given[0][1], "--remove-list", given[1][1], "-o", str(files.made / name)]
        done = run(files, ON_A_STORE, [given if name == "there" else [], arguments], store.environment)
        assert done.returncode == 0, done.stderr
    laws.assert_same_bytes(files.made / "here", files.made / "there")
    assert load_manifest(str(files.made / "there")).counts["remove_list"]["entries_matched"] == 2


# ------------------------------------------------------------------------------------- whether it would be found

MARK = b"a marker that is planted"


@dataclass(frozen=True)
class Holder:
    """As ParseSpec holds what it holds."""

    inner: tuple[bytes, ...]


class HoldingFn(beam.DoFn):
    """As _ParseFn holds its spec."""

    def __init__(self, held: object) -> None:
        self._held = held

    def process(self, item: object, side: object = None) -> Iterator[object]:
        yield item


def added(_: object, value: bytes) -> bytes:
    return value


def side_input(p: beam.Pipeline) -> beam.PCollection:
    return beam.pvalue.AsList(p | "Side" >> beam.Create([Holder((MARK,))]))


PLANTED = {
    "an attribute of a DoFn": lambda p: p | beam.Create([1]) | beam.ParDo(HoldingFn(Holder((MARK,)))),
    "an element": lambda p: p | beam.Create([1, 2, MARK]),
    "an element that is an object": lambda p: p | beam.Create([Holder((MARK,))]),
    "a side input": lambda p: p | beam.Create([1]) | beam.ParDo(HoldingFn(0), side_input(p)),
    "an argument": lambda p: p | beam.Create([1]) | beam.Map(added, MARK),
    "a closure": lambda p: p | beam.Create([1]) | beam.Map(lambda item, mark=MARK: mark),
    "a partial": lambda p: p | beam.Create([1]) | beam.Map(partial(added, value=MARK)),
    "a label": lambda p: p | MARK.decode() >> beam.Create([1]),
}


@pytest.mark.parametrize("where", PLANTED)
def test_a_mark_is_found_in_a_graph(where: str) -> None:
    p = beam.Pipeline(runner="FnApiRunner")
    PLANTED[where](p)
    assert found_in(p.to_runner_api().SerializeToString(), {MARK, b"a marker that is not there"}) == {MARK}


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
@pytest.mark.parametrize("made", [pa.ipc.new_file, pa.ipc.new_stream])
def test_a_mark_is_found_in_a_file(tmp_path: Path, made: Any, compression: str | None) -> None:
    table = pa.table({"text": ["the same again and again, so that it is packed"] * 99 + [MARK.decode()]})
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with made(str(tmp_path / "x"), table.schema, options=options) as file:
        file.write_table(table)
    assert found_in((tmp_path / "x").read_bytes(), {MARK}) == {MARK}
