"""Threads made of short pieces of known sentences, a fifth of each in another language: what is sure, and right.

    .venv/bin/python -m benchmarks.thread_languages [--model FILE] [--fold K]

Reads the FLORES sentences in ../shared/data. Threads have 5, 10 and 20 posts, of mixed lengths (two fifths up to 20
characters, two fifths 20 to 60, one fifth 60 to 150) or of 20 characters at most; a short piece is whole words from
anywhere in a sentence. With a fold, only sentences that its model was not trained on are taken (blocks of 20 line
numbers, as benchmarks.language_data leaves them out): the shipped model has seen all. Languages for which a model has
no label are left out and counted.

The constants of transforms/langid/prior.py and threads.py were chosen on threads whose first language is in the first
half of the table (every second code), and are judged by those of the other half.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import ROOT, write_result
from tokenizer.languages import LABELS, LANGUAGES
from transforms.langid.detect import Detector
from transforms.langid.model import ModelHandle
from transforms.langid.threads import Threads
from transforms.langid.verdict import Detected

_SENTENCES = ROOT.parent / "shared" / "data" / "lid" / "flores-part-A"
_BLOCK, _FOLDS = 20, 5
_LENGTHS = ((0, 20), (20, 60), (60, 150))  # characters of a piece: more than, at most
_MIXES = {"mixed": (0, 0, 1, 1, 2), "short": (0,)}
_SIZES = (5, 10, 20)
_POSTS = 100  # of each language, size and mix
_LEAST_LETTERS = 3


class _Post(NamedTuple):
    thread: str
    language: str
    length: int  # of _LENGTHS
    text: str
    is_guest: bool  # of the fifth in another language


class _Score(NamedTuple):
    """Shares: of posts that are unsure, and of the others those that are right."""

    posts: int
    unsure: float
    right: float


def _sentences(codes: Sequence[str], fold: int | None) -> dict[str, list[str]]:
    return {
        code: [
            line
            for number, line in enumerate((_SENTENCES / f"{code}.txt").read_text("utf-8").splitlines())
            if line and (fold is None or number // _BLOCK % _FOLDS == fold)
        ]
        for code in codes
    }


def _piece(lines: Sequence[str], code: str, length: int, chance: random.Random) -> str:
    """A piece of a sentence, as long as fits."""
    least, most = _LENGTHS[length]
    size = most if length == 0 else chance.randint(least + 1, most)
    for _ in range(20):
        line = chance.choice(lines)
        if LANGUAGES[code].word_split == "char":
            start = chance.randint(0, max(0, len(line) - size))
            found = line[start : start + size].strip()
        else:
            words = line.split(" ")
            start = chance.randrange(len(words))
            found = " ".join(words[start:])
            if len(found) > size:
                found = found[: size + 1].rpartition(" ")[0] or found[:size]
        if len(found) > least and sum(map(str.isalpha, found)) >= _LEAST_LETTERS:
            break
    return found


def _threads(sentences: Mapping[str, Sequence[str]], size: int, mix: str) -> Iterator[_Post]:
    chance = random.Random(f"threads {size} {mix}")
    for host in sentences:
        for number in range(_POSTS // size):
            guest = chance.choice([code for code in sentences if code != host])
            for place in range(size):
                is_guest = place % 5 == 4
                code, length = guest if is_guest else host, chance.choice(_MIXES[mix])
                piece = _piece(sentences[code], code, length, chance)
                yield _Post(f"{host} {number}", code, length, piece, is_guest)


def _verdicts(detector: Detector, posts: Sequence[_Post], in_threads: bool) -> list[Detected]:
    names = [post.thread if in_threads else str(number) for number, post in enumerate(posts)]
    threads = Threads(detector.thresholds)
    seen = detector.look([post.text for post in posts])
    return threads.add(names, seen, [None] * len(posts)) + threads.end()


def _score(posts: Sequence[_Post], verdicts: Sequence[Detected], taken: Sequence[bool]) -> _Score:
    of = [(post, found) for post, found, is_taken in zip(posts, verdicts, taken, strict=True) if is_taken]
    sure = [(post, found) for post, found in of if found.reason is None]
    right = sum(post.language == found.language for post, found in sure)
    return _Score(len(of), 1 - len(sure) / max(1, len(of)), right / max(1, len(sure)))


def _table(detector: Detector, sentences: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield "| threads | posts | number | alone: unsure | right | in threads: unsure | right |"
    yield "| --- | --- | --: | --: | --: | --: | --: |"
    held_out = set(list(sentences)[1::2])
    everything: list[tuple[_Post, Detected, Detected]] = []
    for mix in _MIXES:
        for size in _SIZES:
            posts = list(_threads(sentences, size, mix))
            both = [_verdicts(detector, posts, in_threads) for in_threads in (False, True)]
            everything += zip(posts, *both, strict=True)
            rows = {
                f"{least + 1} to {most} characters": [post.length == length for post in posts]
                for length, (least, most) in enumerate(_LENGTHS)
                if length in _MIXES[mix]
            }
            rows |= {"up to 20, the fifth": [post.is_guest and not post.length for post in posts]}
            rows |= {
                "up to 20, languages held out": [
                    not post.length and post.thread.partition(" ")[0] in held_out for post in posts
                ]
            }
            for name, taken in rows.items():
                alone, within = (_score(posts, verdicts, taken) for verdicts in both)
                yield f"| {mix}, {size} posts | {name} | {_cells(alone, within)} |"
    posts, alone_all, within_all = (list(column) for column in zip(*everything, strict=True))
    short = [not post.length for post in posts]
    scores = [_score(posts, verdicts, short) for verdicts in (alone_all, within_all)]
    yield f"| all | up to 20 characters | {_cells(*scores)} |"


def _cells(alone: _Score, within: _Score) -> str:
    return f"{alone.posts:,} | {alone.unsure:.1%} | {alone.right:.1%} | {within.unsure:.1%} | {within.right:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "models" / "lid.176.ftz"))
    parser.add_argument("--fold", type=int, choices=range(_FOLDS), help="sentences of this fold alone")
    options = parser.parse_args()
    model = ModelHandle.of(options.model).load()
    known = {row.code for label in model.labels for row in LABELS.get(label, ())}
    sentences = _sentences([code for code in LANGUAGES if code in known], options.fold)
    which = "all sentences" if options.fold is None else f"sentences of fold {options.fold}"
    name = Path(options.model).name
    lines = [
        f"{name} knows {len(sentences)} of {len(LANGUAGES)} languages; {which}.",
        "",
        *_table(Detector(model), sentences),
    ]
    print("\n".join(lines))
    subject = f"thread_languages_{name.replace('.', '-')}"
    write_result(subject, "Languages of short posts in threads", lines, ["fasttext-community"])


if __name__ == "__main__":
    main()
