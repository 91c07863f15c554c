"""What of a text is compared: its tokens, and a digest by which texts are equal but for how they are written.

Normalisation: NFC, never NFKC, which makes 102 of 10²; quotes and the lines that announce them are left out, so that a
reply is no copy of what it quotes; letter case counts in code and mathematics only, and the dotted İ and dotless ı are
an i outside them, for half of the texts that hold one write the other. Digits, accents and stop words stay.

A token is a run of letters, digits and marks. In scripts written without spaces (Han, Kana, Thai, Lao, Khmer, Myanmar,
Tibetan) every letter with its marks is a token of its own, so that a shingle is a run of characters there, also inside
mixed text and without knowing the language. Every symbol is a token of its own, operators, signs and emoji alike: C, C#
and C++ are three languages. Punctuation of sentences and brackets is none in prose, and a token each in code and
mathematics; a `!` is an operator before `=` or a letter and after a digit. A minus before a digit, but for one behind a
letter, digit or bracket, is of its number: -5 is one token, as 5 is.

The digest is of the normalised text with its white space collapsed and the ends of its sentences taken off: "Thanks!",
"Thanks." and "thanks" are equal. A text of nothing but quotes or white space has the digest 0 and no tokens.

All of it is numpy over the code points of a batch; only texts with a sign of a quote, code or mathematics are read one
by one.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from transforms.dedup import characters
from transforms.dedup.parts import is_plain, parts
from transforms.text.hashing import mix, powers
from transforms.text.stream_safe import stream_safe

_Kinds = npt.NDArray[np.uint8]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Compared:
    """What is compared of D texts, one after the other. The tokens of text i are tokens[offsets[i]:offsets[i + 1]]."""

    tokens: npt.NDArray[np.uint64]  # (T,) hashes, in order; odd: a letter of a script without spaces
    offsets: npt.NDArray[np.int64]  # (D + 1,)
    digests: npt.NDArray[np.uint64]  # (D,) equal where texts are the same after normalisation; 0: nothing to compare

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(D,) number of tokens."""
        return np.diff(self.offsets)

    @property
    def unspaced(self) -> npt.NDArray[np.float64]:
        """(D,) the share of tokens that are letters of scripts without spaces; 0 of none."""
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.tokens & np.uint64(1), dtype=np.int64)])
        return np.diff(before[self.offsets]) / np.maximum(self.counts, 1)

    def take(self, rows: npt.NDArray[np.int64]) -> Compared:
        """Some of the texts, in the order of their numbers, ascending."""
        wanted = np.zeros(len(self.digests), np.bool_)
        wanted[rows] = True
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.counts[wanted])])
        return Compared(self.tokens[np.repeat(wanted, self.counts)], offsets, self.digests[wanted])


def compared(texts: Sequence[str]) -> Compared:
    """What is compared of each text. Memory: about 50 bytes a character of the batch."""
    if not texts:
        return Compared(np.zeros(0, np.uint64), np.zeros(1, np.int64), np.zeros(0, np.uint64))
    clean: list[str] = []
    exact: list[tuple[int, int]] = []  # spans of code and mathematics in the batch
    at = 0
    for text in texts:
        normal = text if text.isascii() else unicodedata.normalize("NFC", stream_safe(text))
        folded = _folded(normal) if is_plain(normal) else _folded_by_parts(normal, at, exact)
        clean.append(folded)
        at += len(folded) + 1
    codes = np.frombuffer(("\0".join(clean) + "\0").encode("utf-32-le"), dtype=np.uint32)
    ends = np.cumsum(np.fromiter(map(len, clean), np.int64, len(clean)) + 1)  # behind the NUL that ends each
    kinds = characters.kinds().take(codes)
    _mark_operators(kinds, codes, exact)
    tokens, offsets = _tokens(kinds, codes, ends)
    return Compared(tokens, offsets, _digests(kinds, codes, ends, clean))


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    return text.replace("İ", "i").replace("ı", "i").casefold().replace("i\u0307", "i")


def _folded_by_parts(text: str, at: int, exact: list[tuple[int, int]]) -> str:
    """The text without quotes, folded where it is prose; adds its other spans to `exact`. at: where in the batch."""
    written: list[str] = []
    for part in parts(text):
        piece = part.text if part.exact else _folded(part.text)
        if part.exact:
            exact.append((at, at + len(piece)))
        written.append(piece)
        at += len(piece)
    return "".join(written)


def _mark_operators(kinds: _Kinds, codes: npt.NDArray[np.uint32], exact: Sequence[tuple[int, int]]) -> None:
    """Makes symbols of the punctuation that is one where it stands, and letters of the signs of numbers."""
    for begin, end in exact:
        span = kinds[begin:end]
        span[span >= characters.PUNCTUATION] = characters.SYMBOL
    bangs = np.flatnonzero(codes == ord("!"))  # a NUL is behind the last character; before the first, too, is seen one
    before, behind = kinds[bangs - 1], kinds[bangs + 1]
    joined = (before == characters.LETTER) | (before == characters.MARK)
    operator = _is_digit(codes[bangs - 1]) | (codes[bangs + 1] == ord("=")) | ((behind == characters.LETTER) & ~joined)
    kinds[bangs[operator]] = characters.SYMBOL
    signs = np.flatnonzero((codes == ord("-")) | (codes == ord("−")))
    before = kinds[signs - 1]
    apart = (before < characters.LETTER) | (before == characters.SYMBOL) | (before == characters.PUNCTUATION)
    kinds[signs[apart & _is_digit(codes[signs + 1])]] = characters.LETTER


