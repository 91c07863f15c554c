"""The table of the 119 languages (Qwen3 technical report, appendix B): `languages.tsv`, and nothing else lists them.

docs/languages.md explains its columns and their traps. The whole table is checked when it is read.
"""

from __future__ import annotations

import csv
import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Literal

_TABLE = Path(__file__).with_name("languages.tsv")

_SCRIPTS = {
    "Arab", "Armn", "Beng", "Cyrl", "Deva", "Geor", "Grek", "Gujr", "Guru", "Hang", "Hans", "Hant", "Hebr", "Jpan",
    "Khmr", "Knda", "Laoo", "Latn", "Mlym", "Mymr", "Orya", "Sinh", "Taml", "Telu", "Thai",
}  # fmt: skip
# Scripts that a model may name for one of ours: Han in either writing, Korean with its Han characters.
_WIDER = {"Hans": ("Hani",), "Hant": ("Hani",), "Hang": ("Kore",)}
_LABEL = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
_LID176_LABEL = re.compile(r"[a-z]{2,3}|")
_BCP47 = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3}|-[A-Z]{2})?")
_COUNTED = {"qwen25": 29, "polylm": 18}  # languages of earlier sets; Chinese is one of them, and two rows here


@dataclass(frozen=True)
class Language:
    """A row of the table."""

    code: str  # ISO 639-3 and ISO 15924 script: swh_Latn
    name: str
    family: str
    script: str
    bcp47: str
    lid176: str  # label of the lid.176 model without its prefix; "" when it has none
    nllb: tuple[str, ...]  # labels of FLORES, NLLB and OpenLID: the code, and what FLORES+ calls it since
    glotlid: tuple[str, ...]  # labels of GlotLID, of version 3 first; () when it has none
    word_split: Literal["space", "char"]  # how words are counted: between spaces, or every character
    sentence_enders: str  # characters that end a sentence; "" where a space does
    lid_threshold: float  # least confidence to accept of lid.176, in [0, 1]
    qwen25: bool  # one of the 29 languages of Qwen2 and Qwen2.5
    polylm: bool  # one of the 18 languages of PolyLM

    def __post_init__(self) -> None:
        self._must(bool(_LABEL.fullmatch(self.code)), "code", "is not ISO 639-3 and a script, such as swh_Latn")
        self._must(self.script == self.code[4:] and self.script in _SCRIPTS, "script", "is unknown, or not the code's")
        self._must(bool(self.name), "name", "is empty")
        self._must(bool(self.family), "family", "is empty")
        self._must(bool(_BCP47.fullmatch(self.bcp47)), "bcp47", "is not a tag such as sw or sr-Cyrl")
        self._must(bool(_LID176_LABEL.fullmatch(self.lid176)), "lid176", "is not two or three small letters")
        self._must(self.code in self.nllb, "nllb", "does not hold the code")
        for column in ("nllb", "glotlid"):
            for label in getattr(self, column):
                known = bool(_LABEL.fullmatch(label)) and label[4:] in self.scripts
                self._must(known, column, "holds what is no ISO 639-3 code with this script")
        self._must(self.word_split in ("space", "char"), "word_split", "is not 'space' or 'char'")
        enders = self.sentence_enders
        self._must(len(set(enders)) == len(enders), "sentence_enders", "names a character twice")
        self._must(all(map(_is_sign, enders)), "sentence_enders", "holds what is no punctuation")
        self._must(0.0 <= self.lid_threshold <= 1.0, "lid_threshold", "is not in [0, 1]")

    def _must(self, holds: bool, column: str, wrong: str) -> None:
        if not holds:
            raise ValueError(f"{self.code}: {column} {getattr(self, column)!r} {wrong} ({_TABLE.name})")

    @property
    def iso(self) -> str:
        """Its ISO 639-3 code: what two writings of one language share."""
        return self.code[:3]

    @property
    def scripts(self) -> tuple[str, ...]:
        """Its script, and how else a label or tag may call that."""
        return (self.script, *_WIDER.get(self.script, ()))


def _is_sign(character: str) -> bool:
    """No letter, mark, digit, space or control. The Assamese danda is often typed as a numerator, which is no digit."""
    kind = unicodedata.category(character)
    return kind[0] not in "LMZC" and kind != "Nd"


