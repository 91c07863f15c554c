"""A classifier from examples: its file, and the card that says what it was made of and how well it does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import NamedTuple

from transforms.classifiers import fasttext_file
from transforms.datasets.settings import SettingError
from transforms.quality import inputs
from transforms.quality.classifier import NEGATIVE, POSITIVE, QualityModel
from transforms.quality.examples import choose
from transforms.quality.judged import Judged, judge

_CARD_VERSION = 1
_LIBRARY = "fasttext-community"


@dataclass(frozen=True)
class TrainSettings:
    """seed: of which examples are taken, their order, and fastText's own chance. ngram: runs of up to so many words are
    features. epochs: how often each example is read. most: examples of a class; more are left out."""

    seed: int = 0
    ngram: int = 2
    epochs: int = 10
    most: int = 100_000

    def __post_init__(self) -> None:
        for name, least, highest in (
            ("seed", 0, 2**31 - 1),
            ("ngram", 1, 5),
            ("epochs", 1, 1000),
            ("most", 100, 10**7),
        ):
            if not least <= (value := getattr(self, name)) <= highest:
                raise SettingError(name, f"must be from {least} to {highest}, got {value}")


class Trained(NamedTuple):
    """model: the bytes of the classifier's file. card: JSON values. counts: of examples, by class and fate."""

    model: bytes
    card: Mapping[str, object]
    counts: Mapping[str, Mapping[str, int]]
    judged: Judged


def train(positive: Sequence[str], negative: Sequence[str], settings: TrainSettings) -> Trained:
    """A classifier of the texts of some inputs (`inputs.read`) against those of others, judged on a tenth of them.

    The same texts and settings give the same bytes. Raises ValueError when an input is not there, cannot be read, or is
    named on both sides, and as `examples.choose` does.
    """
    digests = {POSITIVE: list(map(inputs.digest, positive)), NEGATIVE: list(map(inputs.digest, negative))}
    for place, digest in zip(positive, digests[POSITIVE], strict=True):
        if digest in digests[NEGATIVE]:
            other = negative[digests[NEGATIVE].index(digest)]
            raise ValueError(f"{place} is positive and {other} negative, and both hold the same; take one of them out")
    examples = choose(_texts(positive), _texts(negative), settings.seed, settings.most)
    model = fasttext_file.train(  # 13 MB and 64 bytes a word; words that occur once say nothing of other texts
        examples.training,
        dim=16,
        bucket=200_000,
        minCount=2,
        lr=0.5,
        seed=settings.seed,
        wordNgrams=settings.ngram,
        epoch=settings.epochs,
    )
    at_work = QualityModel(fasttext_file.read(model, "the model"), "the model")
    judged = judge(*(at_work.score_lines(examples.held_out[name]) for name in (POSITIVE, NEGATIVE)))
    card = {
        "kind": "quality classifier",
        "version": _CARD_VERSION,
        "sha256": hashlib.sha256(model).hexdigest(),
        "settings": asdict(settings),
        "library": f"{_LIBRARY} {version(_LIBRARY)}",
        "inputs": {name: sorted(found) for name, found in digests.items()},
        "examples": examples.counts,
        "held_out": judged,
    }
    return Trained(model, card, examples.counts, judged)


def _texts(sources: Sequence[str]) -> Iterator[str]:
    return (text for place in sources for text, _ in inputs.read(place))
