"""Words that say what a text is: the most frequent words of a language, and phrases of menus and footers.

Both are looked up by the hashes of tokens, so that a text is never searched for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transforms.quality.characters import KIND_BITS, MARK, POINTS, kinds
from transforms.quality.hashes import HASH_BITS, Hashed, Hashes, keys_of, ngram_hashes

BOILERPLATE = Path(__file__).with_name("boilerplate.txt")
"""A phrase a line: two words, or four letters of a language without spaces."""

_LEAST_PHRASES = 3  # that differ: a person writes of a privacy policy, a footer of everything
_OF_A_LANGUAGE = np.uint64(0xD1B54A32D192ED03)  # an odd constant: the same word of two languages is two keys


class Lexicon:
    """stop_words: by code of the language table."""

    def __init__(self, stop_words: Mapping[str, Sequence[str]]) -> None:
        self._number_of = {code: number for number, code in enumerate(sorted(stop_words), 1)}
        words = [(self._number_of[code], word) for code in self._number_of for word in stop_words[code]]
        numbers = np.array([number for number, _ in words], dtype=np.uint64)
        self._words = _Known(_hashes([word for _, word in words]) + numbers * _OF_A_LANGUAGE)
        lines = BOILERPLATE.read_text("utf-8").splitlines()
        self._phrases = _Known(_phrase_hashes([line for line in lines if line and not line.startswith("#")]))

    def stop_words(
        self, tokens: Hashes, text_of: npt.NDArray[np.int32], languages: Sequence[str | None]
    ) -> npt.NDArray[np.float64]:
        """(N,) how many of each text's tokens are stop words of its language; NaN where that has no list."""
        numbers = np.array([self._number_of.get(code or "", 0) for code in languages], dtype=np.uint64)
        listed = self._words.among(tokens + numbers[text_of] * _OF_A_LANGUAGE)
        counts = np.bincount(text_of[listed], minlength=len(languages)).astype(np.float64)
        return np.where(numbers > 0, counts, np.nan)

    def boilerplate(self, ngrams: Hashes, text_of: npt.NDArray[np.int32], size: int) -> npt.NDArray[np.float64]:
        """(N,) how many n-grams of each text are phrases; 0 where fewer than three differ."""
        listed = self._phrases.among(ngrams)
        counts = np.bincount(text_of[listed], minlength=size).astype(np.float64)
        different = np.unique(keys_of(text_of[listed], ngrams[listed])) >> np.uint64(HASH_BITS)
        few = np.bincount(different.astype(np.int64), minlength=size) < _LEAST_PHRASES
        return np.where(few, 0, counts)


class _Known:
    """Hashes that are looked up. A look at 16 bits tells most others apart: a search takes ten times as long."""

    def __init__(self, hashes: Hashes) -> None:
        self._sorted = np.sort(hashes)
        self._begins = np.zeros(1 << 16, dtype=np.bool_)
        self._begins[hashes >> np.uint64(48)] = True

    def among(self, hashes: Hashes) -> npt.NDArray[np.int64]:
        """Which of the hashes are known."""
        maybe = np.flatnonzero(self._begins[hashes >> np.uint64(48)])
        places = np.searchsorted(self._sorted, hashes[maybe])
        places[places == len(self._sorted)] = 0
        return maybe[self._sorted[places] == hashes[maybe]] if len(maybe) else maybe


def _hashes(words: Sequence[str]) -> Hashes:
    """The hash of each word, as a token has it: without vowel points."""
    words = ["".join(letter for letter in word if not kinds()[ord(letter)] & POINTS) for word in words]
    codes = np.frombuffer("".join(words).encode("utf-32-le"), dtype=np.uint32)
    lengths = np.array([len(word) for word in words], dtype=np.int64)
    ends = np.cumsum(lengths)
    return Hashed.of(codes).of_spans(ends - lengths, ends)


def _phrase_hashes(phrases: Sequence[str]) -> Hashes:
    found = [np.zeros(0, np.uint64)]
    for phrase in phrases:
        tokens = phrase.split(" ") if " " in phrase else _letters(phrase)
        found.append(ngram_hashes(_hashes(tokens), np.zeros(len(tokens), np.int32), len(tokens))[0])
    return np.concatenate(found)


def _letters(phrase: str) -> list[str]:
    """Each letter with its marks."""
    letters: list[str] = []
    for letter in phrase:
        if letters and kinds()[ord(letter)] & KIND_BITS == MARK:
            letters[-1] += letter
        else:
            letters.append(letter)
    return letters
