"""Ingest against data-juicer's Stack Exchange script, and against bare loops that parse and convert and keep nothing.

    python -m benchmarks.ingest [--megabytes 20] [--rounds 3]

- data-juicer: its script's algorithm followed by data-juicer with the HTML and Unicode mappers that its users run next
  (the same job); the script with what the two mappers do called inline; and the script alone (bodies stay HTML, so
  less is done). See `peer_data_juicer.py`.
- A bare loop reads Posts.xml with ElementTree and converts each body with html-to-markdown's public function; another
  repairs the result with ftfy, which is what one would write first. A third calls our own conversion and repair, so the
  distance to it is what the rest of ingest costs: finding bad rows, the shuffle by thread, sorting, writing, hashing.
- Unicode repair alone, ours and ftfy's, over the converted text.
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
from benchmarks.peers import peer_python
from pipelines import ingest
from transforms.sources.inputs import Input
from transforms.text.clean import CONFIG, repair
from transforms.text.markup import to_markdown

_OURS = "Agora ingest"
_KEYS = {
    _OURS: "ours",
    "bare loop: html-to-markdown": "bare",
    "bare loop: html-to-markdown, ftfy": "bare-ftfy",
    "bare loop: our conversion and repair": "bare-ours",
}
_JUICER = {
    "data-juicer: script, then its mappers": "process",
    "data-juicer: script with their work inline": "inline",
    "data-juicer: script alone": "script",
}
_REPAIR, _FTFY = "our repair", "ftfy"


def _bodies(posts: Path) -> Iterator[str]:
    """The bodies of a Posts.xml in constant memory."""
    events = ElementTree.iterparse(posts, events=("start", "end"))
    _, root = next(events)
    for event, element in events:
        if event == "end" and element.tag == "row":
            yield element.attrib["Body"]
            root.clear()


def _run_bare(posts: Path, convert: Callable[[str], str]) -> None:
    with timed() as timer:
        num_records = sum(1 for body in _bodies(posts) if convert(body) is not None)
    announce(timer, posts.stat().st_size, num_records)


def _stock(body: str) -> str:
    converted = html_to_markdown.convert(body)
    return (converted if isinstance(converted, str) else converted.content) or ""


def _stock_repaired(body: str) -> str:
    return ftfy.fix_text(_stock(body), CONFIG)


def _ours(body: str) -> str:
    return to_markdown(body, repair).text


def _run_ours(posts: Path) -> None:
    output = posts.parent / "documents"
    shutil.rmtree(output, ignore_errors=True)
    with timed() as timer:
        manifest = ingest.run([Input(str(posts), "stackexchange", "bench.example.org")], str(output))
    announce(timer, posts.stat().st_size, sum(file["rows"] for file in manifest.inputs))


def _run_repair(posts: Path, repair_text: Callable[[str], str]) -> None:
    texts = [to_markdown(body).text for body in _bodies(posts)]
    with timed() as timer:
        for text in texts:
            repair_text(text)
    announce(timer, sum(len(text.encode()) for text in texts), len(texts))


def _compare(megabytes: float, rounds: int, folder: Path) -> Path:
    posts = folder / "Posts.xml"
    num_rows = enlarge(posts, int(megabytes * 1e6))

    def own(name: str, key: str) -> Contender:
        return Contender(name, [sys.executable, "-m", "benchmarks.ingest", "--run", key, "--posts", str(posts)])

    lines, caches = str(folder / "juicer" / "threads.jsonl"), str(folder / "caches")
    environment = {"HF_HOME": caches, "DATA_JUICER_CACHE_HOME": caches}
    script = [peer_python(), "benchmarks/peer_data_juicer.py", str(posts), lines]
    juicer = [Contender(name, [*script, key], environment) for name, key in _JUICER.items()]
    runs = alternate([*(own(name, key) for name, key in _KEYS.items()), *juicer], rounds)
    repairs = alternate([own(_REPAIR, "repair"), own(_FTFY, "ftfy")], rounds)
    body = [
        f"Posts.xml of {posts.stat().st_size / 1e6:.1f} MB, {num_rows:,} rows; one worker; {rounds} rounds in turn,",
        "medians (CPU s: least–most). The bare loops write nothing, check nothing and join nothing. data-juicer's",
        "script (its algorithm in our words; the mappers are its own) checks nothing, keeps no dates, ids of answers,",
        "authors or Markdown.",
        "",
        *comparison(runs, _OURS),
        "",
        "Unicode repair alone, over the converted text:",
        "",
        *comparison(repairs, _REPAIR),
    ]
    return write_result("ingest", "Ingest", body, ["apache-beam", "pyarrow", "html-to-markdown", "ftfy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=[*_KEYS.values(), "repair", "ftfy"], help=argparse.SUPPRESS)
    parser.add_argument("--posts", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run == "ours":
        _run_ours(arguments.posts)
    elif arguments.run in ("repair", "ftfy"):
        _run_repair(arguments.posts, repair if arguments.run == "repair" else lambda text: ftfy.fix_text(text, CONFIG))
    elif arguments.run:
        _run_bare(arguments.posts, {"bare": _stock, "bare-ftfy": _stock_repaired, "bare-ours": _ours}[arguments.run])
    else:
        with tempfile.TemporaryDirectory(prefix="agora-bench-") as folder:
            _compare(arguments.megabytes, arguments.rounds, Path(folder))


if __name__ == "__main__":
    main()
