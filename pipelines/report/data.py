"""What a build folder says about itself: manifests and metrics, read once, nothing computed anew.

The only file of the report that knows names of count groups and of metric keys. A step that has not run is absent
(None or empty) and the page says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.report.html import counted
from transforms.datasets import places, strict_json
from transforms.datasets.manifest import MANIFEST, RUN, Manifest, load_manifest
from transforms.datasets.names import split_of
from transforms.layers.kinds import LAYERS

# Role in the page, place below the build folder; in the order of the flow.
DATASETS = {
    "documents": "documents",
    **{name: f"layers/{name}" for name in LAYERS},
    "pairs": "pairs",
    "tokenizer": "tokenizer",
    "tokens": "tokens",
    "preference": "preference",
    "curriculum": "curriculum",
    "pretrained model": "pretrain/export",
    "preference model": "preference_model/export",
    "evaluation": "evaluation",
}

Row = Mapping[str, Any]

KEPT = "kept"  # the fate of a candidate pair that became a pair
USED = "used"  # the fate of a document that a curriculum may draw on

BASELINES = {"longer": "prefer the longer answer", "earlier": "prefer the earlier answer", "chance": "chance"}


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Step:
    """What became of the records of one step: came_in = kept + the sum of reasons, or something is wrong."""

    name: str
    came_in: int
    kept: int
    reasons: Mapping[str, int]
    note: str = ""

    @property
    def dropped(self) -> int:
        return sum(self.reasons.values())


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
class Build:
    """A build folder, as far as it got."""

    name: str
    manifests: Mapping[str, Manifest]  # by role
    runs: Mapping[str, Row] = field(default_factory=dict)  # run.json by role
    card: Row = field(default_factory=dict)  # of the tokenizer
    pretrain: Sequence[Row] = ()  # metrics.jsonl
    preference: Sequence[Row] = ()
    evaluation: Row = field(default_factory=dict)

    def get(self, role: str) -> Manifest | None:
        return self.manifests.get(role)

    def count(self, role: str, group: str) -> Mapping[str, int]:
        """The counts of one group over a whole dataset; empty when the dataset or the group is absent."""
        manifest = self.get(role)
        return manifest.counts.get(group, {}) if manifest else {}

    @property
    def inputs(self) -> Sequence[Row]:
        """The account of each input file: name, bytes, rows, kept, dropped by reason, outcomes of the file itself."""
        manifest = self.get("documents")
        return manifest.inputs if manifest else ()

    @property
    def marks(self) -> list[Row]:
        """The input files whose rows say something of a post and become none: votes and links."""
        return [file for file in self.inputs if file.get("used") or file.get("unused")]

    @property
    def posts(self) -> list[Row]:
        """The input files whose rows are posts or documents."""
        return [file for file in self.inputs if file not in self.marks]

    @property
    def languages(self) -> Mapping[str, int]:
        """Documents by language code, those that are sure."""
        return self.count("language", "language")

    @property
    def funnel(self) -> list[Step]:
        """The fate of every record in every step that has run."""
        steps = []
        if documents := self.get("documents"):
            outcomes = _sum_up(file["outcomes"] for file in self.inputs)
            note = ", ".join(f"{reason} ({counted(files, 'file')})" for reason, files in sorted(outcomes.items()))
            note = f"Whole files: {note}; their complete rows are among those above." if note else ""
            reasons = _sum_up(file["dropped"] for file in self.posts)
            steps.append(Step("posts of the dump", _rows(self.posts), documents.rows, reasons, note))
            if self.marks:
                used = sum(sum(file["used"].values()) for file in self.marks)
                reasons = _sum_up(file[fate] for file in self.marks for fate in ("unused", "dropped"))
                steps.append(Step("votes and links joined to posts", _rows(self.marks), used, reasons))
        for role, layer in LAYERS.items():
            if layer.keep and self.get(role):
                fates = self.count(role, "documents")
                steps.append(Step(layer.keep.documents, fates["in"], fates["kept"], self.count(role, "drop")))
        if self.get("pairs"):
            candidates = self.count("pairs", "candidates")
            reasons = {reason: count for reason, count in candidates.items() if reason != KEPT}
            came_in = sum(self.count("pairs", "candidates_in").values())
            steps.append(Step("candidate pairs", came_in, candidates.get(KEPT, 0), reasons))
        if (tokens := self.get("tokens")) and self.get("curriculum"):
            fates = self.count("curriculum", "documents")
            reasons = {reason: count for reason, count in fates.items() if reason != USED}
            steps.append(Step("for the curriculum", tokens.rows, fates.get(USED, 0), reasons))
        return steps

    @property
    def pairs_by_split(self) -> Mapping[str, int]:
        manifest = self.get("pairs")
        return _sum_up({split_of(file.path) or "": file.rows} for file in (manifest.data_files if manifest else ()))

    @property
    def stages(self) -> Sequence[str]:
        """Names of the curriculum's stages in their order."""
        manifest = self.get("curriculum")
        return [stage["name"] for stage in manifest.settings["recipe"]["stages"]] if manifest else []

    @property
    def mix(self) -> list[Mix]:
        """The curriculum by stage in order, then language."""
        groups = ("planned_tokens", "tokens", "sequences", "repeated_tokens")
        planned, tokens, sequences, repeated = (self.count("curriculum", group) for group in groups)
        rows = []
        for name, budget in planned.items():
            stage, _, code = name.partition("/")
            found = (group.get(name, 0) for group in (tokens, sequences, repeated))
            rows.append(Mix(stage, code, budget, *found))
        return sorted(rows, key=lambda row: (self.stages.index(row.stage), row.language))

    @property
    def accuracy(self) -> Estimate | None:
        return estimate("preference model", self.evaluation["accuracy"]) if self.evaluation else None

    @property
    def baselines(self) -> list[Estimate]:
        """What needs no model, on the same pairs."""
        found = self.evaluation.get("baselines", {})
        return [estimate(BASELINES.get(name, name), values["accuracy"]) for name, values in found.items()]

    @property
    def best_baseline(self) -> Estimate | None:
        return max(self.baselines, key=lambda found: found.value, default=None)


