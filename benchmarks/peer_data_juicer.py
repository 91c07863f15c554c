"""A stand-in for data-juicer's `raw_stackexchange_to_jsonl.py`: the published script's algorithm, in our words.

    python benchmarks/peer_data_juicer.py POSTS.xml OUTPUT.jsonl bare|clean

The script counts the lines, parses every line with ElementTree twice (once for answers, held in one dictionary; once
for questions), sorts each question's answers by the text of their score, and writes a line of JSON per thread. `bare`
stops there: bodies stay HTML, and no row is checked. `clean` adds what data-juicer does next and ingest does too:
HTML to text (its `clean_html_mapper` turns list items into lines with `*` and lets selectolax give the text) and
Unicode repair (its `fix_unicode_mapper` calls ftfy).
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import ftfy
from selectolax.lexbor import LexborHTMLParser

from benchmarks.harness import announce, timed


def rows(posts: Path) -> Iterator[dict[str, str]]:
    with posts.open(encoding="utf-8-sig") as lines:
        num_lines = sum(1 for _ in lines)
    with posts.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines):
            if 1 < number < num_lines - 1:  # two lines before the rows, one after
                yield dict(ElementTree.fromstring(line).attrib)


def threads(posts: Path) -> Iterator[dict[str, object]]:
    answers: dict[str, list[tuple[str, str]]] = {}
    for row in rows(posts):
        if "ParentId" in row:
            answers.setdefault(row["ParentId"], []).append((row["Score"], row["Body"]))
    for row in rows(posts):
        if "ParentId" not in row and "Title" in row:
            found = sorted(answers.get(row["Id"], []), key=lambda answer: answer[0], reverse=True)
            parts = [f"Q: {row['Title']} {row['Body']}", *(f"A: {body}" for _, body in found)]
            yield {
                "text": "\n".join(parts),
                "meta": {"id": row["Id"], "score": row["Score"], "source": "stackexchange"},
            }


def clean(text: str) -> str:
    text = text.replace("<li>", "\n*").replace("</li>", "").replace("<ol>", "\n*").replace("</ol>", "")
    return ftfy.fix_text(LexborHTMLParser(text).text(), normalization="NFC")


def main() -> None:
    posts, output = Path(sys.argv[1]), Path(sys.argv[2])
    convert: Callable[[str], str] = clean if sys.argv[3] == "clean" else str
    with timed() as timer, output.open("w", encoding="utf-8") as file:
        for thread in list(threads(posts)):  # the script holds them all, too
            file.write(json.dumps({**thread, "text": convert(str(thread["text"]))}) + "\n")
    announce(timer, posts.stat().st_size, sum(1 for _ in rows(posts)))


if __name__ == "__main__":
    main()
