"""A model's labels as codes of the language table.

Labels go by the table's columns, never by comparing codes: lid.176's "als" is Alemannic, our als_Latn is Tosk Albanian.
Probabilities of labels that mean the same code are added. Where a label leaves the script open, the characters decide:
`zh` and GlotLID's `cmn_Hani` are two of ours, `sr` and `uz` are listed in one of their two scripts only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from tokenizer.languages import LABELS, LANGUAGES
from transforms.datasets.ids import fingerprint
from transforms.langid.chinese import traditional_share

PREFIX = "__label__"

_CHINESE = "zho"  # writing not known yet
_TOLD = 8  # labels in a line
_SIMPLIFIED, _TRADITIONAL = "zho_Hans", "zho_Hant"
# Languages that lid.176 gives one label for two scripts, of which one is listed: code to the script that is not.
_OTHER_SCRIPT = {"srp_Cyrl": "Latn", "uzn_Latn": "Cyrl"}

_UNDECIDED = frozenset({_CHINESE, *_OTHER_SCRIPT})  # by their labels alone

_SCRIPTS = {"Latn": re.compile(r"[A-Za-z\u00c0-\u024f]"), "Cyrl": re.compile(r"[\u0400-\u052f]")}

# Names the rows of the language table that a layer depends on: labels and thresholds.
TABLE_FINGERPRINT = fingerprint(
    [[row.code, row.lid176, row.nllb, row.glotlid, row.lid_threshold] for row in LANGUAGES.values()]
)

Guess = Sequence[tuple[str, float]]
"""What a model says of a text: codes and probabilities, the best first, equal ones in order of code. Codes that are not
in the table are languages that are not listed. Of a short line more of them are told."""

SHORT_CHARS = 60  # of a short line, at most
VERY_SHORT_CHARS = 20


def codes_of(labels: Sequence[str]) -> Mapping[str, str]:
    """Labels of a model (as fastText gives them, with their prefix) that mean a language of the table, to its code.

    Raises ValueError when none does.
    """
    codes = {PREFIX + label: _meant(label) for label in labels if label in LABELS}
    if not codes:
        raise ValueError(
            f"none of its {len(labels)} labels ({', '.join(sorted(labels)[:5])} …) is a language of the table; labels "
            "must be like lid.176's (en) or like FLORES codes (eng_Latn)"
        )
    return codes


def _meant(label: str) -> str:
    rows = LABELS[label]
    return rows[0].code if len(rows) == 1 else rows[0].iso


def unknown(labels: Sequence[str]) -> Iterator[str]:
    """What to tell of a model's labels that mean no language of the table, a line each: their number and the first of
    them; then those that are the ISO 639-3 code of one, without a script or with another one."""
    outside = sorted(label for label in labels if label not in LABELS)
    if outside:
        yield f"{len(outside)} of its {len(labels)} labels are not in the table of {len(LANGUAGES)}: {_some(outside)}"
    codes = {row.iso: row.code for row in LANGUAGES.values()}
    near = [f"{label} ({codes[label[:3]]})" for label in outside if label[:3] in codes and label[3:4] in ("", "_")]
    if near:
        yield f"not taken for a language of the table, though like one: {_some(near)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_TOLD]) + (" …" if len(names) > _TOLD else "")


def guess(code_of: Mapping[str, str], labels: Sequence[str], probabilities: Sequence[float], line: str) -> Guess:
    """A model's best labels for a line, the best first, as codes."""
    if len(labels) == 1:  # as for most lines
        code, probability = code_of.get(labels[0], labels[0]), probabilities[0]
        if code not in _UNDECIDED:
            return ((code, probability if probability < 1.0 else 1.0),)
    codes = list(map(code_of.get, labels, labels))
    differ = len({*codes, *probabilities}) == 2 * len(codes)
    if differ and _UNDECIDED.isdisjoint(codes) and max(probabilities, default=0.0) <= 1.0:
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
