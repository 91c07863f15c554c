"""The languages of a build: by language what is kept, how sure it is, what it is mistaken for; and texts left out."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.counting import Numbers
from pipelines.report.examples import beginnings
from pipelines.report.html import Column, Sortable, Spark, Table, number, percent, share
from pipelines.report.looking import Look, Looked
from tokenizer.languages import language_name
from transforms.datasets.ids import keyed_hash

CLOSE = 0.3  # a text whose runner-up is less than that below the best guess shows what its language is mistaken for
_BINS = 100  # of confidence, from 0 to 1
_BARS = 10  # of the histogram that is shown
_LOW = 0.1  # share of a language's documents, the least sure ones
_EXAMPLES = 3  # of each reason
_COLUMNS = ("doc_id", "language", "confidence", "runner_up", "runner_up_confidence", "reason")
_FLAGS = ("stated", "mixed")
_NONE = "not a listed language"


@dataclass
class OfLanguage:
    """Counts of the documents whose best guess is one language, or none that is listed.

    reasons: of those that are not kept. flags: of those for which each of _FLAGS is true. confidence: documents in each
    of _BINS. runners_up: of those that are close.
    """

    reasons: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    confidence: Numbers = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    total_confidence: float = 0.0
    runners_up: Counter[str] = field(default_factory=Counter)

    @property
    def documents(self) -> int:
        """All of them."""
        return int(self.confidence.sum())

    @property
    def kept(self) -> int:
        """Those without a reason."""
        return self.documents - self.reasons.total()

    @property
    def low(self) -> float | None:
        """The confidence below which at most a share of _LOW is, as its bin begins; None where there is nothing."""
        if not self.documents:
            return None
        return int(np.searchsorted(np.cumsum(self.confidence), _LOW * self.documents, side="right")) / _BINS

    @property
    def histogram(self) -> Spark:
        """Documents in each of _BARS of confidence."""
        return Spark(self.confidence.reshape(_BARS, -1).sum(axis=1).tolist())


@dataclass(frozen=True)
class Example:
    """A text that is not kept, and how it begins. language, runner_up: codes, or "" for none."""

    reason: str
    language: str
    confidence: float
    runner_up: str
    doc_id: str
    excerpt: str


@dataclass
class Languages:
    """Counts by code, "" for no listed language; and examples of each reason, drawn by a keyed hash of their ids.

    unlisted: documents by the language that their source states, where it is none of the table's.
    """

    looked: Looked
    of: dict[str, OfLanguage] = field(default_factory=dict)
    examples: Sequence[Example] = ()
    unlisted: Counter[str] = field(default_factory=Counter)


def read_languages(look: Look, documents: Look) -> Languages:
    """One pass over the language layer, a batch in memory, and the texts of the examples."""
    paths = look.drawn
    found = Languages(look.looked(paths))
    drawn: dict[str, list[tuple[int, str, dict[str, Any]]]] = {}  # by reason: keyed hash, shard and row
    for path in paths:
        unlisted: set[str] = set()
        for batch in look.batches(path, [*_COLUMNS, *_FLAGS]):
            _add(batch, found.of)
            stated = pc.and_(batch.column("stated"), pc.is_null(batch.column("language")))
            unlisted.update(batch.column("doc_id").filter(stated).to_pylist())
            for row in batch.filter(pc.is_valid(batch.column("reason"))).to_pylist():
                drawn.setdefault(row["reason"], []).append((keyed_hash("report-languages", row["doc_id"]), path, row))
            for entries in drawn.values():
                entries[:] = heapq.nsmallest(_EXAMPLES, entries, key=lambda entry: entry[0])
        found.unlisted += _stated(documents, path, unlisted)
    chosen = [(path, row) for _, entries in sorted(drawn.items()) for _, path, row in entries]
    texts = beginnings(documents, [(path, row["doc_id"]) for path, row in chosen])
    found.examples = [_example(row, texts.get(row["doc_id"], "")) for _, row in chosen]
    return found


def _add(batch: pa.RecordBatch, of: dict[str, OfLanguage]) -> None:
    languages, reasons = batch.column("language").fill_null(""), batch.column("reason")
    confidence = np.nan_to_num(batch.column("confidence").to_numpy())
    bins = np.clip((confidence * _BINS).astype(np.int64), 0, _BINS - 1)
    codes = languages.dictionary_encode()
    places = codes.indices.to_numpy()
    counts = np.bincount(places * _BINS + bins, minlength=len(codes.dictionary) * _BINS).reshape(-1, _BINS)
    sums = np.bincount(places, confidence, minlength=len(codes.dictionary))
    for code, histogram, total in zip(codes.dictionary.to_pylist(), counts, sums, strict=True):
        found = of.setdefault(code, OfLanguage())
        found.confidence += histogram
        found.total_confidence += float(total)
    for code, reason in _both(languages, reasons, pc.is_valid(reasons)):
        of[code].reasons[reason] += 1
    for flag in _FLAGS:
        for code, number_of in Counter(languages.filter(batch.column(flag)).to_pylist()).items():
            of[code].flags[flag] += number_of
    margin = pc.subtract(batch.column("confidence"), batch.column("runner_up_confidence"))
    runners_up = batch.column("runner_up")
    for code, other in _both(languages, runners_up, pc.and_(pc.less(margin, CLOSE), pc.is_valid(runners_up))):
        of[code].runners_up[other] += 1


def _stated(documents: Look, path: str, ids: set[str]) -> Counter[str]:
    """What the sources of these documents of a shard state; the layer does not hold what it does not list."""
    tags: Counter[str] = Counter()
    if ids:
        wanted = pa.array(ids, pa.string())
        for batch in documents.batches(path, ["doc_id", "language"]):
            of_these = batch.column("language").filter(pc.is_in(batch.column("doc_id"), wanted))
            tags.update(of_these.drop_null().to_pylist())
    return tags


def _both(first: pa.Array, second: pa.Array, rows: pa.Array) -> list[tuple[str, str]]:
    return list(zip(first.filter(rows).to_pylist(), second.filter(rows).to_pylist(), strict=True))


def _example(row: dict[str, Any], excerpt: str) -> Example:
    language, runner_up = (row[name] or "" for name in ("language", "runner_up"))
    return Example(row["reason"], language, row["confidence"], runner_up, row["doc_id"], excerpt)


def languages_table(found: Languages, disputed: Mapping[str, int]) -> Sortable:
    """A row a language, those of most documents first, with a column for each reason and flag that occurs.

    disputed: the layer's counts of documents whose stated language is not the one that the model is sure of.
    """
    codes = sorted(found.of, key=lambda code: (-found.of[code].documents, code))
    of = [found.of[code] for code in codes]
    names = [language_name(code) if code else _NONE for code in codes]
    reasons = sorted({reason for counts in of for reason in counts.reasons})
    marks = {flag: [counts.flags[flag] for counts in of] for flag in _FLAGS} | {"disputed": _disputed(disputed, codes)}
    counted = [
        ("documents", [counts.documents for counts in of]),
        ("kept", [counts.kept for counts in of]),
        *((reason.removeprefix("language-"), [counts.reasons[reason] for counts in of]) for reason in reasons),
        *((mark, numbers) for mark, numbers in marks.items() if any(numbers)),
    ]
    means = [share(counts.total_confidence, counts.documents) for counts in of]
    lows = [counts.low for counts in of]
    nearest = [_nearest(counts) for counts in of]
    columns: list[tuple[Column, Sequence[object], Sequence[str | float | None]]] = [
        (Column("language", "name"), names, names),
        (Column("code", "code"), codes, codes),
        *((Column(title), list(map(number, numbers)), numbers) for title, numbers in counted),
        (Column("mean confidence"), list(map(percent, means)), means),
        (Column("10% are below"), [percent(low, 0) for low in lows], lows),
        (Column("confidence, 0 to 100%", "bar"), [counts.histogram for counts in of], means),
        (Column("nearest confusion", "text"), nearest, [name or None for name in nearest]),
    ]
    rows = list(zip(*(cells for _, cells, _ in columns), strict=True))
    keys = {place: keys for place, (_, _, keys) in enumerate(columns)}
    return Sortable([column for column, _, _ in columns], rows, "languages", keys, by=2)


def _disputed(counts: Mapping[str, int], codes: Sequence[str]) -> list[int]:
    """By stated language; the counts are of pairs, stated≠told, and stated may be a tag that is not listed."""
    totals: Counter[str] = Counter()
    for pair, documents in counts.items():
        stated = pair.partition("≠")[0]
        totals[stated if stated in codes else ""] += documents
    return [totals[code] for code in codes]


def _nearest(counts: OfLanguage) -> str:
    """The most frequent runner-up of what is close, and of how many of those."""
    if not counts.runners_up:
        return ""
    code, texts = min(counts.runners_up.items(), key=lambda item: (-item[1], item[0]))
    return f"{language_name(code)} ({number(texts)} of {number(counts.runners_up.total())})"


def left_out_table(found: Languages) -> Table:
    """The examples by reason."""
    columns = [Column("reason", "reason"), Column("guess", "name"), Column("document", "code"), Column("text", "text")]
    return Table(columns, [(row.reason, _guess(row), row.doc_id, row.excerpt) for row in found.examples])


def _guess(row: Example) -> str:
    best = f"{language_name(row.language) if row.language else _NONE} {percent(row.confidence)}"
    return f"{best}, then {language_name(row.runner_up)}" if row.runner_up else best
