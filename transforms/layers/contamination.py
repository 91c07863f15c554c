"""The contamination layer: which documents hold an item of a benchmark, and are left out for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from transforms.benchmarks.matching import RULES, Benchmarks, too_short
from transforms.benchmarks.readers import Benchmark, read
from transforms.datasets.fates import Reason, Tally
from transforms.datasets.schema import required
from transforms.datasets.settings import SettingError
from transforms.datasets.step import Step
from transforms.datasets.texts import TEXT_COLUMNS, iter_texts
from transforms.layers.layer import Batches, CountGroup, Inputs, Keep, Layer

SCHEMA = pa.schema(
    [
        required("doc_id", pa.string()),
        pa.field("benchmark", pa.string()),
        pa.field("item", pa.string()),
        pa.field("matched", pa.string()),
        pa.field("rule", pa.string()),
        pa.field("lcs", pa.int32()),
        required("keep", pa.bool_()),
        pa.field("reason", pa.string()),
    ]
)
_MOST_CHARACTERS = 200  # of a matched text


@dataclass(frozen=True)
class ContaminationSettings:
    """benchmarks: files, or folders of them. rule: of RULES. fields: the texts in rows of benchmarks that are not
    known."""

    benchmarks: str | Sequence[str]
    rule: str = "qwen2"
    fields: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.files or not all(self.files):
            raise SettingError("benchmarks", "is empty; name files of benchmarks, or folders of them")
        if self.rule not in RULES:
            raise SettingError("rule", f"must be one of {', '.join(RULES)}; got {self.rule!r}")

    @property
    def files(self) -> Sequence[str]:
        """The benchmarks' places."""
        return (self.benchmarks,) if isinstance(self.benchmarks, str) else self.benchmarks


@dataclass(frozen=True)
class Judge:
    """What a process judges by."""

    benchmarks: Benchmarks
    rule: str


def identity(settings: ContaminationSettings) -> Mapping[str, object]:
    """The rule, and the files by their bytes and the names of their benchmarks.

    Raises ValueError for what is no benchmark.
    """
    return _identity(settings, read(settings.files, settings.fields))


def _identity(settings: ContaminationSettings, found: Sequence[Benchmark]) -> Mapping[str, object]:
    files = [[benchmark.name, benchmark.sha256] for benchmark in found]
    return {"rule": settings.rule, "fields": list(settings.fields), "benchmarks": files}


def notes(settings: ContaminationSettings, inputs: Inputs) -> Iterator[str]:
    """Of each benchmark its texts, and how many are too short to be found."""
    for benchmark in read(settings.files, settings.fields):
        short = too_short(benchmark.items, settings.rule)
        never = f"; {short:,} have fewer than {RULES[settings.rule].shortest} tokens and match nothing" if short else ""
        yield f"{benchmark.name}, {len(benchmark.items):,} texts{never}"


def open_judge(settings: ContaminationSettings, identity: Mapping[str, object]) -> Judge:
    """Raises ValueError when the benchmarks are others than the identity says."""
    found = read(settings.files, settings.fields)
    if _identity(settings, found) != identity:
        raise ValueError(
            f"the benchmarks at {', '.join(settings.files)} changed while they were used; annotate again with those "
            "you mean"
        )
    return Judge(Benchmarks([item for file in found for item in file.items], settings.rule), settings.rule)


def rows(batches: Batches, judge: Judge) -> tuple[pa.Table, Tally]:
    """Rows of SCHEMA, and of each benchmark the documents that hold an item. Memory: about a million characters of
    text, and the rows."""
    counts = Tally()
    found = [
        _row(doc_id, text, judge) for ids, texts in iter_texts(batches) for doc_id, text in zip(ids, texts, strict=True)
    ]
    for row in found:
        if not row["keep"]:
            counts.add("benchmark", row["benchmark"])
    return pa.Table.from_pylist(found, schema=SCHEMA), counts


def _row(doc_id: str, text: str, judge: Judge) -> dict[str, Any]:
    match = judge.benchmarks.match(text)
    if match is None:
        return {"doc_id": doc_id, "keep": True}
    matched = " ".join(text[match.begin : match.end].split())
    return {
        "doc_id": doc_id,
        "benchmark": match.item.benchmark,
        "item": match.item.item,
        "matched": matched if len(matched) <= _MOST_CHARACTERS else f"{matched[: _MOST_CHARACTERS - 1]}…",
        "rule": judge.rule,
        "lcs": match.lcs,
        "keep": False,
        "reason": Reason.CONTAMINATED.value,
    }


LAYER = Layer(
    title="Contamination",
    says=(
        "Documents that hold an item of a benchmark, by a published rule. A model trained on them would know its "
        "answers."
    ),
    step=Step("contamination", version=1),
    schema=SCHEMA,
    settings=ContaminationSettings,
    keep=Keep("free of items of the benchmarks", unpaired=Reason.CONTAMINATED, questions=True),
    groups=(CountGroup("benchmark", "benchmark", "documents that hold an item"),),
    columns=TEXT_COLUMNS,
    hint="Its benchmarks are files of GSM8K, HumanEval, MBPP and others (docs/decontamination.md).",
    identity=identity,
    notes=notes,
    opens=lambda settings: settings.files,
    open=open_judge,
    rows=rows,
)
