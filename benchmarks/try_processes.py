"""Tries with processes: steps killed or told to stop, two builders at once; limits on memory, file size and open
files."""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from benchmarks.harness import ROOT
from benchmarks.try_forum import STEPS, Forum, Outcome, Result, Tries, Try, emptied, end_of, last_line, wrong
from tests import laws
from tests.conftest import LID_MODEL
from transforms.datasets.building import Build
from transforms.datasets.manifest import ShardFile, load_manifest
from transforms.datasets.standing import Existing
from transforms.datasets.verify import find_problems

_HUNG_S = 120.0
_ended = partial(end_of, seconds=_HUNG_S)


def _command(forum: Forum, step: str, into: Path, *more: str) -> list[str]:
    where = ["--forum", str(forum.folder), "--into", str(into)]
    return [sys.executable, "-m", "benchmarks.try_processes", step, *where, *more]


def _start(
    command: Sequence[str], limit: Callable[[], None] | None = None, temporary: Path | None = None
) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(temporary)} if temporary else None
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
        env=environment,
    )


# ------------------------------------------------------------------------------------- kills


def kills(forum: Forum, seed: int) -> Tries:
    """Every step is killed before and after each part-record, and at moments that the seed draws."""
    for step in STEPS:
        records = sum(len(load_manifest(str(forum.folder / name)).files) for name in forum.datasets(step))
        for number in range(records):
            for moment in ("before", "after"):
                yield Try(
                    f"{step} killed {moment} part-record {number}",
                    partial(_killed, forum, step, f"--kill={moment}:{number}"),
                )
        chance = random.Random(f"{seed} {step}")
        for _ in range(4):
            seconds = chance.uniform(0.5, 6)
            yield Try(f"{step} killed after {seconds:.2f} s", partial(_killed, forum, step, seconds))


def _killed(forum: Forum, step: str, when: str | float) -> Result:
    into = emptied(forum.folder / "tries")
    process = _start(_command(forum, step, into, *([when] if isinstance(when, str) else [])))
    if isinstance(when, float):
        threading.Timer(when, process.kill).start()
    status, said = _ended(process)
    if status not in (0, -signal.SIGKILL):
        return wrong(f"ended with {status}: {last_line(said)}")
    for dataset in forum.datasets(step):
        if (into / dataset / "manifest.json").exists() and (problems := find_problems(str(into / dataset))):
            problems = [problem for problem in problems if not problem.endswith("not in the manifest")]
            if problems:
                return wrong(f"the kill left {problems}")
    return forum.remade(step, into)


# ------------------------------------------------------------------------------------- signals


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
_BUILD = """
output: {output}
inputs: [{{path: {dump}, site: golden.example}}]
ingest: {{max_drop_rate: 1.0}}
annotate: {{language: {{model: {model}}}, duplicates: {{}}, split: {{}}}}
pairs: {{rule: worldpm}}
"""


def signals(forum: Forum, seed: int) -> Tries:
    """Every command is told to stop, or killed, at moments of its undisturbed time that the seed draws."""
    chance = random.Random(f"{seed} signals")
    for step in ("documents", "layers", "pairs", "tokenizer", "tokens", "curriculum", "build", "report"):
        for workers in (1,) if step in ("tokenizer", "report") else (1, 2):
            for number in _SIGNALS:
                at = chance.uniform(0, 0.9)
                name = f"{step} with {workers} workers, {number.name} at {at:.2f} of its time"
                yield Try(name, partial(_signalled, forum, step, workers, number, at))


