"""What the report says of a model: nothing is left out for being small, and no more is said than was measured."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from pipelines.report.counting import FEW, wilson
from tests.small_build import CHANCE, ESTIMATE, EVALUATION, FEW_SHORTER, PART, Page, dataset, render, save

AHEAD = {"value": 0.1, "low": 0.02, "high": 0.18}
UNCLEAR = {"value": 0.1, "low": 0.0, "high": 0.2}


def evaluated(folder: Path, **changes: Any) -> Page:
    dataset(folder / "evaluation", "evaluation", {}, {})
    save(folder / "evaluation/evaluation.json", EVALUATION | changes)
    return Page(render(folder))


def rows(page: Page, few: bool) -> int:
    return sum(name == "tr" and (attributes.get("class") == "few") is few for name, attributes in page.seen)


@pytest.mark.parametrize(
    ("value", "number", "low", "high"),
    [
        (0.8, 10, 0.4902, 0.9433),
        (0.25, 4, 0.0456, 0.6994),
        (1.0, 1, 0.2065, 1.0),
        (0.0, 1, 0.0, 0.7935),
        (0.5, 0, 0, 1),
    ],
)
def test_wilson(value: float, number: int, low: float, high: float) -> None:
    found = wilson(value, number)
    assert (found.value, round(found.low, 4), round(found.high, 4)) == (value, low, high)


def test_a_part_of_few_prompts_is_grey_and_shown(tmp_path: Path) -> None:
    page = evaluated(tmp_path)
    assert "chosen shorter 24 4 25.0% 4.6–69.9" in page.text  # Wilson's, not the bootstrap's 25.0 to 25.0
    assert "French 24 4 25.0%" in page.text
    assert "English 90 40 75.0% 70.0–80.0" in page.text  # the bootstrap's
    assert rows(page, few=True) == 2
    assert "Grey: fewer than 30 prompts." in page.text


def test_without_a_small_part_nothing_is_said_of_grey(tmp_path: Path) -> None:
    page = evaluated(tmp_path, by_language={"eng_Latn": PART | {"groups": FEW}}, by_length={"chosen longer": PART})
    assert rows(page, few=True) == 0
    assert "Grey" not in page.text


def test_no_part_is_left_out(tmp_path: Path) -> None:
    draw = random.Random(1)
    sizes = {f"language {index}": draw.randrange(200) for index in range(150)}
    parts = {name: PART | {"pairs": size, "groups": (size + 2) // 3} for name, size in sizes.items()}
    page = evaluated(tmp_path, by_language=parts, by_margin=parts, by_length=parts)
    for name in parts:
        assert page.words.count(name) == 3, name
    small = sum((size + 2) // 3 < FEW for size in sizes.values())
    assert rows(page, few=True) == 3 * small


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        # Two intervals that overlap say nothing: the difference on the same pairs decides.
        (
            {"accuracy": {"value": 0.65, "low": 0.5, "high": 0.79}, "difference": AHEAD},
            "is ahead of every trivial rule",
        ),
        ({"accuracy": {"value": 0.65, "low": 0.6, "high": 0.69}, "difference": UNCLEAR}, "not been shown to be better"),
    ],
)
def test_the_paired_difference_decides(tmp_path: Path, rule: Any, says: str) -> None:
    page = evaluated(tmp_path, baselines={"longer": rule, "chance": {"accuracy": CHANCE, "difference": ESTIMATE}})
    assert says in page.text
    assert ("not been shown to be better than “prefer the longer answer”." in page.text) is (
        rule["difference"] == UNCLEAR
    )


def test_of_few_prompts_nothing_is_concluded(tmp_path: Path) -> None:
    sure = {"value": 1.0, "low": 1.0, "high": 1.0}
    rules = {
        "longer": {"accuracy": sure, "difference": ESTIMATE},
        "chance": {"accuracy": CHANCE, "difference": ESTIMATE},
    }
    page = evaluated(tmp_path, **PART | {"groups": 10}, baselines=rules)
    assert "10 prompts: too few to tell" in page.text
    assert "On 90 pairs of only 10 prompts of the holdout split" in page.text
    assert "is ahead" not in page.text
    assert "prefer the longer answer 100.0% 72.2–100.0" in page.text
    assert "chance 50.0% 50.0–50.0" in page.text  # by definition


@pytest.mark.parametrize("split", ["holdout", "validation", "train"])
def test_only_a_holdout_is_held_out(tmp_path: Path, split: str) -> None:
    page = evaluated(tmp_path, split=split)
    assert f"90 pairs of the {split} split" in page.text
    assert ("held out of all training" in page.text) is (split == "holdout")
    assert f"accuracy on {split}" in page.text


def test_margins_stand_by_size(tmp_path: Path) -> None:
    names = ["odd", "11+", "1-2", "6-10", "3-5"]
    page = evaluated(tmp_path, by_margin=dict.fromkeys(names, PART | FEW_SHORTER))
    assert [word for word in page.words if word in names] == ["1-2", "3-5", "6-10", "11+", "odd"]
