"""Enlarges a Stack Exchange dump: the same posts again with other ids and other words, until it has the size asked for.

    python -m benchmarks.generate --megabytes 20 --output /tmp/dump/Posts.xml

A copy of a post keeps its markup, length and script; every word of its text is exchanged, with probability 0.6, for a
word of the same script taken from the whole dump. Of five words in a row about 1 % stay together, so copies are no
near-duplicates of one another (but for posts of little else than links, which stay). Reads the dumps of ../shared/data
where that folder is, the embedded sample of examples/forum elsewhere.

All chance is a keyed hash of the post's id, so the same call gives the same bytes.
"""

from __future__ import annotations

import argparse
import html
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from transforms.datasets.ids import keyed_hash

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data" / "forums" / "stackexchange"
SAMPLE = ROOT / "examples" / "forum"

_TABLES = ("Posts", "Comments", "Votes", "PostLinks")
ID_STEP = 10_000_000  # between two copies; larger than any id of the dumps read here
_EXCHANGED = 0.6

_ROW = re.compile(r"<row [^<]*/>")
_ID = re.compile(r'\b(Id|ParentId|AcceptedAnswerId|PostId|RelatedPostId)="(\d+)"')
_TEXT = re.compile(r'\b(Body|Title)="([^"]*)"')
_MARKUP = re.compile(r"(<[^>]*>|https?://\S+|&#?\w+;)")
_WORD = re.compile(r"[^\W\d_]{3,}")


def source_files() -> list[Path]:
    """The dumps to enlarge, in a fixed order. Raises FileNotFoundError when there is none."""
    folder = SHARED if SHARED.is_dir() else SAMPLE
    files = sorted(folder.rglob("Posts.xml"))
    if not files:
        raise FileNotFoundError(f"no Posts.xml below {folder}; run examples/make_sample.py first")
    return files


def read_rows(files: list[Path]) -> list[str]:
    """Rows of questions and answers; ids of the n-th file are moved by n times 100,000 so that sites do not collide."""
    rows: list[str] = []
    for index, file in enumerate(files):
        text = file.read_text(encoding="utf-8-sig", errors="replace")
        kept = (row for row in _ROW.findall(text) if re.search(r'PostTypeId="[12]"', row))
        rows.extend(_move_ids(row, index * 100_000) for row in kept)
    return rows


def _move_ids(row: str, step: int) -> str:
    return _ID.sub(lambda match: f'{match[1]}="{int(match[2]) + step}"', row)


def _script(word: str) -> str:
    return unicodedata.name(word[0], "UNKNOWN").split(" ", 1)[0]


class Words:
    """The dump's words by script, as often as they occur, so that a drawn word is as frequent as in the dump."""

    def __init__(self, rows: list[str]) -> None:
        self._by_script: dict[str, list[str]] = {}
        for row in rows:
            for _, value in _TEXT.findall(row):
                for part in _MARKUP.split(html.unescape(value))[::2]:
                    for word in _WORD.findall(part):
                        self._by_script.setdefault(_script(word), []).append(word)

    def exchange(self, text: str, chance: random.Random, exchanged: float = _EXCHANGED) -> str:
        """Text or HTML with this share of the words outside of tags, links and entities replaced."""
        parts = _MARKUP.split(text)
        parts[::2] = [_WORD.sub(lambda match: self._draw(match[0], chance, exchanged), part) for part in parts[::2]]
        return "".join(parts)

    def _draw(self, word: str, chance: random.Random, exchanged: float) -> str:
        if chance.random() >= exchanged:
            return word
        known = self._by_script.get(_script(word))
        return known[int(chance.random() * len(known))] if known else word


def _escape(text: str) -> str:
    return html.escape(text, quote=True).replace("&#x27;", "'").replace("\n", "&#xA;").replace("\r", "&#xD;")


def copies(rows: list[str], words: Words) -> Iterator[str]:
    """The rows as they are, then copy after copy without end."""
    yield from rows
    copy = 1
    while True:
        for number, row in enumerate(rows):
            chance = random.Random(keyed_hash("benchmark-copy", str(copy), str(number)))

            def reworded(match: re.Match[str], chance: random.Random = chance) -> str:
                return f'{match[1]}="{_escape(words.exchange(html.unescape(match[2]), chance))}"'

            yield _TEXT.sub(reworded, _move_ids(row, copy * ID_STEP))
        copy += 1


def enlarge(output: Path, size_bytes: int) -> int:
    """Writes a Posts.xml of about size_bytes (it ends with a whole copy's row); returns the number of rows."""
    rows = read_rows(source_files())
    num_rows = 0

    def enough() -> Iterator[str]:
        nonlocal num_rows
        num_bytes = 0
        for row in copies(rows, Words(rows)):
            yield row
            num_rows += 1
            num_bytes += len(row.encode()) + 4
            if num_bytes >= size_bytes:
                return

    _write_table(output, "posts", enough())
    return num_rows


def repeat(output: Path, num_rows: int) -> None:
    """Writes a Posts.xml of num_rows rows: the dumps' rows as they are, again and again with other ids.

    Quick, and every copy is as long as its original; its texts are exact duplicates.
    """
    rows = read_rows(source_files())
    repeated = (_move_ids(rows[at % len(rows)], at // len(rows) * ID_STEP) for at in range(num_rows))
    _write_table(output, "posts", repeated)


def repeat_dump(folder: Path, size_bytes: int) -> int:
    """Writes Posts, Comments, Votes and PostLinks of the largest dump, repeated with other ids; returns their bytes."""
    source = max(source_files(), key=lambda file: file.stat().st_size).parent
    tables = {name: (source / f"{name}.xml").read_text(encoding="utf-8-sig") for name in _TABLES}
    num_copies = max(1, round(size_bytes / sum(len(text.encode()) for text in tables.values())))
    for name, text in tables.items():
        rows = _ROW.findall(text)
        moved = (_move_ids(row, copy * ID_STEP) for copy in range(num_copies) for row in rows)
        _write_table(folder / f"{name}.xml", name.lower(), moved)
    return sum(file.stat().st_size for file in folder.iterdir())


def _write_table(output: Path, root: str, rows: Iterable[str]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    with open(output, "wb") as file:
        file.write(f'\ufeff<?xml version="1.0" encoding="utf-8"?>\r\n<{root}>\r\n'.encode())
        for row in rows:
            file.write(f"  {row}\r\n".encode())
        file.write(f"</{root}>".encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=20.0)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    print(f"{enlarge(arguments.output, int(arguments.megabytes * 1e6)):,} rows in {arguments.output}")
