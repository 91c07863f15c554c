"""Files of models that identify languages: our own, which is shipped, and any fastText classifier whose labels the
table knows. What a file is, its first bytes say."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tokenizer.languages import LANGUAGES
from transforms.classifiers import fasttext_file
from transforms.datasets import places
from transforms.langid import bundle
from transforms.langid.labels import PREFIX, SHORT_CHARS, Guess, codes_of, guess

DEFAULT = "default"  # the place of the model that is shipped
SHIPPED = Path(__file__).with_name("agora119.lid")
# Labels asked of the model, and the least probability: what is below is left out, which halves its work. A short line
# may be in many languages, of which the posts around it choose (prior.py).
_TOP_LABELS, _LEAST_PROBABILITY = 5, 0.01
_TOP_LABELS_SHORT, _LEAST_PROBABILITY_SHORT = 10, 0.001


class Model(Protocol):
    """A loaded model."""

    @property
    def labels(self) -> Sequence[str]:
        """What it calls languages, without fastText's prefix."""
        ...

    @property
    def thresholds(self) -> Mapping[str, float]:
        """The least confidence to accept, by code of the table, every code."""
        ...

    def predict(self, lines: Sequence[str]) -> list[Guess]:
        """What each line may be written in. An empty line has no guess."""
        ...


_PUBLISHED = {"lid.176.ftz": "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"}  # SHA-256


@dataclass(frozen=True)
class ModelHandle:
    """A model by place and SHA-256: what travels to workers instead of the model."""

    place: str
    sha256: str

    @staticmethod
    def of(place: str) -> ModelHandle:
        """`default` is the model that is shipped. Raises ValueError when there is no such file."""
        file = _file(place)
        if not places.exists(file):
            raise ValueError(f"no language model at {place}; name {DEFAULT}, which is shipped, or a file that is there")
        handle = ModelHandle(place, places.sha256(file))
        published = _PUBLISHED.get(places.name(place), handle.sha256)
        if handle.sha256 != published:  # fastText looks at nothing: half a model finds other languages, or crashes
            raise ValueError(
                f"{place} is not the model that is published under this name: SHA-256 {handle.sha256[:16]}, wanted "
                f"{published[:16]}. It is damaged, or another one: get it again, or give it another name"
            )
        return handle

    def load(self) -> Model:
        """Raises ValueError when the file is not the one the handle was made of, or no model that identifies
        languages."""
        file = _file(self.place)
        if places.size(file) and _begins(file, bundle.MAGIC):
            data = places.read_bytes(file)
            found = hashlib.sha256(data).hexdigest()  # of what was read: the file may be exchanged meanwhile
            fasttext_file.check(found, self.sha256, self.place, "language model", "annotate")
            return bundle.read(data, self.place).model(self.place)
        return FastTextModel(fasttext_file.load(file, self.sha256, "language model", "annotate"))


def places_of(model: str) -> list[str]:
    """What a process must be able to open for a model, besides Agora itself."""
    return [] if model == DEFAULT else [model]


def _file(place: str) -> str:
    return str(SHIPPED) if place == DEFAULT else place


def _begins(place: str, magic: bytes) -> bool:
    with places.open_input(place) as file:
        return file.read(len(magic)) == magic


class FastTextModel:
    """A fastText classifier. Raises ValueError when it is none, or names no language of the table."""

    thresholds: Mapping[str, float] = {row.code: row.lid_threshold for row in LANGUAGES.values()}

    def __init__(self, model: Any) -> None:
        try:
            self.labels: Sequence[str] = [label.removeprefix(PREFIX) for label in model.get_labels()]
            self._code_of = codes_of(self.labels)
            model.f.multilinePredict(["\n"], 1, 0.0, "strict")
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"this fastText model does not identify languages: {error}") from error
        self._model = model

    def predict(self, lines: Sequence[str]) -> list[Guess]:
        """As Model."""
        guesses: list[Guess] = [()] * len(lines)
        short = [index for index, line in enumerate(lines) if len(line) <= SHORT_CHARS]
        others = [index for index, line in enumerate(lines) if len(line) > SHORT_CHARS] if short else range(len(lines))
        for rows, top, least in (
            (short, _TOP_LABELS_SHORT, _LEAST_PROBABILITY_SHORT),
            (others, _TOP_LABELS, _LEAST_PROBABILITY),
        ):
            # fastText's own predict() checks and copies each line again, and fails on single strings under numpy 2.
            labels, probabilities = self._model.f.multilinePredict(
                [lines[row] + "\n" for row in rows], top, least, "strict"
            )
            for row, found, probability in zip(rows, labels, probabilities, strict=True):
                guesses[row] = guess(self._code_of, found, probability.tolist(), lines[row]) if lines[row] else ()
        return guesses
