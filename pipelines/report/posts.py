"""What the documents of a build are like: scores, lengths, years, answers of a thread; counted in one pass."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.charts import TONES, Figure, bar_chart, histogram
from pipelines.report.counting import LENGTHS, PER_VALUE, SMALL, YEARS, Counted, Numbers
from pipelines.report.html import counted, percent, short_percent
from pipelines.report.looking import Look, Looked
from transforms.datasets.schema import KIND_ORDER, PostKind

_COLUMNS = ("kind", "thread_id", "score", "created", "text")

_SCORES = [-10.5, -5.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 5.5, 10.5, 20.5, 50.5, 100.5]
_CLASSES = [
    "−11 or less", "−10 to −6", "−5 to −3", "−2", "−1", "0", "1", "2", "3 to 5", "6 to 10", "11 to 20", "21 to 50",
    "51 to 100", "101 or more",
]  # fmt: skip


@dataclass
class Posts:
    """Counts of documents; by kind of post where a mapping. answers: of each thread that is of a forum."""

    looked: Looked
    score: dict[str, Counted] = field(default_factory=dict)
    length: dict[str, Counted] = field(default_factory=dict)
    years: Counted = field(default_factory=lambda: Counted(YEARS))
    answers: Counted = field(default_factory=lambda: Counted(SMALL))


def read_posts(look: Look) -> Posts:
    """One pass over the documents that are looked at, a batch in memory."""
    paths = look.drawn
    found = Posts(look.looked(paths))
    for path in paths:
        threads = _Threads(found.answers)
        for batch in look.batches(path, _COLUMNS):
            _add(batch, found)
            threads.add(batch)
        threads.end()
    return found


def _add(batch: pa.RecordBatch, found: Posts) -> None:
    kinds, scores = batch.column("kind"), batch.column("score")
    lengths = pc.utf8_length(batch.column("text")).to_numpy(zero_copy_only=False)
    for kind in pc.unique(kinds).to_pylist():
        of_kind = pc.equal(kinds, kind)
        given = scores.filter(of_kind)
        score = found.score.setdefault(kind, Counted(_SCORES))
        score.add(given.drop_null().to_numpy(zero_copy_only=False), given.null_count)
        length = found.length.setdefault(kind, Counted(LENGTHS))
        length.add(lengths[of_kind.to_numpy(zero_copy_only=False)])
    created = batch.column("created")
    times = created.drop_null().cast(pa.int64()).to_numpy(zero_copy_only=False)
    found.years.add(1970 + times.astype("datetime64[ms]").astype("datetime64[Y]").astype(np.int64), created.null_count)


class _Threads:
    """Counts the answers of each thread of a shard. A thread's rows are contiguous, and may lie in two batches."""

    def __init__(self, answers: Counted) -> None:
        self._answers = answers
        self._thread, self._waiting, self._of_forum = "", 0, False

    def add(self, batch: pa.RecordBatch) -> None:
        """The next rows of the shard."""
        if not batch.num_rows:
            return
        ids, kinds = batch.column("thread_id"), batch.column("kind")
        changes = np.flatnonzero(pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)) + 1
        starts = np.concatenate([[0], changes])
        answers = np.add.reduceat(_is(kinds, PostKind.ANSWER), starts)
        of_forum = np.add.reduceat(_is(kinds, PostKind.QUESTION), starts) + answers > 0
        if ids[0].as_py() == self._thread:
            answers[0] += self._waiting
            of_forum[0] |= self._of_forum
        else:
            self.end()
        self._answers.add(answers[:-1][of_forum[:-1]])
        self._thread, self._waiting, self._of_forum = ids[-1].as_py(), int(answers[-1]), bool(of_forum[-1])

    def end(self) -> None:
        """The last thread is whole."""
        if self._of_forum:
            self._answers.add(np.array([self._waiting]))
        self._thread, self._waiting, self._of_forum = "", 0, False


def _is(kinds: pa.Array, kind: PostKind) -> Numbers:
    return pc.equal(kinds, kind.value).to_numpy(zero_copy_only=False).astype(np.int64)


def posts_figures(found: Posts | None) -> list[Figure]:
    """Those of which there is something to show."""
    if found is None:
        return []
    return [*_scores(found), *_answers(found), *_years(found), *_lengths(found)]


def _ordered(by_kind: dict[str, Counted]) -> list[tuple[str, Counted]]:
    """Kinds of posts of which some are counted, in the order of a thread."""
    kinds = sorted(by_kind, key=lambda kind: (KIND_ORDER.get(kind, len(KIND_ORDER)), kind))
    return [(kind, by_kind[kind]) for kind in kinds if by_kind[kind].total]


def _scores(found: Posts) -> list[Figure]:
    kinds = _ordered(found.score)[:TONES]  # there are four
    if not kinds:
        return []
    classes = [[counts.below, *counts.counts, counts.above] for _, counts in kinds]
    filled = [place for place in range(len(_CLASSES)) if any(counts[place] for counts in classes)]
    shown = slice(filled[0], filled[-1] + 1)
    shares = [
        (f"{kind}s", [count / counts.total for count in by_class[shown]])
        for (kind, counts), by_class in zip(kinds, classes, strict=True)
    ]
    missing = sum(counts.missing for counts in found.score.values())
    says = "Score: up votes minus down votes, as the source states it. Bars of a colour add up to 100%."
    says += f" {counted(missing, 'post has', 'posts have')} no score." if missing else ""
    return [
        bar_chart("Scores", _CLASSES[shown], shares, "share of posts of the kind", percent, short_percent).told(says)
    ]


def _answers(found: Posts) -> list[Figure]:
    if not found.answers.total:
        return []
    chart = histogram(
        "Answers a thread", SMALL, [("", found.answers.counts)], "answers", "share of threads per number of answers",
        x_log=True,
    )  # fmt: skip
    says = f"Of the threads that have an answer. {PER_VALUE}{found.answers.left_out('thread', 'without an answer')}"
    return [chart.told(says)]


def _lengths(found: Posts) -> list[Figure]:
    kinds = _ordered(found.length)
    if not kinds:
        return []
    panels = [(f"{kind}s", counts.counts) for kind, counts in kinds]
    chart = histogram(
        "Length of a post", LENGTHS, panels, "characters", "share of the kind per doubling of the length", x_log=True,
        per_doubling=True,
    )  # fmt: skip
    says = (
        "Characters (Unicode code points) of a post's text, without its title. The axis is logarithmic: a bar's height "
    )
    says += "is its share of the posts divided by how often the length doubles across it, so that areas are shares."
    return [chart.told(says + "".join(counts.left_out(kind, "without text") for kind, counts in kinds))]


def _years(found: Posts) -> list[Figure]:
    if not sum(found.years.counts):
        return []
    chart = histogram(
        "Year of a post", YEARS, [("", found.years.counts)], "year", "share of posts", x_label="{:.0f}".format
    )
    left = found.years.left_out("post", "before 1990", "without a time")
    return [chart.told(f"When a post was created, UTC, all kinds together.{left}")]
