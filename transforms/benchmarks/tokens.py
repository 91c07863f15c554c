"""A text as the tokens that contamination is counted in: Qwen2's normaliser (arXiv 2407.10671, section 5.2.6), which
removes all symbols and punctuation and then tokenises.

Here a token is a word: letters, digits and marks, casefolded and decomposed (NFKD). Whether what is removed ends a word
("16-3" is 16 and 3) or not ("163") the paper does not say, and both are written by people who quote: there are two
views of a text, GAPS and GLUED. An apostrophe ends no word in either. In scripts written without spaces a token is a
letter with its marks.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_APOSTROPHES = "'\u2018\u2019\u02bc\u0060\u00b4"
# Thai and Lao; Tibetan and Myanmar; Khmer; Kana and Han with their extensions.
_UNSPACED = (
    r"\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\U00020000-\U0003ffff"
)
_MARKS = "".join(
    re.escape(chr(code))
    for begin, end in ((0x0E00, 0x10A0), (0x1780, 0x1800), (0x3099, 0x309B), (0xA9E0, 0xAA80))
    for code in range(begin, end)
    if unicodedata.category(chr(code)).startswith("M")
)
_LETTER = re.compile(f"[{_UNSPACED}]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_TOKEN = re.compile(f"(?![{_MARKS}])[{_UNSPACED}][{_MARKS}]*|(?:[^\\s{_UNSPACED}]|[{_MARKS}])+")


class View(dict[int, str]):
    """What stands for each character, found when it is first met. gap: for one that is removed."""

    def __init__(self, gap: str) -> None:
        super().__init__()
        self._gap = gap
        written = {code: self[code] for code in range(128)}  # each a character or nothing
        self._ascii = bytes(ord(written.get(code) or chr(code)) for code in range(256))
        self._unwritten = bytes(code for code in written if not written[code])

    def of(self, text: str) -> str:
        """text.translate(self), in less time: most characters of most texts are ASCII."""
        if not text.isascii():
            text = _BEYOND_ASCII.sub(lambda run: run[0].translate(self), text)
        return text.encode().translate(self._ascii, self._unwritten).decode()

    def __missing__(self, code: int) -> str:
        folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", chr(code)).casefold())
        self[code] = "" if chr(code) in _APOSTROPHES else "".join(map(self._plain, folded))
        return self[code]

    def _plain(self, char: str) -> str:
        kind = unicodedata.category(char)
        if kind == "Cf" or char in _APOSTROPHES:  # soft hyphens, joiners: no reader sees them
            return ""
        return char if kind[0] in "LMN" else " " if char.isspace() else self._gap


GAPS, GLUED = View(" "), View("")


def tokens(text: str, view: View) -> list[str]:
    """The tokens of a text, in order."""
    written = view.of(text)
    if written.isascii() or not _LETTER.search(written):
        return written.split()
    return _TOKEN.findall(written)


def is_letter(token: str) -> bool:
    """Whether a token is a letter of a script written without spaces, where words are several."""
    return _LETTER.match(token) is not None


@dataclass(frozen=True)
class Placed:
    """Where the tokens of a text stand in it: of the i-th, text[begins[i]:ends[i]]."""

    begins: list[int]
    ends: list[int]


def placed(text: str, view: View) -> Placed:
    """The places of tokens(text, view)."""
    at = [place for place, char in enumerate(text) for _ in view[ord(char)]]
    found = list(_TOKEN.finditer(view.of(text)))
    return Placed([at[token.start()] for token in found], [at[token.end() - 1] + 1 for token in found])
