"""The language table: its columns, its traps, and its lid.176 labels against the real model on FLORES-200 sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tokenizer import languages
from tokenizer.languages import LABELS, LANGUAGES, Language, closest, language

DATA = Path(__file__).parents[2] / "shared" / "data"
MODEL = Path(__file__).parents[1] / "models" / "lid.176.ftz"

# The languages that lid.176 has no label for.
WITHOUT_LABEL = {
    "acm_Arab", "acq_Arab", "aeb_Arab", "apc_Arab", "ars_Arab", "ary_Arab", "awa_Deva", "ban_Latn",
    "bho_Deva", "bjn_Latn", "fao_Latn", "fur_Latn", "hne_Deva", "kea_Latn", "lij_Latn", "mag_Deva",
    "pag_Latn", "pap_Latn", "prs_Arab", "szl_Latn", "tpi_Latn",
}  # fmt: skip


def test_table_has_119_sorted_unique_rows() -> None:
    codes = list(LANGUAGES)
    assert len(codes) == 119
    assert codes == sorted(set(codes))
    assert len({row.name for row in LANGUAGES.values()}) == len({row.bcp47 for row in LANGUAGES.values()}) == 119
    assert all(row.code.partition("_")[2] == row.script for row in LANGUAGES.values())


def test_families_and_scripts_are_those_of_the_report() -> None:
    assert Counter(row.family for row in LANGUAGES.values()) == {
        "Indo-European": 67, "Austronesian": 12, "Afro-Asiatic": 10, "Other": 9, "Turkic": 6, "Sino-Tibetan": 4,
        "Dravidian": 4, "Uralic": 3, "Tai-Kadai": 2, "Austroasiatic": 2,
    }  # fmt: skip
    scripts = Counter(row.script for row in LANGUAGES.values())
    assert len(scripts) == 25
    assert (scripts["Latn"], scripts["Arab"], scripts["Cyrl"], scripts["Deva"]) == (65, 12, 10, 8)


def test_languages_without_spaces_count_characters() -> None:
    unspaced = {row.code for row in LANGUAGES.values() if row.word_split == "char"}
    assert unspaced == {
        "jpn_Jpan", "khm_Khmr", "lao_Laoo", "mya_Mymr", "tha_Thai", "yue_Hant", "zho_Hans", "zho_Hant",
    }  # fmt: skip


def test_labels_are_the_language_subtag_but_for_bokmal() -> None:
    for row in LANGUAGES.values():
        expected = "no" if row.code == "nob_Latn" else row.bcp47.partition("-")[0]
        assert row.lid176 in ("", expected), row
    assert {row.code for row in LANGUAGES.values() if not row.lid176} == WITHOUT_LABEL


def meant(label: str) -> list[str]:
    return [row.code for row in LABELS.get(label, ())]


def test_traps_of_lid176_labels() -> None:
    assert meant("sq") == ["als_Latn"]
    assert meant("no") == ["nob_Latn"]
    assert meant("arz") == ["arz_Arab"]
    assert meant("ar") == ["arb_Arab"]
    assert meant("yue") == ["yue_Hant"]
    # Alemannic, Bihari, Serbo-Croatian, and codes that lid.176 does not use.
    for absent in ("als", "bh", "sh", "nb", "nob", "arb", "cmn", "prs", ""):
        assert meant(absent) == []


@pytest.mark.parametrize(
    ("label", "codes"),
    [
        ("ekk_Latn", "est_Latn"),
        ("fil_Latn", "tgl_Latn"),
        ("ajp_Arab", "apc_Arab"),
        ("ara_Arab", "arb_Arab"),
        ("fas_Arab", "pes_Arab"),  # GlotLID's for Dari, too
        ("prs_Arab", "prs_Arab"),
        ("kor_Kore", "kor_Hang"),
        ("yue_Hani", "yue_Hant"),
        ("cmn_Hant", "zho_Hant"),
        ("cmn_Hani", "zho_Hans zho_Hant"),
        ("als_Latn", "als_Latn"),
        ("srp_Latn", ""),
        ("uzn_Cyrl", ""),
        ("gsw_Latn", ""),
        ("hbs_Latn", ""),
    ],
)
def test_labels_with_a_script(label: str, codes: str) -> None:
    assert meant(label) == codes.split()


def test_every_code_is_a_label_of_itself_alone() -> None:
    assert all(meant(code) == [code] for code in LANGUAGES)
    assert {row.code for row in LANGUAGES.values() if not row.glotlid} == {"acq_Arab"}


def test_only_the_writings_of_chinese_share_labels() -> None:
    shared = {label: meant(label) for label, rows in LABELS.items() if len(rows) > 1}
    assert shared == {label: ["zho_Hans", "zho_Hant"] for label in ("zh", "cmn_Hani", "zho_Hani")}


def test_sentence_enders() -> None:
    by_code = {code: row.sentence_enders for code, row in LANGUAGES.items()}
    assert by_code["eng_Latn"] == by_code["rus_Cyrl"] == by_code["heb_Hebr"] == by_code["lao_Laoo"] == ".!?…"
    assert {row.code for row in LANGUAGES.values() if not row.sentence_enders} == {"tha_Thai"}
    for code, enders in [
        ("zho_Hans", "。！？.!?"), ("jpn_Jpan", "。！？"), ("hin_Deva", "।॥.?"), ("ben_Beng", "।"), ("asm_Beng", "।৷"),
        ("ory_Orya", "।"), ("pan_Guru", "।"), ("khm_Khmr", "។៕"), ("mya_Mymr", "။"), ("urd_Arab", "۔؟."),
        ("arb_Arab", "؟."), ("hye_Armn", "։:"), ("ell_Grek", ";\u037e"),
    ]:  # fmt: skip
        assert set(enders) <= set(by_code[code]), code
    assert ";" not in by_code["eng_Latn"]


def test_sets_of_earlier_papers() -> None:
    qwen25 = {row.code for row in LANGUAGES.values() if row.qwen25}
    polylm = {row.code for row in LANGUAGES.values() if row.polylm}
    assert polylm == {
        "arb_Arab", "deu_Latn", "eng_Latn", "fra_Latn", "heb_Hebr", "ind_Latn", "ita_Latn", "jpn_Jpan", "kor_Hang",
        "nld_Latn", "pol_Latn", "por_Latn", "rus_Cyrl", "spa_Latn", "tha_Thai", "tur_Latn", "vie_Latn", "zho_Hans",
        "zho_Hant",
    }  # fmt: skip
    assert qwen25 - polylm == {
        "ben_Beng", "ceb_Latn", "ces_Latn", "hin_Deva", "khm_Khmr", "lao_Laoo", "mya_Mymr", "pes_Arab", "tgl_Latn",
        "urd_Arab", "zsm_Latn",
    }  # fmt: skip
    assert polylm <= qwen25
    assert (len({code[:3] for code in qwen25}), len({code[:3] for code in polylm})) == (29, 18)


def test_thresholds_lie_between_the_floor_and_one_half() -> None:
    assert {row.lid_threshold for row in LANGUAGES.values()} <= {0.3, 0.35, 0.4, 0.45, 0.5}


def test_unknown_code_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown language code 'swa_Latn'.*swh_Latn"):
        language("swa_Latn")
    assert closest("Swahili")[0] == "swh_Latn"
    assert closest("zh-Hans")[0] == "zho_Hans"
    assert closest("")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("code", "swh"), ("script", "Cyrl"), ("name", ""), ("family", ""), ("bcp47", "SW"), ("lid176", "swh_Latn"),
        ("nllb", ()), ("nllb", ("swh_Latn", "swa")), ("glotlid", ("swa_Arab",)), ("word_split", "words"),
        ("sentence_enders", ".a"), ("sentence_enders", ". "), ("sentence_enders", ".!."), ("sentence_enders", ".1"),
        ("lid_threshold", 30.0),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused(column: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"(?s)swh.*: {column} .* \(languages.tsv\)"):
        replace(language("swh_Latn"), **{column: value})  # type: ignore[arg-type]


def test_a_script_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="xxx_Abcd: script 'Abcd' is unknown"):
        Language("xxx_Abcd", "X", "Other", "Abcd", "x", "", ("xxx_Abcd",), (), "space", ".", 0.3, False, False)


def cell(row: int, column: str, value: str) -> Callable[[list[list[str]]], None]:
    def change(table: list[list[str]]) -> None:
        table[row][table[0].index(column)] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (cell(0, "nllb", "flores"), "the columns are"),
        (cell(1, "name", "Afrikaans"), "name 'Afrikaans' is in two rows"),
        (cell(1, "bcp47", "af"), "bcp47 'af' is in two rows"),
        (cell(1, "lid176", "af"), "label 'af' is of more than one language: acm_Arab, afr_Latn"),
        (cell(1, "glotlid", "acm_Arab arb_Arab"), "label 'arb_Arab' is of more than one language: acm_Arab, arb_Arab"),
        (cell(1, "qwen25", "yes"), "qwen25 names 30 languages; wanted 29"),
        (cell(1, "polylm", "no"), "acm_Arab: polylm 'no' is not 'yes' or empty"),
        (lambda table: table.insert(1, table.pop()), "not in order of their codes"),
        (lambda table: table.append(table[-1]), "code 'zsm_Latn' is in two rows"),
        (lambda table: table[5].pop(), "line 6 has 12 values"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, change: Callable[[list[list[str]]], None], says: str) -> None:
    text = Path(languages.__file__).with_name("languages.tsv").read_text("utf-8")
    table = [line.split("\t") for line in text.splitlines()]
    change(table)
    path = tmp_path / "languages.tsv"
    path.write_text("\n".join(map("\t".join, table)) + "\n", "utf-8")
    with pytest.raises(ValueError, match=says):
        languages._read_table(path)


@pytest.mark.skipif(not MODEL.exists(), reason="models/lid.176.ftz is not here (see the README)")
@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
def test_labels_agree_with_the_real_model_on_flores() -> None:
    """The sentences that are given a label come from the language it stands for, more than from any other."""
    fasttext = pytest.importorskip("fasttext")
    model = fasttext.load_model(str(MODEL))
    known = {label.removeprefix("__label__") for label in model.get_labels()}
    by_label = {row.lid176: LABELS[row.lid176] for row in LANGUAGES.values() if row.lid176}
    assert set(by_label) <= known
    votes: dict[str, Counter[str]] = {}
    for code in LANGUAGES:
        text = (DATA / "lid" / "flores-part-A" / f"{code}.txt").read_text(encoding="utf-8")
        lines = [line for line in text.split("\n") if line.strip()][:150]
        for labels in model.predict(lines)[0]:
            votes.setdefault(labels[0].removeprefix("__label__"), Counter())[code] += 1
    checked = 0
    for label, rows in by_label.items():
        counts = votes.get(label, Counter())
        if counts.total() >= 15:
            checked += 1
            own = max(counts[row.code] for row in rows)
            assert own >= 0.9 * max(counts.values()), (label, counts.most_common(3))
    assert checked >= 85
