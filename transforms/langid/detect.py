"""Texts to verdicts, in batches: what a person wrote is read, the model guesses, the thresholds decide."""

from __future__ import annotations

from collections.abc import Sequence

from transforms.langid.model import Model
from transforms.langid.readable import readable
from transforms.langid.verdict import Detected, choose


class Detector:
    """A model at work."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def detect(self, texts: Sequence[str]) -> list[Detected]:
        """The language of each text. Markdown code and URLs do not count."""
        guesses = self._model.predict([readable(text) for text in texts])
        return [choose(guess, self._model.thresholds) for guess in guesses]
