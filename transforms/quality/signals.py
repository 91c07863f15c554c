"""What texts are like, as numbers: the signals that rules judge by.

All of it is numpy over the code points of a batch, a few passes whatever the texts hold. A token is a word (a run of
letters, digits and marks), or in languages without spaces between words a single letter or digit with its marks. An
n-gram is _TOP or _REPEATED tokens: of letters more than of words, since five letters are two or three words there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tokenizer.languages import LANGUAGES
from transforms.quality import characters
from transforms.quality.characters import DIGIT, KIND_BITS, LETTER, MARK, NEWLINE, NUM_SCRIPTS, OTHER, SYMBOL
from transforms.quality.hashes import Hashed, Hashes, keys_of, ngram_hashes
from transforms.quality.lexicon import Lexicon
from transforms.quality.prose import Prose, prose_of

_READ = 1 << 18  # characters of a text that are read: what it is like shows in fewer, and memory is bounded
_TOP = (2, 4)  # tokens of an n-gram that is counted by itself: words, letters
_REPEATED = (5, 10)  # tokens of one that is counted as seen before
_ENCODED_RUN = 50  # letters and digits without a break that no word has
_MOST_SLASHES, _LEAST_DIGITS = 1 / 20, 1 / 25  # of such a run

SIGNALS = (
    "characters",  # of the whole text
    "prose",  # characters of its prose, but for white space: what most shares are of
    "words",
    "mean_word_length",
    "letter_share",
    "script_share",  # of the letters
    "symbol_share",
    "url_share",  # of the text without its code
    "code_share",  # of the text
    "encoded_share",  # of the prose
    "duplicate_line_share",  # characters of lines that stood before, of those of all lines
    "duplicate_paragraph_share",
    "top_ngram_share",  # the most frequent n-gram, of all; 0 when none occurs twice
    "duplicate_ngram_share",  # n-grams that occurred before, of all
    "sentence_end_share",  # lines that end as sentences of the language do
    "stop_word_share",  # of the tokens
    "boilerplate_share",  # n-grams that are phrases of menus and footers, of all; 0 when fewer than three differ
)

SCORE = "score"
"""What a classifier adds to the signals."""

MEASURED = (
    "letter_share", "script_share", "symbol_share", "mean_word_length", "top_ngram_share", "duplicate_ngram_share",
    "stop_word_share",
)  # fmt: skip
"""Signals of which reference texts of a language say what is usual in it."""

Signals = Mapping[str, npt.NDArray[np.float64]]
"""By name of SIGNALS, an array over texts; NaN where a text has no such number: a share of nothing, words of a language
without spaces, stop words of a language without a list."""


def signals(texts: Sequence[str], languages: Sequence[str | None], lexicon: Lexicon) -> Signals:
    """The signals of texts. languages: a code of the table for each, or None: then what is said of the language is NaN.

    Memory: about 60 bytes a character that is read.
    """
    proses = [prose_of(text[:_READ]) for text in texts]
    batch = _Batch.of(proses, languages)
    read = batch.kinds_of[:, OTHER:].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {
            "characters": np.array([len(text) for text in texts], dtype=np.float64),
            "prose": read.astype(np.float64),
            "letter_share": batch.kinds_of[:, [LETTER, MARK]].sum(axis=1) / read,
            "symbol_share": batch.kinds_of[:, SYMBOL] / read,
            **_code_and_urls(texts, proses),
            "encoded_share": _encoded(batch) / read,
            "script_share": _in_script(batch),
            **_words(batch),
            **_lines(batch),
            **_ngrams(batch, lexicon),
        }
    return {name: found[name] for name in SIGNALS}


def words_of(text: str, language: str) -> set[str]:
    """The tokens of a text, in small letters. language: a code of the table."""
    batch = _Batch.of([prose_of(text[:_READ])], [language])
    spans = zip(batch.begins.tolist(), batch.ends.tolist(), strict=True)
    letters = batch.codes.astype("<u4").tobytes().decode("utf-32-le")
    return {letters[begin:end] for begin, end in spans}


@dataclass(frozen=True)
class _Batch:
    """N texts of C characters in all, in small letters, a new line behind each; T tokens."""

    size: int  # N
    languages: Sequence[str | None]
    codes: npt.NDArray[np.uint32]  # (C,)
    kinds: npt.NDArray[np.uint8]  # (C,) with flags
    text_of: npt.NDArray[np.int32]  # (C,)
    hashed: Hashed
    kinds_of: npt.NDArray[np.int64]  # (N, 8) characters by kind
    scripts_of: npt.NDArray[np.int64]  # (N, NUM_SCRIPTS)
    unspaced: npt.NDArray[np.bool_]  # (N,)
    begins: npt.NDArray[np.int64]  # (T,) of tokens
    ends: npt.NDArray[np.int64]  # (T,) behind their last characters
    tokens: npt.NDArray[np.uint64]  # (T,) hashes
    token_text: npt.NDArray[np.int32]  # (T,)

    @staticmethod
    def of(proses: Sequence[Prose], languages: Sequence[str | None]) -> _Batch:
        size = len(proses)
        lower = [prose.text.lower() for prose in proses]
        codes = np.frombuffer("".join(f"{text}\n" for text in lower).encode("utf-32-le"), dtype=np.uint32)
        lengths = np.array([len(text) + 1 for text in lower], dtype=np.int64)
        text_of = np.repeat(np.arange(size, dtype=np.int32), lengths)
        kinds = characters.kinds()[codes]
        bare = kinds & np.uint8(KIND_BITS)
        kinds_of = np.bincount((text_of << 3) | bare, minlength=8 * size).reshape(size, 8)
        kinds_of[:, NEWLINE] -= 1
        script = characters.scripts()[codes]
        scripts_of = np.bincount(text_of * NUM_SCRIPTS + script, minlength=NUM_SCRIPTS * size)
        scripts_of = scripts_of.reshape(size, NUM_SCRIPTS)
        unspaced = _unspaced(languages, scripts_of)
        begins, ends = _tokens(bare, unspaced, text_of)
        hashed = Hashed.of(codes)
        return _Batch(
            size, languages, codes, kinds, text_of, hashed, kinds_of, scripts_of, unspaced, begins, ends,
            _token_hashes(codes, kinds, hashed, begins, ends), text_of[begins],
        )  # fmt: skip


def _unspaced(languages: Sequence[str | None], scripts_of: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(N,) whether words are written without spaces: by the language, or by the script where that is not known."""
    by_script = 2 * scripts_of[:, characters.scripts_of(*characters.UNSPACED)].sum(axis=1) > scripts_of[:, 1:].sum(
        axis=1
    )
    return np.array(
        [
            bool(by_script[number]) if code is None else LANGUAGES[code].word_split == "char"
            for number, code in enumerate(languages)
        ],
        dtype=np.bool_,
    )


