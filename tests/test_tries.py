"""A share of what `python -m benchmarks.tries` runs: nothing wrong passes in silence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks import tries, try_damage
from benchmarks.try_forum import Forum, Outcome
from tests.conftest import ROOT
from tests.small_dataset import SPEC, opened
from transforms.datasets.names import MANIFEST
from transforms.layers.kinds import LAYERS

SHARES = {
    "damage-rerun": 0.5,
    "damage-read": 0.06,
    "kills": 0.02,
    "signals": 0.05,
    "races": 0.1,
    "hostile": 0.3,
    "limits": 0.02,
    "build-file": 0.15,
    "secrets": 0.2,
    "siblings": 0.05,
    "training": 0.05,
    "models": 1.0,
}


@pytest.fixture(scope="module")
def forum(tmp_path_factory: pytest.TempPathFactory, lid_model: Path) -> Forum:
    return Forum.build(tmp_path_factory.mktemp("tries") / "forum")


@pytest.mark.parametrize("table", tries.TABLES)
def test_nothing_wrong_passes_in_silence(table: str, forum: Forum) -> None:
    outcomes, lines = tries.run(table, forum, SHARES[table], seed=1)
    assert sum(outcomes.values()) > 0
    assert not lines, "\n".join(lines)
    if table.startswith("damage"):
        assert outcomes[Outcome.TOLD] > 0.9 * sum(outcomes.values())


def test_every_dataset_has_readers_and_every_layer_is_read() -> None:
    assert {f"layers/{name}" for name in LAYERS} < set(try_damage.READERS)


# ------------------------------------------------------------------------------------- as a user meets it


def agora(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_a_worker_that_meets_damage_ends_the_command_in_one_line_unless_told_to_trust(
    forum: Forum, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    shutil.copytree(forum.folder / "tokens", tokens)
    shard = tokens / "data" / "00001-of-00003.arrow"
    table = pa.ipc.open_file(shard.read_bytes()).read_all()
    first = table.column("tokens").combine_chunks().values.buffers()[1].to_pybytes()[:64]
    data = shard.read_bytes()
    shard.write_bytes(data.replace(first, bytes([first[0] ^ 1]) + first[1:], 1))
    command = ["curriculum", str(tokens), "--layers", f"{forum.folder}/layers", "--recipe", "demo", "--workers", "2"]
    status, said = agora(*command, "--output", f"{tmp_path}/refused")
    assert status == 2
    assert "Traceback" not in said
    assert f"{tokens} is damaged: data/00001-of-00003.arrow has XXH3-128" in said.splitlines()[-1]
    assert not (tmp_path / "refused" / MANIFEST).exists()
    assert agora(*command, "--output", f"{tmp_path}/trusted", "--trust")[0] == 0
    assert agora("verify", str(tokens))[0] == 1


def test_two_builders_of_two_dumps_one_is_refused_in_one_line(forum: Forum, tmp_path: Path) -> None:
    """The tables hold more of these; here one is told who builds."""
    with opened(tmp_path, replace(SPEC, kind="documents")):
        dump = str(forum.folder / "dump" / "forum")
        status, said = agora("ingest", dump, "--site", "golden.example", "--output", str(tmp_path), "--replace")
    assert status == 2
    assert f"is being built by process {os.getpid()} on" in said.splitlines()[-1]
