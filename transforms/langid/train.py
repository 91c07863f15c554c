"""Makes a model of our own: one fastText classifier of all languages, a linear model a group, and their calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from tokenizer.languages import LANGUAGES
from transforms.classifiers import fasttext_file
from transforms.langid import calibrate, linear
from transforms.langid.bundle import Bundle
from transforms.langid.corpus import Corpus, random_of
from transforms.langid.draw import Draw, samples
from transforms.langid.groups import GROUP_LINES, GROUPS, Group
from transforms.langid.own import Calibration

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainSettings:
    """Of a model. Sizes are as measured for the languages of the table in 10 MB (benchmarks/language_model.py)."""

    seed: int = 0
    draw: Draw = field(default_factory=Draw)
    dimensions: int = 16  # of a fastText vector
    epochs: int = 4
    rate: float = 0.5
    buckets: int = 1_000_000  # of fastText's n-grams, of which `kept` stay
    kept: int = 320_000  # 0: all, and not quantised
    bits: int = 17  # of a group's n-grams: 2**bits rows
    group_crops: int = 2  # pieces of each sentence that a group is fitted to, besides itself
    emphasis: int = 2  # in a group, a source counts its weight to this power
    looseness: float = 3.0
    iterations: int = 60


def train(corpus: Corpus, settings: TrainSettings, say: Say) -> Bundle:
    """A model of the whole corpus, with the calibration of another that has not seen a tenth of it; without one where
    some language has too few sentences to hold any out.

    Raises ValueError when the corpus has fewer than two labels, or no language of the table.
    """
    labels = corpus.labels()
    listed = LANGUAGES.keys() & labels
    if len(labels) < 2 or not listed:
        raise ValueError(f"a model needs two languages, one of them of the table; got {', '.join(labels) or 'none'}")
    shown, held_out = corpus.split()
    calibration, thresholds = Calibration.neutral(), calibrate.floor()
    too_few = sorted(listed - (set(shown.labels()) & set(held_out.labels())))
    if not too_few:
        say("training on nine tenths, to measure on the rest")
        calibration, thresholds, f1 = calibrate.measure(fit(shown, settings, say), held_out, settings.seed)
        say(f"macro F1 on the rest: {', '.join(f'{value:.3f} of {name}' for name, value in f1.items())}")
    else:
        say(
            f"neither measured nor calibrated, thresholds are {min(thresholds.values())}: too few sentences to hold "
            f"any out of {', '.join(too_few[:5])}{f' and {len(too_few) - 5} more' if len(too_few) > 5 else ''}"
        )
    say("training on everything")
    made = fit(corpus, settings, say)
    return Bundle(made.first, made.groups, calibration, thresholds, made.about)


def fit(corpus: Corpus, settings: TrainSettings, say: Say) -> Bundle:
    """A model of a corpus that nobody has measured."""
    drawn = samples(corpus, settings.draw, settings.seed)
    say(f"{len(drawn):,} samples of {len({name for name, _ in drawn})} classes")
    first = fasttext_file.train(
        drawn,
        {"cutoff": settings.kept, "qnorm": True, "dsub": 2} if settings.kept else None,
        dim=settings.dimensions,
        epoch=settings.epochs,
        lr=settings.rate,
        bucket=settings.buckets,
        minn=1,
        maxn=5,
        minCount=2,
        loss="softmax",
    )
    groups = {}
    for name, codes in GROUPS.items():
        if set(codes) <= set(corpus.labels()):
            say(f"group {name}: {', '.join(codes)}")
            groups[name] = _fit_group(corpus, name, settings)
    return Bundle(first, groups, Calibration.neutral(), calibrate.floor(), _about(corpus, settings))


def _fit_group(corpus: Corpus, name: str, settings: TrainSettings) -> Group:
    codes = GROUPS[name]
    lines: list[str] = []
    classes: list[int] = []
    importance: list[float] = []
    for number, code in enumerate(codes):
        chance = random_of(settings.seed, "group", name, code)
        begun = len(lines)
        for part in corpus.of(code):
            weight = float(part.source.weight**settings.emphasis)
            for line in chance.sample(part.lines, min(len(part.lines), GROUP_LINES[name])):
                lines += [line, *(settings.draw.crop(line, chance) for _ in range(settings.group_crops))]
                importance += [weight, *[weight / 2] * settings.group_crops]
        total = sum(importance[begun:])
        importance[begun:] = [value / total for value in importance[begun:]]  # each language alike
        classes += [number] * (len(lines) - begun)
    weights = linear.fit(
        lines,
        classes,
        importance,
        bits=settings.bits,
        looseness=settings.looseness,
        iterations=settings.iterations,
    )
    return Group.of(codes, settings.bits, weights)


def _about(corpus: Corpus, settings: TrainSettings) -> Mapping[str, object]:
    counts: dict[str, dict[str, int]] = {}
    for part in corpus.parts:
        counts.setdefault(part.label, {})[part.source.name] = len(part.lines)
    return {
        "sources": [asdict(source) for source in corpus.sources],
        "sentences": counts,
        "settings": asdict(settings),
    }