def _tokens(
    kinds: npt.NDArray[np.uint8], unspaced: npt.NDArray[np.bool_], text_of: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where tokens begin and end."""
    within = kinds >= MARK
    begin = within.copy()
    begin[1:] &= ~within[:-1]
    if unspaced.any():
        begin |= (kinds >= DIGIT) & unspaced[text_of]
    goes_on = np.zeros_like(within)
    goes_on[:-1] = within[1:] & ~begin[1:]
    return np.flatnonzero(begin), np.flatnonzero(within & ~goes_on) + 1


def _token_hashes(
    codes: npt.NDArray[np.uint32],
    kinds: npt.NDArray[np.uint8],
    hashed: Hashed,
    begins: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> Hashes:
    """Of each token without its vowel points: a word is the same with and without them."""
    points = kinds & np.uint8(characters.POINTS) > 0
    if not points.any():
        return hashed.of_spans(begins, ends)
    bare = np.concatenate([np.zeros(1, np.int64), np.cumsum(~points)])  # places in what is left
    return Hashed.of(codes[~points]).of_spans(bare[begins], bare[ends])


def _code_and_urls(texts: Sequence[str], proses: Sequence[Prose]) -> dict[str, npt.NDArray[np.float64]]:
    length = np.array([min(len(text), _READ) for text in texts], dtype=np.float64)
    code, urls = (np.array([prose[place] for prose in proses], dtype=np.float64) for place in (1, 2))
    return {"code_share": code / length, "url_share": urls / (length - code)}


def _in_script(batch: _Batch) -> npt.NDArray[np.float64]:
    expected = np.zeros((batch.size, NUM_SCRIPTS), dtype=np.bool_)
    for number, code in enumerate(batch.languages):
        if code is not None:
            expected[number] = _script_of(code)
    shares = (batch.scripts_of * expected).sum(axis=1) / batch.scripts_of[:, 1:].sum(axis=1)
    return np.where(expected.any(axis=1), shares, np.nan)


@lru_cache(maxsize=len(LANGUAGES))
def _script_of(code: str) -> npt.NDArray[np.bool_]:
    return characters.scripts_of(LANGUAGES[code].script)


def _words(batch: _Batch) -> dict[str, npt.NDArray[np.float64]]:
    words = np.bincount(batch.token_text, minlength=batch.size).astype(np.float64)
    lengths = np.bincount(batch.token_text, weights=batch.ends - batch.begins, minlength=batch.size)
    words[batch.unspaced] = np.nan
    return {"words": words, "mean_word_length": lengths / words}


def _encoded(batch: _Batch) -> npt.NDArray[np.float64]:
    """(N,) characters of long runs of letters and digits, both of them: base64, hexadecimal numbers, keys. Of base64
    one in 64 is a slash and ten are digits; paths have more of the one and few of the others."""
    breaks = np.flatnonzero(batch.kinds & np.uint8(characters.ENCODES) == 0)  # a text ends with one
    starts = np.concatenate([np.zeros(1, np.int64), breaks[:-1] + 1])
    found = np.zeros(batch.size)
    for run in np.flatnonzero(breaks - starts >= _ENCODED_RUN):
        span = slice(starts[run], breaks[run])
        kinds = batch.kinds[span] & KIND_BITS
        slashes, digits = np.count_nonzero(batch.codes[span] == ord("/")), np.count_nonzero(kinds == DIGIT)
        is_path = slashes > 1 + len(kinds) * _MOST_SLASHES or digits < len(kinds) * _LEAST_DIGITS
        if (kinds == LETTER).any() and not is_path:
            found[batch.text_of[starts[run]]] += len(kinds)
    return found


def _lines(batch: _Batch) -> dict[str, npt.NDArray[np.float64]]:
    bare = batch.kinds & np.uint8(KIND_BITS)
    written = np.flatnonzero(bare >= OTHER)
    behind = np.searchsorted(written, np.flatnonzero(bare == NEWLINE))  # characters before each line's end
    before = np.concatenate([np.zeros(1, behind.dtype), behind[:-1]])
    lines = np.flatnonzero(behind > before)  # those with something on them
    first, last = written[before[lines]], written[behind[lines] - 1]
    text_of = batch.text_of[first]
    opens = np.ones(len(lines), dtype=np.bool_)  # whether a line begins a paragraph: a blank one is above it
    opens[1:] = (np.diff(lines) > 1) | (np.diff(text_of) > 0)
    ends = np.concatenate([opens[1:], np.ones(min(1, len(lines)), dtype=np.bool_)])
    return {
        "duplicate_line_share": _duplicate(batch, first, last + 1),
        "duplicate_paragraph_share": _duplicate(batch, first[opens], last[ends] + 1),
        "sentence_end_share": _sentence_ends(batch, first, last),
    }


def _duplicate(batch: _Batch, first: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(N,) the share of characters that are in spans which stood before in their text."""
    text_of, lengths = batch.text_of[first], (end - first).astype(np.float64)
    keys = keys_of(text_of, batch.hashed.of_spans(first, end))
    once = np.unique(keys, return_index=True)[1]
    whole, different = (
        np.bincount(text_of[rows], weights=lengths[rows], minlength=batch.size) for rows in (slice(None), once)
    )
    return 1 - different / whole


def _sentence_ends(batch: _Batch, first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    for _ in range(4):  # quotes and brackets behind the end of a sentence
        last = last - ((batch.kinds[last] & np.uint8(characters.CLOSES) > 0) & (last > first))
    text_of = batch.text_of[first]
    lines = np.bincount(text_of, minlength=batch.size)
    enders = [LANGUAGES[code].sentence_enders if code else "" for code in batch.languages]
    sets = {ends: number for number, ends in enumerate(dict.fromkeys(enders))}
    known = np.array([number << 21 | ord(end) for ends, number in sets.items() for end in ends], dtype=np.int64)
    set_of = np.array([sets[ends] for ends in enders], dtype=np.int64)
    ended = np.isin(set_of[text_of] << 21 | batch.codes[last], known)
    shares = np.bincount(text_of, weights=ended, minlength=batch.size) / lines
    return np.where(np.array([bool(ends) for ends in enders], dtype=np.bool_), shares, np.nan)


def _ngrams(batch: _Batch, lexicon: Lexicon) -> dict[str, npt.NDArray[np.float64]]:
    number = np.bincount(batch.token_text, minlength=batch.size)
    found = {
        "top_ngram_share": np.full(batch.size, np.nan),
        "duplicate_ngram_share": np.full(batch.size, np.nan),
        "boilerplate_share": np.full(batch.size, np.nan),
        "stop_word_share": lexicon.stop_words(batch.tokens, batch.token_text, batch.languages) / number,
    }
    for kind, chosen in enumerate((~batch.unspaced, batch.unspaced)):
        if not chosen.any():
            continue
        of_kind = chosen[batch.token_text]
        tokens, text_of = batch.tokens[of_kind], batch.token_text[of_kind]
        top, top_text = ngram_hashes(tokens, text_of, _TOP[kind])
        most, _, all_of_them = _counts(top, top_text, batch.size)
        found["top_ngram_share"][chosen] = (np.where(most > 1, most, 0) / all_of_them)[chosen]
        found["boilerplate_share"][chosen] = (lexicon.boilerplate(top, top_text, batch.size) / all_of_them)[chosen]
        _, different, all_of_them = _counts(*ngram_hashes(tokens, text_of, _REPEATED[kind]), batch.size)
        found["duplicate_ngram_share"][chosen] = (1 - different / all_of_them)[chosen]
    return found


def _counts(
    hashes: npt.NDArray[np.uint64], text_of: npt.NDArray[np.int32], size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(N,) each: how often the most frequent one occurs in a text, how many differ, how many there are."""
    keys = np.sort(keys_of(text_of, hashes))
    runs = np.flatnonzero(np.concatenate([np.ones(min(1, len(keys)), np.bool_), keys[1:] != keys[:-1]]))
    run_text = text_of[runs]  # sorting leaves each text's where they were
    most = np.zeros(size, dtype=np.int64)
    if len(runs):
        starts = np.flatnonzero(np.concatenate([np.ones(1, np.bool_), np.diff(run_text) > 0]))
        most[run_text[starts]] = np.maximum.reduceat(np.diff(runs, append=len(keys)), starts)
    return most, np.bincount(run_text, minlength=size), np.bincount(text_of, minlength=size)
