"""Ingest of Reddit, whole: packed dumps to document shards, threads joined, in comments a second and core.

    python -m benchmarks.reddit [--comments 100000] [--rounds 3]

The peer is a published figure, not a run: PolyAI's Beam job (conversational-datasets, reddit/README.md) made 3.68
billion comments into threads and examples in 625.5 vCPU hours, 1,634 comments a second and vCPU. Ours to reach: five
times that. A second contender only unpacks the files and parses every line with orjson: what no ingest can do without.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import orjson

from benchmarks.generate_reddit import write_month
from benchmarks.harness import Contender, alternate, announce, comparison, median, timed, write_result
from pipelines import ingest
from transforms.sources.inputs import Input
from transforms.sources.streams.unpack import open_unpacked

_OURS, _BARE = "Agora ingest", "unpack and parse alone"
_KEYS = {_OURS: "ours", _BARE: "bare"}
_PEER_PER_S = 1634
_WANTED = 5


def _run_ours(dumps: Path) -> None:
    output = dumps.parent / "documents"
    shutil.rmtree(output, ignore_errors=True)
    with timed() as timer:
        manifest = ingest.run([Input(str(dumps))], str(output))
    announce(timer, _size(dumps), sum(file["rows"] for file in manifest.inputs))


def _run_bare(dumps: Path) -> None:
    num_rows = 0
    with timed() as timer:
        for path in sorted(dumps.iterdir()):
            with open_unpacked(str(path)) as stream:
                num_rows += sum(1 for line in stream if orjson.loads(line))
    announce(timer, _size(dumps), num_rows)


def _size(dumps: Path) -> int:
    return sum(path.stat().st_size for path in dumps.iterdir())


def _compare(num_comments: int, rounds: int, folder: Path) -> Path:
    num_bytes = write_month(folder / "dumps", num_comments)
    contenders = [
        Contender(name, [sys.executable, "-m", "benchmarks.reddit", "--run", key, "--dumps", str(folder / "dumps")])
        for name, key in _KEYS.items()
    ]
    runs = alternate(contenders, rounds)
    rate = median([run.records / run.cpu_s for run in runs[_OURS]])
    body = [
        f"{num_comments:,} comments and their submissions, {num_bytes / 1e6:.0f} MB unpacked, as .zst; one worker;",
        f"{rounds} rounds in turn, medians (CPU s: least–most). MB are packed ones; records are rows of both files.",
        "",
        *comparison(runs, _OURS),
        "",
        f"{rate:,.0f} rows a CPU second: {rate / _PEER_PER_S:.1f} times PolyAI's published {_PEER_PER_S:,} comments a",
        f"second and vCPU (wanted: {_WANTED}). Theirs was measured on Dataflow and includes making examples.",
    ]
    return write_result("reddit", "Ingest of Reddit", body, ["apache-beam", "pyarrow", "orjson", "zstandard"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comments", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=list(_KEYS.values()), help=argparse.SUPPRESS)
    parser.add_argument("--dumps", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run == "ours":
        _run_ours(arguments.dumps)
    elif arguments.run:
        _run_bare(arguments.dumps)
    else:
        with tempfile.TemporaryDirectory(prefix="agora-bench-") as folder:
            _compare(arguments.comments, arguments.rounds, Path(folder))


if __name__ == "__main__":
    main()