def _read_table(path: Path = _TABLE) -> Mapping[str, Language]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True))
    columns = [field.name for field in fields(Language)]
    if rows[0] != columns:
        raise ValueError(f"the columns are {', '.join(rows[0])}; wanted {', '.join(columns)} ({path.name})")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(columns):
            raise ValueError(f"line {number} has {len(row)} values; wanted {len(columns)} ({path.name})")
    languages = [_language(dict(zip(columns, row, strict=True))) for row in rows[1:]]
    _check(languages)
    return MappingProxyType({language.code: language for language in languages})


def _language(row: Mapping[str, str]) -> Language:
    flags: dict[str, bool] = {}
    for column in _COUNTED:
        if row[column] not in ("yes", ""):
            raise ValueError(f"{row['code']}: {column} {row[column]!r} is not 'yes' or empty ({_TABLE.name})")
        flags[column] = row[column] == "yes"
    labels = {column: tuple(row[column].split()) for column in ("nllb", "glotlid")}
    return Language(**{**row, **labels, **flags, "lid_threshold": float(row["lid_threshold"])})  # type: ignore[arg-type]


def _check(languages: Sequence[Language]) -> None:
    """What no row can see alone. Raises ValueError."""
    for column in ("code", "name", "bcp47"):
        values = Counter(getattr(language, column) for language in languages)
        if twice := [value for value, count in values.items() if count > 1]:
            raise ValueError(f"{column} {twice[0]!r} is in two rows ({_TABLE.name})")
    if [language.code for language in languages] != sorted(language.code for language in languages):
        raise ValueError(f"the rows are not in order of their codes ({_TABLE.name})")
    for label, meant in _by_label(languages).items():
        if len({language.iso for language in meant}) > 1:
            codes = ", ".join(language.code for language in meant)
            raise ValueError(f"label {label!r} is of more than one language: {codes} ({_TABLE.name})")
    for column, wanted in _COUNTED.items():
        found = len({language.iso for language in languages if getattr(language, column)})
        if found != wanted:
            raise ValueError(f"{column} names {found} languages; wanted {wanted} ({_TABLE.name})")


def _by_label(languages: Sequence[Language]) -> Mapping[str, tuple[Language, ...]]:
    found: dict[str, tuple[Language, ...]] = {}
    for language in languages:
        for label in dict.fromkeys((language.lid176, *language.nllb, *language.glotlid)):
            if label:
                found[label] = (*found.get(label, ()), language)
    return MappingProxyType(found)


LANGUAGES: Mapping[str, Language] = _read_table()

LABELS: Mapping[str, tuple[Language, ...]] = _by_label(list(LANGUAGES.values()))
"""A model's label (lid.176, NLLB, OpenLID, GlotLID) -> the languages it may mean, in order of code; more than one only
for Chinese, whose writings are told apart by characters."""


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
        for name in (row.code, row.name, row.bcp47.replace("-", "_"), row.iso):
            names.setdefault(name.casefold(), row.code)
    near = difflib.get_close_matches(wanted, names, n=6, cutoff=0.0)
    return list(dict.fromkeys(names[name] for name in near))[:3]


# A tag: language, script, region, and what else it says.
_TAG = re.compile(r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|[0-9]{3}))?((?:-[a-z0-9]{1,8})*)")
_LOCALE = re.compile(r"(?:-u(?:-[a-z0-9]{2,8})+)?")  # of calendars and such; other subtags may say what is written

# Other names of a language: deprecated subtags, macrolanguages, members that FLORES+ and GlotLID name, ISO 639-2 in
# both of its forms. Not here, as they name no single language: sh (hbs) and bh (bih).
_SAME = {
    "iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "fil": "tl", "no": "nb", "nor": "nb", "cmn": "zh",
    "zho": "zh", "srp": "sr", "ekk": "et", "ajp": "apc", "ara": "ar", "aze": "az", "fas": "fa", "lav": "lv",
    "msa": "ms", "nep": "ne", "ori": "or", "sqi": "sq", "swa": "sw", "uzb": "uz", "yid": "yi", "alb": "sq",
    "arm": "hy", "baq": "eu", "bur": "my", "chi": "zh", "cze": "cs", "dut": "nl", "fre": "fr", "geo": "ka",
    "ger": "de", "gre": "el", "ice": "is", "mac": "mk", "may": "ms", "per": "fa", "rum": "ro", "slo": "sk", "wel": "cy",
}  # fmt: skip

