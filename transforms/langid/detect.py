"""Texts to verdicts, in batches: what a person wrote is read, the model guesses, the thresholds decide."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from transforms.langid.labels import Guess
from transforms.langid.model import Model
from transforms.langid.paragraphs import are_mixed, paragraphs, together
from transforms.langid.readable import in_place, one_line, stripped_all
from transforms.langid.verdict import Detected, choose, is_sure, least_of

_READ_CHARS = 200  # of each paragraph, of several: a language shows in fewer


class Seen(NamedTuple):
    """[N] what texts say, each by itself."""

    guesses: list[Guess]
    chars: list[int]  # that were read
    mixed: list[bool]  # its paragraphs are in more than one language


class Span(NamedTuple):
    """Paragraphs of one language: from which character of a text to before which."""

    start: int
    end: int
    language: str


class Detector:
    """A model at work."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.thresholds = model.thresholds

    def detect(self, texts: Sequence[str]) -> list[Detected]:
        """The language of each text by itself. Code, quotes, URLs, names and emoji do not count."""
        seen = self.look(texts)
        asked = zip(seen.guesses, map(least_of, seen.chars), strict=True)
        return [choose(guess, self.thresholds, least) for guess, least in asked]

    def look(self, texts: Sequence[str]) -> Seen:
        """What each text says by itself: of several long paragraphs what their beginnings say together. The model is
        asked once, whatever they say."""
        read = stripped_all(texts)
        cuts = [paragraphs(text) if "\n" in text else [] for text in read]
        lines: list[str] = []
        for text, cut in zip(read, cuts, strict=True):
            if len(cut) < 2:
                lines.append(one_line(text))
            else:
                lines += [one_line(text[start : min(end, start + _READ_CHARS)]) for start, end in cut]
        said = iter(self._model.predict(lines))
        seen = Seen([], list(map(len, read)), [])
        for cut in cuts:
            guess, is_mixed = next(said), False
            if len(cut) > 1:
                parts, sizes = [guess, *islice(said, len(cut) - 1)], [end - start for start, end in cut]
                guess, is_mixed = together(parts, sizes), are_mixed(parts, sizes)
            seen.guesses.append(guess)
            seen.mixed.append(is_mixed)
        return seen

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """Where each text is in which language, by paragraphs; those that are not sure are in no span."""
        read = [in_place(text) for text in texts]
        cuts = [paragraphs(text) for text in read]
        lines = [one_line(text[start:end]) for text, cut in zip(read, cuts, strict=True) for start, end in cut]
        guesses = iter(self._model.predict(lines))
        found: list[list[Span]] = []
        for text, cut in zip(read, cuts, strict=True):
            spans: list[Span] = []
            neighbour = False
            for start, end in cut:
                guess = next(guesses)
                if sure := is_sure(guess, self.thresholds, least_of(end - start)):
                    start += len(text[start:end]) - len(text[start:end].lstrip())
                    if neighbour and spans[-1].language == guess[0][0]:
                        start = spans.pop().start
                    spans.append(Span(start, len(text[:end].rstrip()), guess[0][0]))
                neighbour = sure
            found.append(spans)
        return found
