"""Ingest against a bare loop with the same libraries that parses and converts and keeps nothing.

    python -m benchmarks.ingest [--megabytes 20] [--rounds 3]

The bare loop reads Posts.xml with ElementTree, converts each body with html-to-markdown and repairs it with ftfy under
our configuration: what one would write first. A second one calls our own conversion and repair instead, so the distance
to it is what the rest of ingest costs: finding bad rows, batches, the shuffle by thread, sorting, writing, hashing.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import ftfy
import html_to_markdown

from benchmarks.generate import enlarge
from benchmarks.harness import Contender, alternate, announce, comparison, timed, write_result
from pipelines import ingest
from transforms.clean import CONFIG, repair
from transforms.markup import to_markdown
from transforms.sources.inputs import Input

OURS, BARE, BARE_OURS = "Agora ingest", "bare loop", "bare loop, our conversion and repair"
KEYS = {OURS: "ours", BARE: "bare", BARE_OURS: "bare-ours"}


def bodies(posts: Path) -> Iterator[str]:
    """The bodies of a Posts.xml in constant memory."""
    events = ElementTree.iterparse(posts, events=("start", "end"))
    _, root = next(events)
    for event, element in events:
        if event == "end" and element.tag == "row":
            yield element.attrib["Body"]
            root.clear()


def run_bare(posts: Path, convert: Callable[[str], str]) -> None:
    with timed() as timer:
        num_records = sum(1 for body in bodies(posts) if convert(body) is not None)
    announce(timer, posts.stat().st_size, num_records)


def stock(body: str) -> str:
    converted = html_to_markdown.convert(body)
    text = converted if isinstance(converted, str) else converted.content
    return ftfy.fix_text(text or "", CONFIG)


def ours(body: str) -> str:
    return to_markdown(body, repair).text


def run_ours(posts: Path) -> None:
    output = posts.parent / "documents"
    shutil.rmtree(output, ignore_errors=True)
    with timed() as timer:
        manifest = ingest.run([Input(str(posts), "stackexchange", "bench.example.org")], str(output))
    announce(timer, posts.stat().st_size, sum(file["rows"] for file in manifest.inputs))


def compare(megabytes: float, rounds: int, folder: Path) -> Path:
    posts = folder / "Posts.xml"
    num_rows = enlarge(posts, int(megabytes * 1e6))
    contenders = [
        Contender(name, [sys.executable, "-m", "benchmarks.ingest", "--run", key, "--posts", str(posts)])
        for name, key in KEYS.items()
    ]
    runs = alternate(contenders, rounds)
    body = [
        f"Posts.xml of {posts.stat().st_size / 1e6:.1f} MB, {num_rows:,} rows; one worker; {rounds} rounds in turn,",
        "medians (CPU s: least–most). The bare loops write nothing, check nothing and join nothing.",
        "",
        *comparison(runs, OURS),
    ]
    return write_result("ingest", "Ingest", body, ["apache-beam", "pyarrow", "html-to-markdown", "ftfy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=list(KEYS.values()), help=argparse.SUPPRESS)
    parser.add_argument("--posts", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run == "ours":
        run_ours(arguments.posts)
    elif arguments.run:
        run_bare(arguments.posts, stock if arguments.run == "bare" else ours)
    else:
        with tempfile.TemporaryDirectory(prefix="agora-bench-") as folder:
            compare(arguments.megabytes, arguments.rounds, Path(folder))


if __name__ == "__main__":
    main()
