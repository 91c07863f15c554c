"""Near-duplicates from a hundred thousand short documents to millions: does memory hold, does a document cost the same?

    python -m benchmarks.near_duplicates_at_scale [--posts 100000 1000000] [--copies 5000000]

Posts are of 40 words: a fifth are copies of others, a twentieth open with one form letter of 30 words: they share
digests, and none may be removed. Of copies, half are of one text and the others two of a text each, far apart over a
thousand shards. So what has to be removed is known, to the document; a run that removes anything else
fails. The whole of `annotate` is measured, one worker. Its start costs as much however few documents there are, so the
cost of a document is given without the cost of a run over _START.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.harness import Contender, announce, run_once, timed, write_result
from pipelines import annotate
from transforms.datasets import shards
from transforms.datasets.building import Build
from transforms.datasets.manifest import DatasetSpec
from transforms.datasets.names import shard_name
from transforms.datasets.schema import DOCUMENTS
from transforms.datasets.standing import Existing
from transforms.datasets.step import Wanted, make_one
from transforms.dedup.spec import MinHashSpec
from transforms.text.hashing import mix

_SPEC = MinHashSpec(across_languages=True)
_START = 1_000
_WORDS, _FORM_WORDS = 40, 30
_VOCABULARY = np.array([f"word{number}" for number in range(50_000)], dtype=object)
_SHARDS = {"posts": 40, "copies": 1_000}
_SAME = {"kind": "document", "source": "bench", "site": "post"}

_Numbers = npt.NDArray[np.int64]


def _text_numbers(kind: str, documents: _Numbers, total: int) -> _Numbers:
    """(D,) which text each document has, of documents numbered from 0 to a total."""
    if kind == "copies":
        return np.where(documents % 2, 1 + documents // 2 % (total // 4), 0)
    original = (mix(documents.astype(np.uint64)) % np.uint64(total // 10)).astype(np.int64) * 10 + 5
    return np.where(documents % 10 < 2, original, documents)


def _to_remove(kind: str, total: int) -> int:
    return total - 1 - total // 4 if kind == "copies" else total // 5


def _texts(kind: str, numbers: _Numbers) -> list[str]:
    """The texts of these numbers; of posts, those that end in 9 and have an even digit before it open with the form."""
    words = mix((numbers[:, None] * 64 + np.arange(_WORDS)).astype(np.uint64)) % np.uint64(len(_VOCABULARY))
    if kind == "posts":
        words[numbers % 20 == 9, :_FORM_WORDS] = np.arange(_FORM_WORDS)
    return [" ".join(text) for text in _VOCABULARY[words.astype(np.int64)].tolist()]


def _write(kind: str, total: int, place: Path) -> None:
    """A dataset of so many documents."""
    number = _SHARDS[kind]
    paths = [shard_name(index, number) for index in range(number)]

    def write(build: Build) -> None:
        for path, documents in zip(paths, np.array_split(np.arange(total), number), strict=True):
            ids = [f"bench:post:{document:09d}" for document in documents.tolist()]
            known = {"doc_id": ids, "thread_id": ids, "text": _texts(kind, _text_numbers(kind, documents, total))}
            known |= {name: [value] * len(ids) for name, value in _SAME.items()}
            columns = [
                pa.array(known.get(column.name, [None if column.nullable else []] * len(ids)), column.type)
                for column in DOCUMENTS
            ]
            shards.write_shard(build, path, DOCUMENTS, [pa.table(columns, schema=DOCUMENTS)], "doc_id")

    spec = DatasetSpec("documents", {"benchmark": kind, "documents": total})
    make_one(Wanted(str(place), spec, paths), Existing.REFUSE, write)


def _run(kind: str, total: int, folder: Path) -> None:
    """One timed run, in a process of its own. Raises AssertionError when it removes other than it has to."""
    with timed() as timer:
        settings = {"duplicates": _SPEC}
        manifest = annotate.run(str(folder / "documents"), str(folder / "layers"), settings)["duplicates"]
    removed = sum(manifest.counts["rule"].values())
    if removed != _to_remove(kind, total):
        raise AssertionError(f"{removed} of {total} documents were removed, not {_to_remove(kind, total)}")
    announce(timer, sum(file.bytes for file in manifest.files), total, removed=removed)


def _measure(kind: str, totals: list[int]) -> list[str]:
    """Lines of the table, one a size."""
    lines, start = [], 0.0
    for total in [_START, *totals]:
        with tempfile.TemporaryDirectory(prefix="agora-bench-") as name:
            _write(kind, total, Path(name) / "documents")
            command = [sys.executable, "-m", "benchmarks.near_duplicates_at_scale", "--run", kind, str(total), name]
            done = run_once(Contender(kind, command))
        start = start or done.cpu_s
        lines.append(
            f"| {kind} | {total:,} | {_SHARDS[kind]:,} | {done.extra['removed']:,} | {done.cpu_s:.1f} "
            f"| {1e6 * (done.cpu_s - start) / total:.1f} | {done.peak_mb:,} |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--copies", type=int, nargs="*", default=[5_000_000])
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        kind, total, folder = arguments.run
        _run(kind, int(total), Path(folder))
        return
    lines = [
        "What is removed is what has to be: copies; none of the posts that open alike. Peak: resident memory.",
        "",
        "| what | documents | shards | removed | CPU s | µs of CPU a document, without start | peak MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind, totals in (("posts", arguments.posts), ("copies", arguments.copies)):
        if totals:
            lines += _measure(kind, totals)
    packages = ["apache-beam", "pyarrow", "numpy"]
    write_result("near_duplicates_at_scale", "Near-duplicates at scale", lines, packages)


if __name__ == "__main__":
    main()
