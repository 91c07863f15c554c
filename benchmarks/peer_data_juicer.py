"""data-juicer on a dump: its script's algorithm in our words (the wheel lacks the script), then data-juicer itself.

    python benchmarks/peer_data_juicer.py POSTS.xml OUTPUT.jsonl script|inline|process

The script, `raw_stackexchange_to_jsonl.py`, counts the lines, parses every line with ElementTree twice (once for
answers, held in one dictionary; once for questions), sorts each question's answers by the text of their score, and
writes a line of JSON per thread. `script` stops there: bodies stay HTML, and no row is checked. What its users do next,
and ingest does too, is HTML to text and Unicode repair: `process` runs data-juicer with its `clean_html_mapper` and
`fix_unicode_mapper` over the script's lines; `inline` does in the script what the two mappers do (list items into lines
with `*`, the text by selectolax; ftfy), which spares reading and writing the threads once more.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import ftfy
from data_juicer.config import init_configs
from data_juicer.core import DefaultExecutor
from selectolax.lexbor import LexborHTMLParser

from benchmarks.harness import announce, timed


def _rows(posts: Path) -> Iterator[dict[str, str]]:
    with posts.open(encoding="utf-8-sig") as lines:
        num_lines = sum(1 for _ in lines)
    with posts.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines):
            if 1 < number < num_lines - 1:  # two lines before the rows, one after
                yield dict(ElementTree.fromstring(line).attrib)


def _threads(posts: Path) -> Iterator[dict[str, object]]:
    answers: dict[str, list[tuple[str, str]]] = {}
    for row in _rows(posts):
        if "ParentId" in row:
            answers.setdefault(row["ParentId"], []).append((row["Score"], row["Body"]))
    for row in _rows(posts):
        if "ParentId" not in row and "Title" in row:
            found = sorted(answers.get(row["Id"], []), key=lambda answer: answer[0], reverse=True)
            parts = [f"Q: {row['Title']} {row['Body']}", *(f"A: {body}" for _, body in found)]
            yield {
                "text": "\n".join(parts),
                "meta": {"id": row["Id"], "score": row["Score"], "source": "stackexchange"},
            }


def _clean(text: str) -> str:
    text = text.replace("<li>", "\n*").replace("</li>", "").replace("<ol>", "\n*").replace("</ol>", "")
    return ftfy.fix_text(LexborHTMLParser(text).text(), normalization="NFC")


def _run_script(posts: Path, output: Path, convert: Callable[[str], str]) -> None:
    with output.open("w", encoding="utf-8") as file:
        for thread in list(_threads(posts)):  # the script holds them all, too
            file.write(json.dumps({**thread, "text": convert(str(thread["text"]))}) + "\n")


def _process(lines: Path) -> None:
    """What `dj-process` does, with one process and nothing in its caches."""
    mappers = ["clean_html_mapper", "fix_unicode_mapper"]
    paths = {"dataset_path": str(lines), "export_path": str(lines.parent / "processed" / lines.name)}
    recipe = lines.with_suffix(".yaml")
    recipe.write_text(json.dumps({**paths, "np": 1, "process": [{mapper: {}} for mapper in mappers]}))
    DefaultExecutor(init_configs(["--config", str(recipe)])).run()
    exported, expected = (Path(path).read_bytes().count(b"\n") for path in (paths["export_path"], lines))
    assert exported == expected, f"data-juicer exported {exported} of {expected} threads"


def main() -> None:
    posts, output, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    shutil.rmtree(output.parent, ignore_errors=True)
    shutil.rmtree(os.environ["HF_HOME"], ignore_errors=True)  # what a run before has cached
    output.parent.mkdir()
    with timed() as timer:
        _run_script(posts, output, _clean if how == "inline" else str)
        if how == "process":
            _process(output)
    sys.stdout = sys.__stdout__  # data-juicer has made a log of it
    announce(timer, posts.stat().st_size, sum(1 for _ in _rows(posts)))


if __name__ == "__main__":
    main()