def _signalled(forum: Forum, step: str, workers: int, number: signal.Signals, at: float) -> Result:
    into, temporary = emptied(forum.folder / "tries"), emptied(forum.folder / "temporary")
    alone = forum.folder / "alone" / f"{step}-{workers}"
    command = partial(_agora, forum, step, more=["--workers", str(workers)] if workers > 1 else [])
    started = time.monotonic()
    if not alone.exists() and (ended := _ended(_start(command(alone))))[0] != 0:
        return wrong(f"the command fails undisturbed: {last_line(ended[1])}")
    seconds = _undisturbed.setdefault((step, workers), time.monotonic() - started)
    process = _start(command(into), temporary=temporary)
    timer = threading.Timer(seconds * at, process.send_signal, [number])
    timer.start()
    status, said = _ended(process)
    timer.cancel()
    lines = [line for line in said.splitlines() if "stopped by" in line or "rror" in line or "Traceback" in line]
    if number == signal.SIGKILL:
        if status not in (0, -number):
            return wrong(f"ended with {status}: {last_line(said)}")
    elif status != 0 and (status != 128 + number or len(lines) != 1 or lines[0] != last_line(said)):
        if status != -number:  # it had hardly begun, and Python's own handlers are still at work
            return wrong(f"ended with {status}: {lines}")
    elif left := [*os.listdir(temporary), *_processes_of(temporary)]:
        return wrong(f"left {left}")
    if (again := _ended(_start(command(into), temporary=temporary)))[0] != 0:
        return wrong(f"a rerun fails: {last_line(again[1])}")
    if left := [*os.listdir(temporary), *_processes_of(temporary)]:
        return wrong(f"a rerun does not clear {left}")
    if (ours := _made(into)) != (theirs := _made(alone)):
        return wrong(
            f"a rerun made something else: {[name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)]}"
        )
    return Result(Outcome.TOLD, last_line(said)) if status else Result(Outcome.UNDISTURBED)


_undisturbed: dict[tuple[str, int], float] = {}  # seconds


def _made(folder: Path) -> dict[str, bytes]:
    """All files of a command's output but what tells of runs; of the page, that it is there."""
    return {name: b"" if name == "report.html" else data for name, data in laws.files_of(folder).items()}


