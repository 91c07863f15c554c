"""What clean text of each language is like: percentiles of signals, and its most frequent words.

A threshold that fits one language deletes another: words of Finnish are twice as long as those of Vietnamese, and Thai
ends no sentence with a mark. So thresholds are percentiles of reference text of the language, as in FineWeb-2. A file
of them is a table (TSV) with a row a language: its code, how many texts it was made from, for each signal its values at
TAILS, and the stop words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tokenizer.languages import LANGUAGES
from transforms.datasets import places
from transforms.quality.lexicon import Lexicon
from transforms.quality.signals import MEASURED, signals, words_of

SHIPPED = Path(__file__).with_name("thresholds.tsv")
TAILS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.9, 0.95, 0.99, 0.995, 0.999)
"""At which shares of the texts, from below, a signal's value is given."""

_STOP_WORDS = 60  # of a language, at most
_IN_TEXTS = 0.03  # a stop word is in a larger share of the texts
_LEAST_TEXTS = 50  # of a language, to say what is usual in it
_LEAST_CHARACTERS = 100  # of a text: shares of less are anything
_MOST_STOP_WORDS = 0.75  # of the usual text: a list that is most of it tells nothing, as single letters of Thai do


@dataclass(frozen=True)
class Usual:
    """What is usual in a language. values: by signal, at TAILS; a signal that texts of it do not have is not there."""

    texts: int
    values: Mapping[str, Sequence[float]]
    stop_words: Sequence[str]


Thresholds = Mapping[str, Usual]
"""By code of the language table."""


def make(texts: Iterable[tuple[str, Sequence[str]]]) -> dict[str, Usual]:
    """What is usual in each language. texts: (code, texts), each code once.

    Raises ValueError for a code that is not in the table, or too few texts.
    """
    found = {}
    for code, of_it in texts:
        if code not in LANGUAGES:
            raise ValueError(
                f"{code!r} is no code of the language table; files are named CODE.txt, such as swh_Latn.txt"
            )
        if len(of_it) < _LEAST_TEXTS:
            raise ValueError(f"{code} has {len(of_it)} texts; to say what is usual takes {_LEAST_TEXTS} or more")
        words = _stop_words(code, of_it)
        measured = signals(of_it, [code] * len(of_it), Lexicon({code: words} if words else {}))
        if words and np.median(measured["stop_word_share"]) > _MOST_STOP_WORDS:
            words, measured = [], signals(of_it, [code] * len(of_it), Lexicon({}))
        values = {}
        for name in MEASURED:
            known = measured[name][~np.isnan(measured[name])]
            if len(known):
                values[name] = [float(value) for value in np.quantile(known, TAILS, method="nearest")]
        found[code] = Usual(len(of_it), values, words)
    return dict(sorted(found.items()))


def _stop_words(code: str, texts: Sequence[str]) -> list[str]:
    """The words (of languages without spaces, the letters) that are in most of the texts, the most frequent first."""
    counts = Counter(word for text in texts for word in words_of(text, code))
    frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    usual = [word for word, number in frequent if number > _IN_TEXTS * len(texts) and not word[0].isdigit()]
    return usual[:_STOP_WORDS]


def read_texts(place: str) -> Iterator[tuple[str, list[str]]]:
    """(code, texts) of a folder with CODE.txt or SOURCE/CODE.txt, a sentence or paragraph a line; each code once.

    Short lines are one text with those that follow. In order of code, so that the same files give the same.
    Raises ValueError when there is none.
    """
    files: dict[str, list[str]] = {}
    for path in sorted(places.list_files(place)):
        if path.endswith(".txt"):
            files.setdefault(path.rpartition("/")[2].removesuffix(".txt"), []).append(path)
    if not files:
        raise ValueError(f"{place} has no text: wanted files CODE.txt or SOURCE/CODE.txt, such as swh_Latn.txt")
    for code in sorted(files):
        yield code, [text for path in files[code] for text in _texts(places.join(place, path))]


def _texts(place: str) -> Iterator[str]:
    try:
        text = places.read_bytes(place).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{place} is not UTF-8 at byte {error.start}; save it as UTF-8") from None
    joined = ""
    for line in text.split("\n"):
        joined = f"{joined} {line}".strip()
        if len(joined) >= _LEAST_CHARACTERS:
            yield joined
            joined = ""


def to_tsv(thresholds: Thresholds) -> str:
    """The file of thresholds."""
    rows: list[Sequence[str]] = [_COLUMNS]
    for code, usual in thresholds.items():
        values = [" ".join(f"{value:.4g}" for value in usual.values.get(name, ())) for name in MEASURED]
        rows.append([code, str(usual.texts), *values, " ".join(usual.stop_words)])
    return "".join("\t".join(row) + "\n" for row in rows)


_COLUMNS = ("language", "texts", *MEASURED, "stop_words")


def load(place: str) -> dict[str, Usual]:
    """A file of thresholds. Raises ValueError when there is none, or it is no such file."""
    if not places.exists(place):
        raise ValueError(f"no thresholds at {place}; `agora quality thresholds` makes a file of them from texts")
    try:
        return _parsed(places.read_bytes(place).decode("utf-8"))
    except ValueError as error:  # of bytes that are no UTF-8, too
        raise ValueError(
            f"{place} is no file of thresholds: {error}; make it anew with agora quality thresholds"
        ) from None


def _parsed(text: str) -> dict[str, Usual]:
    header, *rows, last = text.replace("\r\n", "\n").split("\n") if "\n" in text else (text, "")
    if tuple(header.split("\t")) != _COLUMNS:
        raise ValueError(f"wanted a table with the columns {', '.join(_COLUMNS)}")
    if last or not rows:
        raise ValueError(f"it ends in the middle of line {len(rows) + 2}" if last else "it has no language")
    found: dict[str, Usual] = {}
    for number, row in enumerate(rows, 2):
        cells = row.split("\t")
        if len(cells) != len(_COLUMNS):
            raise ValueError(f"line {number} has {len(cells)} columns, not {len(_COLUMNS)}")
        if cells[0] in found:
            raise ValueError(f"{cells[0]} is there twice, in line {number} again")
        found[cells[0]] = _usual(dict(zip(_COLUMNS, cells, strict=True)))
    return found


def _usual(row: Mapping[str, str]) -> Usual:
    if row["language"] not in LANGUAGES:
        raise ValueError(f"{row['language']!r} is no code of the language table")
    values = {name: [float(value) for value in row[name].split()] for name in MEASURED if row[name]}
    for name, found in values.items():
        if len(found) != len(TAILS) or found != sorted(found) or not all(map(math.isfinite, found)):
            raise ValueError(f"{row['language']} has {row[name]!r} for {name}, not {len(TAILS)} rising numbers")
    return Usual(int(row["texts"]), values, row["stop_words"].split())
