"""Training configurations: strict, with the nearest known key in every refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainers import configs
from trainers.configs import PreferenceConfig, PretrainConfig

PLACES = ["data=d", "tokenizer=t", "output=o"]
KINDS = {"pretrain": PretrainConfig, "preference": PreferenceConfig}
SHIPPED = [(path.parent.name, path.stem) for path in sorted(configs.SHIPPED.glob("*/*.yaml"))]


def load(*arguments: str) -> PretrainConfig:
    return configs.load(PretrainConfig, "pretrain", [*PLACES, *arguments])


@pytest.mark.parametrize(("folder", "name"), SHIPPED)
def test_shipped_configurations_load(folder: str, name: str) -> None:
    assert configs.load(KINDS[folder], folder, [name, *PLACES]).data == "d"


def test_both_trainers_ship_a_laptop_and_a_real_one() -> None:
    assert set(SHIPPED) >= {(folder, name) for folder in KINDS for name in ("debug_cpu", "small_cpu", "qwen3_0.6b")}


def test_keys_override_the_file_and_reach_into_sections() -> None:
    config = load("debug_cpu", "optimizer.lr=3e-6", "seed=7", "model.layers=1")
    assert config.optimizer.lr == 3e-6
    assert (config.seed, config.model.layers, config.model.heads) == (7, 1, load("debug_cpu").model.heads)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("sead=1", r"unknown key 'sead' \(did you mean 'seed'\?\)"),
        ("optimizer.learning_rate=1", "at optimizer: unknown key 'learning_rate'"),
        ("optimiser.lr=1", r"unknown key 'optimiser' \(did you mean 'optimizer'\?\)"),
        ("seed=one", "at seed: got 'one'"),
        ("seed=1.5", "at seed: got 1.5"),
        ("optimizer.lr=fast", "at optimizer.lr: got 'fast'"),
        ("optimizer=3", "at optimizer: got 3"),
        ("optimizer.lr=-1", "optimizer.lr must be above 0"),
        ("schedule.kind=cosinus", r"at schedule.kind: got 'cosinus' \(did you mean 'cosine'\?\)"),
        ("model.kv_heads=3", "model.heads .* is no multiple of kv_heads 3"),
        ("model.head_dim=31", "model.head_dim must be even"),
        ("model.rope_theta=0", "model.rope_theta must be above 0"),
        ("optimizer.beta1=2", "optimizer.beta1 must be at least 0 and below 1, got 2"),
        ("optimizer.beta2=-0.1", "optimizer.beta2 must be at least 0 and below 1"),
        ("optimizer.weight_decay=-1", "optimizer.weight_decay must be at least 0"),
        ("output=gs://bucket/run", "is a URL"),
        ("global_sequences=0", "global_sequences must be at least 1"),
        ("evaluate_every=2.5", "evaluate_every is whole steps, or a share below 1 of all; got 2.5"),
        ("evaluate_every=-1", "evaluate_every is whole steps"),
        ("evaluate_every=.nan", "evaluate_every is whole steps"),
        ("evaluate_every=.inf", "evaluate_every is whole steps"),
        ("export=first", r"at export: got 'first'"),
        ("debug_cpo", r"named 'debug_cpo' \(did you mean 'debug_cpu'\?\)"),
    ],
)
def test_what_is_not_understood_is_refused(argument: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(argument)


@pytest.mark.parametrize("missing", PLACES)
def test_a_missing_place_is_named(missing: str) -> None:
    with pytest.raises(ValueError, match=f"{missing[:-2]}"):
        configs.load(PretrainConfig, "pretrain", [place for place in PLACES if place != missing])


def test_a_row_must_hold_any_pair() -> None:
    with pytest.raises(ValueError, match=r"row_tokens 1000 is below .* set row_tokens to 1024 or more"):
        configs.load(PreferenceConfig, "preference", [*PLACES, "sequence_tokens=512", "row_tokens=1000"])


@pytest.mark.parametrize(
    ("every", "steps", "found"), [(0, 10, 0), (3, 10, 3), (30, 10, 30), (0.1, 18, 2), (0.1, 200, 20), (0.1, 3, 1)]
)
def test_validation_comes_after_so_many_steps_or_a_share_of_all(every: float, steps: int, found: int) -> None:
    assert load(f"evaluate_every={every}").validation_steps(steps) == found


def test_patience_needs_validations_to_count() -> None:
    preference = [*PLACES, "patience=2"]
    with pytest.raises(ValueError, match=r"patience 2 counts validations.*: set evaluate_every, or set patience=0"):
        configs.load(PreferenceConfig, "preference", preference)
    assert configs.load(PreferenceConfig, "preference", [*preference, "evaluate_every=5"]).patience == 2
    with pytest.raises(ValueError, match=r"set validation \(a curriculum of held-out documents\) and evaluate_every"):
        load("patience=2", "evaluate_every=5")
    assert load("patience=2", "evaluate_every=5", "validation=v").patience == 2


@pytest.mark.parametrize("decides", ["evaluate_every=3", "export=last", "patience=4"])
def test_what_decides_the_exported_step_is_identity_where_validation_decides_it(decides: str) -> None:
    def identity(kind: str, *arguments: str) -> dict[str, object]:
        return configs.identity(configs.load(KINDS[kind], kind, [*PLACES, *arguments]))

    validated = ["evaluate_every=5", "patience=2"]
    assert identity("preference", *validated) != identity("preference", *validated, decides)
    assert identity("pretrain", *validated, "validation=v") != identity("pretrain", *validated, "validation=v", decides)
    if "patience" not in decides:  # which is refused
        assert identity("pretrain", "evaluate_every=5") == identity("pretrain", "evaluate_every=5", decides)
    last = ["export=last", "evaluate_every=5"]
    assert identity("preference", *last) == identity("preference", "export=last", "evaluate_every=9")


def test_a_key_written_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("seed: 1\noptimizer: {lr: 1, lr: 2}\n")
    with pytest.raises(ValueError, match="'lr' is given twice"):
        load(str(path))


def test_identity_leaves_out_places_and_machines_and_nothing_else() -> None:
    base = configs.identity(load())
    same = ["data=x", "threads=9", "micro_sequences=1", "checkpoint_every=5", "max_steps=3", "replace=true"]
    assert configs.identity(load(*same, "parallel.replicate=2")) == base
    for other in ("seed=1", "optimizer.lr=1", "schedule.warmup=0", "global_sequences=3", "model.layers=9"):
        assert configs.identity(load(other)) != base
    assert configs.identity(load("init=m", "model.layers=9")) == configs.identity(load("init=m"))
