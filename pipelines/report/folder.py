"""Reads a build folder: manifests, run.json, the tokenizer's card, training logs, the evaluation. Shards: `contents`.

The only file of the report that knows the names of other files than shards, and keys in them. What cannot be read is a
trouble of the build, never an error: a page is written of the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields

from pipelines.report.contents import read_contents
from pipelines.report.counting import Estimate, wilson
from pipelines.report.data import (
    Baseline,
    BuildFolder,
    Catch,
    Dataset,
    Evaluation,
    Fit,
    InputAccount,
    Line,
    Part,
)
from pipelines.report.reading import FARTHEST, Found, Trouble, parsed
from transforms.datasets import checks, places, strict_yaml
from transforms.datasets.checks import DamagedError
from transforms.datasets.manifest import Manifest, ShardFile, load_manifest
from transforms.datasets.names import MANIFEST, RUN
from transforms.layers.kinds import LAYERS
from transforms.pairs.rule import PairRule

# Role in the page: place below the build folder, kind of dataset; in the order of the flow.
_DATASETS: Mapping[str, tuple[str, str]] = {
    "documents": ("documents", "documents"),
    **{name: (f"layers/{name}", name) for name in LAYERS},
    "pairs": ("pairs", "pairs"),
    "tokenizer": ("tokenizer", "tokenizer"),
    "tokens": ("tokens", "tokens"),
    "preference": ("preference", "preference"),
    "curriculum": ("curriculum", "curriculum"),
    "pretrained model": ("pretrain/export", "model"),
    "preference model": ("preference_model/export", "model"),
    "evaluation": ("evaluation", "evaluation"),
}
# What a trainer calls its parents, by its own role; a tokenizer it knows by its file, not by its manifest.
_TRAINERS_PARENTS = {
    ("pretrained model", "data"): "curriculum",
    ("pretrained model", "tokenizer"): "",
    ("preference model", "data"): "preference",
    ("preference model", "init"): "pretrained model",
    ("preference model", "tokenizer"): "",
    ("evaluation", "model"): "preference model",
    ("evaluation", "data"): "preference",
}
_BASELINES = {"longer": "prefer the longer answer", "earlier": "prefer the earlier answer", "chance": "chance"}
_UNITS = {"space": "word", "char": "character"}  # what a language's word_split counts
_LOGGED = ("loss", "accuracy", "tokens", "pairs")
_SIMILARITY = re.compile(r"0\.[0-9]{1,4}|1\.0{1,4}")
_LAST_SECOND = 253_402_300_799.0  # of the year 9999: no clock shows a later one

_MODELS = ("pretrained model", "preference model")

Troubles = list[Trouble]


def read_build(folder: str) -> BuildFolder:
    """Raises ValueError when the folder holds no dataset of a build, readable or not."""
    roles = [role for role, (name, _) in _DATASETS.items() if places.exists(places.join(folder, name, MANIFEST))]
    if not roles:
        names = ", ".join(sorted(name for name, _ in _DATASETS.values()))
        raise ValueError(
            f"{folder} holds none of the datasets of a build ({names}); name the `output` folder of a build file"
        )
    troubles: Troubles = []
    manifests = {role: found for role in roles if (found := _manifest(folder, role, troubles)) is not None}
    datasets = {
        role: dataset
        for role, manifest in manifests.items()
        if (dataset := dataset_of(role, manifest, troubles)) is not None
    }
    _tell_other_parents(datasets, troubles)
    for role in ("tokenizer", "evaluation"):  # their figures are in files beside the manifest
        if role in datasets:
            _tell_damage(folder, _DATASETS[role][0], manifests[role], troubles)
    settings = {role: _values(role, manifests[role], troubles)["settings"] for role in datasets}
    evaluation = (
        _evaluation(_json(folder, "evaluation/evaluation.json", troubles)) if "evaluation" in datasets else None
    )
    pairs, tokenizer, curriculum = (settings.get(role) for role in ("pairs", "tokenizer", "curriculum"))
    trained = settings.get("preference model")
    return BuildFolder(
        name=places.name(folder),
        datasets=datasets,
        rule=pairs["rule"]["name"].text() if pairs else "",
        catches=_catches(settings["duplicates"]) if "duplicates" in settings else [],
        vocabulary=tokenizer["vocab_size"].count() if tokenizer else None,
        fits=_fits(_json(folder, "tokenizer/card.json", troubles)) if tokenizer else {},
        stages=[stage["name"].text() for stage in curriculum["recipe"]["stages"].entries()] if curriculum else (),
        pretrain=_log(folder, "pretrain/metrics.jsonl", troubles),
        preference=_log(folder, "preference_model/metrics.jsonl", troubles),
        verdicts={role: _told(folder, role, troubles) for role in _MODELS if role in datasets},
        evaluation=evaluation,
        contents=read_contents(
            folder,
            _DATASETS,
            {role: dataset.counts for role, dataset in datasets.items()},
            _rule(pairs["rule"]) if pairs else None,
            evaluation.split if evaluation and _is_of(datasets, "evaluation", "data") else "",
            trained["sequence_tokens"].count() if trained and "sequence_tokens" in trained else 0,
            troubles,
        ),
        times=[time for role in roles if (time := _time(folder, role, troubles)) is not None],
        troubles=troubles,
    )


def _file(role: str) -> str:
    return f"{_DATASETS[role][0] if role in _DATASETS else role}/{MANIFEST}"


def _manifest(folder: str, role: str, troubles: Troubles) -> Manifest | None:
    name, kind = _DATASETS[role]
    try:
        return load_manifest(places.join(folder, name), kind)
    except (ValueError, OSError, RecursionError) as error:
        says = _why(error).removeprefix(places.join(folder, _file(role))).removeprefix(places.join(folder, "")).strip()
        troubles.append(Trouble(_file(role), f"{says}. Nothing of this dataset is shown"))
        return None


def _why(error: Exception) -> str:
    """What is wrong with a file, without the place that it has on this machine."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return "is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _values(role: str, manifest: Manifest, troubles: Troubles) -> Found:
    return Found(_fields(manifest), _file(role), troubles)


