"""Cost per post from ten thousand posts to a million, with one worker and two: is ingest linear, is work shared?

    python -m benchmarks.growth [--posts 10000 100000 1000000] [--workers 1 2]

The posts of the larger dumps are those of the smaller ones again with other ids, so that a post is as long in each.
Beam needs most of a second of CPU to start, so the cost per post is given with and without the cost of a dump of
_START_POSTS posts.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.generate import repeat
from benchmarks.harness import Contender, announce, run_once, timed, write_result
from pipelines import ingest
from pipelines.local import nursery
from transforms.sources.inputs import Input

_START_POSTS = 100


def _run(posts: Path, workers: int) -> None:
    output = posts.parent / "documents"
    shutil.rmtree(output, ignore_errors=True)
    with timed() as timer:
        manifest = ingest.run([Input(str(posts), "stackexchange", "bench.example.org")], str(output), workers=workers)
        nursery.stop()  # the CPU seconds of workers are known when all have ended
    announce(timer, posts.stat().st_size, manifest.rows)
    shutil.rmtree(output)


def _grow(sizes: list[int], workers: list[int], folder: Path) -> Path:
    lines = [
        "| posts | MB | workers | CPU s | wall s | µs of CPU a post | without start | peak MB of a process |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    start: dict[int, float] = {}
    for size in [_START_POSTS, *sizes]:
        posts = folder / "Posts.xml"
        repeat(posts, size)
        for number in workers:
            command = [sys.executable, "-m", "benchmarks.growth", "--run", str(posts), "--workers", str(number)]
            done = run_once(Contender(f"{size} posts", command))
            start.setdefault(number, done.cpu_s)
            cost, net = (1e6 * seconds / done.records for seconds in (done.cpu_s, done.cpu_s - start[number]))
            lines.append(
                f"| {done.records:,} | {done.bytes / 1e6:,.0f} | {number} | {done.cpu_s:.1f} | {done.wall_s:.1f} "
                f"| {cost:.0f} | {net:.0f} | {done.peak_mb} |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    return write_result("growth", "Growth", lines, ["apache-beam", "pyarrow", "html-to-markdown"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        _run(arguments.run, arguments.workers[0])
        return
    with tempfile.TemporaryDirectory(prefix="agora-bench-") as folder:
        _grow(arguments.posts, arguments.workers, Path(folder))


if __name__ == "__main__":
    main()
