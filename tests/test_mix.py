from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import curriculum
from transforms.curriculum.mix import Quota, Recipe, Stage, allocate, plan_stages, take
from transforms.datasets import strict_yaml

POOL = {"eng_Latn": 1_000_000, "fra_Latn": 100_000, "swh_Latn": 1_000, "zho_Hans": 50_000}


def recipe(*stages: Stage, max_repeats: int = 4) -> Recipe:
    return Recipe("test", 1, max_repeats, stages)


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 10**6), min_size=1, max_size=20),
    st.integers(0, 10**6),
)
def test_allocation_is_exact_and_near_its_shares(weights: dict[str, int], budget: int) -> None:
    parts = allocate(budget, {name: Fraction(weight) for name, weight in weights.items()}, None)
    assert sum(parts.values()) == budget
    total = sum(weights.values())
    for name, weight in weights.items():
        assert abs(parts[name] - Fraction(budget * weight, total)) < 1


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 1000)), min_size=1, max_size=15),
    st.floats(0, 1),
)
def test_allocation_with_caps(rows: list[tuple[int, int]], part: float) -> None:
    weights = {f"{number:02d}": Fraction(weight) for number, (weight, _) in enumerate(rows)}
    caps = {f"{number:02d}": cap for number, (_, cap) in enumerate(rows)}
    budget = int(sum(caps.values()) * part)
    parts = allocate(budget, weights, caps)
    assert sum(parts.values()) == budget
    assert all(0 <= parts[name] <= caps[name] for name in weights)
    # those below their cap share what is left by weight
    free = [name for name in weights if parts[name] < caps[name]]
    left = sum(parts[name] for name in free)
    for name in free:
        assert abs(parts[name] - left * weights[name] / sum(weights[other] for other in free)) <= 1


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(1, 9), min_size=1), st.integers(0, 99))
def test_the_largest_remainders_are_rounded_up_and_equal_ones_by_name(weights: dict[str, int], budget: int) -> None:
    parts = allocate(budget, {name: Fraction(weight) for name, weight in weights.items()}, None)
    total = sum(weights.values())
    order = sorted(weights, key=lambda name: (-(budget * weights[name] % total), name))
    up = [parts[name] - budget * weights[name] // total for name in order]
    assert up == sorted(up, reverse=True)
    assert set(up) <= {0, 1}


def test_caps_that_hold_too_little() -> None:
    with pytest.raises(ValueError, match="10 were asked for, but the caps hold 7: 3 are missing"):
        allocate(10, {"a": Fraction(1), "b": Fraction(1)}, {"a": 3, "b": 4})


def test_alpha() -> None:
    def shares(alpha: float) -> dict[str, int]:
        stage = Stage("one", 128, tokens=100_000, alpha=alpha)
        return {quota.language: quota.tokens for quota in plan_stages(recipe(stage, max_repeats=100), POOL)}

    assert shares(1.0)["eng_Latn"] == round(100_000 * 1_000_000 / 1_151_000)
    assert set(shares(0.0).values()) == {25_000}
    half = shares(0.5)
    assert half["eng_Latn"] / half["fra_Latn"] == pytest.approx(10**0.5, rel=1e-3)


def test_a_small_language_is_held_at_its_cap_and_the_others_take_its_surplus() -> None:
    stage = Stage("one", 128, tokens=40_000, alpha=0.0)
    tokens = {quota.language: quota.tokens for quota in plan_stages(recipe(stage), POOL)}
    assert tokens == {"eng_Latn": 12_000, "fra_Latn": 12_000, "swh_Latn": 4_000, "zho_Hans": 12_000}


def test_shares_of_named_languages() -> None:
    stage = Stage("one", 128, tokens=10_001, shares={"eng_Latn": 0.4, "rest": 0.6})
    quotas = plan_stages(recipe(stage), POOL)
    tokens = {quota.language: quota.tokens for quota in quotas}
    assert tokens["eng_Latn"] == 4_000
    assert sum(tokens.values()) == 10_001
    assert [quota.language for quota in quotas] == sorted(tokens)


def test_non_english_goes_from_30_to_60_percent_as_in_polylm() -> None:
    polylm = strict_yaml.load_named(Recipe, "polylm", curriculum.RECIPES)
    quotas = plan_stages(polylm, {"eng_Latn": 600_000, "fra_Latn": 200_000, "zho_Hans": 200_000})
    shares = []
    for stage in polylm.stages:
        tokens = {quota.language: quota.tokens for quota in quotas if quota.stage == stage.name}
        shares.append(1 - tokens["eng_Latn"] / sum(tokens.values()))
    assert shares == pytest.approx([0.3, 0.6])


def test_a_stage_goes_on_where_the_one_before_stopped() -> None:
    stages = (
        Stage("one", 128, tokens=700, shares={"swh_Latn": 1.0}),
        Stage("two", 128, tokens=900, shares={"swh_Latn": 1.0}),
    )
    quotas = plan_stages(recipe(*stages), POOL)
    assert quotas == [Quota("one", "swh_Latn", 0, 700), Quota("two", "swh_Latn", 700, 900)]
    assert [quota.repeated(POOL["swh_Latn"]) for quota in quotas] == [0, 600]
    other = plan_stages(recipe(stages[0], replace(stages[1], tokens=5, alpha=0.2)), POOL)
    assert other[0] == quotas[0]


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 20))
def test_what_comes_after_the_pool_is_repeated(start: int, tokens: int, available: int) -> None:
    wanted = sum(place >= available for place in range(start, start + tokens))
    assert Quota("one", "swh_Latn", start, tokens).repeated(available) == wanted


