"""What is made of a model's guess: kept, or dropped because it is unsure or the language is not listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tokenizer.languages import LANGUAGES
from transforms.datasets.fates import Reason
from transforms.langid.labels import VERY_SHORT_CHARS, Guess

_LEAST_UNLISTED = 0.3  # confidence from which a language is said to be none of the table; as the table's floor
_LEAST_VERY_SHORT = 0.8  # of one or two words, whatever is said of them (benchmarks/thread_languages.py)


class Detected(NamedTuple):
    """What is said of one text. Languages are codes of the table, or None; confidences are probabilities."""

    language: str | None
    confidence: float
    runner_up: str | None
    runner_up_confidence: float
    reason: Reason | None  # None: kept


def least_of(chars: int) -> float:
    """The least confidence in what a text says by itself, in any language. chars: that were read of it."""
    return _LEAST_VERY_SHORT if chars <= VERY_SHORT_CHARS else 0.0


def is_sure(guess: Guess, thresholds: Mapping[str, float], least: float) -> bool:
    """Whether the best of a guess is a language of the table whose threshold it reaches, and `least`."""
    return bool(guess) and guess[0][1] >= max(thresholds.get(guess[0][0], 2.0), least)


def choose(guess: Guess, thresholds: Mapping[str, float], least: float) -> Detected:
    """The verdict. thresholds: the least confidence to accept, by code of the table; least: of any language."""
    if not guess:
        return Detected(None, 0.0, None, 0.0, Reason.LANGUAGE_UNSURE)
    best, confidence = guess[0]
    runner_up, runner_up_confidence = _first_listed(guess[1:]) if len(guess) > 1 else (None, 0.0)
    if best not in LANGUAGES:
        is_told = confidence >= max(_LEAST_UNLISTED, least)
        unlisted = Reason.LANGUAGE_UNLISTED if is_told else Reason.LANGUAGE_UNSURE
        return Detected(None, confidence, runner_up, runner_up_confidence, unlisted)
    reason = Reason.LANGUAGE_UNSURE if confidence < max(thresholds[best], least) else None
    return Detected(best, confidence, runner_up, runner_up_confidence, reason)


def believe(stated: str, guess: Guess) -> Detected:
    """The verdict on a text whose language its source states: that one, whatever a model says.

    Confidences remain the model's: of the stated language, and of the best other one that is listed.
    """
    confidence = next((probability for code, probability in guess if code == stated), 0.0)
    runner_up, runner_up_confidence = _first_listed([item for item in guess if item[0] != stated])
    if stated not in LANGUAGES:
        return Detected(None, confidence, runner_up, runner_up_confidence, Reason.LANGUAGE_UNLISTED)
    return Detected(stated, confidence, runner_up, runner_up_confidence, None)


def _first_listed(guess: Guess) -> tuple[str | None, float]:
    for code, probability in guess:
        if code in LANGUAGES:
            return code, probability
    return None, 0.0
