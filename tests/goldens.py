"""Goldens: digests of what every step makes of a fixed input, and the rule that ties them to the steps' versions.

A step's version is in the fingerprint of what it makes. Where content changes and the version does not, datasets made
before and after bear one name, and a build skips the old one as unchanged. So: from equal settings and equal parents,
content may change only under a raised version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.small_dataset import read_file
from transforms.datasets.ids import fingerprint
from transforms.datasets.manifest import STEP_VERSION, ShardFile, load_manifest
from transforms.layers.kinds import LAYERS

FOLDER = Path(__file__).parent / "golden"
REGOLD = "run `python -m tests.regold`"

# Every dataset in the order it is built, and where its step stands, with its version.
STEPS = {
    "documents": "pipelines/ingest_plan.py",
    **{f"layers/{name}": f"transforms/layers/{name}.py" for name in LAYERS},
    "layers/signatures": "transforms/dedup/earlier.py",  # whom the duplicates layer knows as well
    "pairs": "pipelines/pairs.py",
    "tokenizer": "pipelines/tokenizer.py",
    "tokens": "pipelines/tokenize.py",
    "preference": "pipelines/tokenize.py",
    "curriculum": "pipelines/curriculum.py",
}

_ONLY_NAMES = frozenset({"rule"})  # columns that carry a fingerprint, which may change while content does not
# Probabilities that come out of float32 sums and exp(), whose last bits depend on the processor.
_ROUNDED = frozenset({"confidence", "runner_up_confidence"})
_NOT_READ_ON = ("counts", "account", "rejects")  # parts of the content that no later step reads


@dataclass(frozen=True)
class Golden:
    """What is known of one dataset. version: of its step. made_from: settings, libraries by version, and parents by
    their content. content: a digest of each part: columns, the layout of shards, counts, files that are not Arrow."""

    version: int
    rows: int
    made_from: Mapping[str, Any]
    content: Mapping[str, str]

    @property
    def read_on(self) -> str:
        """Names what later steps read of it."""
        return fingerprint({part: value for part, value in self.content.items() if part not in _NOT_READ_ON})

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Problem:
    """Why a dataset is not what its golden says. refused: new goldens must not be written either."""

    line: str
    refused: bool


# ------------------------------------------------------------------------------------- the content of a dataset


def golden_of(place: Path, parents: Mapping[str, Golden]) -> Golden:
    """What stands in the dataset at a place. parents: the goldens of the datasets that it may be made from."""
    manifest = load_manifest(str(place))
    settings = {f"settings.{name}": value for name, value in manifest.settings.items()}
    libraries = {name: found for name, found in manifest.versions.items() if name != STEP_VERSION}
    roles = {role: parents[role].read_on for role in manifest.parents}
    inputs = {"inputs": fingerprint(manifest.input_digests)} if manifest.inputs else {}
    made_from = {**settings, **libraries, **roles, **inputs}
    return Golden(int(manifest.versions[STEP_VERSION]), manifest.rows, made_from, content(place))


def content(place: Path) -> dict[str, str]:
    """A digest of each part of a dataset, which does not depend on how Arrow stores it."""
    manifest = load_manifest(str(place))
    rejects = [file for file in manifest.files if file.path.startswith("rejects/")]
    other = [file for file in manifest.files if not file.path.startswith(("data/", "rejects/"))]
    found = {"counts": fingerprint(manifest.counts)}
    if manifest.data_files:
        found |= _columns(place, manifest.data_files)
    if manifest.inputs:
        found["account"] = fingerprint(manifest.inputs)
    if rejects:
        found["rejects"] = fingerprint(_columns(place, rejects))
    return found | {file.path: file.sha256[:16] for file in other}


def _columns(place: Path, files: Sequence[ShardFile]) -> dict[str, str]:
    """The layout (paths, rows, schemas) of shards, and each column over all of them."""
    layout: list[list[object]] = []
    digests: dict[str, Any] = {}
    for file in files:
        table = read_file(str(place), file.path)
        layout.append([file.path, table.num_rows, [_field(field) for field in table.schema]])
        for name in table.column_names:
            if name not in _ONLY_NAMES:
                digest = digests.setdefault(f"column {name}", hashlib.sha256())
                digest.update(f"{file.path}\n".encode())
                digest.update("".join(_lines(name, table.column(name))).encode())
    return {"layout": fingerprint(layout)} | {name: digest.hexdigest()[:16] for name, digest in digests.items()}


def _field(field: pa.Field) -> list[object]:
    """Its name, its type with all that is nested in it, and whether it may be null."""
    kind = field.type
    nested = [_field(kind.field(index)) for index in range(kind.num_fields)]
    return [field.name, [type(kind).__name__, nested] if nested else str(kind), field.nullable]


def _lines(name: str, values: pa.ChunkedArray) -> Iterable[str]:
    for value in values.to_pylist():
        shown = round(value, 3) if name in _ROUNDED and value is not None else value
        yield json.dumps(shown, sort_keys=True, ensure_ascii=False, default=_time) + "\n"


def _time(value: Any) -> str:
    return str(value.isoformat())


# ------------------------------------------------------------------------------------- the rule


def problem(name: str, golden: Golden | None, found: Golden) -> Problem | None:
    """What is wrong with one dataset, in one line that says what to do."""
    if golden is None:
        return Problem(f"there is no golden of {name}: {REGOLD}", refused=False)
    if found == golden:
        return None
    changed = _differing(golden.content, found.content)
    sources = _differing(golden.made_from, found.made_from)
    if found.version < golden.version:
        went = f"went back from {golden.version} to {found.version}"
        return Problem(f"the version of {name} {went}: set it to a new number in {STEPS[name]}", refused=True)
    if found.version > golden.version:
        raised = f"the version of {name} was raised from {golden.version} to {found.version}"
        return Problem(f"{raised}, its golden is old: {REGOLD}", refused=False)
    if sources:
        return Problem(f"what {name} is made from changed ({sources}), its golden is old: {REGOLD}", refused=False)
    still = f"the content of {name} changed ({changed}) but its version is still {found.version}"
    advice = f"if that is meant, raise the version of its Step in {STEPS[name]} and {REGOLD}; else mend the change"
    return Problem(f"{still}: {advice}", refused=True)


def problems(goldens: Mapping[str, Golden], found: Mapping[str, Golden]) -> list[Problem]:
    """Of all datasets, in order. Where one is refused, only those that are: the others follow from it."""
    all_of_them = [it for name in found if (it := problem(name, goldens.get(name), found[name]))]
    gone = [Problem(f"no step makes {name} any more: {REGOLD}", refused=False) for name in goldens if name not in found]
    return [it for it in all_of_them if it.refused] or all_of_them + gone


def _differing(left: Mapping[str, object], right: Mapping[str, object]) -> str:
    """The names under which two mappings differ, and how the rows do."""
    return ", ".join(name for name in sorted({*left, *right}) if left.get(name) != right.get(name))


# ------------------------------------------------------------------------------------- files


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name.replace('/', '_')}.json"


def read(folder: Path = FOLDER) -> dict[str, Golden]:
    """The goldens in a folder, in the order of the steps."""
    texts = {name: _file(folder, name).read_text("utf-8") for name in STEPS if _file(folder, name).exists()}
    return {name: Golden(**json.loads(text)) for name, text in texts.items()}


def write(found: Mapping[str, Golden], folder: Path = FOLDER) -> list[str]:
    """Writes new goldens and returns why each was needed.

    Raises ValueError, and writes nothing, when some content changed under an unchanged version.
    """
    wrong = problems(read(folder), found)
    if refused := [it.line for it in wrong if it.refused]:
        raise ValueError("\n".join(["no golden was written:", *refused]))
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    for name, golden in found.items():
        _file(folder, name).write_text(golden.to_json(), "utf-8")
    return [it.line.partition(f": {REGOLD}")[0] for it in wrong]
