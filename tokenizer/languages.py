"""The table of the 119 languages (Qwen3 technical report, appendix B): `languages.tsv`, and nothing else lists them.

`lid176` is the fastText lid.176 label that means the language, or empty: the model knows 98 of them. A label may stand
for more than its rows here, and must be checked against the row's script: `zh` is both Simplified and Traditional
Chinese, `sr` and `uz` are written in two scripts. Two traps: the label `als` is Alemannic, not Tosk Albanian (`sq`),
and `bh` covers several Bihari languages, so that it names none.

`lid_threshold` is the least confidence to accept: FineWeb-2's floor of 0.3, raised for labels that attract other
languages (more than 2% of a label's FLORES-200 sentences are of another language), to what keeps 95% of the sentences
of the language itself, at most 0.5.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

_TABLE = Path(__file__).with_name("languages.tsv")


@dataclass(frozen=True)
class Language:
    """A row of the table."""

    code: str  # ISO 639-3 and ISO 15924 script: swh_Latn
    name: str
    family: str
    script: str
    bcp47: str
    lid176: str  # label of the lid.176 model without its prefix; "" when it has none
    word_split: Literal["space", "char"]  # how words are counted: between spaces, or every character
    lid_threshold: float  # least confidence to accept, in [0, 1]

    def __post_init__(self) -> None:
        if self.word_split not in ("space", "char"):
            raise ValueError(f"{self.code}: word_split {self.word_split!r} is not 'space' or 'char' ({_TABLE.name})")
        if not 0.0 <= self.lid_threshold <= 1.0:
            raise ValueError(f"{self.code}: lid_threshold {self.lid_threshold} is not in [0, 1] ({_TABLE.name})")


def _read_table() -> Mapping[str, Language]:
    with _TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True))
    languages = [Language(**{**row, "lid_threshold": float(row["lid_threshold"])}) for row in rows]  # type: ignore[arg-type]
    return MappingProxyType({language.code: language for language in languages})


LANGUAGES: Mapping[str, Language] = _read_table()


def _by_label() -> Mapping[str, tuple[Language, ...]]:
    labels: dict[str, tuple[Language, ...]] = {}
    for row in LANGUAGES.values():
        if row.lid176:
            labels[row.lid176] = (*labels.get(row.lid176, ()), row)
    return MappingProxyType(labels)


LID176: Mapping[str, tuple[Language, ...]] = _by_label()
"""lid.176 label -> the languages it may mean, in order of code; more than one only for `zh`, told apart by script."""


def language(code: str) -> Language:
    """The language of a code. Raises ValueError that names the nearest codes."""
    found = LANGUAGES.get(code)
    if found is None:
        raise ValueError(
            f"unknown language code {code!r}: not in the table of {len(LANGUAGES)} ({_TABLE.name}); "
            f"nearest: {', '.join(closest(code))}"
        )
    return found


def language_name(code: str) -> str:
    """The name of a code for people; a code that is not in the table stays as it is."""
    return LANGUAGES[code].name if code in LANGUAGES else code


def closest(text: str) -> list[str]:
    """Up to three codes near to a mistyped code, a language's name, or a two-letter tag; never empty."""
    wanted = text.strip().replace("-", "_").casefold()
    names: dict[str, str] = {}
    for row in LANGUAGES.values():
        for name in (row.code, row.name, row.bcp47.replace("-", "_"), row.code.partition("_")[0]):
            names.setdefault(name.casefold(), row.code)
    near = difflib.get_close_matches(wanted, names, n=6, cutoff=0.0)
    return list(dict.fromkeys(names[name] for name in near))[:3]
