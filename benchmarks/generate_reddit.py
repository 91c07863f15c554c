"""Makes a month of Reddit of any size: RS_ and RC_ files whose rows have the shape of real ones, with other ids.

    python -m benchmarks.generate_reddit --comments 1000000 --output /tmp/reddit

Submissions and comments are rows of ../shared/data/forums/reddit-modern (2005 to 2024) again and again, or made-up ones
with the same fields where that folder is not; ids are numbered, parents drawn, so that threads are trees: half of the
comments reply to the submission, the others to an earlier comment. All chance is a keyed hash: the same call gives the
same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from transforms.datasets.ids import keyed_hash

_SHARED = Path(__file__).parents[2] / "shared" / "data" / "forums" / "reddit-modern"

_Row = dict[str, Any]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_FIRST_SUBMISSION = 36**6
_FIRST_COMMENT = 36**7
_START = 1_700_000_000
_TEXT = "the a of to malt hops water yeast and beer but mash is boil for glass very old new cold warm taste"
_WORDS = _TEXT.split()


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"


def _templates(name: str, field: str) -> list[_Row]:
    """Rows that would be kept: with a text, not withdrawn."""
    path = _SHARED / name
    if path.exists():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        return [row for row in rows if row.get(field) and not row[field].startswith("[")]
    made_up = {"subreddit": "homebrewing", "author": "nobody", "score": 3, "edited": False, "stickied": False,
               "distinguished": None, "archived": False, "gilded": 0, "all_awardings": [], "author_flair_text": None,
               "retrieved_on": _START, "subreddit_id": "t5_2qh1i", "locked": False, "permalink": "/r/homebrewing/x/",
               "is_self": True, "over_18": False, "num_comments": 7, field: "Fruit &amp; malt &gt; 3 %"}  # fmt: skip
    return [made_up]


def _submissions(number: int) -> Iterator[bytes]:
    """The lines of `number` submissions."""
    templates = _templates("test_submissions.json", "selftext")
    for index in range(number):
        row = dict(templates[index % len(templates)])
        name = _base36(_FIRST_SUBMISSION + index)
        row |= {"id": name, "name": f"t3_{name}", "created_utc": _START + index, "title": f"Question {index}",
                "removed_by_category": None}  # fmt: skip
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def comments(number: int, num_submissions: int) -> Iterator[bytes]:
    """The lines of `number` comments, dealt to the submissions in turn, so that no thread's stand together."""
    templates = _templates("test_comments.json", "body")
    for index in range(number):
        chance = random.Random(keyed_hash("benchmark-reddit", str(index)))
        row = dict(templates[index % len(templates)])
        thread = index % num_submissions
        link = f"t3_{_base36(_FIRST_SUBMISSION + thread)}"
        turn = index // num_submissions
        reply = turn and chance.random() < 0.5
        above = _FIRST_COMMENT + thread + num_submissions * chance.randrange(turn) if reply else 0
        name = _base36(_FIRST_COMMENT + index)
        words = " ".join(chance.choices(_WORDS, k=12))
        parent = f"t1_{_base36(above)}" if reply else link
        row |= {"id": name, "name": f"t1_{name}", "link_id": link, "parent_id": parent,
                "created_utc": _START + num_submissions + index, "score": chance.randrange(-5, 100),
                "author": f"user{chance.randrange(10**6)}", "body": f"{row['body']} {words}"}  # fmt: skip
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def write_month(folder: Path, num_comments: int, per_thread: int = 14, pack: bool = True) -> int:
    """Writes RS_2024-01 and RC_2024-01 into `folder` as .zst with a long window, or plain; returns the unpacked bytes.

    14 comments a submission is the mean of PolyAI's Reddit corpus (3.68 billion comments in 256 million threads).
    """
    folder.mkdir(parents=True, exist_ok=True)
    num_submissions = max(1, num_comments // per_thread)
    num_bytes = 0
    for name, lines in (("RS", _submissions(num_submissions)), ("RC", comments(num_comments, num_submissions))):
        with open(folder / f"{name}_2024-01{'.zst' if pack else ''}", "wb") as file:
            long_window = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
            sink = zstandard.ZstdCompressor(compression_params=long_window).stream_writer(file) if pack else file
            for line in lines:
                num_bytes += len(line)
                sink.write(line)
            sink.close()
    return num_bytes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comments", type=int, default=100_000)
    parser.add_argument("--plain", action="store_true", help="not packed")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    print(f"{write_month(arguments.output, arguments.comments, pack=not arguments.plain):,} bytes unpacked")