def _processes_of(temporary: Path) -> list[str]:
    """Processes whose temporary files are in a folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"TMPDIR={temporary}".encode() in (folder / "environ").read_bytes():
                found.append(f"process {folder.name}")
    return found


# ------------------------------------------------------------------------------------- races


def races(forum: Forum, seed: int) -> Tries:
    """Two builders at one place, the second some moments after the first, with the same settings and with others."""
    chance = random.Random(seed)
    for step in STEPS:
        for replace in (False, True):
            delay = chance.uniform(0, 1.5)
            name = f"{step} twice, {delay:.2f} s apart{', with --replace' if replace else ''}"
            yield Try(name, partial(_race, forum, step, delay, replace))
    for number in range(6):
        delay = chance.uniform(0, 1.5)
        name = f"documents of two dumps, {delay:.2f} s apart ({number})"
        yield Try(name, partial(_two_dumps, forum, delay, number % 2 == 1))


def _race(forum: Forum, step: str, delay: float, replace: bool) -> Result:
    into = emptied(forum.folder / "tries")
    more = ["--replace"] if replace else []
    ended = _both(_command(forum, step, into, *more), _command(forum, step, into, *more), delay)
    if isinstance(ended, Result):
        return ended
    return forum.remade(step, into, ended)


def _two_dumps(forum: Forum, delay: float, replace: bool) -> Result:
    """What stands afterwards is one of the two, whole."""
    into, other = emptied(forum.folder / "tries"), _other_dump(forum)
    more = ["--replace"] if replace else []
    ended = _both(_command(forum, "documents", into, *more), _command(other, "documents", into, *more), delay)
    if isinstance(ended, Result):
        return ended
    if problems := find_problems(str(into / "documents")):
        return wrong(f"not sound: {problems[:2]}")
    if all(each.differences("documents", into) for each in (forum, other)):
        return wrong("a mixture of two dumps was committed")
    return Result(Outcome.TOLD, ended)


def _other_dump(forum: Forum) -> Forum:
    """The same dump without its last rows, and the documents of it."""
    other = Forum(forum.folder / "other")
    if not other.folder.exists():
        shutil.copytree(forum.folder / "dump", other.folder / "dump")
        posts = other.folder / "dump" / "forum" / "Posts.xml"
        rows = posts.read_bytes().split(b"\r\n")
        posts.write_bytes(b"\r\n".join(rows[:-9] + rows[-1:]))
        other.steps()["documents"]()
    return other


def _both(first: Sequence[str], second: Sequence[str], delay: float) -> Result | str:
    """What the one that was refused said, "" when neither was; or what is wrong."""
    processes = [_start(first)]
    time.sleep(delay)
    processes.append(_start(second))
    ended = [_ended(process) for process in processes]
    refused = [last_line(said) for status, said in ended if status == 2]
    if len(refused) + sum(status == 0 for status, _ in ended) != 2 or len(refused) == 2:
        return wrong(f"ended with {[(status, last_line(said)) for status, said in ended]}")
    if refused and not ("is being built by process" in refused[0] or "already holds" in refused[0]):
        return wrong(f"refused for another reason: {refused[0]}")
    return refused[0] if refused else ""


# ------------------------------------------------------------------------------------- limits


def limits(forum: Forum, seed: int) -> Tries:
    """Commands with too little memory, room or handles: they succeed, or say so in one line and are finished later."""
    for step in ("documents", "layers", "pairs", "tokenizer", "tokens", "curriculum"):
        for megabytes in (300, 500, 700, 900, 1200):
            yield _limited(forum, step, f"{megabytes} MB of address space", resource.RLIMIT_AS, megabytes << 20)
        for kilobytes in (1, 4, 16, 64):
            yield _limited(forum, step, f"{kilobytes} kB a file", resource.RLIMIT_FSIZE, kilobytes << 10)
        for number in (16, 32, 64):
            yield _limited(forum, step, f"{number} open files", resource.RLIMIT_NOFILE, number)


def _limited(forum: Forum, step: str, what: str, kind: int, value: int) -> Try:
    return Try(f"{step} with {what}", partial(_within, forum, step, kind, value))


def _within(forum: Forum, step: str, kind: int, value: int) -> Result:
    into, alone = emptied(forum.folder / "tries"), forum.folder / "alone" / step
    if not alone.exists() and (ended := _ended(_start(_agora(forum, step, alone))))[0] != 0:
        return wrong(f"the step fails without a limit: {last_line(ended[1])}")
    status, said = _ended(_start(_agora(forum, step, into), lambda: resource.setrlimit(kind, (value, value))))
    if status is None:
        return wrong(f"hung for {_HUNG_S:.0f} s")
    if status != 0 and "Traceback" in said:
        return wrong(f"a trace: {last_line(said)}")
    if _ended(_start(_agora(forum, step, into)))[0] != 0 or laws.files_of(into) != laws.files_of(alone):
        return wrong("a rerun made something else")
    return Result(Outcome.TOLD, last_line(said)) if status else Result(Outcome.UNDISTURBED)


def _agora(forum: Forum, step: str, into: Path, more: Sequence[str] = ()) -> list[str]:
    """A step as a user types it, on the undisturbed datasets."""
    agora = [sys.executable, "-m", "pipelines.cli"]
    if step == "report":
        return [*agora, "report", str(forum.folder), "--output", str(into / "report.html"), *more]
    if step == "build":
        file = forum.folder / f"{into.parent.name}-{into.name}.yaml"
        file.write_text(_BUILD.format(output=into, dump=f"{forum.folder}/dump/forum", model=LID_MODEL))
        return [*agora, "build", str(file), *more]
    at = {name: str(forum.folder / name) for name in ("documents", "layers", "tokenizer", "tokens")}
    layers = ["--layers", at["layers"]]
    arguments = {
        "documents": [
            "ingest",
            f"{forum.folder}/dump/forum",
            "--site",
            "golden.example",
            "--max-drop-rate",
            "1",
        ],
        "layers": ["annotate", at["documents"], "--set", f"language={LID_MODEL}"],
        "pairs": ["pairs", at["documents"], *layers],
        "tokenizer": ["tokenizer", at["documents"], *layers, "--vocab-size", "1600"],
        "tokens": ["tokenize", at["documents"], *layers, "--tokenizer", at["tokenizer"]],
        "curriculum": ["curriculum", at["tokens"], *layers, "--recipe", "demo"],
    }[step]
    return [*agora, *arguments, "--output", str(into), *more]


# ------------------------------------------------------------------------------------- one step, as a process


def _kill_at(moment: str, number: int) -> None:
    """Lets this process die before or after it has left so many part-records."""
    leave, left = Build.leave_record, [number]

    def killing(self: Build, file: ShardFile) -> ShardFile:
        if left[0] == 0 and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        leave(self, file)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return file

    Build.leave_record = killing  # type: ignore[method-assign]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--forum", type=Path)
    parser.add_argument("--into", type=Path)
    parser.add_argument("--kill")
    parser.add_argument("--replace", action="store_true")
    arguments = parser.parse_args()
    if arguments.kill:
        moment, _, number = arguments.kill.partition(":")
        _kill_at(moment, int(number))
    existing = Existing.REPLACE if arguments.replace else Existing.REFUSE
    try:
        Forum(arguments.forum).steps(existing, arguments.into)[arguments.step]()
    except (ValueError, OSError) as error:
        print(" ".join(str(error).split("\n")), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