def _fields(value: Manifest | ShardFile) -> dict[str, object]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def dataset_of(role: str, manifest: Manifest, troubles: Troubles) -> Dataset | None:
    """A manifest's values, checked. None when it does not even say which files the dataset has."""
    before = len(troubles)
    found = _values(role, manifest, troubles)
    fingerprint = found["fingerprint"].text()
    for file in manifest.files:
        values = Found(_fields(file), _file(role), troubles, "files")
        _ = [values[key].text() for key in ("path", "sha256", "xxh3")]
        _ = [values[key].count() for key in ("rows", "bytes")]
    if len(troubles) > before:
        return None
    counts = {group: values.counts() for group, values in found["counts"].items().items()}
    inputs = [_input(file) for file in found["inputs"].entries()] if role == "documents" else []
    rows = sum(file.rows for file in manifest.data_files)
    if role in LAYERS and rows and "in" not in counts.get("documents", {}):
        found["counts"]["documents"]["in"].count()
    sure = len(troubles) == before
    return Dataset(
        digest=manifest.digest,
        fingerprint=fingerprint,
        files=manifest.files,
        settings=manifest.settings,
        versions=found["versions"].texts(),
        kept_with=[versions.texts() for versions in found["kept_with"].entries()],
        parents=found["parents"].texts(),
        inputs=inputs,
        counts=counts,
        sure=sure,
    )


def _input(found: Found) -> InputAccount:
    return InputAccount(
        name=found["name"].text(),
        bytes=found["bytes"].count(),
        rows=found["rows"].count(),
        kept=found["kept"].count(),
        dropped=found["dropped"].counts(),
        used=found.get("used", {}).counts(),
        unused=found.get("unused", {}).counts(),
        outcomes=found["outcomes"].counts(),
    )


def _catches(settings: Found) -> list[Catch]:
    """None of a layer of an earlier version, which does not say it."""
    if "catch_curves" not in settings:
        return []
    curves = settings["catch_curves"]
    return [_catch(name, curves[name]) for name in ("most", "dense")]


def _catch(name: str, found: Found) -> Catch:
    points = []
    for key, value in found["probability"].items().items():
        probability = value.number(0.0, 1.0)
        if not _SIMILARITY.fullmatch(key):
            value.tell("under a similarity, such as 0.85")
        elif probability is not None:
            points.append((float(key), probability))
    points.sort()
    ngram, bands, rows = (found[key].count() for key in ("ngram", "bands", "rows"))
    return Catch(name, ngram, bands, rows, [of for of, _ in points], [probability for _, probability in points])


def _tell_other_parents(datasets: Mapping[str, Dataset], troubles: Troubles) -> None:
    """A step that was made anew without those that follow it: the figures of the page are not of one build."""
    roles = {name: role for role, (name, _) in _DATASETS.items()}
    for role, dataset in datasets.items():
        for name, digest in dataset.parents.items():
            parent = _TRAINERS_PARENTS.get((role, name), roles.get(name, ""))
            if parent in datasets and (here := datasets[parent].digest) != digest:
                says = f"was made from another {parent} ({digest[:16]}) than stands here ({here[:16]})"
                troubles.append(Trouble(_file(role), f"{says}: their figures do not belong together"))


def _is_of(datasets: Mapping[str, Dataset], role: str, parent: str) -> bool:
    """Whether the parent that a dataset names is the one that stands here."""
    here = datasets.get(_TRAINERS_PARENTS[role, parent])
    return here is not None and datasets[role].parents.get(parent) == here.digest


def _tell_damage(folder: str, name: str, manifest: Manifest, troubles: Troubles) -> None:
    for file in manifest.files:
        if file.path.endswith(".json"):
            try:
                checks.check(places.join(folder, name), file)
            except (DamagedError, OSError) as error:
                troubles.append(Trouble(f"{name}/{file.path}", f"is not the file that was made ({error})"))


