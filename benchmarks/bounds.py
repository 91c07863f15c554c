"""Which bounds part near-duplicates from other texts: the measures of `transforms/dedup/similarity.py` on real posts.

    python -m benchmarks.bounds [--texts 3000]

Posts of the dumps of ../shared/data. Similar: twins with 0 to 20% of the tokens exchanged, spread evenly; other
revisions of a post. Not similar: two answers of one thread. And of MinHash: how often twins meet in a band, by the
length of shingles and the bands, and how many chance candidates a text has among a million.
"""

from __future__ import annotations

import argparse
import html
import itertools
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmarks.generate import source_files
from benchmarks.harness import write_result
from transforms.datasets.ids import keyed_hash
from transforms.dedup.similarity import Bounds, Rule, Similarity, Text, compare

_ATTRIBUTE = re.compile(r'\b(Id|PostTypeId|ParentId|PostId|PostHistoryTypeId|Body|Text)="([^"]*)"')
_ROW = re.compile(r"<row [^<]*/>")
_TAG = re.compile(r"<[^>]*>")
_TOKEN = re.compile(r"\w+|[^\w\s.,;:!?()\[\]\"'«»]")
_CLASSES = ((10, 20), (20, 50), (50, 100), (100, 10_000))
_BOUNDS = Bounds()
_JACCARD = _BOUNDS.jaccard
_LCS = (0.75, 0.8, 0.85, 0.9, 0.95)
_CONTAINMENT = (0.7, 0.8, 0.9, 1.0)
_SKETCHES = (
    *((5, 14, 8), (5, 28, 2), (3, 14, 8), (3, 14, 4), (3, 28, 4), (2, 14, 4), (2, 14, 5), (2, 20, 5), (2, 28, 6)),
    *((2, 24, 5), (2, 40, 6), (1, 14, 8), (1, 20, 10), (1, 28, 10)),
)
_UNLIKE = Bounds(0.6, 0.6, 0.6)

_Pair = tuple[Text, Text]


def _text(markup: str, plain: bool) -> Text:
    words = _TOKEN.findall((markup if plain else html.unescape(_TAG.sub(" ", markup))).casefold())
    return Text(np.array([keyed_hash("benchmark-token", word) for word in words], dtype=np.uint64))


def _rows(name: str) -> Iterable[dict[str, str]]:
    for number, posts in enumerate(source_files()):
        file = posts.with_name(name)
        for row in _ROW.findall(file.read_text("utf-8-sig", "replace")) if file.exists() else ():
            found = {key: html.unescape(value) for key, value in _ATTRIBUTE.findall(row)}
            yield {key: f"{number}:{value}" if key in ("ParentId", "PostId") else value for key, value in found.items()}


def _answer_pairs() -> list[_Pair]:
    threads: dict[str, list[Text]] = defaultdict(list)
    for row in _rows("Posts.xml"):
        if row.get("PostTypeId") == "2":
            threads[row["ParentId"]].append(_text(row["Body"], plain=False))
    return _by_length(pair for answers in threads.values() for pair in itertools.combinations(answers, 2))


def _revisions() -> list[_Pair]:
    """The first and the last body of every edited post, in the markup of its author."""
    bodies: dict[str, list[str]] = defaultdict(list)
    for row in _rows("PostHistory.xml"):
        if row.get("PostHistoryTypeId") in ("2", "5") and row.get("Text"):
            bodies[row["PostId"]].append(row["Text"])
    edited = (versions for versions in bodies.values() if versions[0] != versions[-1])
    return _by_length((_text(versions[0], plain=True), _text(versions[-1], plain=True)) for versions in edited)


def _by_length(pairs: Iterable[_Pair]) -> list[_Pair]:
    ordered = (sorted(pair, key=lambda text: len(text.tokens)) for pair in pairs)
    return [(short, long) for short, long in ordered if len(short.tokens) >= _CLASSES[0][0]]


def _twins(texts: Sequence[Text], low: int, high: int, chance: random.Random) -> list[_Pair]:
    """Beginnings of texts, of a length in the class, and the same with up to a fifth of the tokens exchanged."""
    pool = [token for text in texts for token in text.tokens]
    pairs = []
    for text in texts:
        tokens = text.tokens[: chance.randrange(low, min(high, 400))]
        if len(tokens) >= low:
            share = chance.uniform(0, 0.2)
            other = [chance.choice(pool) if chance.random() < share else token for token in tokens]
            pairs.append((_of(other), _of(tokens)))
    return pairs


def _of(tokens: Sequence[int]) -> Text:
    return Text(np.array(tokens, dtype=np.uint64))


def _measured(pairs: Iterable[_Pair]) -> list[Similarity]:
    """Every measure of each pair, by bounds that none needs to meet."""
    return [compare(removed, kept, Bounds(jaccard=1.0, lcs=1e-9, containment=1e-9)) for removed, kept in pairs]


