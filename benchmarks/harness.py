"""Runs contenders in turn, A B A B, each as a process of its own, and writes down medians, ratios and the machine.

A contender is a command whose last line of output is `BENCH {json}` (print it with `announce`): seconds of wall clock
and of CPU between two points that the contender chooses (imports left out), and how many bytes and records it handled.
CPU seconds (user + system, with children) are what the ratios compare: they hold on a machine that others use too.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_RESULTS = Path(__file__).parent / "results"
PREFIX = "BENCH "


@dataclass
class Timer:
    """Seconds between the ends of a `timed` block; CPU is user + system of this process and its finished children."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@contextmanager
def timed() -> Iterator[Timer]:
    """Measures the block: wall and CPU seconds, children that have ended included."""
    timer = Timer()
    wall, cpu = time.perf_counter(), _cpu_s()
    yield timer
    timer.wall_s, timer.cpu_s = time.perf_counter() - wall, _cpu_s() - cpu


def announce(timer: Timer, num_bytes: int, num_records: int, **extra: object) -> None:
    """The last thing a contender does: prints its figures for the harness. Peak memory is added here, in MB."""
    figures = {"wall_s": timer.wall_s, "cpu_s": timer.cpu_s, "bytes": num_bytes, "records": num_records}
    print(PREFIX + json.dumps({**figures, "peak_mb": round(peak_mb()), "extra": extra}), flush=True)


def peak_mb() -> float:
    """Peak memory of the largest process, this one or a child. (ru_maxrss of this one would count its parent's too.)"""
    own = [int(line.split()[1]) for line in _lines("/proc/self/status") if line.startswith("VmHWM:")]
    usage = resource.RUSAGE_CHILDREN if own else resource.RUSAGE_SELF
    return max([*own, resource.getrusage(usage).ru_maxrss]) / 1024


@dataclass(frozen=True)
class Contender:
    """A named command; it runs in the repository's root."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One run of a contender. bytes and records: of its input; peak_mb: resident memory."""

    wall_s: float
    cpu_s: float
    bytes: int
    records: int
    peak_mb: int
    extra: Mapping[str, Any]


def run_once(contender: Contender) -> Run:
    """Raises RuntimeError with the end of the contender's output when it fails or prints no figures."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", **contender.environment}
    done = subprocess.run(contender.command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(PREFIX)]
    if done.returncode or not lines:
        output = (done.stdout + done.stderr)[-3000:]
        raise RuntimeError(f"{contender.name} failed with status {done.returncode}:\n{output}")
    return Run(**json.loads(lines[-1].removeprefix(PREFIX)))


def alternate(contenders: Sequence[Contender], rounds: int) -> dict[str, list[Run]]:
    """All contenders once, then all again, `rounds` times, so that a slow minute of the machine meets each of them."""
    runs: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    for turn in range(rounds):
        for contender in contenders:
            run = run_once(contender)
            runs[contender.name].append(run)
            print(f"round {turn + 1}/{rounds}  {contender.name}: {run.cpu_s:.2f} CPU s", file=sys.stderr, flush=True)
    return runs


def median(values: Sequence[float]) -> float:
    """The median of figures of several runs."""
    return float(statistics.median(values))


def comparison(runs: Mapping[str, Sequence[Run]], ours: str, ratio_is: str = "ours against it") -> list[str]:
    """A Markdown table of medians; `ours against it`: its CPU seconds a byte over ours, so above 1 we are faster.
    ratio_is: what that column is called."""
    lines = [
        f"| contender | CPU s | wall s | MB/s per CPU s | records/s per CPU s | peak MB | {ratio_is} |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    ours_cost = median([run.cpu_s / run.bytes for run in runs[ours]])
    for name, all_runs in runs.items():
        cpu, wall = median([run.cpu_s for run in all_runs]), median([run.wall_s for run in all_runs])
        spread = f"{min(run.cpu_s for run in all_runs):.2f}–{max(run.cpu_s for run in all_runs):.2f}"
        ratio = median([run.cpu_s / run.bytes for run in all_runs]) / ours_cost
        lines.append(
            f"| {name} | {cpu:.2f} ({spread}) | {wall:.2f} | {all_runs[0].bytes / 1e6 / cpu:.2f} "
            f"| {all_runs[0].records / cpu:,.0f} | {median([run.peak_mb for run in all_runs]):.0f} | {ratio:.2f} |"
        )
    return lines


def _processor() -> str:
    """Model name of the processor and the number of cores this process may use."""
    names = [line.split(":", 1)[1] for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return f"{names[0].strip() if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def _lines(name: str) -> list[str]:
    path = Path(name)
    return path.read_text().splitlines() if path.exists() else []


def write_result(
    subject: str, title: str, body: Sequence[str], packages: Sequence[str], peers: Sequence[str] = ()
) -> Path:
    """results/<subject>_<hardware>_<yyyymm>.md: title, machine, versions, load while it ran, then the body."""
    now, load = datetime.now(UTC), os.getloadavg()[0]
    machine = _processor()
    slug = "".join(char if char.isalnum() else "-" for char in machine.lower()).strip("-")
    while "--" in slug:
        slug = slug.replace("--", "-")
    path = _RESULTS / f"{subject}_{slug}_{now:%Y%m}.md"
    head = [
        f"# {title}",
        "",
        f"- machine: {machine}; {platform.system()} {platform.machine()}; load average at the end {load:.1f}",
        f"- date: {now:%Y-%m-%d}; Python {platform.python_version()}",
        f"- versions: {', '.join([*(f'{package} {version(package)}' for package in packages), *peers])}",
        "",
    ]
    _RESULTS.mkdir(exist_ok=True)
    path.write_text("\n".join([*head, *body]) + "\n", encoding="utf-8")
    print(path)
    return path
