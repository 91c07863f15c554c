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


@lru_cache(maxsize=1)
def kinds() -> npt.NDArray[np.uint8]:
    """(0x110000,) the kind of every code point."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category[0] in "LN":
            table[code] = LETTER
        elif category[0] == "M":
            table[code] = MARK
        elif category[0] == "S":
            table[code] = SYMBOL
        elif category in ("Pe", "Pf"):
            table[code] = CLOSER
        elif category == "Cf":
            table[code] = SILENT
        elif category[0] == "P":
            table[code] = PUNCTUATION
        elif chr(code).isspace():
            table[code] = SPACE
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
