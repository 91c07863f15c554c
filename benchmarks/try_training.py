"""Tries with training runs: ranks, launchers and drivers that are killed or told to stop, at any moment and while they
save. The same command then goes on to the end, and its model has the bytes of one that nobody disturbed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from benchmarks.harness import ROOT
from benchmarks.try_forum import Forum, Outcome, Result, Tries, Try, end_of, last_line, wrong
from tests.training_data import arguments, write_all

_KINDS = ("pretrain", "preference")
_HUNG_S = 180.0
_ended = partial(end_of, seconds=_HUNG_S)
_END_S = 5.0  # in which the last process is gone after its driver
_PREEMPTED = 75
_BUSY = "gloo"  # in the last line of a run whose connections failed, as they may on a busy machine


@dataclass(frozen=True)
class Run:
    """A training run: its kind, how many processes train, and its folder, by which its processes are known."""

    data: Path
    kind: str
    ranks: int
    output: Path

    def start(self) -> subprocess.Popen[str]:
        """`agora train`, as a user types it."""
        often: dict[str, object] = {"checkpoint_every": 2, "evaluate_every": 3, "keep_checkpoints": 3}
        if self.kind == "pretrain":
            often["validation"] = self.data / "validation"
        settings = arguments(self.data, self.output, self.kind, **often)
        command = [sys.executable, "-m", "pipelines.cli", "train", self.kind, "debug_cpu"]
        command += ["--processes", str(self.ranks), *settings]
        return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def finish(self) -> str:
        """Runs it to its end; what is wrong when it does not get there."""
        for _ in range(3):
            status, said = _ended(self.start())
            if status == 0:
                return ""
            if _BUSY not in said:
                break
        return f"ended with {status}: {last_line(said)}"

    def processes(self, what: str = "") -> list[int]:
        """Those that run for it, of this module when one is named."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            is_one = f"output={self.output}".encode() in command
            if is_one and (not what or command[1:3] == [b"-m", what.encode()]):
                found.append(int(entry.name))
        return sorted(found)

    def lines(self) -> list[tuple[str, int]]:
        """Kind and step of each line of metrics.jsonl that tells of training, in order."""
        path = self.output / "metrics.jsonl"
        whole = path.read_text().rpartition("\n")[0].splitlines() if path.exists() else []
        records = [json.loads(line) for line in whole]
        return [(record["kind"], record["step"]) for record in records if record["kind"] != "resumed"]


def undisturbed(forum: Forum, kind: str, ranks: int) -> Run:
    """A run that nobody disturbs, made once. Raises RuntimeError when it fails."""
    folder = forum.folder / "training"
    if not folder.exists():
        write_all(folder)
    run = Run(folder, kind, ranks, folder / f"whole-{kind}-{ranks}")
    if not (run.output / "export" / "manifest.json").exists() and (fault := run.finish()):
        raise RuntimeError(f"{kind} fails undisturbed: {fault}")
    return run


# ------------------------------------------------------------------------------------- who is disturbed


def _kill_one(run: Run, driver: int, chance: random.Random) -> None:
    os.kill(chance.choice(run.processes(f"trainers.{run.kind}")), signal.SIGKILL)


def _kill_all(run: Run, driver: int, chance: random.Random) -> None:
    for process in run.processes(f"trainers.{run.kind}"):
        os.kill(process, signal.SIGKILL)


def _kill_launcher(run: Run, driver: int, chance: random.Random) -> None:
    """Of several ranks the one that started them, of one the command itself."""
    os.kill(chance.choice([driver, *run.processes("trainers.run")]), signal.SIGKILL)


def _signal(number: int, run: Run, driver: int, chance: random.Random) -> None:
    os.kill(driver, number)


_DISTURBANCES: dict[str, Callable[[Run, int, random.Random], None]] = {
    "one rank killed": _kill_one,
    "all ranks killed": _kill_all,
    "driver or launcher killed": _kill_launcher,
    "SIGTERM": partial(_signal, signal.SIGTERM),
    "SIGUSR1": partial(_signal, signal.SIGUSR1),
}


def training(forum: Forum, seed: int) -> Tries:
    """Every kind of run, disturbed in every way, in training and while it saves, alone and with two ranks."""
    for kind, ranks, name, saving in product(_KINDS, (1, 2), _DISTURBANCES, (False, True)):
        what = f"{kind} on {ranks}: {name} {'while it saves' if saving else 'while it trains'}"
        yield Try(what, partial(_disturbed, forum, kind, ranks, name, saving, f"{seed} {what}"))


def _disturbed(forum: Forum, kind: str, ranks: int, name: str, saving: bool, seed: str) -> Result:
    whole, chance = undisturbed(forum, kind, ranks), random.Random(seed)
    run = Run(whole.data, kind, ranks, whole.data / "disturbed")
    shutil.rmtree(run.output, ignore_errors=True)
    driver = run.start()
    _wait_for(run, driver, chance.randrange(1, len(whole.lines()) - 3), saving, chance)
    if driver.poll() is None:
        _DISTURBANCES[name](run, driver.pid, chance)
    status, said = _ended(driver)
    if status is None:
        return wrong(f"hung for {_HUNG_S:.0f} s")
    if "Traceback" in said or (name.startswith("SIG") and status not in (0, _PREEMPTED, 128 + getattr(signal, name))):
        return wrong(f"ended with {status}: {said[-500:]}")
    end = time.monotonic() + _END_S
    while (left := run.processes()) and time.monotonic() < end:
        time.sleep(0.02)
    if left:
        for process in left:
            os.kill(process, signal.SIGKILL)
        return wrong(f"{len(left)} processes outlive the command")
    if fault := run.finish():
        return wrong(f"the same command again {fault}")
    if _model(run) != _model(whole):
        return wrong("another model")
    if run.lines() != whole.lines():
        return wrong(f"metrics of {run.lines()}, not of {whole.lines()}")
    return Result(Outcome.TOLD, f"status {status}")


def _wait_for(run: Run, driver: subprocess.Popen[str], lines: int, saving: bool, chance: random.Random) -> None:
    """Until so many lines of metrics are there and a bit longer, or until the next checkpoint is being written."""
    while driver.poll() is None and len(run.lines()) < lines:
        time.sleep(0.002)
    if not saving:
        time.sleep(chance.uniform(0, 0.1))
    checkpoints = run.output / "checkpoints"
    while saving and driver.poll() is None:
        if checkpoints.is_dir() and any(name.startswith("saving-") for name in os.listdir(checkpoints)):
            return


def _model(run: Run) -> bytes:
    return (run.output / "export" / "model.safetensors").read_bytes()
