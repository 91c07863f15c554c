"""Unicode repair: damage is mended, style is left alone.

`repair(text)` equals `ftfy.fix_text(text, CONFIG)`, byte for byte, but gets there without running ftfy on text that
ftfy would return as it is, which is nearly all of it. Why the short way is exact is said beside each test it makes, and
tests/test_clean.py compares the two on generated and on real text.
"""

from __future__ import annotations

import re
import unicodedata

import ftfy
from ftfy.badness import MOJIBAKE_CATEGORIES, is_bad
from ftfy.fixes import fix_surrogates

# Repairs: mojibake, C1 controls, line breaks, surrogates, terminal escapes, control characters; then NFC.
# Off, because people write these on purpose: entities (in a programming forum `&lt;` may be the subject; HTML bodies
# were unescaped by their parser), curly quotes, fullwidth forms (Japanese and Chinese punctuation), ligatures.
CONFIG = ftfy.TextFixerConfig(
    unescape_html=False,
    uncurl_quotes=False,
    fix_character_width=False,
    fix_latin_ligatures=False,
    normalization="NFC",
    explain=False,
)

_ASCII_CONTROLS = bytes([*range(0x09), 0x0B, 0x0D, *range(0x0E, 0x20), 0x7F])

# Every character that a fixer other than fix_encoding touches (C1 controls trouble fix_encoding as well).
_TOUCHED = re.compile("[\x00-\x08\x0b\x0d-\x1f\x7f-\x9f\u2028\u2029\u206a-\u206f\ufff9-\ufffc\ufeff\ud800-\udfff]")

# fix_encoding leaves a text alone unless ftfy.badness finds a suspicious sequence. Each of its alternatives holds a
# character of these classes beside another non-ASCII character, or one of Œ œ Ã Â, or a C1 control (touched, above).
_CLASSES = (
    *("bad", "lower_accented", "upper_accented", "box", "start_punctuation"),
    *("end_punctuation", "currency", "numeric", "law"),
)
_RISKY = "[" + "".join(MOJIBAKE_CATEGORIES[name] for name in _CLASSES) + "ŒœÂÃÎÐ×ØÙà√≈‚Ђ€]"
# Begins with a plain class, so that the search runs over ASCII at full speed.
_CANDIDATE = re.compile(f"[^\x00-\x7f](?:(?<={_RISKY})[^\x00-\x7f]|{_RISKY}|(?<=[ŒœÃÂ]))")
_LINE_START = re.compile("^[ÃÂ] ", re.MULTILINE)  # the one sequence that counts only where a line begins
_LONGEST = 6  # characters of ftfy's longest sequence; none looks further than what it matches


def without_surrogates(text: str) -> str:
    """The text with the surrogates that JSON can spell as the characters they mean, lone ones as U+FFFD."""
    return fix_surrogates(text)


def repair(text: str) -> str:
    """The text with encoding damage mended and in NFC. Equal to `ftfy.fix_text(text, CONFIG)`."""
    if _untouched(text):
        return text
    # ftfy works line by line, so lines it would leave alone need not be shown to it.
    lines = text.splitlines(keepends=True) if "\n" in text and _only_newlines(text) else [text]
    return "".join(line if _untouched(line) else ftfy.fix_text(line, CONFIG) for line in lines)


def _only_newlines(text: str) -> bool:
    """True when `str.splitlines` cuts where ftfy does: at line feeds alone."""
    return len(text.splitlines()) == text.count("\n") + (not text.endswith("\n"))


def _untouched(text: str) -> bool:
    """True only if ftfy would return the text as it is."""
    if len(text) > CONFIG.max_decode_length:  # ftfy would cut it, and judge the pieces
        return False
    if text.isascii():
        encoded = text.encode()
        return len(encoded.translate(None, _ASCII_CONTROLS)) == len(encoded)
    if _TOUCHED.search(text) or not unicodedata.is_normalized("NFC", text):
        return False
    # Only the neighbourhood of a candidate can hold a sequence.
    windows = (text[max(0, found.start() - _LONGEST) : found.end() + _LONGEST] for found in _CANDIDATE.finditer(text))
    return not any(is_bad(window) or _LINE_START.search(window) for window in windows)
