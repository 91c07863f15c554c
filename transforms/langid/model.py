"""Files of models that identify languages: any fastText classifier whose labels the table knows.

The only importer of fastText.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import fasttext

from tokenizer.languages import LANGUAGES
from transforms.datasets import places
from transforms.langid.labels import PREFIX, SHORT_CHARS, Guess, codes_of, guess

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
        """Raises ValueError when there is no such file."""
        if not places.exists(place):
            raise ValueError(
                f"no language model at {place}; get one, such as lid.176.ftz (make models fetches it), or annotate "
                "without the language layer"
            )
        handle = ModelHandle(place, places.sha256(place))
        published = _PUBLISHED.get(places.name(place), handle.sha256)
        if handle.sha256 != published:  # fastText looks at nothing: half a model finds other languages, or crashes
            raise ValueError(
                f"{place} is not the model that is published under this name: SHA-256 {handle.sha256[:16]}, wanted "
                f"{published[:16]}. It is damaged, or another one: get it again (make models), or give it another name"
            )
        return handle

    def load(self) -> Model:
        """Raises ValueError when the file is not the one the handle was made of, or no fastText model."""
        found = places.sha256(self.place)
        if found != self.sha256:
            raise ValueError(
                f"the language model {self.place} changed: SHA-256 {found[:16]}, wanted {self.sha256[:16]}; "
                "annotate again with the model you mean"
            )
        if places.is_local(self.place):
            return FastTextModel(_load(places.local_path(self.place), self.place))
        with tempfile.NamedTemporaryFile(suffix=".bin") as copy:  # fastText reads local files only
            copy.write(places.read_bytes(self.place))
            copy.flush()
            return FastTextModel(_load(copy.name, self.place))


def _load(path: str, place: str) -> Any:
    try:
        return fasttext.load_model(path)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ValueError(f"{place} is no fastText model: {error}") from error


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
