"""The launcher of ranks: what they end with it ends with, signals reach them, and it tells of one error once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import ROOT
from trainers import run
from trainers.agent import RankAgent

# What a rank does; `mark` is a file of its own, by which it says that it is ready.
RANK = """
import os, signal, sys, time
rank, folder = int(os.environ["RANK"]), {folder!r}
def say(text): os.write(int(os.environ["AGORA_LAST_WORDS"]), text.encode())
def heed(*numbers):
    for number in numbers: signal.signal(number, lambda *_: sys.exit(75))
def ready():
    open(os.path.join(folder, str(rank)), "w").close()
    time.sleep(60)
{does}
"""
SAVES = "heed(signal.SIGTERM, signal.SIGUSR1); ready()"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready()"
ONE_FAILS = "rank or ready()\nwhile not os.listdir(folder): time.sleep(0.01)\n"


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """It is a process's last act to listen to them."""
    numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def launch(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str, *signals: int, options: Sequence[str] = ()) -> int:
    """Two ranks that do something; signals are sent to the launcher, this process, when both are ready."""
    command = [sys.executable, "-c", RANK.format(folder=str(folder), does=does)]
    monkeypatch.setattr(run, "RankAgent", lambda spec, _, seconds: RankAgent(spec, command, seconds))
    monkeypatch.setattr(sys, "argv", ["run", "--nproc-per-node", "2", *options, "pretrain", "x"])

    def send() -> None:
        while len(list(folder.iterdir())) < 2:
            time.sleep(0.01)
        for number in signals:
            os.kill(os.getpid(), number)
            time.sleep(0.2)  # Ctrl-C is pressed twice

    threading.Thread(target=send, daemon=True).start()
    return run.main()


@pytest.mark.parametrize(
    ("does", "signals", "status", "said"),
    [
        ("pass", [], 0, ""),
        (SAVES, [signal.SIGTERM], 75, ""),
        (SAVES, [signal.SIGUSR1], 75, ""),
        (SAVES, [signal.SIGINT], 75, ""),
        (SAVES, [signal.SIGHUP], 75, ""),
        ("sys.exit(75 * rank)", [], 75, ""),  # on another machine somebody was told
        ("ready()", [signal.SIGTERM], 143, ""),  # nothing to save yet
        (ONE_FAILS + "say('pretrain: no data'); sys.exit(3)", [], 3, "pretrain: no data (rank 1)\n"),
        (ONE_FAILS + "sys.exit(4)", [], 4, "pretrain: rank 1 ended with status 4\n"),
        (ONE_FAILS + "os.kill(os.getpid(), 9)", [], 137, "pretrain: rank 1 was ended by SIGKILL\n"),
        ("say('pretrain: the same'); sys.exit(1)", [], 1, "pretrain: the same (rank "),
        (STUBBORN, [signal.SIGINT, signal.SIGINT], 130, ""),
    ],
)
def test_what_ranks_end_with_is_what_it_ends_with(
    does: str,
    signals: list[int],
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert launch(tmp_path, monkeypatch, does, *signals) == status
    told = capfd.readouterr().err
    assert told == said or (said and told.startswith(said) and told.count("\n") == 1)


def test_ranks_that_take_too_long_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert launch(tmp_path, monkeypatch, STUBBORN, signal.SIGTERM, options=["--stop-timeout", "0.3"]) == 137
    assert capfd.readouterr().err == (
        "pretrain: ranks had not ended 0.3 s after SIGTERM and were killed; see --stop-timeout\n"
    )


@pytest.mark.parametrize("number", ["0", "-1", "x"])
def test_a_number_of_ranks_is_at_least_one(
    number: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run", f"--nproc-per-node={number}", "pretrain", "x"])
    with pytest.raises(SystemExit):
        run.main()
    assert f"must be a whole number of at least 1, got '{number}'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("first", "status", "told"),
    [
        ("say('pretrain: 1'); sys.exit(1)", 1, "pretrain: 1 (rank 1)\n"),
        ("os.kill(os.getpid(), 9)", 137, "pretrain: rank 1 was ended by SIGKILL\n"),
    ],
)
def test_of_two_failures_the_first_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    first: str,
    status: int,
    told: str,
) -> None:
    """Whoever loses a partner fails as well, in the time in which the launcher does not look."""
    monkeypatch.setattr(run, "_MONITOR_S", 1.0)
    does = f"rank or (time.sleep(0.3), say('pretrain: lost a partner'), sys.exit(2))\n{first}"
    assert launch(tmp_path, monkeypatch, does) == status
    assert capfd.readouterr().err == told


MACHINE = """
import sys
from trainers import run
from trainers.agent import RankAgent
names = ["RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT"]
rank = f"import os; print(*(os.environ[name] for name in {names}), flush=True)"
run.RankAgent = lambda spec, _, seconds: RankAgent(spec, [sys.executable, "-c", rank], seconds)
sys.exit(run.main())
"""


def test_a_machine_that_comes_too_late_says_so() -> None:
    """The agent ends without ranks when the others' rendezvous is closed."""
    spec = SimpleNamespace(role="pretrain", rdzv_handler=None, local_world_size=1, max_restarts=0, monitor_interval=1)
    agent = RankAgent(spec, ["true"], 1.0)  # type: ignore[arg-type]
    assert agent.outcome() == (1, "pretrain: the other machines have ended without this one")


@pytest.mark.parametrize("how", ["endpoint", "numbered"])
def test_machines_meet(how: str) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    where = ["--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "x"]
    machines = []
    for number in range(2):
        if how == "numbered":
            where = ["--node-rank", str(number), "--master-addr", "127.0.0.1", "--master-port", port]
        command = [sys.executable, "-c", MACHINE, "--nnodes", "2", "--nproc-per-node", "1", *where, "pretrain", "x"]
        machines.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
    said = sorted(machine.communicate(timeout=120)[0].split() for machine in machines)
    assert [machine.returncode for machine in machines] == [0, 0]
    assert [line[:3] for line in said] == [["0", "2", "0"], ["1", "2", "0"]]
    assert said[0][3] == said[1][3]
