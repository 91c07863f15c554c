"""Peak memory of an ingestion that is larger than the memory it may use: all its processes together, sampled.

    .venv/bin/python -m benchmarks.memory [--megabytes 2050] [--memory 400MB] [--workers 1]

The dump is a generated one (generate.py) repeated with shifted ids. What counts is resident memory (VmRSS), sampled
every 50 ms and added up over the process and its children; pages that processes share count in each of them.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.generate import enlarge
from benchmarks.harness import ROOT, write_result
from pipelines.memory import parse_size
from transforms.manifest import load_manifest

_EVERY_S = 0.05
_IDS = re.compile(rb' (Id|ParentId|AcceptedAnswerId)="(\d+)"')
_STEP = 1_000_000_000


def repeat(base: Path, output: Path, num_bytes: int) -> None:
    """Rows of a Posts.xml again and again, each time with other ids."""
    rows = [line for line in base.read_bytes().splitlines(keepends=True) if line.lstrip().startswith(b"<row ")]
    written, copy = 0, 0
    with open(output, "wb") as file:
        file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<posts>\n')
        while written < num_bytes:
            step = copy * _STEP
            for row in rows:
                moved = _IDS.sub(lambda match, step=step: b' %b="%d"' % (match[1], int(match[2]) + step), row)
                written += file.write(moved)
                if written >= num_bytes:
                    break
            copy += 1
        file.write(b"</posts>\n")


def resident_bytes(root: int) -> int:
    """Of a process and all below it."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                status = (folder / "status").read_text()
            except OSError:  # it ended
                continue
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            parents[int(folder.name)] = int(fields["PPid"])
            sizes[int(folder.name)] = int(fields.get("VmRSS", "0 kB").split()[0]) * 1024
    total = 0
    for process in sizes:
        ancestor = process
        while ancestor not in (0, 1, root):
            ancestor = parents.get(ancestor, 0)
        total += sizes[process] if ancestor == root else 0
    return total


def watch(command: list[str]) -> tuple[int, float, str]:
    """Runs a command; returns peak resident bytes, seconds, and what it printed. Raises RuntimeError when it fails."""
    started = time.monotonic()
    peak, done = [0], threading.Event()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def sample() -> None:
        while not done.wait(_EVERY_S):
            peak[0] = max(peak[0], resident_bytes(process.pid))

    watcher = threading.Thread(target=sample, daemon=True)
    watcher.start()
    output, _ = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{output[-3000:]}")
    return peak[0], time.monotonic() - started, output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=2050.0)
    parser.add_argument("--memory", default="400MB")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--base-megabytes", type=float, default=20.0, help="size of the dump that is repeated")
    parser.add_argument("--unbounded", action="store_true", help="also without --memory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agora-bench-") as folder:
        dump = Path(folder) / "Posts.xml"
        enlarge(Path(folder) / "base.xml", int(arguments.base_megabytes * 1e6))
        repeat(Path(folder) / "base.xml", dump, int(arguments.megabytes * 1e6))
        lines = [
            f"Posts.xml of {dump.stat().st_size / 1e6:,.0f} MB, {arguments.workers} worker(s); peak of resident memory "
            "of all processes together, sampled every 50 ms.",
            "",
            "| --memory | peak MB | of the bound | dump over the bound | rows | seconds |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        for bound in [arguments.memory, *(["none"] if arguments.unbounded else [])]:
            output = Path(folder) / f"out-{bound}"
            command = [sys.executable, "-m", "pipelines.cli", "ingest", str(dump), "--site", "bench.example.org"]
            command += ["--output", str(output), "--workers", str(arguments.workers), "--max-drop-rate", "1"]
            peak, seconds, _ = watch(command + (["--memory", bound] if bound != "none" else []))
            size = parse_size(bound) if bound != "none" else 0
            share = f"{peak / size:.2f} | {dump.stat().st_size / size:.1f}" if size else "- | -"
            rows = load_manifest(str(output)).rows
            lines.append(f"| {bound} | {peak / 1e6:,.0f} | {share} | {rows:,} | {seconds:,.0f} |")
            print(lines[-1], file=sys.stderr, flush=True)
    write_result("memory", "Ingest in bounded memory", lines, ["apache-beam", "pyarrow"])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
