"""Whether a dataset's files are those that its manifest names."""

from __future__ import annotations

from transforms.datasets import places
from transforms.datasets.building import is_ours
from transforms.datasets.manifest import ShardFile, load_manifest
from transforms.datasets.shards import iter_batches


def find_problems(place: str) -> list[str]:
    """What is wrong with a dataset: a line each; [] when every file has the rows, bytes and SHA-256 of the manifest."""
    manifest = load_manifest(place)
    problems = [problem for file in manifest.files for problem in _file_problems(place, file)]
    named = {file.path for file in manifest.files}
    strays = [path for path in places.list_files(place) if path not in named and is_ours(path)]
    return problems + [f"{path}: not in the manifest" for path in strays]


def verify_file(place: str, num_bytes: int, sha256: str) -> bool:
    """Whether a file is there with these bytes."""
    return places.exists(place) and places.size(place) == num_bytes and places.sha256(place) == sha256


def _file_problems(place: str, file: ShardFile) -> list[str]:
    target = places.join(place, file.path)
    if not places.exists(target):
        return [f"{file.path}: missing"]
    found_bytes = places.size(target)
    if found_bytes != file.bytes:
        return [f"{file.path}: {found_bytes} bytes, the manifest says {file.bytes}"]
    if places.sha256(target) != file.sha256:
        return [f"{file.path}: its SHA-256 is not the manifest's; its bytes were changed"]
    if file.path.endswith(".arrow"):
        rows = sum(batch.num_rows for batch in iter_batches(place, file.path))
        if rows != file.rows:
            return [f"{file.path}: {rows} rows, the manifest says {file.rows}"]
    return []
