"""Which scripts a line is written in, by the blocks of its characters: a language of another script is not possible.

Blocks are coarser than Unicode's property of script; they hold the letters of the languages of the table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tokenizer.languages import LANGUAGES

_BLOCKS = (
    (0x41, 0x5B, "Latn"), (0x61, 0x7B, "Latn"), (0xAA, 0xAB, "Latn"), (0xB5, 0xB6, "Grek"), (0xBA, 0xBB, "Latn"),
    (0xC0, 0xD7, "Latn"), (0xD8, 0xF7, "Latn"), (0xF8, 0x2B0, "Latn"), (0x370, 0x400, "Grek"), (0x400, 0x530, "Cyrl"),
    (0x530, 0x590, "Armn"), (0x590, 0x600, "Hebr"), (0x600, 0x700, "Arab"), (0x750, 0x780, "Arab"),
    (0x8A0, 0x900, "Arab"), (0x900, 0x980, "Deva"), (0x980, 0xA00, "Beng"), (0xA00, 0xA80, "Guru"),
    (0xA80, 0xB00, "Gujr"), (0xB00, 0xB80, "Orya"), (0xB80, 0xC00, "Taml"), (0xC00, 0xC80, "Telu"),
    (0xC80, 0xD00, "Knda"), (0xD00, 0xD80, "Mlym"), (0xD80, 0xE00, "Sinh"), (0xE00, 0xE80, "Thai"),
    (0xE80, 0xF00, "Laoo"), (0x1000, 0x10A0, "Mymr"), (0x10A0, 0x1100, "Geor"), (0x1100, 0x1200, "Hang"),
    (0x1780, 0x1800, "Khmr"), (0x1C80, 0x1C90, "Cyrl"), (0x1C90, 0x1CC0, "Geor"), (0x1E00, 0x1F00, "Latn"),
    (0x1F00, 0x2000, "Grek"), (0x2DE0, 0x2E00, "Cyrl"), (0x3005, 0x3008, "Hani"), (0x3040, 0x3100, "Kana"),
    (0x3100, 0x3130, "Hani"), (0x3130, 0x3190, "Hang"), (0x31F0, 0x3200, "Kana"), (0x3400, 0xA000, "Hani"),
    (0xA640, 0xA6A0, "Cyrl"), (0xA720, 0xA800, "Latn"), (0xA8E0, 0xA900, "Deva"), (0xA960, 0xA980, "Hang"),
    (0xA9E0, 0xAA00, "Mymr"), (0xAA60, 0xAA80, "Mymr"), (0xAB30, 0xAB70, "Latn"), (0xAC00, 0xD800, "Hang"),
    (0xF900, 0xFB00, "Hani"), (0xFB00, 0xFB07, "Latn"), (0xFB13, 0xFB18, "Armn"), (0xFB1D, 0xFB50, "Hebr"),
    (0xFB50, 0xFE00, "Arab"), (0xFE70, 0xFEFF, "Arab"), (0xFF21, 0xFF3B, "Latn"), (0xFF41, 0xFF5B, "Latn"),
    (0xFF66, 0xFFA0, "Kana"), (0xFFA0, 0xFFE0, "Hang"), (0x20000, 0x32000, "Hani"),
)  # fmt: skip
_SCRIPTS = ("", *dict.fromkeys(script for _, _, script in _BLOCKS))
_WRITTEN_IN = {"Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Hani", "Kana"), "Hang": ("Hang", "Hani")}

_EDGES = np.array([edge for start, end, _ in _BLOCKS for edge in (start, end)])  # in rising order
_OF_PIECE = np.array([0, *(number for _, _, script in _BLOCKS for number in (_SCRIPTS.index(script), 0))])


def _table() -> npt.NDArray[np.bool_]:
    """[scripts, languages] whether a script is one of a language's."""
    rows = [_WRITTEN_IN.get(row.script, (row.script,)) for row in LANGUAGES.values()]
    return np.array([[script in of for of in rows] for script in _SCRIPTS])


_IS_WRITTEN_IN = _table()


def possible(lines: Sequence[str]) -> npt.NDArray[np.bool_]:
    """[lines, languages of the table in order] whether the line has a letter of the language's script."""
    data = np.frombuffer("".join(lines).encode("utf-32-le", "surrogatepass"), np.uint32)
    rows = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    found = np.zeros((len(lines), len(_SCRIPTS)), np.bool_)
    found[rows, _OF_PIECE[np.searchsorted(_EDGES, data, "right")]] = True
    found[:, 0] = False  # what is of no script is of no language
    return (found.astype(np.uint8) @ _IS_WRITTEN_IN.astype(np.uint8)) > 0
