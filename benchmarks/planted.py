"""Documents with near-duplicates planted at known similarity, and what a deduplication made of them.

Documents are posts of `generate` as plain text; one post in ten has a twin with none to a fifth of its words exchanged.
The truth is the exact Jaccard similarity of sets of five-word shingles, computed here and the same for every contender;
only texts of at least 25 words are planted, so that each has some shingles. A removal is right when the removed text is
equal to the one that is *kept* for it, or similar by one of the measures of `plain_similarity`.
"""

from __future__ import annotations

import html
import json
import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa

from benchmarks.generate import Words, copies, read_rows, source_files
from benchmarks.plain_similarity import folded, right_rule, tokens_of, without_quotes
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
_SENTENCE_ENDS = re.compile(r"[.!?;…؟۔։।॥។]+(?=[\"')\]}»”’]*(?:\s|$))|[。！？．｡]+")
RIGHT_FROM = (0.8, 0.85, 0.9)  # Jaccard similarity, LCS ratio, containment: any is enough

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


def judge(found: Sequence[tuple[str, str]], planted: Sequence[Planted], removals: Mapping[str, str]) -> list[str]:
    """A Markdown cell per band of true similarity (recall of planted pairs), then the precision.

    removals: the id of each removed document, and of the one that is kept for it. A pair is found when both stand or
    fall with the same document. Raises ValueError for a removal in favour of a document that is removed itself.
    """
    chained = sorted(removed for removed, kept in removals.items() if kept in removals)
    if chained:
        raise ValueError(f"{len(chained)} documents are removed for one that is not kept, such as {chained[0]}")
    cells = []
    for low, high in BINS:
        pairs = [pair for pair in planted if low <= pair.jaccard < high]
        hits = sum(_survivor(pair.original, removals) == _survivor(pair.twin, removals) for pair in pairs)
        cells.append(f"{hits / len(pairs):.3f} ({hits}/{len(pairs)})" if pairs else "–")
    texts = dict(found)
    right = sum(is_right(texts[removed], texts[kept]) for removed, kept in removals.items())
    return [*cells, f"{right / len(removals):.4f} ({right}/{len(removals)})" if removals else "–"]


BINS = ((1.0, 1.01), (0.9, 1.0), (0.8, 0.9), (0.7, 0.8), (0.5, 0.7), (0.0, 0.5))


def _survivor(doc_id: str, removals: Mapping[str, str]) -> str:
    return removals.get(doc_id, doc_id)


def is_right(removed: str, kept: str) -> bool:
    """Whether a text may be removed for another, by plain definitions; neither for what it quotes."""
    removed, kept = without_quotes(removed), without_quotes(kept)
    if _normalised(removed) == _normalised(kept):
        return True
    return right_rule(tokens_of(removed), tokens_of(kept), RIGHT_FROM) is not None


def _normalised(text: str) -> str:
    """Without the ends of sentences and what is not seen: formats and variation selectors."""
    seen = "".join(char for char in folded(text) if not _is_silent(char))
    return " ".join(_SENTENCE_ENDS.sub(" ", seen).split())


def _is_silent(char: str) -> bool:
    return unicodedata.category(char) == "Cf" or "\ufe00" <= char <= "\ufe0f"
