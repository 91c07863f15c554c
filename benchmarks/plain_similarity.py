"""What near-duplicates are, written out plainly: Python's sets and a table of subproblems. Shares no code with ours.

Tests hold `transforms/dedup` against it, and `planted` judges by it what any tool removed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# Words of spaced scripts; Han and Thai a letter at a time; symbols, but for the punctuation of sentences.
_TOKEN = re.compile(
    r"[\u4e00-\u9fff]|[\u0e00-\u0e7f]|[^\W\u4e00-\u9fff\u0e00-\u0e7f]+|[^\w\s.,;:!?()\[\]{}\"'«»“”‘’…。，、；：！？]"
)


def tokens_of(text: str) -> list[str]:
    """The tokens of a text, in small letters: words, and symbols one by one."""
    return _TOKEN.findall(text.casefold())


def lcs_length(left: Sequence[object], right: Sequence[object]) -> int:
    """Of a longest common subsequence: the textbook's table, row by row."""
    row = [0] * (len(right) + 1)
    for item in left:
        before = row
        row = [0]
        for at, other in enumerate(right):
            row.append(before[at] + 1 if item == other else max(before[at + 1], row[at]))
    return row[-1]


def runs(tokens: Sequence[str], length: int) -> set[tuple[str, ...]]:
    """Every run of so many tokens."""
    return {tuple(tokens[at : at + length]) for at in range(len(tokens) - length + 1)}


def measures(removed: Sequence[str], kept: Sequence[str]) -> tuple[float, float, float]:
    """Jaccard similarity, LCS ratio, containment of the first text in the second; both have ten tokens or more."""
    shorter = min(len(removed), len(kept))
    length = 2 if shorter < 20 else 3 if shorter < 50 else 5
    mine, theirs = runs(removed, length), runs(kept, length)
    jaccard = len(mine & theirs) / len(mine | theirs)
    ratio = 2 * lcs_length(removed, kept) / (len(removed) + len(kept))
    fives = runs(removed, 5)
    return jaccard, ratio, len(fives & runs(kept, 5)) / len(fives)


def right_rule(removed: Sequence[str], kept: Sequence[str], bounds: tuple[float, float, float]) -> str | None:
    """The name of the first rule by which a text may go that is not equal to the other."""
    if min(len(removed), len(kept)) < 10:
        return None
    jaccard, ratio, contained = measures(removed, kept)
    if jaccard >= bounds[0]:
        return "jaccard"
    if ratio >= bounds[1]:
        return "lcs"
    return "contained" if contained >= bounds[2] and len(removed) <= len(kept) else None
