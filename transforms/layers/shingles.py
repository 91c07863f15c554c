"""Texts to shingles: hashed n-grams of words, the sets whose Jaccard similarity near-duplicate search estimates.

Normalisation: NFKC, then casefold; digits, accents and stop words stay. A token is a run of letters, digits and marks.
In scripts written without spaces (Han, Kana, Thai, Lao, Khmer, Myanmar, Tibetan) every letter with its marks is a token
of its own, so that a shingle is a run of characters there, also inside mixed text and without knowing the language.
Five such characters are two to three words of Chinese: shorter runs are shared by unrelated texts, longer ones are lost
to a small edit. A text with fewer tokens than a shingle needs (forum answers such as "Thanks!") has one shingle, its
whole text with punctuation: it is found equal to the same text only.

All of it is numpy over the code points of a batch. Unicode data are Python's own: two Python versions may differ in
characters that are new to one of them.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from transforms.text.stream_safe import stream_safe

_UNSPACED_BLOCKS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # ideographic iteration mark, closing mark, zero
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana extensions
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xA9E0, 0xA9FF),  # Myanmar extension B
    (0xAA60, 0xAA7F),  # Myanmar extension A
    (0xF900, 0xFAFF),  # Han, compatibility
    (0x20000, 0x3FFFF),  # Han, further extensions
)

# Kinds of characters, and which pairs (kind before, kind here) begin a token.
_OUTSIDE, _LETTER, _MARK, _UNSPACED, _UNSPACED_MARK = range(5)
_BEGINS = np.zeros((8, 8), dtype=np.bool_)
_BEGINS[:5, _UNSPACED] = True
_BEGINS[[_OUTSIDE, _UNSPACED, _UNSPACED_MARK], _LETTER] = True
_BEGINS[_OUTSIDE, [_MARK, _UNSPACED_MARK]] = True

# Odd constants without structure (the digits of pi, e and the golden ratio): the bases of the polynomial hashes.
_CHARACTER_BASE = 0x243F6A8885A308D3
_TOKEN_BASE = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Shingles:
    """The shingles of D texts, one after the other. Those of text i are hashes[starts[i]:starts[i + 1]]."""

    hashes: npt.NDArray[np.uint32]  # (S,) with repetitions
    starts: npt.NDArray[np.int64]  # (D + 1,)
    digests: npt.NDArray[np.uint64]  # (D,) of the whole normalised text, white space collapsed
    whole: npt.NDArray[np.bool_]  # (D,) too short for a shingle of ngram tokens: its one shingle is the whole text

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(D,) number of shingles; 0 for an empty text."""
        return np.diff(self.starts)


def normalised(text: str) -> str:
    """NFKC and casefold."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", stream_safe(text)).casefold()


def shingles(texts: Sequence[str], ngram: int) -> Shingles:
    """Shingles of `ngram` tokens of each text. Memory: about 40 bytes a character of the batch."""
    clean = [normalised(text) for text in texts]
    digests = np.array([_text_digest(text) for text in clean], dtype=np.uint64)
    tokens, offsets = _token_hashes(clean)
    grams, num_grams = _ngram_hashes(tokens, offsets, ngram)
    written = np.array([bool(text) and not text.isspace() for text in clean], dtype=np.bool_)
    whole = written & (num_grams == 0)
    counts = np.where(whole, 1, num_grams)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    hashes = np.empty(int(starts[-1]), dtype=np.uint32)
    is_gram = np.ones(len(hashes), dtype=np.bool_)
    is_gram[starts[:-1][whole]] = False
    hashes[is_gram] = grams
    hashes[starts[:-1][whole]] = (digests[whole] & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    return Shingles(hashes, starts, digests, whole)


def _text_digest(clean: str) -> int:
    digest = hashlib.blake2b(" ".join(clean.split()).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _token_hashes(clean: Sequence[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """64-bit hashes of all tokens in order (T,), and where each text's tokens begin (D + 1,).

    A token's hash is the polynomial sum(code[i] * base**i) modulo 2**64, mixed. The powers run through the whole batch;
    multiplying with the inverse power at the token's first character makes them start at one.
    """
    if not clean:
        return np.zeros(0, np.uint64), np.zeros(1, np.int64)
    codes = np.frombuffer(("\0".join(clean) + "\0").encode("utf-32-le"), dtype=np.uint32)
    kinds = _character_kinds()[codes]
    before = np.zeros_like(kinds)
    before[1:] = kinds[:-1]
    begins = np.flatnonzero(_BEGINS.reshape(-1)[(before << 3) | kinds])
    ends = np.cumsum([len(text) + 1 for text in clean], dtype=np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.searchsorted(begins, ends).astype(np.int64)])
    if not len(begins):
        return np.zeros(0, np.uint64), offsets
    powers, inverse_powers = _powers(1 << (len(codes) - 1).bit_length())
    terms = codes * powers[: len(codes)]
    terms *= kinds != _OUTSIDE
    sums = np.add.reduceat(terms, begins)
    return mix(sums * inverse_powers[begins]), offsets


def _ngram_hashes(
    tokens: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], ngram: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """32-bit hashes of all n-grams that lie within one text, in order, and how many each text has (D,)."""
    num_tokens = np.diff(offsets)
    num_grams = np.maximum(num_tokens - (ngram - 1), 0)
    if len(tokens) < ngram:
        return np.zeros(0, np.uint32), num_grams
    length = len(tokens) - ngram + 1
    sums = np.zeros(length, dtype=np.uint64)
    for place in range(ngram):
        sums += tokens[place : place + length] * np.uint64(pow(_TOKEN_BASE, place, 1 << 64))
    within = np.ones(len(tokens), dtype=np.bool_)
    for place in range(1, ngram):
        within[(offsets[1:] - place)[num_tokens >= place]] = False
    return (mix(sums) >> np.uint64(32)).astype(np.uint32)[within[:length]], num_grams


def mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """MurmurHash3's 64-bit finaliser: a bijection in which every input bit moves every output bit."""
    values = values ^ (values >> np.uint64(33))
    values *= np.uint64(0xFF51AFD7ED558CCD)
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xC4CEB9FE1A85EC53)
    values ^= values >> np.uint64(33)
    return values


@lru_cache(maxsize=32)
def _powers(size: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """base**i and base**-i modulo 2**64 for i < size, a power of two: so all tables kept are twice the largest."""
    tables = []
    for base in (_CHARACTER_BASE, pow(_CHARACTER_BASE, -1, 1 << 64)):
        steps = np.full(size, base, dtype=np.uint64)
        steps[0] = 1
        tables.append(np.cumprod(steps))
    return tables[0], tables[1]


@lru_cache(maxsize=1)
def _character_kinds() -> npt.NDArray[np.uint8]:
    """(0x110000,) the kind of every code point."""
    kinds = np.zeros(0x110000, dtype=np.uint8)
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category[0] in "LN":
            kinds[code] = _LETTER
        elif category[0] == "M":
            kinds[code] = _MARK
    kinds[ord("_")] = _LETTER  # names in code stay whole
    for first, last in _UNSPACED_BLOCKS:
        block = kinds[first : last + 1]
        block[block == _LETTER] = _UNSPACED
        block[block == _MARK] = _UNSPACED_MARK
    return kinds
