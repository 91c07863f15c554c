"""Whether a dataset's files are those that its manifest names, and whether the manifest's numbers are theirs."""

from __future__ import annotations

import pyarrow as pa

from transforms.datasets import places
from transforms.datasets.checks import DamagedError, check_size
from transforms.datasets.dataset import Dataset, foreign_files
from transforms.datasets.fates import Tally
from transforms.datasets.lease import current, is_begun
from transforms.datasets.manifest import Manifest, ShardFile
from transforms.datasets.names import BUILDING, NEXT, REJECTS
from transforms.datasets.opening import strays
from transforms.datasets.schema import FINGERPRINT, KIND
from transforms.datasets.shards import iter_batches


def find_problems(place: str) -> list[str]:
    """What is wrong with a dataset: a line each; [] when every file has the rows, bytes and SHA-256 of the manifest and
    was made for it, and together they have its counts. Raises ValueError where no manifest can be read."""
    dataset = Dataset.open(place)
    manifest = dataset.manifest
    problems = [problem for file in manifest.files for problem in _file_problems(dataset, file)]
    left = strays(place, manifest)
    if is_begun(place):  # what another build is about here is no damage (`unfinished`)
        left = [path for path in left if not path.startswith((f"{BUILDING}/", f"{NEXT}/"))]
    left += foreign_files(place, manifest)
    return problems + _wrong_totals(manifest) + [f"{path}: not in the manifest" for path in left]


def unfinished(place: str) -> str:
    """What is to be known of a build that was begun where a dataset stands; "" when there is none."""
    if not is_begun(place):
        return ""
    _, marker = current(place)
    who = f"process {marker.owner.pid} on {marker.owner.host}" if marker and marker.owner else "a process that let go"
    return f"its successor, of {who}, is not finished; run that command again, or this dataset's, to clear it"


def verify_file(place: str, num_bytes: int, sha256: str) -> bool:
    """Whether a file is there with these bytes."""
    return places.exists(place) and places.size(place) == num_bytes and places.sha256(place) == sha256


def _file_problems(dataset: Dataset, file: ShardFile) -> list[str]:
    try:
        check_size(dataset.place, file)
        if places.sha256(places.join(dataset.place, file.path)) != file.sha256:
            return [f"{file.path}: its SHA-256 is not the manifest's; its bytes were changed"]
        return _shard_problems(dataset, file) if file.path.endswith(".arrow") else []
    except DamagedError as error:
        return [str(error).removeprefix(f"{dataset.place} is damaged: ")]


def _shard_problems(dataset: Dataset, file: ShardFile) -> list[str]:
    manifest = dataset.manifest
    problems, rows = [], 0
    for batch in iter_batches(dataset, file.path):
        rows += batch.num_rows
    if rows != file.rows:
        problems.append(f"{file.path}: {rows} rows, the manifest says {file.rows}")
    with dataset.open_file(file.path) as source:
        metadata = pa.ipc.open_file(source).schema.metadata or {}
    kind = REJECTS if file.path.startswith(f"{REJECTS}/") else manifest.kind
    for key, wanted in ((KIND, kind), (FINGERPRINT, manifest.fingerprint)):
        found = metadata.get(key.encode(), b"").decode(errors="replace")
        if found != wanted:
            problems.append(f"{file.path}: its {key} is {found!r}, wanted {wanted!r}: it is of another build")
    return problems


def _wrong_totals(manifest: Manifest) -> list[str]:
    """The counts that are not the sum of those of the files and of the whole."""
    tally = Tally(manifest.whole)
    for file in manifest.files:
        tally.merge(file.counts)
    summed = tally.to_dict()
    groups = sorted({*summed, *manifest.counts})
    return [
        f"counts of {group!r}: the manifest's are not those of its files"
        for group in groups
        if summed.get(group) != manifest.counts.get(group)
    ]
