"""The language layer: which language each document is written in, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from tokenizer.languages import LANGUAGES, language_name
from transforms.datasets.fates import Tally
from transforms.datasets.schema import required
from transforms.datasets.settings import SettingError
from transforms.datasets.step import Step
from transforms.datasets.texts import TEXT_COLUMNS, iter_texts
from transforms.langid.detect import Detector
from transforms.langid.labels import TABLE_FINGERPRINT, unknown
from transforms.langid.model import DEFAULT, ModelHandle, places_of
from transforms.langid.verdict import Detected
from transforms.layers.layer import Batches, CountGroup, Keep, Layer

SCHEMA = pa.schema(
    [
        required("doc_id", pa.string()),
        pa.field("language", pa.string()),  # code such as swh_Latn, or null
        required("confidence", pa.float32()),
        pa.field("runner_up", pa.string()),
        required("runner_up_confidence", pa.float32()),
        required("keep", pa.bool_()),
        pa.field("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class LanguageSettings:
    """Which model names the languages: `default` is the one that is shipped, all else the place of a file."""

    model: str = DEFAULT

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise SettingError(
                "model", f"must be {DEFAULT}, which is shipped, or the place of a model; got {self.model!r}"
            )


def identity(settings: LanguageSettings) -> Mapping[str, object]:
    """The model by its bytes, and the table that says what its labels mean.

    Raises ValueError when there is no file, or it is no model that names languages: before anything is built.
    """
    handle = ModelHandle.of(settings.model)
    handle.load()
    return {"model": handle.sha256, "languages": TABLE_FINGERPRINT}


def notes(settings: LanguageSettings) -> Iterator[str]:
    """Labels of the model that the table does not know."""
    return unknown(ModelHandle.of(settings.model).load().labels)


def load(settings: LanguageSettings, identity: Mapping[str, object]) -> Detector:
    """Raises ValueError when the model is another one than the identity says."""
    return Detector(ModelHandle(settings.model, str(identity["model"])).load())


def rows(batches: Batches, detector: Detector) -> tuple[pa.Table, Tally]:
    """Rows of SCHEMA, and the documents of each language that are kept."""
    ids: list[str] = []
    detected: list[Detected] = []
    for batch_ids, texts in iter_texts(batches):
        ids += batch_ids
        detected += detector.detect(texts)
    counts = Tally()
    for row in detected:
        if row.reason is None and row.language is not None:
            counts.add("language", row.language)
    columns = {name: [getattr(row, name) for row in detected] for name in Detected._fields}
    keep = [row.reason is None for row in detected]
    return pa.table({"doc_id": ids, "keep": keep, **columns}).select(SCHEMA.names).cast(SCHEMA), counts


LAYER = Layer(
    title="Languages",
    says=f"Which of {len(LANGUAGES)} languages each document is written in, as a model reads it.",
    step=Step("language", version=2, libraries=("fasttext-community",)),
    schema=SCHEMA,
    settings=LanguageSettings,
    keep=Keep("sure of a listed language"),
    groups=(CountGroup("language", "language", label=language_name),),
    columns=TEXT_COLUMNS,
    identity=identity,
    notes=notes,
    opens=lambda settings: places_of(settings.model),
    open=load,
    rows=rows,
)
