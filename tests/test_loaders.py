"""Law 6 on every loader of the trainers: resumed at any step, on any number of ranks, it gives what it would have."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainers
from tests.laws import Loader, assert_resumes_exactly, assert_same_on_any_ranks, frozen
from tests.training_data import tokenizer_place, write_curriculum, write_preference
from tokenizer.encoder import Encoder
from trainers.data import rows as loader_data
from trainers.data.curriculum import CurriculumLoader
from trainers.data.groups import PreferenceData
from trainers.data.preference import Lengths, PreferenceLoader
from trainers.data.rows import NO_TARGET, GlobalBatch, PairBatch, SequenceBatch, check_state

Make = Callable[..., Loader]

CURRICULUM: dict[str, Any] = {"data": "curriculum", "global_sequences": 8, "micro_sequences": 3}
PREFERENCE: dict[str, Any] = {
    "data": "pairs", "global_pairs": 40, "micro_rows": 2, "epochs": 2, "seed": 0, "sequence_tokens": 128,
    "row_tokens": 256,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Curricula of three shards and of one that is the same but for its last sequences; two sets of pairs."""
    place = tmp_path_factory.mktemp("loaders")
    encoder = Encoder.load(tokenizer_place(place))
    write_curriculum(place / "curriculum", encoder, 26, num_shards=3)
    write_curriculum(place / "other_curriculum", encoder, 27, num_shards=1)
    write_preference(place / "pairs", encoder, groups=60, answers=5)
    write_preference(place / "other_pairs", encoder, groups=60, answers=5, name="other")
    return place


@pytest.fixture(scope="module")
def make(folder: Path) -> Make:
    """Opens a fresh loader by its class and settings."""
    encoder = Encoder.load(str(folder / "tokenizer"))

    def curriculum(data: str, global_sequences: int, micro_sequences: int) -> Loader:
        place = str(folder / data)
        return CurriculumLoader(place, global_sequences, micro_sequences, encoder.pad, encoder.vocab_size)

    def preference(data: str, sequence_tokens: int, row_tokens: int, **settings: int) -> Loader:
        groups = PreferenceData(str(folder / data), "train", encoder.end_of_text, encoder.vocab_size)
        return PreferenceLoader(groups, Lengths(sequence_tokens, row_tokens), pad_token=encoder.pad, **settings)

    def opened(kind: type, **settings: Any) -> Loader:
        if kind is CurriculumLoader:
            return curriculum(**CURRICULUM | settings)
        return preference(**PREFERENCE | settings)

    return opened


# Every loader with the settings it is held against the law under. Full and small batches, short last ones, one row at a
# time, one epoch and several, limits that cut and split groups.
DRIVEN: list[tuple[type, dict[str, Any]]] = [
    (CurriculumLoader, {}),
    (CurriculumLoader, {"global_sequences": 5, "micro_sequences": 1}),
    (CurriculumLoader, {"global_sequences": 13, "micro_sequences": 20}),
    (PreferenceLoader, {}),
    (PreferenceLoader, {"epochs": 3, "micro_rows": 1, "seed": 7}),
    (PreferenceLoader, {"epochs": 1, "global_pairs": 24, "sequence_tokens": 24, "row_tokens": 48, "micro_rows": 4}),
    (PreferenceLoader, {"epochs": 3, "global_pairs": 10_000}),  # a step is an epoch
]
BY_LOADER = pytest.mark.parametrize(
    ("kind", "settings"), DRIVEN, ids=[f"{kind.__name__} {settings or 'usual'}" for kind, settings in DRIVEN]
)


def items(batch: GlobalBatch) -> Iterator[Hashable]:
    """What is in a rank's part of a batch: rows without padding, with their labels or pairs."""
    for micro in batch.micro_batches:
        rows = micro.rows
        for index in range(len(rows.tokens)):
            real = rows.groups[index] >= 0
            if real.any():
                columns = (rows.tokens, rows.positions, rows.groups, rows.branches)
                yield ("row", *(tuple(column[index, real].tolist()) for column in columns))
                if isinstance(micro, SequenceBatch):
                    yield "labels", tuple(micro.labels[index, real].tolist())
        if isinstance(micro, PairBatch):
            yield from pairs_of(micro)


