"""What two texts have and have not in common, word by word: for people who ask why one was removed for the other.

Texts are cut into words, white space and signs, a letter in scripts without spaces; what is in no longest common
subsequence of them differs. They are taken as they are written: what the search for near-duplicates leaves out of a
text (quotes, letter case) is marked all the same. Two texts with so many words between their common ends that a table
of all pairs is too large are compared line by line, and when that is too large as well, all between the lines that both
begin and end with differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np

from transforms.dedup import characters
from transforms.dedup.similarity import common_ends

_MOST_CELLS = 100_000_000  # of the table, a bit each: 12 MB, and a second at most
_WORD = (characters.LETTER, characters.MARK)
_MARKS = (characters.MARK, characters.UNSPACED_MARK, characters.SILENT)


class Piece(NamedTuple):
    """A stretch of a text. differs: the other text has not got it there."""

    text: str
    differs: bool


Pieces = Sequence[Piece]


def differences(one: str, other: str) -> tuple[Pieces, Pieces]:
    """Each text in pieces, in order. White space aside, the pieces of both that do not differ are the same text.

    Time and memory: linear in the texts, and a bit for each pair of words between their common ends, 12 MB at most.
    """
    for cut in (_words, _lines):
        mine, theirs = cut(one), cut(other)
        begin, end = common_ends(mine, theirs)
        middles = mine[begin : len(mine) - end], theirs[begin : len(theirs) - end]
        if small := len(middles[0]) * len(middles[1]) <= _MOST_CELLS:
            break
    common = _common(*middles) if small else []
    sides = []
    for place, tokens in enumerate((mine, theirs)):
        differs = np.ones(len(tokens), np.bool_)
        differs[:begin] = differs[len(tokens) - end :] = False
        differs[[begin + pair[place] for pair in common]] = False
        sides.append(_pieces(tokens, differs.tolist()))
    return sides[0], sides[1]


def shortened(pieces: Pieces, most: int, most_alike: int) -> Pieces:
    """The pieces for a page: of a stretch that does not differ about `most_alike` characters, of all about `most`.

    What is left out is said with its number of characters.
    """
    found: list[Piece] = []
    left = most
    for number, piece in enumerate(pieces):
        if left <= 0:
            rest = sum(len(piece.text) for piece in pieces[number:])
            return [*found, Piece(f" … ({rest:,} more characters)", differs=False)]
        text = _without_middle(piece.text, left if piece.differs else min(left, most_alike))
        found.append(Piece(text, piece.differs))
        left -= min(len(text), len(piece.text))
    return found


def _without_middle(text: str, most: int) -> str:
    half = max(1, most // 2)
    left_out = len(text) - 2 * half
    return text if left_out <= half else f"{text[:half]} … ({left_out:,} characters) … {text[-half:]}"


def _words(text: str) -> list[str]:
    """The text in words, white space and signs; together they are the text."""
    if not text:
        return []
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = characters.kinds().take(codes)
    before = kinds[:-1]
    goes_on = (np.isin(kinds[1:], _WORD) & np.isin(before, _WORD)) | np.isin(kinds[1:], _MARKS)
    goes_on |= (kinds[1:] == characters.SPACE) & (before == characters.SPACE)
    starts = [0, *(np.flatnonzero(~goes_on) + 1).tolist(), len(text)]
    return [text[start:end] for start, end in pairwise(starts)]


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _common(mine: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """The places of a longest common subsequence in both, from the last one to the first.

    Rows of bits as in Hyyrö, "Bit-parallel LCS-length computation revisited" (2004): in the row of a token of `theirs`
    a bit that is 0 is a token of `mine` at which the length grows by one.
    """
    places = dict.fromkeys(theirs, 0)
    for place, token in enumerate(mine):
        if token in places:
            places[token] |= 1 << place
    every = row = (1 << len(mine)) - 1
    rows = [row]
    for token in theirs:
        matched = row & places[token]
        row = ((row + matched) | (row - matched)) & every
        rows.append(row)
    found = []
    at, number = len(mine), len(theirs)
    while at and number:
        bit = 1 << (at - 1)
        if rows[number] & bit:
            at -= 1
        elif rows[number - 1] & bit:
            found.append((at - 1, number - 1))
            at, number = at - 1, number - 1
        else:
            number -= 1
    return found


def _pieces(tokens: Sequence[str], differs: Sequence[bool]) -> Pieces:
    """Neighbours that both differ, or both do not, as one. White space between two that differ is part of them."""
    last = len(tokens) - 1
    marked = [
        Piece(token, own or (0 < at < last and token.isspace() and differs[at - 1] and differs[at + 1]))
        for at, (token, own) in enumerate(zip(tokens, differs, strict=True))
    ]
    return list(_joined(marked))


def _joined(pieces: Pieces) -> Iterator[Piece]:
    for differs, run in groupby(pieces, key=lambda piece: piece.differs):
        yield Piece("".join(piece.text for piece in run), differs)
