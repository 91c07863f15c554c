"""Figures of language identification: right numbers by hand, and what holds of all counts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import reduce

import pytest

from tokenizer.languages import LANGUAGES
from transforms.datasets.fates import Reason
from transforms.langid.evaluate import GROUPS, WHOLE, Measured, Scores, measure, score
from transforms.langid.verdict import Detected

EN, FR, DE, NO = "eng_Latn", "fra_Latn", "deu_Latn", None

# Truth: what was told, text by text.
TOLD = {
    EN: [EN, EN, EN, FR],
    FR: [FR, EN, NO],
    DE: [FR, FR, EN],
    "gsw_Latn": [DE, DE, NO, FR],
    "und": [NO],
}


def scores(told: dict[str, list[str | None]] = TOLD) -> Scores:
    truths = [label for label, found in told.items() for _ in found]
    return score(truths, [code for found in told.values() for code in found])


def test_figures_of_a_language_are_those_counted_by_hand() -> None:
    found = scores()
    english, french, german = (found.of(code) for code in (EN, FR, DE))
    assert (english.texts, english.told, english.right) == (4, 5, 3)
    assert (english.precision, english.recall, english.f1) == (3 / 5, 3 / 4, pytest.approx(2 / 3))
    assert (french.texts, french.told, french.right) == (3, 4, 1)
    assert (french.precision, french.recall, french.f1) == (1 / 4, 1 / 3, pytest.approx(2 / 7))
    assert (german.texts, german.told, german.right) == (3, 0, 0)
    assert (german.precision, german.recall, german.f1) == (None, 0.0, 0.0)
    spanish = found.of("spa_Latn")
    assert (spanish.texts, spanish.precision, spanish.recall, spanish.f1) == (0, None, None, 0.0)
    assert found.macro_f1() == pytest.approx((2 / 3 + 2 / 7 + 0) / 3)
    assert found.macro_f1(without=[DE, "spa_Latn"]) == pytest.approx((2 / 3 + 2 / 7) / 2)
    assert found.macro_f1(without=[EN, FR, DE]) is None


def test_texts_of_other_languages_make_false_positives_and_no_precision() -> None:
    found = scores()
    assert (found.languages, found.others) == ([DE, EN, FR], ["gsw_Latn", "und"])
    assert (found.whole.texts, found.whole.told, found.whole.right) == (10, 9, 4)
    assert (found.false_positives.texts, found.false_positives.told) == (5, 3)
    assert found.confusions(found.others) == [("gsw_Latn", DE, 2), ("gsw_Latn", FR, 1)]
    assert [found.sure(label) for label in (FR, "gsw_Latn", "und", "spa_Latn")] == [2 / 3, 3 / 4, 0, None]


def test_confusions_are_the_most_frequent_first_then_by_name() -> None:
    found = scores()
    assert found.confusions(found.languages) == [(DE, FR, 2), (DE, EN, 1), (EN, FR, 1), (FR, EN, 1)]
    assert found.confusions([EN, FR], [EN, FR]) == [(EN, FR, 1), (FR, EN, 1)]
    assert found.confusions([DE], [DE]) == []


def test_merged_languages_are_one() -> None:
    found = scores().merged({FR: EN})
    assert found.languages == [DE, EN]
    assert (found.of(EN).texts, found.of(EN).told, found.of(EN).right) == (7, 9, 6)  # a German text told French, too
    assert found.confusions([DE]) == [(DE, EN, 3)]
    assert scores().merged({"gsw_Latn": DE}).of(DE).right == 2  # a label may become a language of the table


@pytest.mark.parametrize("seed", range(10))
def test_counts_are_of_all_texts_however_they_are_cut(seed: int) -> None:
    draw = random.Random(seed)
    codes = [EN, FR, DE, "arb_Arab", "ars_Arab"]
    truths = [draw.choice([*codes, "gsw_Latn", "zxx"]) for _ in range(200)]
    told = [draw.choice([*codes, "yue_Hant", NO]) for _ in truths]
    found = score(truths, told)
    assert found.counts.sum() == len(truths) == found.whole.texts + found.false_positives.texts
    assert sum(found.of(code).told for code in LANGUAGES) == found.whole.told
    assert sum(found.of(code).right for code in codes) == found.whole.right
    wrong = sum(number for _, _, number in found.confusions(found.languages))
    assert wrong == found.whole.told - found.whole.right
    cut = sorted(draw.sample(range(len(truths) + 1), 4))
    parts = [score(truths[a:b], told[a:b]) for a, b in zip([0, *cut], [*cut, len(truths)], strict=True)]
    added = reduce(Scores.__add__, parts)
    assert (list(added.labels), added.counts.tolist()) == (list(found.labels), found.counts.tolist())
    merged = found.merged({"ars_Arab": "arb_Arab"})
    assert merged.counts.sum() == len(truths)
    assert merged.of("arb_Arab").texts == found.of("arb_Arab").texts + found.of("ars_Arab").texts
    for code in codes:
        precision, recall = found.of(code).precision, found.of(code).recall
        assert precision is not None
        assert recall is not None
        mean = 2 / (1 / precision + 1 / recall) if found.of(code).right else 0.0
        assert found.of(code).f1 == pytest.approx(mean)


def test_what_is_no_code_was_not_told() -> None:
    with pytest.raises(KeyError):
        score([EN], ["en"])
    with pytest.raises(ValueError, match="2 texts and 1 languages told"):
        score([EN, FR], [EN])


def test_groups_are_of_the_table_and_share_no_language() -> None:
    codes = [code for group in GROUPS.values() for code in group]
    assert set(codes) <= set(LANGUAGES)
    assert len(set(codes)) == len(codes)
    assert {len(GROUPS[name]) for name in ("Arabic", "Chinese")} == {8, 3}


def by_length(texts: Sequence[str]) -> list[Detected]:
    """Names the language of an x, is unsure of up to five characters, and takes a z for an unlisted language."""
    found = []
    for text in texts:
        reason = Reason.LANGUAGE_UNSURE if len(text) <= 5 else None
        code = EN if "x" in text else FR
        unlisted = Detected(None, 0.9, EN, 0.1, Reason.LANGUAGE_UNLISTED)
        found.append(unlisted if text.startswith("z") else Detected(code, 0.5, None, 0.0, reason))
    return found


def parts_of(measured: Measured) -> list[tuple[int, int, int]]:
    return [(part.whole.texts, part.whole.told, part.whole.right) for part in (measured.best, measured.kept)]


def test_a_model_is_measured_whole_on_beginnings_and_by_length() -> None:
    texts = ["x", "y", "zx", "a" * 20 + "x", "a" * 19 + "x", "a" * 40 + "x", "a" * 500 + "x"]
    found = measure(by_length, [(EN, texts[:4]), (EN, texts[4:]), ("gsw_Latn", ["x" * 9, "x"])])
    assert {name: parts_of(measured) for name, measured in found.items()} == {
        WHOLE: [(7, 6, 5), (7, 4, 4)],
        "first 40 characters": [(7, 6, 3), (7, 4, 2)],
        "first 20 characters": [(7, 6, 2), (7, 4, 1)],
        "texts of up to 20": [(4, 3, 2), (4, 1, 1)],
        "texts of 21 to 40": [(1, 1, 1), (1, 1, 1)],
        "texts of 41 to 80": [(1, 1, 1), (1, 1, 1)],
        "texts of more than 160": [(1, 1, 1), (1, 1, 1)],
    }
    assert found[WHOLE].best.false_positives.told == 2
    assert found[WHOLE].kept.false_positives.told == 1
    with pytest.raises(ValueError, match="no texts"):
        measure(by_length, [])