def estimate(name: str, values: Row) -> Estimate:
    return Estimate(name, values["value"], values["low"], values["high"])


def _rows(files: Iterable[Row]) -> int:
    return sum(file["rows"] for file in files)


def _sum_up(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            totals[name] = totals.get(name, 0) + count
    return totals


def read_build(folder: str) -> Build:
    """Raises ValueError when the folder holds no dataset of a build."""
    found = {
        role: place
        for role, name in DATASETS.items()
        if places.exists(places.join(place := places.join(folder, name), MANIFEST))
    }
    if not found:
        raise ValueError(
            f"{folder} holds none of the datasets of a build ({', '.join(sorted(DATASETS.values()))}); "
            "name the `output` folder of a build file"
        )
    return Build(
        name=places.name(folder),
        manifests={role: load_manifest(place) for role, place in found.items()},
        runs={role: run for role, place in found.items() if (run := _json(places.join(place, RUN)))},
        card=_json(places.join(folder, "tokenizer/card.json")),
        pretrain=_json_lines(places.join(folder, "pretrain/metrics.jsonl")),
        preference=_json_lines(places.join(folder, "preference_model/metrics.jsonl")),
        evaluation=_json(places.join(folder, "evaluation/evaluation.json")) if "evaluation" in found else {},
    )


def _json(place: str) -> dict[str, Any]:
    values = strict_json.load(place) if places.exists(place) else {}
    assert isinstance(values, dict)
    return values


def _json_lines(place: str) -> list[dict[str, Any]]:
    """Whole lines only: a run that is still writing may end in half a line."""
    if not places.exists(place):
        return []
    *lines, _ = places.read_bytes(place).decode().split("\n")
    return [strict_json.parse(line, place) for line in lines if line]


def points(rows: Sequence[Row], kind: str, key: str) -> tuple[list[float], list[float]]:
    """(steps, values) of the metrics lines of one kind ("train", "validation") that have this number."""
    having = [row for row in rows if row["kind"] == kind and row.get(key) is not None]
    return [float(row["step"]) for row in having], [float(row[key]) for row in having]