def pairs_of(micro: PairBatch) -> Iterator[Hashable]:
    """Each pair by its group and responses, with the tokens that its two rewards are read from."""
    owners = list(zip(micro.groups.tolist(), micro.responses.tolist(), strict=True))
    scored = micro.rows.tokens.reshape(-1)[micro.score_places].tolist()
    for chosen, rejected, *rest in zip(
        micro.chosen, micro.rejected, micro.target, micro.weight, micro.margin, strict=True
    ):
        read = (scored[chosen], scored[rejected])
        yield ("pair", owners[chosen], owners[rejected], read, *(value.item() for value in rest))


@BY_LOADER
def test_resumed_at_any_step_a_loader_gives_what_the_uninterrupted_one_gave(
    make: Make, kind: type, settings: dict[str, Any]
) -> None:
    assert_resumes_exactly(lambda: make(kind, **settings))


@BY_LOADER
def test_a_global_batch_holds_the_same_on_any_number_of_ranks(make: Make, kind: type, settings: dict[str, Any]) -> None:
    assert_same_on_any_ranks(make(kind, **settings), items)


@BY_LOADER
def test_micro_batches_are_no_larger_than_asked_and_hold_all_that_is_counted(
    make: Make, kind: type, settings: dict[str, Any]
) -> None:
    loader = make(kind, **settings)
    usual = CURRICULUM if kind is CurriculumLoader else PREFERENCE
    most = (usual | settings)["micro_sequences" if kind is CurriculumLoader else "micro_rows"]
    for step in range(loader.steps):
        batch: GlobalBatch = loader.batch(step, 0, 1)
        assert all(len(micro.rows.tokens) <= most for micro in batch.micro_batches)
        assert batch.tokens == sum(int((micro.rows.groups >= 0).sum()) for micro in batch.micro_batches)
        counted = [
            len(micro.chosen) if isinstance(micro, PairBatch) else np.count_nonzero(micro.labels != NO_TARGET)
            for micro in batch.micro_batches
        ]
        assert batch.count == sum(counted)


def test_every_loader_of_the_trainers_is_driven() -> None:
    names = [f"trainers.{module.name}" for module in pkgutil.iter_modules(trainers.__path__)]
    found = {
        kind
        for module in map(importlib.import_module, names)
        for kind in vars(module).values()
        if inspect.isclass(kind) and callable(getattr(kind, "batch", None)) and callable(getattr(kind, "state", None))
    }
    missing = found - {loader_data.Loader} - {kind for kind, _ in DRIVEN}
    assert not missing, f"hold these against the law too, in DRIVEN: {sorted(kind.__name__ for kind in missing)}"
    assert loader_data.Loader in found, "the protocol has other methods now: look for those"


@pytest.mark.parametrize(
    ("kind", "other", "says"),
    [
        (CurriculumLoader, {"data": "other_curriculum"}, "data: "),
        (CurriculumLoader, {"global_sequences": 9}, "global_sequences: 8 there, 9 here"),
        (PreferenceLoader, {"data": "other_pairs"}, "data: "),
        (PreferenceLoader, {"seed": 1}, "seed: 0 there, 1 here"),
        (PreferenceLoader, {"global_pairs": 41}, "global_pairs: 40 there, 41 here"),
        (PreferenceLoader, {"sequence_tokens": 20}, "sequence_tokens: 128 there, 20 here"),
        (PreferenceLoader, {"row_tokens": 160}, "row_tokens: 256 there, 160 here"),
    ],
)
def test_the_state_of_other_data_or_settings_is_refused_at_every_step(
    make: Make, kind: type, other: dict[str, Any], says: str
) -> None:
    saved, here = make(kind), make(kind, **other)
    steps = range(min(saved.steps, here.steps) + 1)
    assert any(frozen(saved.batch(step, 0, 1)) != frozen(here.batch(step, 0, 1)) for step in steps[:-1])
    for step in steps:
        check_state(saved.state(step), saved.state(step), "step-1")
        with pytest.raises(ValueError, match=f"cannot resume from step-1: .*{says}"):
            check_state(saved.state(step), here.state(step), "step-1")


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        (CurriculumLoader, {"micro_sequences": 1}),
        (PreferenceLoader, {"micro_rows": 1}),
        (PreferenceLoader, {"epochs": 3}),
    ],
)
def test_settings_that_change_no_global_batch_do_not_hinder_resuming(
    make: Make, kind: type, other: dict[str, Any]
) -> None:
    saved, here = make(kind), make(kind, **other)
    for step in range(saved.steps):
        check_state(saved.state(step), here.state(step), "step-1")
        assert sorted(map(repr, items(saved.batch(step, 0, 1)))) == sorted(map(repr, items(here.batch(step, 0, 1))))
