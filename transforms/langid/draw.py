"""What a model is shown: each language as often, most of it cut to the length of a forum post, in random order."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizer.languages import LANGUAGES
from transforms.langid.corpus import Corpus, random_of

_MANY = 500  # sentences of a language that is not listed, from which on it is a class of its own
_FROM_START = 0.3  # of the cuts, begin where the sentence does
_WHOLE_WORDS = 0.5  # of the cuts, end where a word does
_LOOKED_AT = 20  # lines, for the script of a label
SPACED_CHARS = 12  # characters from one space to the next, at most, where words are spaced


@dataclass(frozen=True)
class Draw:
    """How many samples, and of which length. others: samples of a class that is not listed, at most."""

    samples: int = 9_000
    others: int = 3_000
    cropped: float = 0.85
    shortest: int = 10
    longest: int = 70

    def crop(self, line: str, chance: random.Random) -> str:
        """A piece of a line, from the start of a word where words are spaced."""
        size = chance.randint(self.shortest, self.longest)
        if len(line) <= size:
            return line
        start = 0 if chance.random() < _FROM_START else chance.randint(0, len(line) - size)
        end = start + size
        if line.count(" ") * SPACED_CHARS > len(line):
            start = line.rfind(" ", 0, start) + 1 if start else 0
            end = start + size
            if chance.random() < _WHOLE_WORDS:
                end = line.find(" ", end) if line.find(" ", end) >= 0 else len(line)
        return line[start:end].strip()


def classes_of(corpus: Corpus) -> dict[str, list[str]]:
    """The classes of a model, and the labels of each: every language of the table, and every other that has many
    sentences, by itself; the rest together, a class a script."""
    classes: dict[str, list[str]] = {}
    for label in corpus.labels():
        parts = corpus.of(label)
        many = label in LANGUAGES or sum(len(part.lines) for part in parts) >= _MANY
        classes.setdefault(label if many else f"other_{_script(parts[0].lines)}", []).append(label)
    return classes


def _script(lines: Sequence[str]) -> str:
    """The script of most letters, as the names of characters in Unicode begin."""
    letters = [letter for line in lines[:_LOOKED_AT] for letter in line if letter.isalpha()]
    names = Counter(unicodedata.name(letter, "none").partition(" ")[0] for letter in letters)
    return min(names, key=lambda name: (-names[name], name)).lower() if names else "none"


def samples(corpus: Corpus, draw: Draw, seed: int) -> list[tuple[str, str]]:
    """Classes and texts, shuffled: fastText takes its input as it comes."""
    drawn: list[tuple[str, str]] = []
    for name, labels in classes_of(corpus).items():
        chance = random_of(seed, "samples", name)
        lines = [
            line for label in labels for part in corpus.of(label) for line in list(part.lines) * part.source.weight
        ]
        few = min(2 * len(lines), 3 * draw.samples) if len(labels) > 1 else draw.others
        wanted = draw.samples if name in LANGUAGES else few
        for line in _repeated(lines, wanted, chance):
            drawn.append((name, draw.crop(line, chance) if chance.random() < draw.cropped else line))
    random_of(seed, "order").shuffle(drawn)
    return drawn


def _repeated(lines: Sequence[str], wanted: int, chance: random.Random) -> Iterator[str]:
    """Every line as often as every other, give or take one."""
    while wanted > 0:
        yield from chance.sample(lines, min(wanted, len(lines)))
        wanted -= len(lines)
