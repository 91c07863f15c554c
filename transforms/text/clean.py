"""Unicode repair: damage is mended, style is left alone.

`repair(text)` equals `ftfy.fix_text(text, CONFIG)`, byte for byte, but gets there without running ftfy on text that
ftfy would leave as it is or only normalise, which is nearly all of it. Why the short way is exact is said beside each
test it makes; tests/test_clean.py holds its tables against ftfy's and compares the two on generated and on real text.
One thing is ours: runs of marks are bounded before each normalisation (`stream_safe`), so that it takes linear time.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

import ftfy
from ftfy.badness import MOJIBAKE_CATEGORIES, is_bad
from ftfy.fixes import (
    fix_c1_controls,
    fix_line_breaks,
    fix_surrogates,
    remove_control_chars,
    remove_terminal_escapes,
)

from transforms.text.stream_safe import stream_safe

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
_FIXERS = (
    *(ftfy.fix_encoding, fix_c1_controls, fix_line_breaks),
    *(fix_surrogates, remove_terminal_escapes, remove_control_chars),
)


def _members(*categories: str) -> str:
    """The characters of ftfy's categories, as the inside of a class."""
    return "".join(MOJIBAKE_CATEGORIES[category] for category in categories)


# Every character that a fixer other than fix_encoding touches (C1 controls trouble fix_encoding as well).
_ASCII_CONTROLS = bytes([*range(0x09), 0x0B, 0x0D, *range(0x0E, 0x20), 0x7F])
_TOUCHED = "\x00-\x08\x0b\x0d-\x1f\x7f-\x9f\u2028\u2029\u206a-\u206f\ufff9-\ufffc\ufeff\ud800-\udfff"

# fix_encoding leaves a text alone unless ftfy.badness finds a suspicious sequence. Each of its alternatives holds a C1
# control (touched, above), one of these pairs of neighbours, Œ or œ before no ASCII letter, or Ã or Â before a space.
_LETTERS = _members("lower_accented", "upper_accented")
_LOWER, _UPPER, _BOX, _BAD = (_members(name) for name in ("lower_accented", "upper_accented", "box", "bad"))
_START, _END, _CURRENCY = (_members(name) for name in ("start_punctuation", "end_punctuation", "currency"))
_NUMERIC, _LAW = _members("numeric"), _members("law")
_PAIRS = (
    (_LETTERS + _BOX + _START + _END + _CURRENCY + _NUMERIC + _LAW + _members("lower_common", "upper_common"), _BAD),
    (_BAD, _LETTERS + _BAD + _BOX + _START + _END + _CURRENCY + _NUMERIC + _LAW),
    (_LOWER + _members("lower_common") + _BOX + _END + _CURRENCY + _NUMERIC, _UPPER),
    (_BOX + _END + _CURRENCY + _NUMERIC, _LOWER),
    (_LETTERS + _BOX + _END, _CURRENCY),
    (_UPPER + _BOX, _NUMERIC + _LAW + "°"),
    (_LETTERS + _BOX + _END + _CURRENCY + _NUMERIC, _START),
    (_LETTERS + _BOX + _CURRENCY + _NUMERIC + _LAW, _END),
    (_LETTERS + _START + _END + _CURRENCY + _NUMERIC + _LAW, _BOX),
    (_BOX, _members("kaomoji")),
    # Single characters that begin UTF-8 sequences in some encoding, before what continues them.
    ("ÂÃÎÐØÙ", _members("common") + _BAD + _START + _END + _CURRENCY + _NUMERIC + "°ŒœŠšŸŽž"),
    ("×à", _NUMERIC),
    ("√≈", _BAD + _END + _CURRENCY + _NUMERIC + "´°ø"),
    ("‚", "Äâó"),
    ("вГ", "Ђў"),
    ("ВГРСΒΓΞΟβ", _BAD + _START + _END + _CURRENCY + "°µ"),
)
_FIRST = "".join(first for first, _ in _PAIRS)
_SECOND = "".join(second for _, second in _PAIRS)

# Begins with one class, so that the search passes over all other characters at full speed.
_SUSPECT = re.compile(
    f"[{_TOUCHED}{_SECOND}ŒœÃÂ](?:"
    f"(?<=[{_FIRST}].)(?:{'|'.join(f'(?<=[{first}][{second}])' for first, second in _PAIRS)})"
    f"|(?<=[Œœ])(?![A-Za-z])|(?<=[ÃÂ])(?= )|(?<=[{_TOUCHED}]))"
)
_AROUND = 6  # a sequence has at most 7 characters, and ftfy looks at nothing beyond it
# Enough by itself. ftfy judges lines one by one, so its sequence at the start of a text is one at the start of a line.
_CERTAIN = re.compile(f"[{_TOUCHED}]|^[ÃÂ] ", re.MULTILINE)


