"""Bounds runs of combining marks: normalising one takes time that grows with the square of its length.

This is Unicode's Stream-Safe Text Format (UAX #15, section 13): where more than 30 marks follow one another, U+034F
(the combining grapheme joiner, which shows nothing) is put behind each 30. No language writes more than a few, so
nearly every text is returned as it is. What is stream-safe stays so in each normal form.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_JOINER = "\u034f"
_MOST = 30
# A run that is too long has 14 characters or more: of the 31 marks, the letter before it may bring 3, and some
# characters stand for two. So it shows in every seventh character by two neighbours.
_LEAST, _EVERY = 14, 7

_COMPATIBLE = "\u0f73\u0f75\u0f81\uff9e\uff9f"  # are marks in compatibility forms alone
# Beyond the 16-bit plane all of a stretch stands for its marks: Python searches such a class ten times as fast.
_MARK = "".join(char for char in map(chr, range(0x300, 0x10000)) if unicodedata.combining(char) or char in _COMPATIBLE)
_MAYBE = f"[{_MARK}\U00010000-\U0001efff]"
_SAMPLE = re.compile(_MAYBE + "{2}")
_RUN = re.compile(f"{_MAYBE}{{{_LEAST},}}+")


def stream_safe(text: str) -> str:
    """The text with long runs of marks cut; itself where there is none."""
    if text.isascii() or not _SAMPLE.search(text[::_EVERY]):
        return text
    return _RUN.sub(_cut, text)


def _cut(run: re.Match[str]) -> str:
    before = run.string[run.start() - 1 : run.start()]
    in_a_row = _marks_of(before)[0] if before else 0
    written = []
    for character in run[0]:
        marks, is_mark = _marks_of(character)
        if is_mark and in_a_row + marks > _MOST:
            written.append(_JOINER)
            in_a_row = 0
        in_a_row = in_a_row + marks if is_mark else marks
        written.append(character)
    return "".join(written)


@lru_cache(maxsize=1024)
def _marks_of(character: str) -> tuple[int, bool]:
    """How many marks its decomposition ends in, and whether it is nothing else."""
    parts = unicodedata.normalize("NFKD", character)
    marks = next((at for at, part in enumerate(reversed(parts)) if not unicodedata.combining(part)), len(parts))
    return marks, marks == len(parts)
