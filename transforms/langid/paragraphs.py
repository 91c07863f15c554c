"""The paragraphs of a text, each long enough that its language can be told, and what they say of the whole."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from transforms.langid.labels import Guess

_LEAST_CHARS = (
    50  # of a paragraph, spaces not counted: shorter ones stand with the next, or at the end with the one before
)
_MIXED_SHARE = 0.2  # of a text's characters, in one language that is not its first, make it one of mixed languages
_MIXED_CONFIDENCE = 0.8  # of each such paragraph
_IMPOSSIBLE = 0.01  # what a language is less probable than that no paragraph can be in
_UNSEEN = 0.0005  # the probability of a language that a guess does not name: half of the least that any names
_COUNTED = 2 * _LEAST_CHARS  # of a paragraph's characters: enough are in them but where nearly all is space

_BLANK_LINES = re.compile(r"\n[ \t]*\n")


def paragraphs(text: str) -> list[tuple[int, int]]:
    """(start, end) of each paragraph, in characters of the text; one, all of it, when no more are long enough."""
    found: list[tuple[int, int]] = []
    start = seen = chars = 0
    for blank in _BLANK_LINES.finditer(text) if len(text) > 2 * _LEAST_CHARS else ():
        chars += _num_chars(text, seen, blank.start())
        seen = blank.end()
        if chars >= _LEAST_CHARS:
            found.append((start, blank.start()))
            start, chars = seen, 0
    if not found or chars + _num_chars(text, seen, len(text)) >= _LEAST_CHARS:
        return [*found, (start, len(text))]
    return [*found[:-1], (found[-1][0], len(text))]


def _num_chars(text: str, start: int, end: int) -> int:
    """Characters but for spaces; where there are enough of them, perhaps not all."""
    number = sum(map(len, text[start : min(end, start + _COUNTED)].split()))
    if number < _LEAST_CHARS and end > start + _COUNTED:
        return sum(map(len, text[start:end].split()))
    return number


def together(guesses: Sequence[Guess], sizes: Sequence[int]) -> Guess:
    """What paragraphs say together: the geometric mean of their probabilities by size, as a model that is linear in a
    text's words would say of all of them; what is left to 1 is one more language. Those without a guess say nothing."""
    told = [(guess, size) for guess, size in zip(guesses, sizes, strict=True) if guess]
    total = sum(size for _, size in told)
    unseen = rest = math.log(_UNSEEN)
    logs: dict[str, float] = {}
    for guess, size in told:
        left = 1.0
        for code, probability in guess:
            left -= probability
            logs[code] = logs.get(code, unseen) + size / total * _above(probability)
        rest += size / total * _above(left)
    raised = {code: math.exp(value) for code, value in logs.items()}
    whole = sum(raised.values()) + math.exp(rest)
    return sorted(((code, value / whole) for code, value in raised.items()), key=lambda item: (-item[1], item[0]))


def _above(probability: float) -> float:
    return math.log(max(probability, _UNSEEN) / _UNSEEN)


def are_mixed(guesses: Sequence[Guess], sizes: Sequence[int]) -> bool:
    """Whether paragraphs are in more than one language: a model is sure of another one, and the text's first language
    (that of most characters) is next to impossible there. So neighbours that models confuse are not mixed."""
    by_language: dict[str, int] = {}
    sure = [
        (guess, size) for guess, size in zip(guesses, sizes, strict=True) if guess and guess[0][1] >= _MIXED_CONFIDENCE
    ]
    for guess, size in sure:
        by_language[guess[0][0]] = by_language.get(guess[0][0], 0) + size
    if len(by_language) < 2:  # as in most texts
        return False
    first = max(sorted(by_language), key=lambda code: by_language[code])
    others: dict[str, int] = {}
    for guess, size in sure:
        if all(code != first or probability < _IMPOSSIBLE for code, probability in guess):
            others[guess[0][0]] = others.get(guess[0][0], 0) + size
    return max(others.values(), default=0) >= max(1.0, _MIXED_SHARE * sum(sizes))
