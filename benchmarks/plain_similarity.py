"""What near-duplicates are, written out plainly: Python's sets and a table of subproblems. Shares no code with ours.

Tests hold `transforms/dedup` against it, and `planted` judges by it what any tool removed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_MARK = "".join(chr(code) for code in range(0x20000) if unicodedata.category(chr(code))[0] == "M")
_UNSPACED = "\u0e00-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff"
# Words of spaced scripts, a number with its sign; of the others a letter at a time, with its marks; symbols.
_TOKEN = re.compile(
    rf"(?<![\w)\]}}\"'])[-−](?=[0-9])[^\W_{_UNSPACED}]+"
    rf"|(?=\w)[{_UNSPACED}][{_MARK}]*|[^\W_{_UNSPACED}](?:[^\W_{_UNSPACED}]|[{_MARK}])*"
    rf"|[^\w\s{_MARK}]|_"
)


def _is_token(sign: str) -> bool:
    return len(sign) > 1 or sign in "-_+#%&*@/\\" or unicodedata.category(sign)[0] not in "PC"


_QUOTED = re.compile(r"^ {0,3}>(?!!).*(?:\n|\Z)", re.MULTILINE)
_QUOTE_TAGS = re.compile(r"\[quote\b[^\]\n]*\](?:(?!\[quote\b).)*?\[/quote\]", re.DOTALL | re.IGNORECASE)


def without_quotes(text: str) -> str:
    """What of a text is its writer's own: without the lines behind Markdown's `>`, and without [quote]…[/quote]."""
    while (inner := _QUOTE_TAGS.sub("\n", text)) != text:
        text = inner
    return _QUOTED.sub("", text)


# Fenced, within backticks, indented: here all signs are tokens, and letter case counts.
_CODE = re.compile(r"(^```.*?^```|`[^`\n]+`|(?:^(?: {4}|\t)[^\n]*(?:\n|\Z))+)", re.MULTILINE | re.DOTALL)
_CODE_TOKEN = re.compile(r"[^\W_]+|[^\w\s]|_")


def folded(text: str) -> str:
    """Composed, in small letters; any i is an i."""
    return unicodedata.normalize("NFC", text).replace("İ", "i").replace("ı", "i").casefold()


def tokens_of(text: str) -> list[str]:
    """The tokens of a text: words in small letters, and symbols one by one; of code all signs."""
    tokens: list[str] = []
    for number, piece in enumerate(_CODE.split(text)):
        tokens += _CODE_TOKEN.findall(piece) if number % 2 else filter(_is_token, _TOKEN.findall(folded(piece)))
    return tokens


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
