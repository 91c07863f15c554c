"""Peak memory of ingestions larger than the memory they may use: all processes together, sampled.

    .venv/bin/python -m benchmarks.memory [--gigabytes 5.6] [--kinds dump 7z reddit] [--bounds 1GB:1 1.1GB:2]

A bound is a value of --memory and, behind a colon, the workers. Each kind of input is generated at about the size asked
for (unpacked): `dump` is a folder of Posts, Comments, Votes and PostLinks, `7z` the same in one archive, `reddit` a
month of submissions and comments, in Zstandard. What counts is resident memory, sampled every 50 ms and added up over
the process and its children; pages that processes share count in each of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import py7zr

from benchmarks.generate import repeat_dump
from benchmarks.generate_reddit import write_month
from benchmarks.harness import ROOT, write_result
from pipelines.local.memory import parse_size
from transforms.datasets.manifest import load_manifest

_EVERY_S = 0.05
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_REDDIT_ROW_BYTES = 1500  # of a generated row, about
_QUICKLY = [{"id": py7zr.FILTER_LZMA2, "preset": 1}]
_KINDS = ("dump", "7z", "reddit")


def _make_input(kind: str, folder: Path, num_bytes: int) -> int:
    """Writes an input of this kind, alone in `folder`; returns its unpacked bytes."""
    if kind == "reddit":
        return write_month(folder, num_bytes // _REDDIT_ROW_BYTES)
    size = repeat_dump(folder, num_bytes)
    if kind == "7z":
        tables = sorted(folder.iterdir())
        with py7zr.SevenZipFile(folder / "bench.example.org.7z", "w", filters=_QUICKLY) as archive:
            for table in tables:
                archive.write(table, table.name)
        for table in tables:
            table.unlink()
    return size


def _resident_bytes(root: int) -> int:
    """Of a process and all below it."""
    total, waiting = 0, [Path("/proc") / str(root)]
    while waiting:
        process = waiting.pop()
        try:
            total += int((process / "statm").read_text().split()[1]) * _PAGE_BYTES
            children = [task.read_text() for task in process.glob("task/*/children")]
        except OSError:  # it ended
            continue
        waiting += [Path("/proc") / number for text in children for number in text.split()]
    return total


def _watch(command: list[str]) -> tuple[int, float, str]:
    """Runs a command; returns peak resident bytes, seconds, and what it printed. Raises RuntimeError when it fails."""
    started = time.monotonic()
    peak, done = [0], threading.Event()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def sample() -> None:
        while not done.wait(_EVERY_S):
            peak[0] = max(peak[0], _resident_bytes(process.pid))

    watcher = threading.Thread(target=sample, daemon=True)
    watcher.start()
    output, _ = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{output[-3000:]}")
    return peak[0], time.monotonic() - started, output


def _measure(kind: str, dump: Path, size: int, memory: str, workers: int) -> str:
    """A line of the table: one ingestion."""
    output = dump.parent / "documents"
    command = [sys.executable, "-m", "pipelines.cli", "ingest", str(dump), "--output", str(output)]
    command += ["--workers", str(workers), "--memory", memory, "--max-drop-rate", "1"]
    peak, seconds, _ = _watch(command + ([] if kind == "reddit" else ["--site", "bench.example.org"]))
    rows = sum(file["rows"] for file in load_manifest(str(output)).inputs)
    shutil.rmtree(output)
    bound = parse_size(memory)
    return (
        f"| {kind} | {size / 1e6:,.0f} | {size / bound:.1f} | {workers} | {memory} | {peak / 1e6:,.0f} "
        f"| {peak / bound:.2f} | {rows:,} | {seconds:,.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=5.6)
    parser.add_argument("--kinds", nargs="+", choices=_KINDS, default=list(_KINDS))
    parser.add_argument("--bounds", nargs="+", default=["1GB:1", "1.1GB:2"])
    arguments = parser.parse_args()
    lines = [
        "Peak of resident memory of all processes together, sampled every 50 ms. MB are those of the unpacked input.",
        "",
        "| input | MB | over the bound | workers | --memory | peak MB | of the bound | rows | seconds |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in arguments.kinds:
        with tempfile.TemporaryDirectory(prefix="agora-bench-") as folder:
            dump = Path(folder) / "input"
            size = _make_input(kind, dump, int(arguments.gigabytes * 1e9))
            for bound in arguments.bounds:
                memory, _, workers = bound.partition(":")
                lines.append(_measure(kind, dump, size, memory, int(workers)))
                print(lines[-1], file=sys.stderr, flush=True)
    write_result("memory", "Ingest in bounded memory", lines, ["apache-beam", "pyarrow"])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
