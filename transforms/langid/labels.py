"""A model's labels as codes of the language table.

`lid.176`-style labels ("sq") go by the table's lid176 column, never by comparing codes (lid.176's "als" is Alemannic,
our als_Latn is Tosk Albanian); labels such as "als_Latn" (NLLB, GlotLID) are codes already. Probabilities of labels
that mean the same code are added. Where a label leaves the script open, the characters decide: `zh` is two of ours,
`sr` and `uz` are listed in one of their two scripts only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tokenizer.languages import LANGUAGES, LID176
from transforms.datasets.ids import fingerprint
from transforms.langid.chinese import traditional_share

PREFIX = "__label__"

_CHINESE = "zho"  # writing not known yet
_SIMPLIFIED, _TRADITIONAL = "zho_Hans", "zho_Hant"
# Languages of which one script is listed and another is common: code to the script that is not meant.
_OTHER_SCRIPT = {"srp_Cyrl": "Latn", "uzn_Latn": "Cyrl"}
# GlotLID's and NLLB's names for languages that our table writes otherwise.
_OTHER_NAMES = {
    "cmn_Hani": _CHINESE,
    "zho_Hani": _CHINESE,
    "yue_Hani": "yue_Hant",
    "ekk_Latn": "est_Latn",
    "fil_Latn": "tgl_Latn",
    "kor_Kore": "kor_Hang",
}

_UNDECIDED = frozenset({_CHINESE, *_OTHER_SCRIPT})  # by their labels alone

_SCRIPTS = {"Latn": re.compile(r"[A-Za-z\u00c0-\u024f]"), "Cyrl": re.compile(r"[\u0400-\u052f]")}

# Names the rows of the language table that a layer depends on: labels and thresholds.
TABLE_FINGERPRINT = fingerprint([[row.code, row.lid176, row.lid_threshold] for row in LANGUAGES.values()])

Guess = Sequence[tuple[str, float]]
"""What a model says of a text: codes and probabilities, the best first, equal ones in order of code. Codes that are not
in the table are languages that are not listed."""


def codes_of(labels: Sequence[str]) -> Mapping[str, str]:
    """Labels of a model (as fastText gives them, with their prefix) that mean a language of the table, to its code.

    Raises ValueError when none does.
    """
    codes: dict[str, str] = {}
    for label in labels:
        meant = LID176.get(label, ())
        of_lid176 = _CHINESE if len(meant) > 1 else meant[0].code if meant else None
        code = label if label in LANGUAGES else _OTHER_NAMES.get(label) or of_lid176
        if code:
            codes[PREFIX + label] = code
    if not codes:
        raise ValueError(
            f"none of its {len(labels)} labels ({', '.join(sorted(labels)[:5])} …) is a language of the table; labels "
            "must be like lid.176's (en) or like FLORES codes (eng_Latn)"
        )
    return codes


def guess(code_of: Mapping[str, str], labels: Sequence[str], probabilities: Sequence[float], line: str) -> Guess:
    """A model's best labels for a line, the best first, as codes."""
    if len(labels) == 1:  # as for most lines
        code, probability = code_of.get(labels[0], labels[0]), probabilities[0]
        if code not in _UNDECIDED:
            return ((code, probability if probability < 1.0 else 1.0),)
    codes = list(map(code_of.get, labels, labels))
    if _UNDECIDED.isdisjoint(codes) and len({*codes, *probabilities}) == 2 * len(codes) and max(probabilities) <= 1.0:
        return tuple(zip(codes, probabilities, strict=True))  # fastText has them in order
    totals: dict[str, float] = {}
    for code, probability in zip(codes, probabilities, strict=True):
        totals[code] = totals.get(code, 0.0) + probability
    if _CHINESE in totals:
        _give_writing(totals, line)
    for code in _OTHER_SCRIPT:
        if code in totals:
            _check_script(totals, code, line)
    return sorted(((code, min(total, 1.0)) for code, total in totals.items()), key=lambda item: (-item[1], item[0]))


def _give_writing(totals: dict[str, float], line: str) -> None:
    """Shares the probability of Chinese between its writings."""
    total = totals.pop(_CHINESE)
    traditional = traditional_share(line)
    for code, share in ((_SIMPLIFIED, 1 - traditional), (_TRADITIONAL, traditional)):
        totals[code] = totals.get(code, 0.0) + total * share


def _check_script(totals: dict[str, float], code: str, line: str) -> None:
    """Moves the probability of a language to its unlisted script when most of the line is in that."""
    other = _OTHER_SCRIPT[code]
    if len(_SCRIPTS[other].findall(line)) > len(_SCRIPTS[LANGUAGES[code].script].findall(line)):
        unlisted = f"{code.partition('_')[0]}_{other}"
        totals[unlisted] = totals.get(unlisted, 0.0) + totals.pop(code)
