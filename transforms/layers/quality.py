"""The quality layer: what each document is like, in numbers, and whether it is kept by the rules of a preset.

Nothing is lost here: the signals of every document are stored, so that other rules can be tried on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.languages import LANGUAGES, language_name
from transforms.datasets import places, strict_yaml
from transforms.datasets.fates import Reason, Tally
from transforms.datasets.ids import fingerprint
from transforms.datasets.schema import required
from transforms.datasets.settings import SettingError
from transforms.datasets.step import Step
from transforms.datasets.texts import TEXT_COLUMNS, iter_texts
from transforms.layers.layer import Batches, CountGroup, Keep, Layer
from transforms.quality.classifier import QualityHandle, QualityModel
from transforms.quality.lexicon import BOILERPLATE, Lexicon
from transforms.quality.presets import Preset, Rule
from transforms.quality.signals import SCORE, SIGNALS, signals
from transforms.quality.thresholds import SHIPPED, Thresholds, load

_TYPES = dict.fromkeys(("characters", "prose", "words"), pa.int32())  # the other signals are shares
_ALWAYS = ("characters", "prose")  # signals that every text has

SCHEMA = pa.schema(
    [
        required("doc_id", pa.string()),
        *(pa.field(name, _TYPES.get(name, pa.float32()), name not in _ALWAYS) for name in (*SIGNALS, SCORE)),
        required("keep", pa.bool_()),
        pa.field("reason", pa.string()),
    ]
)
_LANGUAGE = "language.language"

# Names what the language table says that signals depend on.
_TABLE = fingerprint([[row.code, row.script, row.word_split, row.sentence_enders] for row in LANGUAGES.values()])


@dataclass(frozen=True)
class QualitySettings:
    """preset: rules by the name of those shipped, or a YAML file. thresholds: a file of `agora quality thresholds`.
    classifier: a file of `agora quality train`, which scores; least_score: of a text that is kept."""

    preset: str = "forum"
    thresholds: str | None = None
    classifier: str | None = None
    least_score: float = 0.0

    def __post_init__(self) -> None:
        if not self.preset:
            raise SettingError("preset", "is empty text; name a preset, such as forum, or a YAML file")
        if not 0 <= self.least_score <= 1:
            raise SettingError("least_score", f"must be a number from 0 to 1; got {self.least_score!r}")
        if self.least_score and self.classifier is None:
            raise SettingError("least_score", "needs a classifier: nothing else gives a score")

    @property
    def thresholds_place(self) -> str:
        """Of the file of thresholds: one's own, or the one that is shipped."""
        return self.thresholds or str(SHIPPED)

    @property
    def all_rules(self) -> Preset:
        """The preset's, and the least score. Raises ValueError for what is no preset, and for one with a rule of
        the score when nothing gives it."""
        preset = Preset.load(self.preset)
        if self.classifier is None and any(rule.signal == SCORE for rule in preset.rules):
            raise ValueError(f"the preset {self.preset} has a rule of the score, which needs a classifier; name one")
        score = [Rule(SCORE, Reason.QUALITY_SCORE, least=self.least_score)] if self.least_score else []
        return Preset([*preset.rules, *score])


@dataclass(frozen=True)
class Judge:
    """What a process judges by."""

    preset: Preset
    thresholds: Thresholds
    lexicon: Lexicon
    classifier: QualityModel | None


def identity(settings: QualitySettings) -> Mapping[str, object]:
    """The rules as they are, and the files by their bytes.

    Raises ValueError for a preset, thresholds or a classifier that are not there, or are none.
    """
    load(settings.thresholds_place)
    return {
        "rules": settings.all_rules.plain(),
        "thresholds": places.sha256(settings.thresholds_place),
        "boilerplate": places.sha256(str(BOILERPLATE)),
        "languages": _TABLE,
        "classifier": _checked(settings.classifier) if settings.classifier else None,
    }


def _checked(classifier: str) -> str:
    """A classifier's SHA-256."""
    handle = QualityHandle.of(classifier)
    handle.load()
    return handle.sha256


def open_judge(settings: QualitySettings, identity: Mapping[str, object]) -> Judge:
    """Raises ValueError when the thresholds or the classifier are others than the identity says."""
    place = settings.thresholds_place
    if places.sha256(place) != identity["thresholds"]:
        raise ValueError(f"the thresholds {place} changed while they were used; annotate again with those you mean")
    thresholds = load(place)
    preset = strict_yaml.convert(Preset, {"rules": identity["rules"]}, settings.preset)
    stop_words = {code: usual.stop_words for code, usual in thresholds.items() if usual.stop_words}
    found = identity["classifier"]
    classifier = QualityHandle(settings.classifier, str(found)).load() if settings.classifier else None
    return Judge(preset, thresholds, Lexicon(stop_words), classifier)


def rows(batches: Batches, judge: Judge) -> tuple[pa.Table, Tally]:
    """Rows of SCHEMA, and of each language the documents that are not kept. Memory: about a million characters of text,
    and the rows."""
    counts = Tally()
    parts = [_judged(ids, texts, languages, judge, counts) for ids, texts, languages in _texts(batches)]
    return pa.concat_tables([SCHEMA.empty_table(), *parts]), counts


def _texts(batches: Batches) -> Iterator[tuple[list[str], list[str], list[str | None]]]:
    for batch in batches:
        languages, start = batch.column(_LANGUAGE).to_pylist(), 0
        for ids, texts in iter_texts([batch.select(TEXT_COLUMNS)]):
            yield ids, texts, languages[start : start + len(ids)]
            start += len(ids)


def _judged(
    ids: Sequence[str], texts: Sequence[str], languages: Sequence[str | None], judge: Judge, counts: Tally
) -> pa.Table:
    found = dict(signals(texts, languages, judge.lexicon))
    scores = judge.classifier.score(texts) if judge.classifier else np.full(len(texts), np.nan)
    found[SCORE] = scores.astype(np.float64)
    reasons = judge.preset.judge(found, languages, judge.thresholds)
    for code, reason in zip(languages, reasons, strict=True):
        if reason:
            counts.add("marked", f"{code or 'unknown'}/{reason}")
    columns = [_column(found[name], SCHEMA.field(name).type) for name in (*SIGNALS, SCORE)]
    keep = [reason is None for reason in reasons]
    return pa.table([ids, *columns, keep, pa.array(reasons, pa.string())], schema=SCHEMA)


def _column(values: npt.NDArray[np.float64], kind: pa.DataType) -> pa.Array:
    return pa.array(values, mask=np.isnan(values)).cast(kind)


def _label(name: str) -> str:
    """ "eng_Latn/quality-words" for people."""
    code, _, reason = name.partition("/")
    return f"{language_name(code)}: {reason}"


LAYER = Layer(
    title="Quality",
    says="What texts are like, measured for their language, and which of them are no writing by a preset of rules.",
    step=Step("quality", version=1, libraries=("fasttext-community",)),
    schema=SCHEMA,
    settings=QualitySettings,
    keep=Keep("writing by the preset's rules", unpaired=Reason.LOW_QUALITY),
    groups=(CountGroup("marked", "language and reason", "documents not kept", label=_label),),
    columns=TEXT_COLUMNS,
    needs=lambda settings: {"language": ("language",)},
    identity=identity,
    opens=lambda settings: [place for place in (settings.thresholds, settings.classifier) if place],
    open=open_judge,
    rows=rows,
)
