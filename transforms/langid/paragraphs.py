"""The paragraphs of a text, each long enough that its language can be told, and what they say of the whole."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from transforms.langid.labels import Guess
from transforms.langid.verdict import is_sure

_LEAST_CHARS = (
    50  # of a paragraph, spaces not counted: shorter ones stand with the next, or at the end with the one before
)
_MIXED_SHARE = 0.2  # of a text's characters, in one language that is not its first, make it one of mixed languages
_MIXED_CONFIDENCE = 0.8  # of each such paragraph
_IMPOSSIBLE = 0.01  # what a language is less probable than that no paragraph can be in

_BLANK_LINES = re.compile(r"\n[ \t]*\n")


def paragraphs(text: str) -> list[tuple[int, int]]:
    """(start, end) of each paragraph, in characters of the text; one, all of it, when no more are long enough."""
    found: list[tuple[int, int]] = []
    start = seen = chars = 0
    for blank in _BLANK_LINES.finditer(text) if len(text) > 2 * _LEAST_CHARS else ():
        chars += _num_chars(text[seen : blank.start()])
        seen = blank.end()
        if chars >= _LEAST_CHARS:
            found.append((start, blank.start()))
            start, chars = seen, 0
    if not found or chars + _num_chars(text[seen:]) >= _LEAST_CHARS:
        return [*found, (start, len(text))]
    return [*found[:-1], (found[-1][0], len(text))]


def _num_chars(text: str) -> int:
    return sum(map(len, text.split()))


def together(guesses: Sequence[Guess], sizes: Sequence[int], thresholds: Mapping[str, float]) -> Guess | None:
    """What paragraphs of one language say together: their mean by size. None when they are not all sure of the same."""
    if any(not is_sure(guess, thresholds) or guess[0][0] != guesses[0][0][0] for guess in guesses):
        return None
    total = sum(sizes)
    sums: dict[str, float] = {}
    for guess, size in zip(guesses, sizes, strict=True):
        for code, probability in guess:
            sums[code] = sums.get(code, 0.0) + probability * size / total
    return sorted(sums.items(), key=lambda item: (-item[1], item[0]))


def are_mixed(guesses: Sequence[Guess], sizes: Sequence[int]) -> bool:
    """Whether paragraphs are in more than one language: a model is sure of another one, and the text's first language
    (that of most characters) is next to impossible there. So neighbours that models confuse are not mixed."""
    by_language: dict[str, int] = {}
    sure = [
        (guess, size) for guess, size in zip(guesses, sizes, strict=True) if guess and guess[0][1] >= _MIXED_CONFIDENCE
    ]
    for guess, size in sure:
        by_language[guess[0][0]] = by_language.get(guess[0][0], 0) + size
    first = max(sorted(by_language), key=lambda code: by_language[code], default=None)
    others: dict[str, int] = {}
    for guess, size in sure:
        if all(code != first or probability < _IMPOSSIBLE for code, probability in guess):
            others[guess[0][0]] = others.get(guess[0][0], 0) + size
    return max(others.values(), default=0) >= max(1.0, _MIXED_SHARE * sum(sizes))
