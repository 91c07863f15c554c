"""Scores of texts by a fastText classifier of good and bad examples (`agora quality train` makes one)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.classifiers import fasttext_file
from transforms.classifiers.fasttext_file import LABEL
from transforms.datasets import places

Scores = npt.NDArray[np.float32]

POSITIVE, NEGATIVE = "positive", "negative"  # the labels, behind LABEL

_READ_CHARS = 4_000  # of a text: what it is like shows in these
# Words of their own: punctuation, and each character of the scripts that are written without spaces (Thai, Lao,
# Tibetan, Burmese, Khmer, kana, Han). So n-grams are of characters there, and no text can hold fastText's own "</s>"
# and "__label__".
_ALONE = (
    r"!-/:-@\[-`{-~¡§«¶·»¿،؛؟।॥\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2010-\u2027\u2030-\u205e\u3001-\u303f"
    r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff0f\uff1a-\uff20\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_ALONE}]|[^{_ALONE}\s]+")


def readable(text: str) -> str:
    """What a classifier reads of a text: its first 4,000 characters on one line, in small letters, words and
    punctuation apart. Code and URLs are read too: they say what a text is like."""
    return " ".join(_WORD.findall(text[:_READ_CHARS].lower()))


@dataclass(frozen=True)
class QualityHandle:
    """A classifier by place and SHA-256: what travels to workers instead of the model."""

    place: str
    sha256: str

    @staticmethod
    def of(place: str) -> QualityHandle:
        """Raises ValueError when there is no such file."""
        if not places.exists(place):
            raise ValueError(f"no quality classifier at {place}; `agora quality train` makes one from examples")
        return QualityHandle(place, places.sha256(place))

    def load(self) -> QualityModel:
        """Raises ValueError when the file is not the one the handle was made of, or no such classifier."""
        model = fasttext_file.load(self.place, self.sha256, "quality classifier", "run the same command")
        return QualityModel(model, self.place)


class QualityModel:
    """A loaded classifier. place: what errors call it. Raises ValueError when its labels are others."""

    def __init__(self, model: Any, place: str) -> None:
        wanted = {LABEL + POSITIVE, LABEL + NEGATIVE}
        if set(labels := model.get_labels()) != wanted:
            raise ValueError(
                f"{place} is no quality classifier: its labels are {', '.join(sorted(labels)[:5])}, wanted "
                f"{' and '.join(sorted(wanted))}; `agora quality train` makes one from examples"
            )
        self._predict = model.f.multilinePredict

    def score(self, texts: Sequence[str]) -> Scores:
        """[N] the probability of each text to be like the positive examples, in [0, 1]; 0 where nothing is to be read.
        Each text's score is its own, whatever stands beside it."""
        return self.score_lines([readable(text) for text in texts])

    def score_lines(self, lines: Sequence[str]) -> Scores:
        """`score` of texts as `readable` gives them."""
        labels, probabilities = self._predict([f"{line}\n" for line in lines], 2, 0.0, "strict")
        scores = np.zeros(len(lines), np.float32)
        for index, (line, found, shares) in enumerate(zip(lines, labels, probabilities, strict=True)):
            if line:
                scores[index] = dict(zip(found, shares, strict=True)).get(LABEL + POSITIVE, 0.0)
        return scores.clip(0.0, 1.0)
