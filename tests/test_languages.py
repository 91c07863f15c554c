"""The language table: its shape, its traps, and its lid.176 labels against the real model on FLORES-200 sentences."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tokenizer.languages import LANGUAGES, LID176, Language, closest, language

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


def test_label_traps() -> None:
    assert LID176["sq"] == (language("als_Latn"),)
    for absent in ("als", "bh", "sh", "nb", "arb", "cmn", "prs", ""):
        assert absent not in LID176
    assert [row.code for row in LID176["zh"]] == ["zho_Hans", "zho_Hant"]
    assert [label for label, rows in LID176.items() if len(rows) > 1] == ["zh"]


def test_thresholds_lie_between_the_floor_and_one_half() -> None:
    assert {row.lid_threshold for row in LANGUAGES.values()} <= {0.3, 0.35, 0.4, 0.45, 0.5}


def test_unknown_code_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown language code 'swa_Latn'.*swh_Latn"):
        language("swa_Latn")
    assert closest("Swahili")[0] == "swh_Latn"
    assert closest("zh-Hans")[0] == "zho_Hans"
    assert closest("")


def test_bad_row_is_refused() -> None:
    with pytest.raises(ValueError, match="word_split"):
        Language("xxx_Latn", "X", "Other", "Latn", "x", "", "words", 0.3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lid_threshold"):
        Language("xxx_Latn", "X", "Other", "Latn", "x", "", "space", 30.0)


@pytest.mark.skipif(not MODEL.exists(), reason="models/lid.176.ftz is not here; `make lid176` fetches it")
@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
def test_labels_agree_with_the_real_model_on_flores() -> None:
    """The sentences that are given a label come from the language it stands for, more than from any other."""
    fasttext = pytest.importorskip("fasttext")
    model = fasttext.load_model(str(MODEL))
    known = {label.removeprefix("__label__") for label in model.get_labels()}
    assert set(LID176) <= known
    votes: dict[str, Counter[str]] = {}
    for code in LANGUAGES:
        text = (DATA / "lid" / "flores-part-A" / f"{code}.txt").read_text(encoding="utf-8")
        lines = [line for line in text.split("\n") if line.strip()][:150]
        for labels in model.predict(lines)[0]:
            votes.setdefault(labels[0].removeprefix("__label__"), Counter())[code] += 1
    checked = 0
    for label, languages in LID176.items():
        counts = votes.get(label, Counter())
        if counts.total() >= 15:
            checked += 1
            own = max(counts[row.code] for row in languages)
            assert own >= 0.9 * max(counts.values()), (label, counts.most_common(3))
    assert checked >= 85
