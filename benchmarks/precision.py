"""Precision of near-duplicates on every real set: each removal against the text that is kept, by plain definitions.

    python -m benchmarks.precision [--sets NAME …]

The layer is made of each set by itself, across languages. A removal is right when the two texts are equal after a plain
normalisation, or similar by one of the measures of `plain_similarity`, which shares no code with the layer. Recall: of
all pairs of a set that a search by brute force calls similar, those of which one text goes or both go.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks import planted
from benchmarks.harness import write_result
from benchmarks.real_sets import real_sets
from pipelines import annotate
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.dedup.spec import MinHashSpec


def removals(texts: Sequence[str], folder: Path) -> dict[int, tuple[int, str]]:
    """By the number of each removed text: that of the kept one, and the rule."""
    found = [(f"t:{number:09d}", text) for number, text in enumerate(texts)]
    planted.write_dataset(found, str(folder / "documents"), num_shards=2)
    annotate.run(str(folder / "documents"), str(folder / "layers"), {"duplicates": MinHashSpec(across_languages=True)})
    layer = Dataset.open(str(folder / "layers" / "duplicates"))
    gone = {}
    for path in layer.paths:
        for row in shards.read_shard(layer, path, ["doc_id", "kept", "rule"]).to_pylist():
            if row["kept"]:
                gone[int(row["doc_id"][2:])] = (int(row["kept"][2:]), row["rule"])
    return gone


def _of_sets(names: Iterable[str], folder: Path) -> Iterator[str]:
    sets = real_sets()
    yield "| set | texts | removed: exact | jaccard | lcs | contained | right | precision |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for number, name in enumerate(names or sets):
        texts = list(sets[name]())
        gone = removals(texts, folder / str(number))
        rules = Counter(rule for _, rule in gone.values())
        wrong = [(row, kept) for row, (kept, _) in gone.items() if not planted.is_right(texts[row], texts[kept])]
        for row, kept in wrong:
            print(name, gone[row][1], repr(texts[row]), repr(texts[kept]), sep="\n", flush=True)
        right = len(gone) - len(wrong)
        counts = " | ".join(f"{rules[rule]:,}" for rule in ("exact", "jaccard", "lcs", "contained"))
        share = f"{right / len(gone):.4f}" if gone else "–"
        print(line := f"| {name} | {len(texts):,} | {counts} | {right:,} | {share} |", flush=True)
        yield line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=[], help="some of the sets (all)")
    with tempfile.TemporaryDirectory() as folder:
        body = list(_of_sets(parser.parse_args().sets, Path(folder)))
    write_result("precision", "Precision of near-duplicates on real sets", body, ["pyarrow", "numpy"])


if __name__ == "__main__":
    main()
