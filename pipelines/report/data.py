"""What a build folder says about itself, as values that a page can draw: checked, and nothing computed anew.

`folder.read_build` makes them, and `contents` what is counted out of shards. A step that has not run is absent (None or
empty), and so is what cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.report.contents import KEPT, Contents
from pipelines.report.counting import FEW, Estimate
from pipelines.report.html import counted
from pipelines.report.reading import Trouble
from transforms.datasets.manifest import ShardFile
from transforms.datasets.names import split_of
from transforms.datasets.schema import SPLITS
from transforms.layers.kinds import LAYERS

_USED = "used"  # the fate of a document that a curriculum may draw on

View = Mapping[str, object]  # what a template shows, by name


@dataclass(frozen=True)
class Part:
    """How a model does on some pairs. Pairs of one prompt share answers, so that prompts are what is independent.

    Of few prompts the interval is Wilson's for that many observations: a bootstrap over them is too narrow, and has no
    width at all where all are right.
    """

    pairs: int
    prompts: int
    accuracy: Estimate

    @property
    def few(self) -> bool:
        """Whether it is measured on too few prompts to be more than a hint."""
        return self.prompts < FEW


@dataclass(frozen=True)
class Baseline:
    """A rule that needs no model, on the same pairs. ahead: how far the model is above it, in shares of the pairs."""

    name: str
    accuracy: Estimate
    ahead: Estimate


@dataclass(frozen=True)
class Evaluation:
    """How a preference model did on one split: as a whole, beside trivial rules, and by what pairs are like."""

    split: str
    whole: Part
    baselines: Sequence[Baseline]
    loss: Estimate | None
    by_margin: Mapping[str, Part]
    by_length: Mapping[str, Part]
    by_language: Mapping[str, Part]

    @property
    def best(self) -> Baseline | None:
        """The trivial rule that is right most often."""
        return max(self.baselines, key=lambda found: found.accuracy.value, default=None)


@dataclass(frozen=True)
class StepAccount:
    """What became of the records of one step: came_in = kept + the sum of reasons, or something is wrong.

    sure: all that its manifest says could be read; otherwise the sum proves nothing.
    """

    name: str
    came_in: int
    kept: int
    reasons: Mapping[str, int]
    note: str = ""
    sure: bool = True

    @property
    def dropped(self) -> int:
        """Records dropped, for whatever reason."""
        return sum(self.reasons.values())


@dataclass(frozen=True)
class InputAccount:
    """The account of an input file: rows = kept as documents + used + dropped + unused."""

    name: str
    bytes: int
    rows: int
    kept: int
    dropped: Mapping[str, int]
    used: Mapping[str, int]  # rows that say something of a post and become none: votes and links
    unused: Mapping[str, int]
    outcomes: Mapping[str, int]  # of the file itself

    @property
    def holds_marks(self) -> bool:
        """Whether it holds votes or links."""
        return bool(self.used or self.unused)


@dataclass(frozen=True)
class Mix:
    """One language in one stage of a curriculum, in tokens."""

    stage: str
    language: str
    planned: int
    tokens: int
    sequences: int
    repeated: int


@dataclass(frozen=True)
class Fit:
    """How a tokenizer fits a language, measured on `texts` texts. unit: what fertility counts tokens per."""

    texts: int
    bytes_per_token: float
    fertility: float
    unit: str
    round_trip_rate: float


@dataclass(frozen=True)
class Catch:
    """How similar texts of one kind are found: in bands of rows, by runs of ngram tokens. similarities, probabilities:
    of two texts of a Jaccard similarity of these runs, ascending, that they share a band."""

    name: str
    ngram: int
    bands: int
    rows: int
    similarities: Sequence[float]
    probabilities: Sequence[float]


@dataclass(frozen=True)
class Line:
    """A line of a training log, with those of its numbers that the page draws."""

    kind: str
    step: int
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Dataset:
    """What the page takes of a manifest. settings: as they are, to be shown and not to be trusted."""

    digest: str
    fingerprint: str
    files: Sequence[ShardFile]
    settings: object = None
    versions: Mapping[str, str] = field(default_factory=dict)
    kept_with: Sequence[Mapping[str, str]] = ()
    parents: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[InputAccount] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sure: bool = True  # all counts of the manifest could be read

    @property
    def data_files(self) -> list[ShardFile]:
        """The shards that hold its rows."""
        return [file for file in self.files if file.path.startswith("data/")]

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(file.rows for file in self.data_files)


@dataclass(frozen=True)
class BuildFolder:
    """A build folder, as far as it got and can be read."""

    name: str
    datasets: Mapping[str, Dataset]  # by role
    rule: str = ""  # of the pairs
    catches: Sequence[Catch] = ()  # of near-duplicates
    vocabulary: int | None = None
    fits: Mapping[str, Fit] = field(default_factory=dict)  # of the tokenizer, by language
    stages: Sequence[str] = ()  # of the curriculum, in their order
    pretrain: Sequence[Line] = ()
    preference: Sequence[Line] = ()
    verdicts: Mapping[str, Sequence[str]] = field(default_factory=dict)  # of models by role, a line each
    evaluation: Evaluation | None = None
    times: Sequence[tuple[float, float]] = ()  # when steps began and ended, in seconds since 1970
    contents: Contents = field(default_factory=Contents)
    troubles: Sequence[Trouble] = ()

    def get(self, role: str) -> Dataset | None:
        """The dataset of a role, if it is there."""
        return self.datasets.get(role)

    def count(self, role: str, group: str) -> Mapping[str, int]:
        """The counts of one group over a whole dataset; empty when the dataset or the group is absent."""
        dataset = self.get(role)
        return dataset.counts.get(group, {}) if dataset else {}

    @property
    def inputs(self) -> Sequence[InputAccount]:
        """The accounts of the input files."""
        documents = self.get("documents")
        return documents.inputs if documents else ()

    @property
    def languages(self) -> Mapping[str, int]:
        """Documents by language code, those that are sure."""
        return self.count("language", "language")

    @property
    def funnel(self) -> list[StepAccount]:
        """The fate of every record in every step that has run."""
        steps = []
        if documents := self.get("documents"):
            steps += self._ingested(documents)
        for role, layer in LAYERS.items():
            if layer.keep and (dataset := self.get(role)):
                fates, reasons = self.count(role, "documents"), self.count(role, "drop")
                came_in, kept = fates.get("in", 0), fates.get("kept", 0)
                steps.append(StepAccount(layer.keep.documents, came_in, kept, reasons, sure=dataset.sure))
        if pairs := self.get("pairs"):
            candidates = self.count("pairs", "candidates")
            reasons = {reason: count for reason, count in candidates.items() if reason != KEPT}
            came_in = sum(self.count("pairs", "candidates_in").values())
            steps.append(StepAccount("candidate pairs", came_in, pairs.rows, reasons, sure=pairs.sure))
        if (tokens := self.get("tokens")) and (curriculum := self.get("curriculum")):
            fates = self.count("curriculum", "documents")
            reasons = {reason: count for reason, count in fates.items() if reason != _USED}
            kept, sure = fates.get(_USED, 0), tokens.sure and curriculum.sure
            steps.append(StepAccount("used by the curriculum", tokens.rows, kept, reasons, sure=sure))
        return steps

    def _ingested(self, documents: Dataset) -> list[StepAccount]:
        posts = [file for file in self.inputs if not file.holds_marks]
        marks = [file for file in self.inputs if file.holds_marks]
        outcomes = _sum_up(file.outcomes for file in self.inputs)
        note = ", ".join(f"{reason} ({counted(files, 'file')})" for reason, files in sorted(outcomes.items()))
        note = f"Whole files: {note}; their complete rows are among those above." if note else ""
        reasons = _sum_up(file.dropped for file in posts)
        steps = [StepAccount("posts and texts", rows_of(posts), documents.rows, reasons, note, documents.sure)]
        if marks:
            used = sum(sum(file.used.values()) for file in marks)
            reasons = _sum_up(fate for file in marks for fate in (file.unused, file.dropped))
            steps.append(
                StepAccount("votes and links joined to posts", rows_of(marks), used, reasons, sure=documents.sure)
            )
        return steps

    @property
    def pairs_by_split(self) -> Mapping[str, int]:
        """The known splits in their order, then whatever else the files are named for."""
        pairs = self.get("pairs")
        found = _sum_up({split_of(file.path) or "": file.rows} for file in (pairs.data_files if pairs else ()))
        return {split: found.get(split, 0) for split in (*SPLITS, *sorted(set(found) - set(SPLITS)))}

    @property
    def mix(self) -> list[Mix]:
        """The curriculum by stage in order, then language."""
        planned, *groups = (self.count("curriculum", group) for group in _MIX_GROUPS)
        names = sorted({name for group in (planned, *groups) for name in group})
        rows = [
            Mix(*_stage_and_language(name), *(group.get(name, 0) for group in (planned, *groups))) for name in names
        ]
        order = {stage: place for place, stage in enumerate(self.stages)}
        return sorted(rows, key=lambda row: (order.get(row.stage, len(order)), row.stage, row.language))


_MIX_GROUPS = ("planned_tokens", "tokens", "sequences", "repeated_tokens")


def _stage_and_language(name: str) -> tuple[str, str]:
    stage, _, language = name.partition("/")
    return stage, language


def rows_of(files: Iterable[InputAccount]) -> int:
    """Rows read of all of them."""
    return sum(file.rows for file in files)


def _sum_up(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            totals[name] = totals.get(name, 0) + count
    return totals


def points(rows: Sequence[Line], kind: str, key: str) -> tuple[list[float], list[float]]:
    """(steps, values) of the log's lines of one kind ("train", "validation") that have this number, by step."""
    having = [(float(row.step), row.numbers[key]) for row in rows if row.kind == kind and key in row.numbers]
    having.sort(key=lambda point: point[0])
    return [step for step, _ in having], [value for _, value in having]