def _json(folder: str, name: str, troubles: Troubles, needed: bool = True) -> Found:
    """The values of a JSON file; none, and a trouble, when it is not there or cannot be read."""
    place = places.join(folder, name)
    if not places.exists(place) and not needed:
        return Found({}, name, troubles)
    try:
        return Found(parsed(places.read_bytes(place)), name, troubles)
    except FileNotFoundError:
        troubles.append(Trouble(name, "is missing"))
    except (ValueError, OSError) as error:
        troubles.append(Trouble(name, _why(error)))
    return Found(None, name, troubles)


def _time(folder: str, role: str, troubles: Troubles) -> tuple[float, float] | None:
    """When a step began and ended."""
    name = f"{_DATASETS[role][0]}/{RUN}"
    found = _json(folder, name, troubles, needed=False)
    if not found.value:
        return None
    started, finished = (found[key].number(0, _LAST_SECOND) for key in ("started", "finished"))
    if started is None or finished is None:
        return None
    if finished < started:
        troubles.append(Trouble(name, f"finished ({finished}) is before started ({started})"))
        return None
    return started, finished


def _rule(found: Found) -> PairRule | None:
    try:
        rule: PairRule = strict_yaml.convert(PairRule, found.value, found.file, "settings.rule")
    except ValueError:
        found.tell("a pair rule")
        return None
    return rule


def _fits(card: Found) -> dict[str, Fit]:
    if card.value is None:
        return {}
    fits = {}
    for code, found in card["validation"].items().items():
        size, fertility = found["bytes_per_token"].number(0), found["fertility"].number(0)
        unit, exact = found["word_split"].text(), found["round_trip_rate"].number(0, 1)
        if size is not None and fertility is not None and exact is not None:
            fits[code] = Fit(found["texts"].count(), size, fertility, _UNITS.get(unit, unit), exact)
    return fits


def _told(folder: str, role: str, troubles: Troubles) -> list[str]:
    """What a training run said of its model."""
    found = _json(folder, f"{_DATASETS[role][0]}/training.json", troubles, needed=False)
    return [line.text() for line in found["told"].entries()] if found.value else []


def _log(folder: str, name: str, troubles: Troubles) -> list[Line]:
    """The whole lines of a training log."""
    place = places.join(folder, name)
    if not places.exists(place):
        return []
    try:
        *lines, rest = places.read_bytes(place).split(b"\n")
    except OSError as error:
        troubles.append(Trouble(name, _why(error)))
        return []
    if rest:
        troubles.append(Trouble(name, f"ends within line {len(lines) + 1}: it is being written, or was cut off"))
    return [read for number, line in enumerate(lines, 1) if line and (read := _line(line, number, name, troubles))]


def _line(line: bytes, number: int, name: str, troubles: Troubles) -> Line | None:
    try:
        found = Found(parsed(line), name, troubles, f"line {number}")
    except ValueError as error:
        troubles.append(Trouble(name, f"line {number}: {_why(error)}"))
        return None
    before = len(troubles)
    kind, step = found["kind"].text(), found["step"].count()
    if len(troubles) > before:
        return None
    given = {key: found[key].number() for key in _LOGGED if found.get(key, None).value is not None}
    return Line(kind, step, {key: value for key, value in given.items() if value is not None})


def _evaluation(found: Found) -> Evaluation | None:
    """None when it does not say how right the model is."""
    if found.value is None or (whole := _part(found)) is None:
        return None
    baselines = [_baseline(name, values, whole) for name, values in found["baselines"].items().items()]
    margins, lengths, languages = (_parts(found[f"by_{key}"]) for key in ("margin", "length", "language"))
    return Evaluation(
        split=found["split"].text(),
        whole=whole,
        baselines=[baseline for baseline in baselines if baseline is not None],
        loss=_estimate(found["loss"], 0, FARTHEST),
        by_margin=margins,
        by_length=lengths,
        by_language=languages,
    )


def _parts(found: Found) -> dict[str, Part]:
    return {name: part for name, values in found.items().items() if (part := _part(values)) is not None}


def _part(found: Found) -> Part | None:
    pairs, prompts, accuracy = found["pairs"].count(), found["groups"].count(), _estimate(found["accuracy"], 0, 1)
    if accuracy is None:
        return None
    part = Part(pairs, prompts, accuracy)
    return Part(pairs, prompts, wilson(accuracy.value, prompts)) if part.few else part


def _baseline(name: str, found: Found, whole: Part) -> Baseline | None:
    accuracy, ahead = _estimate(found["accuracy"], 0, 1), _estimate(found["difference"], -1, 1)
    if accuracy is None or ahead is None:
        return None
    if whole.few and name != "chance":  # which is one half by definition
        accuracy = wilson(accuracy.value, whole.prompts)
    return Baseline(_BASELINES.get(name, name), accuracy, ahead)


def _estimate(found: Found, low: float, high: float) -> Estimate | None:
    value, start, end = (found[key].number(low, high) for key in ("value", "low", "high"))
    if value is None or start is None or end is None:
        return None
    return Estimate(value, start, end)
