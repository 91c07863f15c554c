"""Documents with near-duplicates planted at known similarity, and what a deduplication made of them.

Documents are posts of `generate` as plain text; one post in ten has a twin with none to a fifth of its words exchanged.
The truth is the exact Jaccard similarity of sets of five-word shingles, computed here and the same for every contender;
only texts of at least 25 words are planted, so that each has some shingles.
"""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa

from benchmarks.generate import Words, copies, read_rows, source_files
from transforms.datasets import shards
from transforms.datasets.building import Build
from transforms.datasets.ids import bucket_of, keyed_hash, unit_interval
from transforms.datasets.manifest import DatasetSpec, Manifest
from transforms.datasets.schema import DOCUMENTS
from transforms.datasets.standing import Existing
from transforms.datasets.step import Wanted, make_one

_EDITS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)  # share of words exchanged in a planted twin
_NGRAM = 5
_MIN_WORDS = 25
TRUE_FROM = 0.7  # a pair at least this similar counts as duplicates when precision is judged

_ATTRIBUTE = re.compile(r'\b(Id|Body)="([^"]*)"')
_TAG = re.compile(r"<[^>]*>")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Planted:
    """A post and its twin: their ids and their true similarity."""

    original: str
    twin: str
    jaccard: float


def shingle_set(text: str) -> frozenset[tuple[str, ...]]:
    """The word n-grams of a text, in small letters."""
    words = _WORD.findall(text.lower())
    return frozenset(zip(*(words[start:] for start in range(_NGRAM)), strict=False))


def jaccard(first: str, second: str) -> float:
    """The share of shingles that two texts have in common; of texts without any, whether they are equal."""
    a, b = shingle_set(first), shingle_set(second)
    return len(a & b) / len(a | b) if a or b else float(first == second)


def documents(size_bytes: int) -> tuple[list[tuple[str, str]], list[Planted]]:
    """Documents (at least size_bytes of text) in order of ids, and the pairs that were planted among them."""
    rows = read_rows(source_files())
    words = Words(rows)
    found: list[tuple[str, str]] = []
    planted: list[Planted] = []
    total = 0
    for row in copies(rows, words):
        attributes = dict(_ATTRIBUTE.findall(row))
        text = html.unescape(_TAG.sub(" ", html.unescape(attributes["Body"]))).strip()
        if not text:  # a picture alone: datatrove's reader skips it, so nobody gets it
            continue
        doc_id = f"bench:post:{int(attributes['Id']):012d}"
        twins = _twin(doc_id, text, words)
        for document in chain([(doc_id, text)], twins):
            found.append(document)
            total += len(document[1].encode())
        planted += [Planted(doc_id, twin, jaccard(text, changed)) for twin, changed in twins]
        if total >= size_bytes:
            return sorted(found), planted
    raise AssertionError("copies() has no end")


def _twin(doc_id: str, text: str, words: Words) -> list[tuple[str, str]]:
    if unit_interval("benchmark-plant", doc_id) >= 0.1 or len(_WORD.findall(text)) < _MIN_WORDS:
        return []
    chance = random.Random(keyed_hash("benchmark-twin", doc_id))
    share = _EDITS[keyed_hash("benchmark-edit", doc_id) % len(_EDITS)]
    return [(f"{doc_id}:twin", words.exchange(text, chance, share))]


def write_jsonl(found: Sequence[tuple[str, str]], path: Path) -> None:
    """One document a line: id and text."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": doc_id, "text": text}, ensure_ascii=False) + "\n" for doc_id, text in found)


def write_dataset(found: Sequence[tuple[str, str]], place: str, num_shards: int) -> Manifest:
    """The same documents as a dataset of ours."""
    spec = DatasetSpec("documents", {"benchmark": "planted", "documents": len(found), "shards": num_shards})
    paths = [f"data/{index:05d}-of-{num_shards:05d}.arrow" for index in range(num_shards)]
    parts: list[list[tuple[str, str]]] = [[] for _ in paths]
    for doc_id, text in found:
        parts[bucket_of("shard", doc_id, num_shards)].append((doc_id, text))

    def write(build: Build) -> None:
        for path, part in zip(paths, parts, strict=True):
            same = {field.name: None if field.nullable else [] for field in DOCUMENTS}
            same |= {"kind": "document", "source": "bench", "site": "post"}
            rows = [same | {"doc_id": doc_id, "thread_id": doc_id, "text": text} for doc_id, text in part]
            shards.write_shard(build, path, DOCUMENTS, [pa.Table.from_pylist(rows, schema=DOCUMENTS)], "doc_id")

    return make_one(Wanted(place, spec, paths), Existing.REFUSE, write)


def judge(found: Sequence[tuple[str, str]], planted: Sequence[Planted], clusters: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown row per band of true similarity (recall of planted pairs), then the verified precision."""
    cluster_of = {doc_id: number for number, members in enumerate(clusters) for doc_id in members}
    cells = []
    for low, high in BINS:
        pairs = [pair for pair in planted if low <= pair.jaccard < high]
        hits = sum(1 for pair in pairs if cluster_of.get(pair.original, -1) == cluster_of.get(pair.twin, -2))
        cells.append(f"{hits / len(pairs):.3f} ({hits}/{len(pairs)})" if pairs else "–")
    right, marked = _precision(dict(found), clusters)
    return [*cells, f"{right / marked:.4f} ({right}/{marked})" if marked else "–"]


BINS = ((1.0, 1.01), (0.9, 1.0), (0.8, 0.9), (0.7, 0.8), (0.5, 0.7), (0.0, 0.5))


def _precision(texts: Mapping[str, str], clusters: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Documents that a deduplication puts beside another one, and how many of them have a true duplicate there.

    In a cluster of hundreds of one text only the first 50 neighbours are compared, after the same texts were found.
    """
    right = marked = 0
    for members in clusters:
        same: dict[str, int] = {}
        for member in members:
            same[texts[member]] = same.get(texts[member], 0) + 1
        for member in members:
            marked += 1
            others = (other for other in members if other != member)
            right += same[texts[member]] > 1 or _has_neighbour(texts[member], others, texts)
    return right, marked


def _has_neighbour(text: str, others: Iterator[str], texts: Mapping[str, str]) -> bool:
    return any(jaccard(text, texts[other]) >= TRUE_FROM for other, _ in zip(others, range(50), strict=False))