def _is_digit(codes: npt.NDArray[np.uint32]) -> _Mask:
    return (codes >= ord("0")) & (codes <= ord("9"))


@lru_cache(maxsize=1)
def _begins() -> _Mask:
    """(NUM_KINDS * NUM_KINDS,) whether a character begins a token, by (kind before, kind here)."""
    letters, marks = [characters.LETTER, characters.MARK], [characters.MARK, characters.UNSPACED_MARK]
    table = np.zeros((characters.NUM_KINDS, characters.NUM_KINDS), dtype=np.bool_)
    table[:, [characters.LETTER, characters.UNSPACED, characters.SYMBOL, *marks]] = True
    table[letters, characters.LETTER] = False
    table[characters.LETTER : characters.SYMBOL + 1, marks] = False
    return table.reshape(-1)


def _tokens(
    kinds: _Kinds, codes: npt.NDArray[np.uint32], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Hashes of all tokens (T,), and where each text's tokens begin (D + 1,).

    A token's hash is the polynomial sum(code[i] * base**i) modulo 2**64, mixed. The powers run through the whole batch;
    multiplying with the inverse power at the token's first character makes them start at one.
    """
    before = np.zeros_like(kinds)
    before[1:] = kinds[:-1]
    before *= characters.NUM_KINDS
    begins = np.flatnonzero(_begins().take(before + kinds))
    offsets = np.concatenate([np.zeros(1, np.int64), np.searchsorted(begins, ends).astype(np.int64)])
    if not len(begins):
        return np.zeros(0, np.uint64), offsets
    all_powers, inverse_powers = powers(1 << (len(codes) - 1).bit_length())
    terms = codes * all_powers[: len(codes)]
    terms *= (kinds >= characters.LETTER) & (kinds <= characters.SYMBOL)
    sums = np.add.reduceat(terms, begins)
    hashes = mix(sums * inverse_powers[begins])
    hashes &= ~np.uint64(1)
    hashes |= kinds[begins] == characters.UNSPACED
    return hashes, offsets


def _digests(
    kinds: _Kinds, codes: npt.NDArray[np.uint32], ends: npt.NDArray[np.int64], clean: Sequence[str]
) -> npt.NDArray[np.uint64]:
    """(D,) digests of the texts: white space collapsed, ends of sentences taken off."""
    ending, dropped = _sentence_ends(kinds, codes)
    dropped |= kinds == characters.SILENT
    last = ends - 1
    space = (kinds == characters.SPACE) | ending
    space |= codes == 0  # of the text's own, too
    written = codes.copy()
    written[np.flatnonzero(space & (codes != ord(" ")))] = ord(" ")  # few: most white space is one already
    written[last] = 0
    keep = np.ones(len(codes), dtype=np.bool_)
    keep[1:] = ~(space[1:] & space[:-1])
    keep[0] = not space[0]
    keep[last] = True
    keep &= ~dropped
    lines = written[keep].tobytes().decode("utf-32-le").encode().split(b"\0")
    digests = np.zeros(len(clean), dtype=np.uint64)
    for number, line in enumerate(lines[:-1]):
        said = line.rstrip(b" ") or " ".join(clean[number].replace("\0", " ").split()).encode()
        if said:
            digests[number] = int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big") or 1
    return digests


def _sentence_ends(kinds: _Kinds, codes: npt.NDArray[np.uint32]) -> tuple[_Mask, _Mask]:
    """(N,) twice: the enders of sentences that end one, which part words, and those of them before a closing quote or
    bracket, which part nothing.

    An ender ends a sentence where white space or the end of the text is behind it, perhaps after others and closing
    quotes or brackets; some always do.
    """
    parting, closed = np.zeros(len(kinds), dtype=np.bool_), np.zeros(len(kinds), dtype=np.bool_)
    signs = np.flatnonzero(kinds >= characters.CLOSER)
    behind = _behind_row(signs)
    ends = (kinds[behind] == characters.SPACE) | (codes[behind] == 0)
    kind = kinds[signs]
    enders = signs[(kind == characters.LONE_ENDER) | ((kind == characters.ENDER) & ends)]
    before_closer = kinds[_behind_row(enders)] == characters.CLOSER
    closed[enders[before_closer]] = True
    parting[enders[~before_closer]] = True
    return parting, closed


def _behind_row(places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The first place behind the row of neighbours that each of the ascending places stands in."""
    last = np.append(places[1:] != places[:-1] + 1, True)[: len(places)]
    return (places[last] + 1)[np.cumsum(last) - last]
