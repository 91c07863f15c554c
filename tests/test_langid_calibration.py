"""What calibration does to probabilities, and from which texts it is measured."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tokenizer.languages import LANGUAGES
from transforms.langid.calibrate import pieces, thresholds
from transforms.langid.own import CODES, Calibration, Torn, mix, sharpen, with_fewer


def row(**found: float) -> np.ndarray:
    values = np.zeros((1, len(CODES)))
    for code, value in found.items():
        values[0, CODES.index(code)] = value
    return values


def test_a_group_shares_its_languages_anew_and_no_other() -> None:
    columns = [CODES.index(code) for code in ("ind_Latn", "zsm_Latn")]
    torn = Torn(np.array([0]), columns, np.log([[0.2, 0.8]]).astype(np.float32))

    def mixed(first: float, second: float) -> np.ndarray:
        values = row(ind_Latn=0.6, zsm_Latn=0.2, eng_Latn=0.1)
        calibration = Calibration((15, 30), (1.0,) * 3, (0.3, first, 0.7), (0.3, second, 0.7), (1.0,) * 3)
        mix(values, torn, calibration.classes_of(["x" * 20]), calibration)
        assert values[0, CODES.index("eng_Latn")] == 0.1
        return values[0, columns] / 0.8

    assert mixed(1.0, 0.0) == pytest.approx([0.75, 0.25])
    assert mixed(0.0, 1.0) == pytest.approx([0.2, 0.8])
    assert mixed(1.0, 1.0) == pytest.approx([0.15 / 0.35, 0.2 / 0.35])


def test_powers_are_of_the_lines_length() -> None:
    classes = Calibration.neutral((15, 30, 60, 120)).classes_of
    assert classes(["", "x" * 15, "x" * 16, "x" * 60, "x" * 121]).tolist() == [0, 0, 1, 2, 4]
    assert Calibration.neutral().classes_of(["", "x" * 500]).tolist() == [0, 0]


@pytest.mark.parametrize("lengths", [(0, 5), (5, 5), (9, 5)])
def test_classes_of_length_rise(lengths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rising lengths"):
        Calibration.neutral(lengths)


def test_sharpening_keeps_the_order_and_the_rest_as_one_more() -> None:
    values = row(eng_Latn=0.6, deu_Latn=0.3)
    assert sharpen(values, np.array([1.0]))[0] == pytest.approx(values[0])
    soft = sharpen(values, np.array([0.5]))[0]
    roots = np.sqrt([0.6, 0.3, 0.1])
    assert soft[[CODES.index("eng_Latn"), CODES.index("deu_Latn")]] == pytest.approx(roots[:2] / roots.sum())
    assert not sharpen(row(), np.array([0.5])).any()


def test_languages_that_are_not_listed_are_made_fewer() -> None:
    half = np.array([0.5])
    changed = with_fewer(row(other=0.6, eng_Latn=0.3), half)[0]
    assert changed[[CODES.index("other"), CODES.index("eng_Latn")]] == pytest.approx([0.45, 0.45])
    assert with_fewer(row(other=0.6), half)[0, -1] == pytest.approx(0.6)
    assert not with_fewer(row(), half).any()


def test_a_threshold_is_where_enough_is_right_but_keeps_most_of_its_own() -> None:
    english, german = CODES.index("eng_Latn"), CODES.index("deu_Latn")
    confidence = np.array([0.95, 0.9, 0.8, 0.7, 0.6, 0.5])
    probabilities = np.zeros((6, len(CODES)))
    probabilities[:, english] = confidence
    right = np.array([english, english, english, english, german, english])
    ones, word, short, long = np.ones(6), np.full(6, 20), np.full(6, 21), np.full(6, 100)
    assert thresholds(probabilities, right, ones, short)["eng_Latn"] == 0.7  # below, 4 of 5 are right
    assert thresholds(probabilities, right, ones, long)["eng_Latn"] == pytest.approx(0.54)  # 95% of its long ones
    assert thresholds(probabilities, np.full(6, english), ones, short)["eng_Latn"] == 0.3  # all right
    assert thresholds(probabilities, np.full(6, german), ones, short)["eng_Latn"] == 0.9  # never right
    assert thresholds(probabilities * 0.5, np.full(6, english), ones, short)["eng_Latn"] == 0.3
    probabilities[3, english] = 0.79
    assert thresholds(probabilities, right, ones, word)["eng_Latn"] == 0.3, "words below 0.8 are unsure anyway"
    assert thresholds(probabilities, right, ones, short).keys() == LANGUAGES.keys()


@pytest.mark.parametrize(
    ("line", "joint"),
    [
        ("How do I stop my bike chain from rusting?", " "),
        ("请问这个面团应该发酵多久？厨房很冷。", ""),
        ("word", " "),
    ],
)
def test_pieces_are_one_and_two_words_that_follow_each_other(line: str, joint: str) -> None:
    words = line.split() if joint else [line[start : start + 2] for start in range(0, len(line), 2)]
    wanted = [set(words), {joint.join(words[start : start + 2]) for start in range(max(1, len(words) - 1))}]
    seen: set[str] = set()
    for seed in range(200):
        for piece, whole in zip(pieces(line, random.Random(seed)), wanted, strict=True):
            seen.add(piece)
            assert {piece.lower(), piece[:-1].lower()} & {text.lower() for text in whole}, piece
    assert any(piece.endswith("!") for piece in seen)
    assert len(seen) > 2 * len(words)