def test_what_earlier_stages_used_is_gone_for_later_ones() -> None:
    stages = [Stage(name, 128, tokens=700, shares={"swh_Latn": 1.0}) for name in ("one", "two")]
    with pytest.raises(ValueError, match="stage two cannot have its 700 tokens with max_repeats 1: swh_Latn lacks 400"):
        plan_stages(recipe(*stages, max_repeats=1), POOL)
    rest = [replace(stage, shares={"rest": 1.0}) for stage in stages]
    quotas = plan_stages(recipe(*rest, max_repeats=1), {"swh_Latn": 400, "eng_Latn": 1_000})
    assert sum(quota.tokens for quota in quotas) == 1_400
    assert not any(quota.repeated({"swh_Latn": 400, "eng_Latn": 1_000}[quota.language]) for quota in quotas)


def test_share_of_pool_counts_the_languages_of_the_stage() -> None:
    stage = Stage("one", 128, share_of_pool=0.1, shares={"fra_Latn": 0.5, "zho_Hans": 0.5})
    assert sum(quota.tokens for quota in plan_stages(recipe(stage), POOL)) == 15_000


def test_shortage_is_an_error_with_the_numbers() -> None:
    stage = Stage("one", 128, tokens=10_000, shares={"swh_Latn": 0.5, "rest": 0.5})
    with pytest.raises(ValueError, match=r"swh_Latn lacks 1,000 of 5,000. About 8,000 tokens would fit"):
        plan_stages(recipe(stage), POOL)
    with pytest.raises(ValueError, match="rest lacks 500 of 500"):
        plan_stages(recipe(Stage("one", 128, tokens=1_000, shares={"swh_Latn": 0.5, "rest": 0.5})), {"swh_Latn": 1_000})
    with pytest.raises(ValueError, match="the pool has 0 tokens"):
        plan_stages(recipe(Stage("one", 128, share_of_pool=0.5)), {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": None}, "needs a budget"),
        ({"share_of_pool": 0.5}, "needs a budget"),
        ({"tokens": 0}, "tokens must be >= 1"),
        ({"alpha": 1.5}, "alpha must be between"),
        ({"shares": {"eng_Latn": 0.4, "rest": 0.5}}, "sum to 0.9"),
        ({"shares": {"eng_Latin": 1.0}}, "eng_Latn"),
        ({"name": "a/b"}, "without '/'"),
    ],
)
def test_refused_stages(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Stage("one", 128, tokens=100), **change)  # type: ignore[arg-type]


def test_refused_recipes() -> None:
    stage = Stage("one", 128, tokens=100)
    with pytest.raises(ValueError, match="its own name"):
        recipe(stage, stage)
    with pytest.raises(ValueError, match="max_repeats must be"):
        recipe(stage, max_repeats=0)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(0, 60), st.integers(1, 120))
def test_take_reads_the_endless_loop(lengths: list[int], start: int, tokens: int) -> None:
    loop = [(document, token) for document, length in enumerate(lengths) for token in range(length)]
    wanted = [loop[(start + offset) % len(loop)] for offset in range(tokens)]
    taken = take(np.array(lengths, np.int64), start, tokens)
    found = [
        (int(document), int(first) + offset)
        for document, first, length in zip(taken.document, taken.start, taken.length, strict=True)
        for offset in range(length)
    ]
    assert found == wanted
    assert (taken.length > 0).all()
