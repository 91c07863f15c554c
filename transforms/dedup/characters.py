"""What each character is to near-duplicate search, as a table over all code points.

Unicode data are Python's own: two Python versions may differ in characters that are new to one of them.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
import numpy.typing as npt

# The kinds of characters. PUNCTUATION and those after it are no token in prose, and symbols in code and mathematics.
# SILENT ones choose how others are drawn: a heart with and without a variation selector is one heart.
SPACE, SILENT, LETTER, MARK, UNSPACED, UNSPACED_MARK, SYMBOL = range(1, 8)  # 0 is what is none of all these
PUNCTUATION, CLOSER, ENDER, LONE_ENDER = range(8, 12)
NUM_KINDS = 16  # a power of two, so that a pair of kinds is a number
_BLANK = NUM_KINDS  # may be space
_ASSIGNED = (range(0x40000), range(0xE0000, 0xF0000))  # the other planes are empty, or private
# By category: the first that fits.
_CATEGORIES = (
    (("L", "N"), LETTER),
    ("M", MARK),
    ("S", SYMBOL),
    (("Pe", "Pf"), CLOSER),
    ("Cf", SILENT),
    ("P", PUNCTUATION),
    (("Z", "Cc"), _BLANK),
)

# What ends a sentence: of any listed language, for the language of a short text is not sure. Those of the second kind
# do so before a letter as well: no space follows them, or they occur as nothing else.
_ENDERS = ".!?;…؟۔։।॥৷။។៕᱾᱿"
_LONE_ENDERS = "。！？．｡"
_SYMBOLS = "#%&*@/\\-_+"  # punctuation by category, operators by use
_CLOSERS = "\"'"  # both open and close

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
_SILENT_BLOCKS = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF))  # variation selectors; those of category Cf besides
_FLAG_TAGS = (0xE0020, 0xE007F)  # the flag of Wales is a black flag and seven of these


def _kind_of(category: str) -> int:
    return next((kind for fitting, kind in _CATEGORIES if category.startswith(fitting)), 0)


@lru_cache(maxsize=1)
def kinds() -> npt.NDArray[np.uint8]:
    """(0x110000,) the kind of every code point."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for planes in _ASSIGNED:
        categories = "".join(map(unicodedata.category, map(chr, planes)))
        numbers = np.frombuffer(categories.encode(), np.uint16)  # a category is two letters
        by_number = np.zeros(1 << 16, dtype=np.uint8)
        for number in np.flatnonzero(np.bincount(numbers)).astype(np.uint16):
            by_number[number] = _kind_of(number.tobytes().decode())
        table[planes.start : planes.stop] = by_number[numbers]
    blank = np.flatnonzero(table == _BLANK).tolist()
    table[blank] = [SPACE if chr(code).isspace() else 0 for code in blank]
    for characters, kind in ((_ENDERS, ENDER), (_LONE_ENDERS, LONE_ENDER), (_SYMBOLS, SYMBOL), (_CLOSERS, CLOSER)):
        table[list(map(ord, characters))] = kind
    for first, last in _UNSPACED_BLOCKS:
        block = table[first : last + 1]
        block[block == LETTER] = UNSPACED
        block[block == MARK] = UNSPACED_MARK
    for first, last in _SILENT_BLOCKS:
        table[first : last + 1] = SILENT
    table[_FLAG_TAGS[0] : _FLAG_TAGS[1] + 1] = MARK
    return table