def _share(found: Sequence[Similarity], lcs: float, containment: float = 2.0) -> str:
    gone = sum(
        (one.jaccard or 0) >= _JACCARD or _lcs(one) >= lcs or (one.containment or 0) >= containment for one in found
    )
    return f"{gone / len(found):.4f}" if found else "–"


def _lcs(one: Similarity) -> float:
    return 1.0 if one.rule == Rule.JACCARD else one.lcs or 0.0  # of equal shingles nothing else is measured


def _jaccard(pair: _Pair, ngram: int) -> float:
    one, other = (text.shingles(ngram) for text in pair)
    return len(one & other) / max(1, len(one | other))


def _meeting(pairs: Sequence[_Pair], ngram: int, bands: int, rows: int) -> float:
    """How probably a pair shares a band, on average."""
    return float(np.mean([1 - (1 - _jaccard(pair, ngram) ** rows) ** bands for pair in pairs]))


def _tables(num_texts: int) -> list[str]:
    chance = random.Random(1)
    texts = [_text(row["Body"], plain=False) for row in _rows("Posts.xml") if row.get("PostTypeId") in ("1", "2")]
    texts = chance.sample(texts, min(num_texts, len(texts)))
    answers, revisions = _measured(_answer_pairs()), _measured(_revisions())
    twins = {name: _twins(texts, *name, chance) for name in _CLASSES}
    rows = [
        "Share of pairs that go by Jaccard ≥ 0.8 or an LCS ratio of at least the bound:",
        "",
        f"| pairs | Jaccard alone | {' | '.join(f'{bound:g}' for bound in _LCS)} |",
        f"| --- | {' | '.join(['---:'] * (len(_LCS) + 1))} |",
    ]
    kinds = {f"twins, {_named(*name)} tokens ({len(found):,})": _measured(found) for name, found in twins.items()}
    kinds |= {f"first and last revision ({len(revisions):,})": revisions}
    kinds |= {f"two answers of a thread ({len(answers):,})": answers}
    for name, found in kinds.items():
        rows.append(f"| {name} | {' | '.join(_share(found, bound) for bound in (2.0, *_LCS))} |")
    rows += ["", f"The same with LCS ≥ {_BOUNDS.lcs} or containment of at least the bound:", ""]
    rows += [f"| pairs | {' | '.join(f'{bound:g}' for bound in _CONTAINMENT)} |"]
    rows += [f"| --- | {' | '.join(['---:'] * len(_CONTAINMENT))} |"]
    for name, found in list(kinds.items())[-2:]:
        rows.append(f"| {name} | {' | '.join(_share(found, _BOUNDS.lcs, bound) for bound in _CONTAINMENT)} |")
    return rows + _sketches(texts, twins, chance)


def _sketches(
    texts: Sequence[Text], twins: Mapping[tuple[int, int], Sequence[_Pair]], chance: random.Random
) -> list[str]:
    rows = [
        "",
        f"Twins of an LCS ratio ≥ {_BOUNDS.lcs} that meet in a band, by their tokens; and chance candidates of a text",
        "among a million of its length: of texts none of which reaches 0.6 by any measure. With one each, most texts",
        "hang together in one component.",
        "",
        f"| shingle, bands × rows | {' | '.join(_named(*name) for name in twins)} | chance, 10 to 49 | chance, 50 up |",
        f"| --- | {' | '.join(['---:'] * (len(twins) + 2))} |",
    ]
    true = []
    for found in twins.values():
        measured = zip(found, _measured(found), strict=True)
        true.append([pair for pair, one in measured if _lcs(one) >= _BOUNDS.lcs])
    strangers = [_strangers(texts, low, high, chance) for low, high in ((10, 50), (50, 10_000))]
    for ngram, bands, width in _SKETCHES:
        cells = [f"{_meeting(pairs, ngram, bands, width):.3f}" for pairs in true]
        cells += [f"{1e6 * _meeting(pairs, ngram, bands, width):,.1f}" for pairs in strangers]
        rows.append(f"| {ngram}, {bands} × {width} | {' | '.join(cells)} |")
    return rows


def _strangers(texts: Sequence[Text], low: int, high: int, chance: random.Random) -> list[_Pair]:
    some = [text for text in texts if low <= len(text.tokens) < high]
    pairs = [(chance.choice(some), chance.choice(some)) for _ in range(30_000)]
    apart = (pair for pair in pairs if pair[0] is not pair[1])
    return [pair for pair in apart if compare(*pair, _UNLIKE).rule is None]


def _named(low: int, high: int) -> str:
    return f"{low} to {high - 1}" if high < 10_000 else f"{low} up"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=3000)
    write_result("bounds", "Bounds of near-duplicates", _tables(parser.parse_args().texts), ["numpy"])


if __name__ == "__main__":
    main()
