"""What is made of a model's guess: kept, or dropped because it is unsure or the language is not listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tokenizer.languages import LANGUAGES
from transforms.datasets.fates import Reason
from transforms.langid.labels import Guess


class Detected(NamedTuple):
    """What is said of one text. Languages are codes of the table, or None; confidences are probabilities."""

    language: str | None
    confidence: float
    runner_up: str | None
    runner_up_confidence: float
    reason: Reason | None  # None: kept


def choose(guess: Guess, thresholds: Mapping[str, float]) -> Detected:
    """The verdict. thresholds: the least confidence to accept, by code of the table."""
    if not guess:
        return Detected(None, 0.0, None, 0.0, Reason.LANGUAGE_UNSURE)
    best, confidence = guess[0]
    runner_up, runner_up_confidence = next(((code, p) for code, p in guess[1:] if code in LANGUAGES), (None, 0.0))
    if best not in LANGUAGES:
        return Detected(None, confidence, runner_up, runner_up_confidence, Reason.LANGUAGE_UNLISTED)
    reason = Reason.LANGUAGE_UNSURE if confidence < thresholds[best] else None
    return Detected(best, confidence, runner_up, runner_up_confidence, reason)
