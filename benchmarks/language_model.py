"""How right our model of the 119 languages is, on sentences that it has not seen, beside lid.176.

    python -m benchmarks.language_model WORK --fit 0 1 2 3 4       # trains the models of these folds
    python -m benchmarks.language_model WORK --without tatoeba     # and one without a source, of fold 0
    python -m benchmarks.language_model WORK                       # measures what is there, writes results/

A fold's model is trained on the other four fifths of FLORES part A and on all other sources (`language_data.py`), as
`agora langid train` does; the calibration and thresholds are those of the shipped model. A training takes two minutes
of a core.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import language_data
from benchmarks.harness import write_result
from benchmarks.language_data import FOLDS, fits, flores_lines, is_tested, is_unseen
from tests.conftest import LID176
from tokenizer.languages import LANGUAGES
from transforms.langid import bundle
from transforms.langid.bundle import Bundle
from transforms.langid.corpus import read_corpus
from transforms.langid.groups import GROUPS
from transforms.langid.labels import Guess
from transforms.langid.model import SHIPPED, Model, ModelHandle
from transforms.langid.train import TrainSettings, fit
from transforms.langid.verdict import choose, least_of

_CUTS: Mapping[str, int | None] = {"whole": None, "first 40": 40, "first 20": 20}
_UNSEEN_LINES = 40  # of each language that is not listed
_MERGED = {"ars_Arab": "arb_Arab"}

_Test = Sequence[tuple[str, str]]  # what a line is in, and the line


def _fit_fold(work: Path, fold: int, without: Sequence[str] = (), kept: int | None = None) -> None:
    """Trains a model and writes WORK/<fold>[-source].lid."""
    name = "-".join([str(fold), *without, *(["float"] if kept == 0 else [])])
    settings = TrainSettings() if kept is None else TrainSettings(kept=kept)
    with TemporaryDirectory() as folder:
        language_data.arrange(Path(folder) / "data", fold, without)
        begun = time.process_time()
        made = fit(read_corpus(str(Path(folder) / "data"), settings.seed), settings, print)
    data = bundle.write(made)
    (work / f"{name}.lid").write_bytes(data)
    print(f"{name}: {len(data) / 1e6:.2f} MB, {time.process_time() - begun:.0f} CPU seconds", flush=True)


def _open(work: Path, name: str) -> Model:
    """A model of the work folder, calibrated as the shipped one."""
    made = bundle.read((work / f"{name}.lid").read_bytes(), name)
    return dataclasses.replace(made, calibration=_shipped().calibration, thresholds=_shipped().thresholds).model()


@cache
def _shipped() -> Bundle:
    return bundle.read(SHIPPED.read_bytes(), "the shipped model")


def _test(fold: int) -> _Test:
    return [
        (code, line) for code in LANGUAGES for number, line in enumerate(flores_lines(code)) if is_tested(number, fold)
    ]


def _unseen(fold: int) -> _Test:
    found: dict[str, list[str]] = {}
    for source in language_data.SOURCES:
        for label, lines in language_data.read(source.name):
            if is_unseen(label, fold):
                found.setdefault(label, []).extend(lines)
    return [
        (label, line) for label, lines in sorted(found.items()) for line in lines[:: len(lines) // _UNSEEN_LINES + 1]
    ]


def _best(guesses: Sequence[Guess]) -> list[str]:
    return [guess[0][0] if guess else "" for guess in guesses]


def _f1(right: Sequence[str], told: Sequence[str]) -> dict[str, float]:
    """Of every language that some text is in."""
    hits = dict.fromkeys(right, 0)
    totals = dict(hits)
    for code, found in zip(right, told, strict=True):
        hits[code] += code == found
        totals[code] += 1
        if found in totals:
            totals[found] += 1
    return {code: 2 * hits[code] / totals[code] for code in hits}


def _macro(f1: Mapping[str, float], without: Sequence[str] = ()) -> float:
    return float(np.mean([value for code, value in f1.items() if code not in without]))


@dataclasses.dataclass
class _Told:
    """What is in what and what was told, over the folds."""

    right: list[str] = dataclasses.field(default_factory=list)
    told: list[str] = dataclasses.field(default_factory=list)
    kept: list[bool] = dataclasses.field(default_factory=list)

    def add(self, model: Model, test: _Test, cut: int | None) -> None:
        lines = [line[:cut].strip() for _, line in test]
        guesses = model.predict(lines)
        self.right += [code for code, _ in test]
        self.told += _best(guesses)
        asked = zip(guesses, map(least_of, map(len, lines)), strict=True)
        self.kept += [choose(guess, model.thresholds, least).reason is None for guess, least in asked]

    def row(self) -> str:
        """Macro F1 over all, without Arabic, with two varieties as one; kept, and right among them."""
        merged = _f1(*([_MERGED.get(code, code) for code in codes] for codes in (self.right, self.told)))
        f1 = _f1(self.right, self.told)
        right = [one == other for one, other, kept in zip(self.right, self.told, self.kept, strict=True) if kept]
        return (
            f"{_macro(f1):.4f} | {_macro(f1, GROUPS['arabic']):.4f} | {_macro(merged):.4f} "
            f"| {np.mean(self.kept):.3f} | {np.mean(right):.3f} |"
        )


def _measure(work: Path, folds: Sequence[int]) -> Iterator[str]:
    """The body of the result."""
    lid176 = ModelHandle.of(str(LID176)).load()
    ours = {cut: _Told() for cut in _CUTS}
    theirs = {cut: _Told() for cut in _CUTS}
    unseen, unseen_theirs = _Told(), _Told()
    for fold in folds:
        model = _open(work, str(fold))
        for cut, characters in _CUTS.items():
            ours[cut].add(model, _test(fold), characters)
            theirs[cut].add(lid176, _test(fold), characters)
        unseen.add(model, _unseen(fold), None)
        unseen_theirs.add(lid176, _unseen(fold), None)
    yield f"Out of fold, {len(folds)} of {FOLDS} folds, {len(ours['whole'].right):,} sentences of FLORES part A."
    yield "Kept: at the thresholds of the model; right: of those kept."
    yield ""
    yield "| model, text | macro F1 | without Arabic | arb and ars as one | kept | right |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, told in (("ours", ours), ("lid.176", theirs)):
        for cut in _CUTS:
            yield f"| {name}, {cut} | {told[cut].row()}"
    yield ""
    yield "Texts of languages that are not listed and that the model has never seen (a fifth of them a fold, whole):"
    yield f"kept under a wrong code are {np.mean(unseen.kept):.3f} of {len(unseen.kept):,} texts of"
    yield f"{len(set(unseen.right))} languages; by lid.176, which knows some, {np.mean(unseen_theirs.kept):.3f}."
    yield from _most(unseen)
    yield from _without(work)
    yield from _float(work)
    yield from _by_language(ours["whole"], theirs["whole"])


def _most(unseen: _Told) -> Iterator[str]:
    counts: dict[tuple[str, str], int] = {}
    for right, told, kept in zip(unseen.right, unseen.told, unseen.kept, strict=True):
        if kept:
            counts[right, told] = counts.get((right, told), 0) + 1
    worst = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:25]
    yield f"Most often: {', '.join(f'{right} as {told} {count}' for (right, told), count in worst)}."
    yield ""


def _without(work: Path) -> Iterator[str]:
    """What each source is worth: models of fold 0 without it, on its own sentences and on FLORES."""
    names = [source.name for source in language_data.SOURCES if (work / f"0-{source.name}.lid").exists()]
    if not names:
        return
    with_all = _open(work, "0")
    yield "One source left out, fold 0: macro F1 on FLORES, and on the source's own sentences beside a model that has"
    yield "seen them."
    yield ""
    yield "| source | FLORES, all | without Arabic | own sentences, not seen | seen |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name in names:
        model = _open(work, f"0-{name}")
        flores = _Told()
        flores.add(model, _test(0), None)
        own = [
            (label, line)
            for label, lines in language_data.read(name)
            if label in LANGUAGES
            for line in [line for line in lines if line and fits(label, line)][:200]
        ]
        f1 = _f1(flores.right, flores.told)
        seen = [
            _macro(_f1([code for code, _ in own], _best(one.predict([line for _, line in own]))))
            for one in (model, with_all)
        ]
        yield f"| {name} | {_macro(f1):.4f} | {_macro(f1, GROUPS['arabic']):.4f} | {seen[0]:.4f} | {seen[1]:.4f} |"
        if name == "tatoeba":
            lines = dict(language_data.read(name))["yue_Hant"]  # those without a character of their own as well
            told = _best(model.predict(lines))
            yue = f"Cantonese of Tatoeba, not seen: {told.count('yue_Hant')} of {len(lines)} sentences told right."
    yield ""
    if "tatoeba" in names:
        yield yue
        yield ""


def _float(work: Path) -> Iterator[str]:
    """What pruning and quantisation lose, on fold 0."""
    if not (work / "0-float.lid").exists():
        return
    yield "| fold 0 | MB | whole | first 40 | first 20 |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name, title in (("0-float", "all n-grams, 32-bit"), ("0", "as shipped")):
        told = {cut: _Told() for cut in _CUTS}
        for cut, characters in _CUTS.items():
            told[cut].add(_open(work, name), _test(0), characters)
        figures = " | ".join(f"{_macro(_f1(one.right, one.told)):.4f}" for one in told.values())
        yield f"| {title} | {(work / f'{name}.lid').stat().st_size / 1e6:.1f} | {figures} |"
    yield ""


def _by_language(ours: _Told, theirs: _Told) -> Iterator[str]:
    mine, other = _f1(ours.right, ours.told), _f1(theirs.right, theirs.told)
    yield "| language | F1, ours | F1, lid.176 | told instead, most often |"
    yield "| --- | ---: | ---: | --- |"
    for code in LANGUAGES:
        wrong = [told for right, told in zip(ours.right, ours.told, strict=True) if right == code != told]
        often = sorted(set(wrong), key=lambda told: (-wrong.count(told), told))[:2]
        instead = ", ".join(f"{told} {wrong.count(told)}" for told in often)
        yield f"| {code} | {mine[code]:.3f} | {other[code]:.3f} | {instead} |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--fit", type=int, nargs="*", choices=range(FOLDS), default=[])
    parser.add_argument("--without", choices=[source.name for source in language_data.SOURCES])
    parser.add_argument("--float", action="store_true", help="train fold 0 without pruning and quantisation")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    for fold in given.fit:
        _fit_fold(given.work, fold)
    if given.without:
        _fit_fold(given.work, 0, [given.without])
    if given.float:
        _fit_fold(given.work, 0, kept=0)
    if not (given.fit or given.without or given.float):
        folds = [fold for fold in range(FOLDS) if (given.work / f"{fold}.lid").exists()]
        title = "Our model of the 119 languages, on sentences that it has not seen"
        write_result(
            "language_model", title, list(_measure(given.work, folds)), ["fasttext-community", "numpy", "scipy"]
        )


if __name__ == "__main__":
    main()
