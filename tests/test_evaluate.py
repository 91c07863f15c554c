"""The evaluation: its numbers against plain loops, its intervals against known truth, and the dataset it writes."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.small_dataset import read_file
from tests.training_data import arguments, write_all
from trainers import configs, evaluate, launch, preference
from trainers.configs import EvaluateConfig, PreferenceConfig
from trainers.data.groups import Group
from trainers.evaluation import metrics
from trainers.evaluation.metrics import ScoredPairs
from transforms.datasets.checks import DamagedError
from transforms.datasets.manifest import load_manifest
from transforms.datasets.verify import find_problems

ROOT = Path(__file__).parents[1]


def scored(count: int, seed: int = 0, groups: int = 10, **columns: object) -> ScoredPairs:
    generator = np.random.Generator(np.random.PCG64(seed))
    values: dict[str, Any] = {
        "group": np.sort(generator.integers(0, groups, count)),
        "language": ["eng_Latn" if n % 3 else "fra_Latn" for n in range(count)],
        "chosen_reward": generator.normal(0.5, 1, count),
        "rejected_reward": generator.normal(0, 1, count),
        "target": np.ones(count),
        "weight": np.ones(count),
        "margin": generator.integers(1, 30, count),
        "chosen_chars": generator.integers(1, 9, count),
        "rejected_chars": generator.integers(1, 9, count),
        "chosen_ms": generator.integers(-1, 9, count),
        "rejected_ms": generator.integers(-1, 9, count),
    }
    return ScoredPairs(**{**values, **columns})


def half(a: float, b: float) -> float:
    return 1.0 if a > b else 0.5 if a == b else 0.0


def test_values_are_those_of_a_plain_loop() -> None:
    pairs = scored(200)
    found: Any = metrics.summary(pairs, 200, seed=0)
    gaps = [float(a - b) for a, b in zip(pairs.chosen_reward, pairs.rejected_reward, strict=True)]
    assert found["accuracy"]["value"] == pytest.approx(sum(half(gap, 0) for gap in gaps) / 200)
    assert found["loss"]["value"] == pytest.approx(sum(math.log1p(math.exp(-gap)) for gap in gaps) / 200)
    longer = [half(a, b) for a, b in zip(pairs.chosen_chars, pairs.rejected_chars, strict=True)]
    earlier = [
        half(-a, -b) if a >= 0 and b >= 0 else 0.5 for a, b in zip(pairs.chosen_ms, pairs.rejected_ms, strict=True)
    ]
    baselines = found["baselines"]
    assert baselines["longer"]["accuracy"]["value"] == pytest.approx(sum(longer) / 200)
    assert baselines["earlier"]["accuracy"]["value"] == pytest.approx(sum(earlier) / 200)
    assert baselines["chance"]["accuracy"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    for name in ("longer", "earlier", "chance"):
        gain = found["accuracy"]["value"] - baselines[name]["accuracy"]["value"]
        assert baselines[name]["difference"]["value"] == pytest.approx(gain)


@pytest.mark.parametrize("by", ["by_language", "by_margin", "by_length"])
def test_parts_partition_the_pairs(by: str) -> None:
    found: Any = metrics.summary(scored(200), 100, seed=0)
    parts = found[by].values()
    assert sum(part["pairs"] for part in parts) == 200
    mean = sum(part["pairs"] * part["accuracy"]["value"] for part in parts) / 200
    assert mean == pytest.approx(found["accuracy"]["value"])


def test_margin_buckets_have_the_edges_of_worldpm() -> None:
    margins = np.array([1, 2, 3, 5, 6, 10, 11, 10_000])
    found: Any = metrics.summary(scored(8, margin=margins), 100, seed=0)
    assert {name: part["pairs"] for name, part in found["by_margin"].items()} == {
        "1-2": 2,
        "3-5": 2,
        "6-10": 2,
        "11+": 2,
    }


def test_equal_rewards_are_half_right_and_cost_ln_2() -> None:
    found: Any = metrics.summary(scored(50, chosen_reward=np.zeros(50), rejected_reward=np.zeros(50)), 100, seed=0)
    assert found["accuracy"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert found["loss"]["value"] == pytest.approx(math.log(2))


def test_swapping_sides_turns_accuracy_around() -> None:
    pairs = scored(100)
    swapped = scored(100, chosen_reward=pairs.rejected_reward, rejected_reward=pairs.chosen_reward)
    here: Any = metrics.summary(pairs, 100, seed=0)
    there: Any = metrics.summary(swapped, 100, seed=0)
    assert here["accuracy"]["value"] == pytest.approx(1 - there["accuracy"]["value"])


def test_intervals_cover_the_truth_as_often_as_they_say_and_know_about_groups() -> None:
    """200 data sets of 60 groups of 6 pairs that share half of their luck: a 95% interval misses in about 10."""
    missed = 0
    widths = {"grouped": 0.0, "single": 0.0}
    for seed in range(200):
        generator = np.random.Generator(np.random.PCG64(seed))
        shared = np.repeat(generator.random(60), 6)
        own = generator.random(360)
        right = (np.where(generator.random(360) < 0.5, shared, own) < 0.7).astype(float)
        group = np.repeat(np.arange(60), 6)
        (found,) = metrics.estimates(right[:, None], group, 300, seed)
        (single,) = metrics.estimates(right[:, None], np.arange(360), 300, seed)
        missed += not found["low"] <= 0.7 <= found["high"]
        widths["grouped"] += found["high"] - found["low"]
        widths["single"] += single["high"] - single["low"]
    assert 2 <= missed <= 25
    assert widths["grouped"] > 1.2 * widths["single"], "pairs of one prompt are not independent"


def test_the_same_seed_repeats_an_interval() -> None:
    pairs = scored(100)
    assert metrics.summary(pairs, 100, seed=1) == metrics.summary(pairs, 100, seed=1)
    assert metrics.summary(pairs, 100, seed=1) != metrics.summary(pairs, 100, seed=2)


def test_the_interval_holds_95_percent_of_a_normal_mean() -> None:
    values = np.random.Generator(np.random.PCG64(0)).normal(0, 1, 400)
    (found,) = metrics.estimates(values[:, None], np.arange(400), 4_000, seed=0)
    half_width = (found["high"] - found["low"]) / 2
    assert half_width == pytest.approx(1.96 * values.std() / 400**0.5, rel=0.06)  # of 90% it would be 16% less


def test_the_standard_error_and_the_interval_of_a_share_know_about_groups() -> None:
    """Three groups of one, two and three pairs, by hand; and equal groups as the textbook has it."""
    sums, pairs = np.array([1.0, 1.0, 1.0]), np.array([1, 2, 3])  # mean 1/2; residuals 1/2, 0, -1/2
    assert metrics.standard_error(sums, pairs) == pytest.approx(math.sqrt(0.5 * 3 / 2) / 6)
    assert metrics.standard_error(np.array([3.0]), np.array([4])) == 0.0
    right = np.array([1.0, 0.0] * 50)
    low, high = metrics.share_interval(right, np.ones(100, int))
    assert (high - low) / 2 == pytest.approx(1.959964 * math.sqrt(0.25 / 99))
    assert low + high == pytest.approx(1)
    assert metrics.share_interval(2 * right, np.full(100, 2)) == pytest.approx((low, high)), "of groups, not of pairs"


def test_of_few_groups_the_interval_of_a_share_is_wilson_s() -> None:
    assert metrics.share_interval(np.full(10, 3.0), np.full(10, 3)) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert metrics.share_interval(np.array([3.0, 0.0]), np.full(2, 3)) == pytest.approx((0.0945, 0.9055), abs=1e-4)
    assert metrics.share_interval(np.full(30, 1.0), np.ones(30, int)) == (1.0, 1.0)


def test_parts_by_length_are_named_after_the_chosen_answer() -> None:
    chars = {"chosen_chars": np.array([9, 9, 9, 1, 5]), "rejected_chars": np.array([1, 2, 3, 4, 5])}
    found: Any = metrics.summary(scored(5, **chars), 100, seed=0)
    sizes = {name: part["pairs"] for name, part in found["by_length"].items()}
    assert sizes == {"chosen longer": 3, "chosen shorter": 1, "equal length": 1}


def group_of(name: str, language: str | None, pairs: list[tuple[int, int]]) -> Group:
    """Three responses, and numbers that differ from each other in every column."""
    count, base = len(pairs), 100 * len(name)
    return Group(
        group_id=name,
        language=language,
        prompt=np.zeros(1, np.int64),
        responses=[np.zeros(1, np.int64)] * 3,
        post_ids=[f"{name}:{index}" for index in range(3)],
        chars=base + np.arange(3),
        created_ms=base + np.arange(10, 13),
        chosen=np.array([chosen for chosen, _ in pairs]),
        rejected=np.array([rejected for _, rejected in pairs]),
        target=np.linspace(0.5, 1, count).astype(np.float32),
        weight=np.linspace(2, 3, count).astype(np.float32),
        margin=base + np.arange(20, 20 + count),
    )


def test_each_side_of_a_pair_has_the_numbers_of_its_own_response() -> None:
    groups = [group_of("a", "eng_Latn", [(0, 1), (2, 0)]), group_of("bb", None, [(1, 2)])]
    rewards = [np.array([0.0, 1.0, 2.0]), np.array([3.0, 4.0, 5.0])]
    found = evaluate.scored_pairs(groups, rewards)
    rows = [(number, g, pair) for number, g in enumerate(groups) for pair in range(len(g.chosen))]
    assert found.group.tolist() == [number for number, _, _ in rows] == [0, 0, 1]
    assert list(found.language) == ["eng_Latn", "eng_Latn", "unknown"]
    for name in ("target", "weight", "margin"):
        assert getattr(found, name).tolist() == [getattr(g, name)[pair] for _, g, pair in rows]
    for side in ("chosen", "rejected"):
        at = [(number, g, int(getattr(g, side)[pair])) for number, g, pair in rows]
        assert getattr(found, f"{side}_reward").tolist() == [rewards[number][index] for number, _, index in at]
        assert getattr(found, f"{side}_chars").tolist() == [g.chars[index] for _, g, index in at]
        assert getattr(found, f"{side}_ms").tolist() == [g.created_ms[index] for _, g, index in at]


def test_no_pair_is_an_error() -> None:
    with pytest.raises(ValueError, match="no pair to evaluate on"):
        metrics.summary(scored(0), 100, seed=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = write_all(tmp_path_factory.mktemp("evaluate"))
    config = configs.load(PreferenceConfig, "preference", arguments(place, place / "pm", "preference", epochs=3))
    assert launch.run(config, preference.make_job) == 0
    return place


def config_of(folder: Path, output: Path, **settings: Any) -> EvaluateConfig:
    places = {"model": str(folder / "pm" / "export"), "data": str(folder / "pairs"), "output": str(output)}
    return EvaluateConfig(**{**places, "bootstrap": 200, **settings})


def test_the_validation_numbers_are_those_of_training(folder: Path, tmp_path: Path) -> None:
    evaluate.run(config_of(folder, tmp_path / "evaluation", split="validation"))
    report = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    lines = [json.loads(line) for line in (folder / "pm" / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["kind"] == "validation"][-1]
    assert report["accuracy"]["value"] == pytest.approx(last["accuracy"])
    assert report["loss"]["value"] == pytest.approx(last["loss"], abs=1e-5)
    assert report["pairs"] == last["pairs"]


def test_the_evaluation_is_a_dataset_and_is_not_made_twice(folder: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "evaluation")
    first = evaluate.run(config_of(folder, tmp_path / "evaluation"))
    assert find_problems(place) == []
    assert first.parents["model"] == load_manifest(str(folder / "pm" / "export")).digest
    written = (tmp_path / "evaluation" / "evaluation.json").stat().st_mtime_ns
    assert evaluate.run(config_of(folder, tmp_path / "evaluation")) == first
    assert (tmp_path / "evaluation" / "evaluation.json").stat().st_mtime_ns == written
    with pytest.raises(ValueError, match="differs in split"):
        evaluate.run(config_of(folder, tmp_path / "evaluation", split="validation"))
    scores = read_file(place, "data/scores.arrow")
    assert scores.num_rows == first.counts["evaluation"]["responses"]
    assert len(set(scores.column("post_id").to_pylist())) == scores.num_rows


def test_the_command_prints_the_result_and_errors_name_the_remedy(folder: Path, tmp_path: Path) -> None:
    places = [f"model={folder}/pm/export", f"data={folder}/pairs", f"output={tmp_path}/evaluation"]
    command = [sys.executable, "-m", "trainers.evaluate"]
    done = subprocess.run([*command, *places, "bootstrap=100"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.match(
        r"evaluate: holdout, \d+ pairs of \d+ prompts, 95% intervals\n  accuracy  \d\.\d{3} \[", done.stderr
    )
    assert "longer" in done.stderr
    with pytest.raises(ValueError, match=r"preference"):
        evaluate.run(config_of(folder, tmp_path / "other", data=str(folder / "curriculum")))


def test_a_damaged_model_is_not_evaluated(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "pm" / "export", tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DamagedError, match=r"model is damaged: model\.safetensors"):
        evaluate.run(replace(config_of(folder, tmp_path / "evaluation"), model=str(tmp_path / "model")))
