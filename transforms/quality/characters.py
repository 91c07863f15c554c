"""What every character is, as tables over all code points: its kind, its script, and what it may belong to.

Python's own Unicode data: two Python versions may differ in characters that are new to one of them.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
import numpy.typing as npt

# Kinds of characters. A word is a run of the last three: marks are the vowels of many scripts.
_SPACE, NEWLINE, OTHER, SYMBOL, _PUNCTUATION, MARK, DIGIT, LETTER = range(8)
KIND_BITS = 0b111
CLOSES = 0b1000  # may stand behind the end of a sentence: quotes, brackets, Markdown's emphasis
ENCODES = 0b10000  # a digit or small letter of base64 or hexadecimal text
POINTS = 0b100000  # of Hebrew and Arabic: vowels and the like, which most people do not write

_CLOSERS = "\"'*_)]}>»›”’」』】〉》）］｝〕〗"
_OF_PROGRAMS = "#%&*@\\/_[]{}<>|~^`=+"  # punctuation to Unicode, and to a reader none
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)  # marks to Unicode, of emoji
_VOWEL_POINTS = (
    *range(0x591, 0x5BE), 0x5BF, 0x5C1, 0x5C2, 0x5C4, 0x5C5, 0x5C7,
    *range(0x610, 0x61B), 0x640, *range(0x64B, 0x653), 0x670, *range(0x6D6, 0x6DD),
)  # fmt: skip

# Scripts by the word that begins the names of their characters. A character of no script belongs to every one.
_COMMON = 0
_NAMED = {
    "LATIN": "Latn", "GREEK": "Grek", "CYRILLIC": "Cyrl", "ARMENIAN": "Armn", "HEBREW": "Hebr", "ARABIC": "Arab",
    "DEVANAGARI": "Deva", "BENGALI": "Beng", "GURMUKHI": "Guru", "GUJARATI": "Gujr", "ORIYA": "Orya", "TAMIL": "Taml",
    "TELUGU": "Telu", "KANNADA": "Knda", "MALAYALAM": "Mlym", "SINHALA": "Sinh", "THAI": "Thai", "LAO": "Laoo",
    "MYANMAR": "Mymr", "GEORGIAN": "Geor", "HANGUL": "Hang", "KHMER": "Khmr", "CJK": "Hani", "HIRAGANA": "Hira",
    "KATAKANA": "Kana", "ETHIOPIC": "Ethi", "TIBETAN": "Tibt", "BOPOMOFO": "Bopo",
}  # fmt: skip
_SCRIPTS = ("common", *_NAMED.values(), "other")
NUM_SCRIPTS = len(_SCRIPTS)
_WRITTEN_IN = {
    "Hans": ("Hani", "Bopo"),
    "Hant": ("Hani", "Bopo"),
    "Jpan": ("Hani", "Hira", "Kana"),
    "Hang": ("Hang", "Hani"),
}  # scripts of the language table that are several, or go by another name
UNSPACED = ("Hani", "Hira", "Kana", "Thai", "Laoo", "Mymr", "Khmr", "Tibt")


def scripts_of(*scripts: str) -> npt.NDArray[np.bool_]:
    """(NUM_SCRIPTS,) which scripts of `scripts` belong to these of the language table. Raises KeyError for others."""
    known = {name: number for number, name in enumerate(_SCRIPTS)}
    found = np.zeros(NUM_SCRIPTS, dtype=np.bool_)
    found[[known[name] for script in scripts for name in _WRITTEN_IN.get(script, (script,))]] = True
    return found


@lru_cache(maxsize=1)
def kinds() -> npt.NDArray[np.uint8]:
    """(0x110000,) the kind of every code point, with CLOSES, ENCODES and POINTS."""
    of_category = {"L": LETTER, "M": MARK, "N": DIGIT, "P": _PUNCTUATION, "S": SYMBOL, "Z": _SPACE}
    table = np.full(0x110000, OTHER, dtype=np.uint8)
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category != "Cn":
            table[code] = of_category.get(category[0], OTHER)
    table[list(_VARIATION_SELECTORS)] = OTHER
    table[[ord(character) for character in _OF_PROGRAMS]] = SYMBOL
    table[[ord(character) for character in "\t\r\v\f\x85"]] = _SPACE
    table[ord("\n")] = NEWLINE
    table[[ord(character) for character in _CLOSERS]] |= CLOSES
    table[[ord(character) for character in "abcdefghijklmnopqrstuvwxyz0123456789+/"]] |= ENCODES
    table[list(_VOWEL_POINTS)] |= POINTS
    return table


@lru_cache(maxsize=1)
def scripts() -> npt.NDArray[np.uint8]:
    """(0x110000,) the script of every letter and mark, as a number below NUM_SCRIPTS; 0 for all other characters."""
    known = {name: _SCRIPTS.index(script) for name, script in _NAMED.items()}
    table = np.zeros(0x110000, dtype=np.uint8)
    for code in np.flatnonzero((kinds() & KIND_BITS == LETTER) | (kinds() & KIND_BITS == MARK)):
        words = unicodedata.name(chr(code), "").split(" ", 2)
        first = words[1] if words[0] in ("FULLWIDTH", "HALFWIDTH") else words[0]
        common = first in ("COMBINING", "MODIFIER", "FEMININE", "MASCULINE", "MICRO")
        table[code] = _COMMON if common else known.get(first, NUM_SCRIPTS - 1)
    return table