def _harmless(codes: Iterable[int]) -> Iterator[str]:
    """The characters that ftfy leaves alone between any two ASCII characters that it leaves alone.

    They are not touched; a pair, which has no ASCII in it, they cannot make; and they are in NFC and join nothing. In
    the blocks of _HARMLESS only marks join what stands before them (elsewhere, Korean vowels do).
    """
    special = re.compile(f"[{_TOUCHED}ŒœÃÂ]")
    for character in map(chr, codes):
        mark = unicodedata.category(character).startswith("M")
        if not mark and not special.match(character) and unicodedata.is_normalized("NFC", character):
            yield character


# In UTF-8: the letters of Europe and Greece, punctuation and symbols, emoji.
_HARMLESS = frozenset(
    character.encode()
    for character in _harmless([*range(0xA0, 0x400), *range(0x2000, 0x2C00), *range(0x1F300, 0x1FB00)])
)
_ASCII_TO_SPACE = bytes.maketrans(
    bytes(range(0x80)), bytes(0 if code in _ASCII_CONTROLS else ord(" ") for code in range(0x80))
)
# ftfy cuts what is longer than a line may be.
_LINE = re.compile(f"[^\n]{{0,{CONFIG.max_decode_length - 1}}}+\n|[^\n]{{1,{CONFIG.max_decode_length}}}+")


# Characters that show nothing though their category says letter, symbol or mark: fillers, and the blank of Braille.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def is_blank(text: str) -> bool:
    """Whether nobody can see anything of a text: separators, controls and format characters alone (Unicode's categories
    Z and C, of which U+200B is one), or fillers."""
    begins = text[:1]
    if begins.isascii() and begins.isalnum():  # nearly all do
        return False
    return all(unicodedata.category(character)[0] in "ZC" or character in _FILLERS for character in text)


def without_surrogates(text: str) -> str:
    """The text with the surrogates that JSON can spell as the characters they mean, lone ones as U+FFFD."""
    return fix_surrogates(text)


def repair(text: str) -> str:
    """The text mended and in NFC. Equal to `ftfy.fix_text(text, CONFIG)`, but for long runs of marks."""
    if (quick := _quick(text)) is not None:
        return quick
    # ftfy works line by line, so lines that it need not see are not shown to it.
    lines = _LINE.findall(text)
    return "".join(_by_ftfy(line) if (quick := _quick(line)) is None else quick for line in lines)


def _by_ftfy(line: str) -> str:
    """What `ftfy.fix_text` does, in its order, but for the bound: its fixers may make a run of marks or join two."""
    while True:
        fixed = line
        for fix in _FIXERS:
            fixed = fix(fixed)
        fixed = unicodedata.normalize("NFC", stream_safe(fixed))
        if fixed == line:
            return line
        line = fixed


def _quick(text: str) -> str | None:
    """What ftfy makes of a text, or None where only ftfy can say."""
    if len(text) > CONFIG.max_decode_length:  # ftfy would cut it, and judge the pieces
        return None
    if text.isascii():
        encoded = text.encode()
        return text if len(encoded.translate(None, _ASCII_CONTROLS)) == len(encoded) else None
    if not (parts := _doubtful(text)):
        return text
    if _SUSPECT.search(parts) and _suspicious(text):
        return None
    if stream_safe(parts) != parts:
        text = stream_safe(text)
    if unicodedata.is_normalized("NFC", text):
        return text
    # ftfy comes to normalisation with the text unchanged, and then begins again.
    normal = unicodedata.normalize("NFC", text)
    return None if _suspicious(normal) else normal


def _doubtful(text: str) -> str:
    """The parts of a text between ASCII, each once, or nothing if all are single harmless characters.

    A suspect in the text is one in a part: it depends on its neighbours there and, for Œ œ Ã Â, on the character that
    follows; the space in its place makes all four suspects.
    """
    encoded = text.encode("utf-8", "surrogatepass")
    if 4 * len(encoded) > 5 * len(text):  # mostly not ASCII: there is little to pass over
        return text
    parts = encoded.translate(_ASCII_TO_SPACE).split()
    if _HARMLESS.issuperset(parts):
        return ""
    return b" ".join([*dict.fromkeys(parts), b""]).decode("utf-8", "surrogatepass")


def _suspicious(text: str) -> bool:
    """False only if no fixer but normalisation touches the text. A sequence is never far from a suspect."""
    windows = (text[max(0, found.start() - _AROUND) : found.end() + _AROUND] for found in _SUSPECT.finditer(text))
    return any(_CERTAIN.search(window) or is_bad(window) for window in windows)
