"""Languages as people state them: a tag names one row of the table, leaves open which, or names none."""

from __future__ import annotations

import pytest

from tokenizer.languages import LANGUAGES, from_tag, may_mean

# Rows whose ISO 639 code alone leaves their writing open.
OPEN = {"srp_Cyrl", "zho_Hans", "zho_Hant"}
LEFT_OPEN = (
    "zh zho cmn zh-US zh-Hani cmn_Hani zh-min-nan yue-CN sr sr-RS ar-EG ar-SA ar-Arab-EG fa-TJ sw-CD pa-PK az-IR kk-CN "
    "uz-AF sd-IN en-fonipa de-1996 en-x-mine ru-t-en"
)
UNLISTED = "sh hbs bh bih sr-Latn srp_Latn uz-Cyrl ar-Latn hi-Latn gsw la hyw und mul zxx x-mine i-klingon"
NO_TAGS = ("english", "e", "", " ", "-", "en_", "en--US", "12", "en US", "zh\u0131")


@pytest.mark.parametrize("form", [str, str.lower, str.upper, lambda code: f" {code} "])
def test_codes_and_tags_of_the_table_name_their_rows_in_any_form(form: type[str]) -> None:
    for row in LANGUAGES.values():
        for tag in (row.code, row.code.replace("_", "-"), row.bcp47, row.bcp47.replace("-", "_")):
            assert from_tag(form(tag)) is row, tag


def test_iso_639_codes_name_their_rows_but_for_open_writings() -> None:
    for row in LANGUAGES.values():
        assert (from_tag(row.iso) is None) is (row.code in OPEN), row
        assert (row in may_mean(row.iso)) is (row.code in OPEN), row


@pytest.mark.parametrize(
    ("code", "tags"),
    {
        "eng_Latn": "en-US en-Latn-US en-US-u-ca-gregory", "por_Latn": "pt-BR", "spa_Latn": "es-419",
        "deu_Latn": "de_CH ger",
        "zho_Hans": "zh-CN zh-SG cmn-Hans zh-Hans-HK", "zho_Hant": "zh-TW zh-HK zh-MO zh-Hant-CN zho-TW",
        "yue_Hant": "yue yue-HK zh-yue yue_Hani", "nob_Latn": "no nor no-NO nb-NO", "nno_Latn": "nn-NO",
        "srp_Cyrl": "sr-Cyrl-RS", "heb_Hebr": "iw he-IL", "ind_Latn": "in", "ydd_Hebr": "ji", "jav_Latn": "jw",
        "ron_Latn": "mo ro-MD", "tgl_Latn": "fil fil-PH", "swh_Latn": "swa sw-KE", "als_Latn": "als sq sqi",
        "arb_Arab": "ar ar-001 ara arb-EG", "arz_Arab": "arz arz-EG", "apc_Arab": "apc ajp",
        "pes_Arab": "fa fa-IR per pes", "prs_Arab": "fa-AF fa-Arab-AF prs", "pan_Guru": "pa-IN pa-Guru-PK",
        "kor_Hang": "ko-Kore ko-KR", "uzn_Latn": "uz uz-UZ", "azj_Latn": "az", "est_Latn": "ekk", "min_Latn": "min",
    }.items(),
)  # fmt: skip
def test_tags_that_name_a_row(code: str, tags: str) -> None:
    for tag in tags.split():
        assert from_tag(tag) is LANGUAGES[code], tag
        assert not may_mean(tag), tag


def test_tags_that_leave_open_which_row() -> None:
    for tag in LEFT_OPEN.split():
        assert from_tag(tag) is None, tag
        assert may_mean(tag), tag
    spoken = {"eg": "arz", "iq": "acm", "lb": "apc", "MA": "ary", "SA": "ars", "TN": "aeb", "YE": "acq"}
    for region, code in spoken.items():
        assert [row.iso for row in may_mean(f"ar-{region}")] == ["arb", code]
    assert not may_mean("ar-Latn-EG")


def test_tags_of_no_row() -> None:
    for tag in (*UNLISTED.split(), *NO_TAGS):
        assert from_tag(tag) is None, tag
        assert not may_mean(tag), tag
