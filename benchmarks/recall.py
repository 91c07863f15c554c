"""Recall of near-duplicates on planted edits: of texts that a plain definition calls similar, by language and edit.

    python -m benchmarks.recall [--texts 40]

Texts are sentences of ../shared/data/lid in a row. Each has a twin by one of the edits, the similarity of twins being
even down to the bound. Pairs are put in one dataset a language; a pair is found when one text of it goes for the other.
Which pairs should be is said by `plain_similarity`, which shares no code with the layer.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.harness import write_result
from benchmarks.plain_similarity import measures, tokens_of, without_quotes
from benchmarks.planted import RIGHT_FROM
from benchmarks.precision import removals
from benchmarks.real_sets import DATA

_LANGUAGES = ("eng_Latn", "fin_Latn", "deu_Latn", "rus_Cyrl", "arb_Arab", "hin_Deva", "kor_Hang")
_LANGUAGES += ("zho_Hans", "jpn_Jpan", "tha_Thai", "khm_Khmr")
_UNSPACED = ("zho_Hans", "jpn_Jpan", "tha_Thai", "khm_Khmr")
_LENGTHS = ((10, 20), (20, 50), (50, 140), (140, 500))

_Words = list[str]
_Edit = Callable[[_Words, _Words, float, random.Random], str]


def _exchanged(words: _Words, pool: _Words, share: float, chance: random.Random) -> _Words:
    places = set(chance.sample(range(len(words)), int(share * len(words))))
    return [chance.choice(pool) if at in places else word for at, word in enumerate(words)]


def _edits(space: str) -> dict[str, _Edit]:
    """Each makes a twin of words: a pool of others, how much to change, chance."""

    def with_more(words: _Words, pool: _Words, share: float, chance: random.Random) -> str:
        return space.join(words) + "\n\n" + space.join(chance.choices(pool, k=int(share * len(words))))

    return {
        "words exchanged": lambda words, pool, share, chance: space.join(_exchanged(words, pool, share, chance)),
        "the end cut off": lambda words, pool, share, chance: space.join(words[int(share * len(words)) :]),
        "a signature": with_more,
        "words left out": lambda words, pool, share, chance: space.join(
            [word for word in words if chance.random() >= share]
        ),
        "a quote above": lambda words, pool, share, chance: "\n".join(
            ["> " + space.join(chance.choices(pool, k=60)), "", space.join(_exchanged(words, pool, share / 2, chance))]
        ),
        "written otherwise": lambda words, pool, share, chance: ("\n" if space else "").join(
            f"**{word}**" if number == 1 else word.upper() for number, word in enumerate(words)
        ),
    }


def _pairs(language: str, number: int) -> Iterator[tuple[str, tuple[int, int], str, str]]:
    lines = (DATA / "lid" / "flores-part-A" / f"{language}.txt").read_text("utf-8").splitlines()
    space = "" if language in _UNSPACED else " "
    words = tokens_of(" ".join(lines)) if language in _UNSPACED else " ".join(lines).split()
    for edit, change in _edits(space).items():
        for low, high in _LENGTHS:
            chance = random.Random(f"{language} {edit} {low}")
            for place in range(number):
                length = chance.randrange(low, high)
                start = chance.randrange(len(words) - length)
                text = words[start : start + length]
                yield edit, (low, high), space.join(text), change(text, words, 0.2 * place / number, chance)


def _kinds(first: str, second: str) -> tuple[bool, bool]:
    """Whether two texts are similar by Jaccard, and by the LCS ratio."""
    left, right = (tokens_of(without_quotes(text)) for text in (first, second))
    if min(len(left), len(right)) < 10:
        return False, False
    jaccard, ratio, _ = measures(left, right)
    return jaccard >= RIGHT_FROM[0], ratio >= RIGHT_FROM[1]


def _share(found: Sequence[bool]) -> str:
    return f"{sum(found) / len(found):.3f} ({len(found)})" if found else "–"


def _tables(number: int, folder: Path) -> Iterator[str]:
    met: list[tuple[str, str, tuple[int, int], bool, bool, bool]] = []
    for language in _LANGUAGES:
        planted = list(_pairs(language, number))
        texts = [text for *_, first, second in planted for text in (first, second)]
        gone = removals(texts, folder / language)
        ends = {row: kept for row, (kept, _) in gone.items()}
        for at, (edit, length, first, second) in enumerate(planted):
            found = 2 * at in ends or 2 * at + 1 in ends
            met.append((language, edit, length, *_kinds(first, second), found))
    yield from ["By Jaccard similarity of shingles, 0.8 and more:", "", *_table(met, 3)]
    yield from ["", "By LCS ratio, 0.85 and more:", "", *_table(met, 4)]


def _table(met: Sequence[tuple[str, str, tuple[int, int], bool, bool, bool]], kind: int) -> Iterator[str]:
    yield f"| | {' | '.join(f'{low} to {high - 1} tokens' for low, high in _LENGTHS)} |"
    yield f"| --- | {' | '.join(['---:'] * len(_LENGTHS))} |"
    for column, names in ((0, _LANGUAGES), (1, tuple(_edits(" ")))):
        for name in names:
            some = [pair for pair in met if pair[column] == name and pair[kind]]
            cells = (_share([pair[5] for pair in some if pair[2] == length]) for length in _LENGTHS)
            yield f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=40, help="pairs of each language, edit and length (40)")
    with tempfile.TemporaryDirectory() as folder:
        body = list(_tables(parser.parse_args().texts, Path(folder)))
    write_result("recall", "Recall of near-duplicates on planted edits", body, ["pyarrow", "numpy"])


if __name__ == "__main__":
    main()
