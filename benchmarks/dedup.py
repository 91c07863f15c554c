"""MinHash deduplication against datatrove 0.10: same documents, same bands and rows, one worker each.

    python -m benchmarks.dedup [--megabytes 20] [--rounds 3]

Ours reads a documents dataset and writes the duplicates layer; datatrove reads JSONL and writes the documents it keeps
as JSONL. Both times are without imports. datatrove runs twice: with its stock English word tokenizer (spaCy) and with a
bare regular expression, the cheapest it can be given. Quality is measured on planted twins (`planted.py`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import planted
from benchmarks.harness import Contender, Run, alternate, announce, comparison, median, timed, write_result
from benchmarks.peers import peer_python, peer_version
from benchmarks.stages import clocked
from pipelines import annotate
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.dedup.spec import MinHashSpec

_SPEC = MinHashSpec(across_languages=True)  # as its peers compare
_PEER_NGRAM = 5  # datatrove's default; at our runs of one token it would remove every chance candidate
_OURS = "Agora"
# Where the time goes: modules, the functions that are clocked where these call them, and what they do.
_STAGES = {
    ("transforms.dedup.copies", "compared"): "tokens and digests of all texts",
    ("transforms.dedup.graph", "read_texts"): "reading documents, ranks, best copies",
    ("transforms.dedup.graph", "represent"): "who stands for a text",
    ("transforms.dedup.propose", "signatures"): "signatures",
    ("transforms.dedup.graph", "sketch"): "shingles, bands, links within shards",
    ("transforms.dedup.graph", "edges_between"): "links between shards",
    ("transforms.dedup.graph", "members_of_shard"): "members of components",
    ("transforms.dedup.decide", "stars"): "verification",
    ("transforms.dedup.graph", "decide"): "ranks and outcomes of members",
    ("transforms.dedup.graph", "layer_of_shard"): "rows of the layer",
}
_REST = "Beam's start-up, shuffles, files"


def run_ours(folder: Path) -> None:
    """One timed run of ours, in a process of its own; leaves ours.json: removed documents, and the kept ones."""
    documents, layers = folder / "documents", folder / "ours"
    shutil.rmtree(layers, ignore_errors=True)
    with clocked(_STAGES) as seconds, timed() as timer:
        manifest = annotate.run(str(documents), str(layers), {"duplicates": _SPEC})["duplicates"]
    removals: dict[str, str] = {}
    for file in manifest.data_files:
        table = shards.read_shard(Dataset.open(str(layers / "duplicates")), file.path, ["doc_id", "cluster", "keep"])
        removals |= {row["doc_id"]: row["cluster"] for row in table.to_pylist() if not row["keep"]}
    (folder / "ours.json").write_text(json.dumps(removals))
    announce(timer, (folder / "documents.jsonl").stat().st_size, manifest.rows, stages=seconds)


def _where_time_goes(runs: Sequence[Run]) -> list[str]:
    """A Markdown table of what our runs spent, by stage."""
    total = median([run.cpu_s for run in runs])
    spent = {says: median([run.extra["stages"][name] for run in runs]) for (_, name), says in _STAGES.items()}
    spent[_REST] = total - sum(spent.values())
    lines = ["| where ours spends it | CPU s | share | µs a document |", "| --- | ---: | ---: | ---: |"]
    return lines + [
        f"| {says} | {seconds:.2f} | {seconds / total:.0%} | {seconds / runs[0].records * 1e6:.1f} |"
        for says, seconds in spent.items()
    ]


def _compare(megabytes: float, rounds: int, folder: Path) -> Path:
    found, twins = planted.documents(int(megabytes * 1e6))
    jsonl = folder / "documents.jsonl"
    planted.write_jsonl(found, jsonl)
    planted.write_dataset(found, str(folder / "documents"), num_shards=4)
    numbers = [str(_SPEC.bands), str(_SPEC.rows), str(_PEER_NGRAM)]
    names = {"plain": "datatrove, words by regular expression", "spacy": "datatrove, stock English (spaCy)"}
    peers = [
        Contender(name, [peer_python(), "benchmarks/peer_datatrove.py", str(jsonl), str(folder / key), *numbers, key])
        for key, name in names.items()
    ]
    ours = Contender(_OURS, [sys.executable, "-m", "benchmarks.dedup", "--ours", str(folder)])
    runs = alternate([ours, *peers], rounds)
    answers = {_OURS: folder / "ours.json", **{name: folder / key / "removals.json" for key, name in names.items()}}
    bins = [f"{low:g}–{high:g}" if low < 1 else "the same text" for low, high in planted.BINS]
    quality = [
        f"| contender | {' | '.join(bins)} | precision |",
        f"| --- | {'---: | ' * (len(bins) + 1)}",
    ]
    for name, path in answers.items():
        quality.append(f"| {name} | {' | '.join(planted.judge(found, twins, json.loads(path.read_text())))} |")
    jaccard, lcs, contained = planted.RIGHT_FROM
    body = [
        f"{len(found):,} documents, {jsonl.stat().st_size / 1e6:.1f} MB, {len(twins):,} planted twins; "
        f"{_SPEC.bands} bands of {_SPEC.rows} rows, shingles of {_SPEC.ngram} and {_PEER_NGRAM} words (ours, theirs); "
        f"one worker; {rounds} rounds in turn, medians (CPU s: least–most).",
        "",
        *comparison(runs, _OURS),
        "",
        *_where_time_goes(runs[_OURS]),
        "",
        "Recall of planted twins by their exact Jaccard similarity, and precision: of the documents that are removed,",
        f"the share that is equal to the one kept for it, or similar by plain definitions: Jaccard ≥ {jaccard:g},",
        f"LCS ratio ≥ {lcs:g}, or contained in it to {contained:g}. 14 bands of 8 rows find 0.92 of",
        "the pairs at 0.8, 0.57 at 0.7 and 0.05 at 0.5. Texts are compared after each tool's own normalisation, so a",
        "tool may see a pair as closer or farther than the measure here.",
        "",
        *quality,
    ]
    versions = [f"{package} {peer_version(package)}" for package in ("datatrove", "spacy", "xxhash")]
    ours_of = ["apache-beam", "pyarrow", "numpy"]
    return write_result("dedup", "MinHash deduplication", body, ours_of, versions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ours:
        run_ours(arguments.ours)
        return
    with tempfile.TemporaryDirectory(prefix="agora-bench-") as folder:
        _compare(arguments.megabytes, arguments.rounds, Path(folder))


if __name__ == "__main__":
    main()
