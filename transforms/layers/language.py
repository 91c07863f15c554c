"""The language layer: which language each document is written in, and how sure that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tokenizer.languages import LANGUAGES, language_name, may_mean
from transforms.datasets.fates import Tally
from transforms.datasets.schema import required
from transforms.datasets.settings import SettingError
from transforms.datasets.step import Step
from transforms.datasets.texts import TEXT_COLUMNS, iter_rows
from transforms.langid.detect import Detector, Seen
from transforms.langid.labels import TABLE_FINGERPRINT, unknown
from transforms.langid.model import DEFAULT, ModelHandle, places_of
from transforms.langid.threads import Threads
from transforms.langid.verdict import Detected, choose, least_of
from transforms.layers.layer import Batches, CountGroup, Inputs, Keep, Layer

_SPAN = pa.struct([required("start", pa.int32()), required("end", pa.int32()), required("language", pa.string())])

SCHEMA = pa.schema(
    [
        required("doc_id", pa.string()),
        pa.field("language", pa.string()),  # code such as swh_Latn, or null
        required("confidence", pa.float32()),
        pa.field("runner_up", pa.string()),
        required("runner_up_confidence", pa.float32()),
        required("stated", pa.bool_()),  # the source says which language it is
        required("mixed", pa.bool_()),  # paragraphs are in more than one language
        pa.field("spans", pa.list_(_SPAN)),  # null unless asked for
        required("keep", pa.bool_()),
        pa.field("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class LanguageSettings:
    """Which model names the languages: `default` is the one that is shipped, all else the place of a file. spans:
    whether each paragraph's language is written down, which takes the model's time once more."""

    model: str = DEFAULT
    spans: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise SettingError(
                "model", f"must be {DEFAULT}, which is shipped, or the place of a model; got {self.model!r}"
            )


def identity(settings: LanguageSettings) -> Mapping[str, object]:
    """The model by its bytes, the table that says what its labels mean, and whether there are spans.

    Raises ValueError when there is no file, or it is no model that names languages: before anything is built.
    """
    handle = ModelHandle.of(settings.model)
    handle.load()
    return {"model": handle.sha256, "languages": TABLE_FINGERPRINT, "spans": settings.spans}


def notes(settings: LanguageSettings, inputs: Inputs) -> Iterator[str]:
    """Labels of the model that the table does not know."""
    return unknown(ModelHandle.of(settings.model).load().labels)


@dataclass(frozen=True)
class Means:
    """What a process loads once."""

    detector: Detector
    spans: bool = False


def load(settings: LanguageSettings, identity: Mapping[str, object]) -> Means:
    """Raises ValueError when the model is another one than the identity says."""
    return Means(Detector(ModelHandle(settings.model, str(identity["model"])).load()), settings.spans)


def rows(batches: Batches, means: Means) -> tuple[pa.Table, Tally]:
    """Rows of SCHEMA, and the documents of each language that are kept, those that are mixed, and those of which the
    model is sure of another language than is stated. Memory: the rows, one batch, and as `Threads`."""
    detector, counts = means.detector, Tally()
    threads = Threads(detector.thresholds)
    ids: list[pa.Array] = []
    detected: list[Detected] = []
    stated: list[bool] = []
    mixed: list[bool] = []
    spans: list[object] = []
    for documents, texts in iter_rows(batches):
        seen = detector.look(texts)
        known = _stated(documents)
        detected += threads.add(documents.column("thread_id").to_pylist(), seen, known)
        ids.append(documents.column("doc_id"))
        stated += [language is not None for language in known]
        mixed += seen.mixed
        spans += detector.spans(documents.column("text").to_pylist()) if means.spans else [None] * len(texts)
        _count_disagreement(known, seen, detector.thresholds, counts)
    detected += threads.end()
    columns = {name: [row[place] for row in detected] for place, name in enumerate(Detected._fields)}
    table = {
        "doc_id": pa.chunked_array(ids, pa.string()),
        "stated": stated,
        "mixed": mixed,
        "spans": pa.array(spans, SCHEMA.field("spans").type),
        "keep": [reason is None for reason in columns["reason"]],
        **columns,
    }
    kept = [index for index, reason in enumerate(columns["reason"]) if reason is None]
    _count("language", [detected[index].language for index in kept], counts)
    _count("mixed", [detected[index].language for index in kept if mixed[index]], counts)
    return pa.table({name: table[name] for name in SCHEMA.names}).cast(SCHEMA), counts


def _stated(documents: pa.RecordBatch) -> list[str | None]:
    """What is stated; a tag that leaves open which language of the table it means states none."""
    column = documents.column("language")
    if column.null_count == len(column):
        return [None] * len(column)
    return [None if tag is None or (tag not in LANGUAGES and may_mean(tag)) else tag for tag in column.to_pylist()]


def _count(group: str, names: Iterable[str | None], counts: Tally) -> None:
    for name, number in Counter(names).items():
        counts.add(group, str(name), number)


def _count_disagreement(
    stated: Sequence[str | None], seen: Seen, thresholds: Mapping[str, float], counts: Tally
) -> None:
    for language, guess, chars in zip(stated, seen.guesses, seen.chars, strict=True):
        if language is not None:
            model = choose(guess, thresholds, least_of(chars))
            if model.reason is None and model.language != language:
                counts.add("language-disagreement", f"{language}≠{model.language}")


def _disagreement(name: str) -> str:
    return " ≠ ".join(map(language_name, name.split("≠")))


LAYER = Layer(
    title="Languages",
    says=f"Which of {len(LANGUAGES)} languages each document is written in, as its source states it or a "
    "model reads it.",
    step=Step("language", version=7, libraries=("fasttext-community",)),
    schema=SCHEMA,
    settings=LanguageSettings,
    keep=Keep("sure of a listed language"),
    groups=(
        CountGroup("language", "language", label=language_name),
        CountGroup("mixed", "language", "documents of mixed languages", label=language_name),
        CountGroup("language-disagreement", "stated ≠ language that the model is sure of", label=_disagreement),
    ),
    columns=(*TEXT_COLUMNS, "thread_id", "language"),
    identity=identity,
    notes=notes,
    opens=lambda settings: places_of(settings.model),
    open=load,
    rows=rows,
)