# Languages of which both writings are common: the tag's script says which, or its region, or nothing does.
_WRITING: Mapping[str, Mapping[str, str]] = {
    "zh": {"cn": "hans", "sg": "hans", "tw": "hant", "hk": "hant", "mo": "hant"},
    "sr": {},
}

# Macrolanguages: regions where the tag means a row, and no others. In a country that speaks Arabic, "ar" and the
# country is the standard language as well as the spoken one.
_VARIETY: Mapping[str, Mapping[str, str]] = {
    "ar": {"": "arb", "001": "arb"},
    "fa": {"": "pes", "ir": "pes", "af": "prs"},
    "sw": {"": "swh", "ke": "swh", "tz": "swh", "ug": "swh"},  # of Congo it is swc
}

# The variety that is spoken where a region leaves open whether it or the standard language is meant.
_SPOKEN: Mapping[str, Mapping[str, str]] = {
    "ar": {
        "eg": "arz", "iq": "acm", "jo": "apc", "lb": "apc", "ma": "ary", "ps": "apc", "sa": "ars", "sy": "apc",
        "tn": "aeb", "ye": "acq",
    },
}  # fmt: skip

# Regions where the language is written in another script than the row's (CLDR's likely subtags).
_ELSEWHERE = {
    "azj_Latn": {"ir", "iq", "ru"},
    "kaz_Cyrl": {"af", "cn", "ir", "mn"},
    "pan_Guru": {"pk"},
    "snd_Arab": {"in"},
    "tgk_Cyrl": {"pk"},
    "uzn_Latn": {"af", "cn"},
    "yue_Hant": {"cn"},
    "zsm_Latn": {"cc"},
}


def _by_subtag() -> Mapping[str, tuple[Language, ...]]:
    """Language subtag -> rows, by their BCP-47 tags and ISO 639-3 codes."""
    found: dict[str, tuple[Language, ...]] = {}
    for row in LANGUAGES.values():
        for subtag in dict.fromkeys((row.bcp47.partition("-")[0], row.iso)):
            found[subtag] = (*found.get(subtag, ()), row)
    return MappingProxyType(found)


_ROWS = _by_subtag()


def _read_tag(tag: str) -> tuple[list[Language], bool]:
    """The rows that it may mean, and whether it says which."""
    asked = tag.strip().replace("_", "-").lower()
    parts = _TAG.fullmatch({"zh-yue": "yue"}.get(asked, asked))
    if parts is None:
        return [], False
    language, script, region, rest = parts.groups("")
    language = _SAME.get(language, language)
    sure = bool(_LOCALE.fullmatch(rest))
    spoken = _SPOKEN.get(language, {}).get(region, "")
    if regions := _VARIETY.get(language):
        sure = sure and region in regions
        language = regions.get(region, regions[""])
    stated = script or _WRITING.get(language, {}).get(region, "")
    known = (*_ROWS.get(language, ()), *_ROWS.get(spoken, ()))
    rows = [row for row in known if not stated or stated.title() in row.scripts]
    if not stated:
        sure = sure and language not in _WRITING and not any(region in _ELSEWHERE.get(row.code, ()) for row in rows)
    return rows, sure and len(rows) == 1


def from_tag(tag: str) -> Language | None:
    """The row that a BCP-47 tag, an ISO 639 code or a code of the table names, in any case, with - or _; None where it
    names a language that is not listed, or leaves open which row is meant: it is not guessed.

    Regions are ignored, but for those that say another row or another writing.
    """
    rows, sure = _read_tag(tag)
    return rows[0] if rows and sure else None


def listed_by(name: str) -> list[Language]:
    """Rows that a name of a language which is no code of the table means, or may mean, as a tag: en, ekk_Latn, zh."""
    found = from_tag(name)
    return [found] if found else may_mean(name)


def may_mean(tag: str) -> list[Language]:
    """Rows that a tag may mean which leaves open which it does, as zh, sr and ar-EG do: the text has to say. None for a
    tag that names a row, or a language that is not listed."""
    rows, sure = _read_tag(tag)
    return [] if sure else rows
