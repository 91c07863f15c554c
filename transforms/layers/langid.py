"""Language identification of texts with any fastText model file; the only importer of fastText.

A model's labels become our codes through the language table: `lid.176`-style labels ("sq") by its lid176 column, never
by comparing codes (lid.176's "als" is Alemannic, our als_Latn is Tosk Albanian); labels such as "als_Latn" (NLLB,
GlotLID) are codes already. Probabilities of labels that mean the same code are added. Where a label leaves the script
open, the characters decide: `zh` is two of our languages, `sr` and `uz` are listed in one of their two scripts only.
Every text gets a verdict: kept, or dropped because the model is unsure or the language is not listed.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import fasttext

from tokenizer.languages import LANGUAGES, LID176
from transforms.datasets import places
from transforms.datasets.fates import Reason
from transforms.datasets.ids import fingerprint
from transforms.layers.chinese import traditional_share

_PREFIX = "__label__"
_TOP_LABELS = 5  # labels asked of the model; those below _LEAST_PROBABILITY are left out, which halves its work
_LEAST_PROBABILITY = 0.01
_READ_CHARS = 4_000  # of a text, after stripping: a language shows in far fewer
_SCANNED_CHARS = 5 * _READ_CHARS  # of a text, before stripping: bounds the work on an endless line

_CHINESE = "zho"  # writing not known yet
_SIMPLIFIED, _TRADITIONAL = "zho_Hans", "zho_Hant"
# Languages of which one script is listed and another is common: code to the script that is not meant.
_OTHER_SCRIPT = {"srp_Cyrl": "Latn", "uzn_Latn": "Cyrl"}
# GlotLID's and NLLB's names for languages that our table writes otherwise.
_OTHER_NAMES = {
    "cmn_Hani": _CHINESE,
    "zho_Hani": _CHINESE,
    "yue_Hani": "yue_Hant",
    "ekk_Latn": "est_Latn",
    "fil_Latn": "tgl_Latn",
    "kor_Kore": "kor_Hang",
}

# Fences may stand in quotes and lists; one that is never closed runs to the end.
_FENCED_CODE = re.compile(
    r"^[ \t>]*(?:(?:[-*+]|\d+[.)])[ \t]+)*(`{3,}|~{3,}).*?(?:^[ \t>]*\1|\Z)", re.MULTILINE | re.DOTALL
)
_INLINE_CODE = re.compile(r"(`{1,16})[^\n]*?\1")  # of a run of n, n lengths would be tried, and the line read for each
# Two patterns that each begin with a literal, which Python searches for ten times as fast as for a choice.
_URL = re.compile(r"https?://[^\s<>)\]]+")
_WEB_NAME = re.compile(r"www\.[^\s<>)\]]+")
_LETTER = re.compile(r"[^\W\d_]")
# The capitals of Latin, Greek, Cyrillic, Armenian and their neighbours. Two in a row: few lines need counting.
_UPPER = "".join(letter for letter in map(chr, [*range(0x2E00), *range(0xA640, 0xA7FF)]) if letter.isupper())
_CAPITALS = re.compile(f"[{_UPPER}]{{2}}")
_SCRIPTS = {"Latn": re.compile(r"[A-Za-z\u00c0-\u024f]"), "Cyrl": re.compile(r"[\u0400-\u052f]")}

# Names the rows of the language table that a layer depends on: labels and thresholds.
TABLE_FINGERPRINT = fingerprint([[row.code, row.lid176, row.lid_threshold] for row in LANGUAGES.values()])


class Detected(NamedTuple):
    """What the model says of one text. Languages are codes of the table, or None; confidences are probabilities."""

    language: str | None
    confidence: float
    runner_up: str | None
    runner_up_confidence: float
    reason: Reason | None  # None: kept


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

    def load(self) -> Detector:
        """Raises ValueError when the file is not the one the handle was made of, or no fastText model."""
        found = places.sha256(self.place)
        if found != self.sha256:
            raise ValueError(
                f"the language model {self.place} changed: SHA-256 {found[:16]}, wanted {self.sha256[:16]}; "
                "annotate again with the model you mean"
            )
        if places.is_local(self.place):
            return Detector(_load(places.local_path(self.place), self.place))
        with tempfile.NamedTemporaryFile(suffix=".bin") as copy:  # fastText reads local files only
            copy.write(places.read_bytes(self.place))
            copy.flush()
            return Detector(_load(copy.name, self.place))


def _load(path: str, place: str) -> Any:
    try:
        return fasttext.load_model(path)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ValueError(f"{place} is no fastText model: {error}") from error


class Detector:
    """A loaded model. Raises ValueError when it is no classifier, or names no language of the table."""

    def __init__(self, model: Any) -> None:
        try:
            labels = [label.removeprefix(_PREFIX) for label in model.get_labels()]
            self._code_of = codes_of(labels)
            model.f.multilinePredict(["\n"], 1, 0.0, "strict")
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"this fastText model does not identify languages: {error}") from error
        self._model = model

    def detect(self, texts: Sequence[str]) -> list[Detected]:
        """The language of each text. Markdown code and URLs do not count."""
        lines = [readable(text) for text in texts]
        # fastText's own predict() checks and copies each line again, and fails on single strings under numpy 2.
        labels, probabilities = self._model.f.multilinePredict(
            [line + "\n" for line in lines], _TOP_LABELS, _LEAST_PROBABILITY, "strict"
        )
        return [
            choose(self._code_of, found, probability, line)
            for line, found, probability in zip(lines, labels, probabilities, strict=True)
        ]


def codes_of(labels: Sequence[str]) -> Mapping[str, str]:
    """Labels of a model (as fastText gives them, with their prefix) that mean a language of the table, to its code.

    Raises ValueError when none does.
    """
    codes: dict[str, str] = {}
    for label in labels:
        meant = LID176.get(label, ())
        of_lid176 = _CHINESE if len(meant) > 1 else meant[0].code if meant else None
        code = label if label in LANGUAGES else _OTHER_NAMES.get(label) or of_lid176
        if code:
            codes[_PREFIX + label] = code
    if not codes:
        raise ValueError(
            f"none of its {len(labels)} labels ({', '.join(sorted(labels)[:5])} …) is a language of the table; labels "
            "must be like lid.176's (en) or like FLORES codes (eng_Latn)"
        )
    return codes


def readable(text: str) -> str:
    """One line of what a person wrote: no fenced or inline code, no URLs; "" when no letter is left."""
    text = text[:_SCANNED_CHARS]
    if "`" in text or "~~~" in text:
        text = _INLINE_CODE.sub(" ", _FENCED_CODE.sub(" ", text))
    text = _WEB_NAME.sub(" ", _URL.sub(" ", text))
    if not _LETTER.search(text):
        return ""
    text = _without_capitals(text[:_READ_CHARS])
    # "</s>" ends a line for fastText: what follows it would not be read.
    return text.replace("\n", " ").replace("</s>", " ")


def _without_capitals(text: str) -> str:
    """The text with its lines that are mostly capitals in small letters: models have seen next to none, and take them
    for other languages (of Bulgarian ones four in five)."""
    if not _CAPITALS.search(text):
        return text
    return "\n".join(
        _small(line) if _CAPITALS.search(line) and _is_mostly_capitals(line) else line for line in text.split("\n")
    )


def _is_mostly_capitals(line: str) -> bool:
    upper = sum(map(str.isupper, line))
    return 2 * upper > upper + sum(map(str.islower, line))


def _small(line: str) -> str:
    """In small letters; the capital İ of Turkish is one i, not an i with a dot above it, and there an I is an ı."""
    return (line.replace("I", "ı").replace("İ", "i") if "İ" in line else line).lower()


def choose(code_of: Mapping[str, str], labels: Sequence[str], probabilities: Sequence[float], line: str) -> Detected:
    """The verdict from a model's best labels for a line. Equal probabilities go to the smaller code."""
    if not line or not labels:
        return Detected(None, 0.0, None, 0.0, Reason.LANGUAGE_UNSURE)
    totals: dict[str, float] = {}
    for label, probability in zip(labels, probabilities, strict=True):
        code = code_of.get(label, label)
        totals[code] = totals.get(code, 0.0) + float(probability)
    if _CHINESE in totals:
        _give_writing(totals, line)
    for code in _OTHER_SCRIPT:
        if code in totals:
            _check_script(totals, code, line)
    ranked = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    best, confidence = ranked[0][0], min(ranked[0][1], 1.0)
    runner_up, runner_up_confidence = next(
        ((code, min(total, 1.0)) for code, total in ranked[1:] if code in LANGUAGES), (None, 0.0)
    )
    if best not in LANGUAGES:
        return Detected(None, confidence, runner_up, runner_up_confidence, Reason.LANGUAGE_UNLISTED)
    unsure = confidence < LANGUAGES[best].lid_threshold
    reason = Reason.LANGUAGE_UNSURE if unsure else None
    return Detected(best, confidence, runner_up, runner_up_confidence, reason)


def _give_writing(totals: dict[str, float], line: str) -> None:
    """Shares the probability of Chinese between its writings."""
    total = totals.pop(_CHINESE)
    traditional = traditional_share(line)
    for code, share in ((_SIMPLIFIED, 1 - traditional), (_TRADITIONAL, traditional)):
        totals[code] = totals.get(code, 0.0) + total * share


def _check_script(totals: dict[str, float], code: str, line: str) -> None:
    """Moves the probability of a language to its unlisted script when most of the line is in that."""
    other = _OTHER_SCRIPT[code]
    if len(_SCRIPTS[other].findall(line)) > len(_SCRIPTS[LANGUAGES[code].script].findall(line)):
        unlisted = f"{code.partition('_')[0]}_{other}"
        totals[unlisted] = totals.get(unlisted, 0.0) + totals.pop(code)
