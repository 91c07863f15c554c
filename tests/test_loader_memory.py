"""The loaders read maps: whatever of a dataset was read, Arrow holds no copy, and what is passed is let go."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pytest

from tests.small_dataset import dataset_of
from trainers.data.curriculum import CurriculumLoader
from trainers.data.groups import PreferenceData
from trainers.data.preference import Lengths, PreferenceLoader, count_cuts, pair_batches, plan_parts
from transforms.datasets.manifest import DatasetSpec
from transforms.datasets.schema import curriculum_schema, preference_schema

SCORE, PAD, VOCAB = 1, 4, 700
SHARDS, ROWS, TOKENS = 4, 250, 1000
MOST = 64_000  # bytes; a dataset has SHARDS * ROWS * TOKENS * 2, or more


def write(place: Path, kind: str, rows: list[dict[str, object]], schema: pa.Schema) -> None:
    """SHARDS shards of ROWS rows each."""
    tables = {
        f"data/train-{n:05d}-of-{SHARDS:05d}.arrow": pa.Table.from_pylist(rows[n * ROWS : (n + 1) * ROWS], schema)
        for n in range(SHARDS)
    }
    manifest = dataset_of(place, DatasetSpec(kind, {"made": "here"}), tables, None)
    assert sum(file.bytes for file in manifest.data_files) > SHARDS * ROWS * TOKENS * 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("memory")
    sequence = {
        "stage": "all", "language": "eng_Latn", "tokens": [7] * TOKENS, "doc_tokens": [TOKENS - 9, 9],
        "doc_ids": ["a", "b"], "sources": ["s"] * 2,
    }  # fmt: skip
    sequences = [{"position": number, **sequence} for number in range(SHARDS * ROWS)]
    write(place / "curriculum", "curriculum", sequences, curriculum_schema(pa.uint16()))
    response = {"tokens": [7] * (TOKENS // 4 - 1) + [SCORE], "score": 3, "chars": 9, "accepted": False}
    pair = {"chosen": 2, "target": 1.0, "margin": 1, "weight": 1.0}
    group = {
        "language": "eng_Latn", "source": "s", "site": "s", "prompt_tokens": [7] * (TOKENS // 4),
        "pairs": [pair | {"rejected": 0}, pair | {"rejected": 1}],
    }  # fmt: skip
    groups = [
        {"group_id": f"g:{number}", **group}
        | {"responses": [response | {"post_id": f"{number}:{i}", "created": i or None} for i in range(3)]}
        for number in range(SHARDS * ROWS)
    ]
    write(place / "preference", "preference", groups, preference_schema(pa.uint16()))
    return place


def mapped(place: Path) -> dict[str, int]:
    """The files below a folder that this process maps, with the number of their maps."""
    found: dict[str, int] = defaultdict(int)
    for line in Path("/proc/self/maps").read_text().splitlines():
        if f"{place}/" in line:
            found[line.rpartition("/")[2]] += 1
    return dict(found)


def test_a_curriculum_is_read_without_a_copy_and_what_is_passed_is_let_go(folder: Path) -> None:
    place = folder / "curriculum"
    most, before = 0, pa.total_allocated_bytes()
    loader = CurriculumLoader(str(place), 100, 4, PAD, VOCAB)
    for step in [*range(loader.steps), 1, 7, *range(loader.steps)]:  # also back, and again
        batch = loader.batch(step, 0, 1)
        assert batch.tokens == 100 * TOKENS
        shards = {position // ROWS for position in (100 * step, 100 * step + 99)}
        assert mapped(place) == {f"train-{shard:05d}-of-{SHARDS:05d}.arrow": 1 for shard in shards}
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < MOST
    del loader
    assert not mapped(place)


def test_preference_data_is_read_without_a_copy(folder: Path) -> None:
    place = folder / "preference"
    most, before = 0, pa.total_allocated_bytes()
    data = PreferenceData(str(place), "train", SCORE, VOCAB)
    lengths = Lengths(400, 800)
    loader = PreferenceLoader(data, lengths, 64, 2, epochs=2, seed=0, pad_token=PAD)
    assert count_cuts(data, lengths).prompts_cut == data.num_responses == 3 * SHARDS * ROWS
    for step in range(loader.steps):
        loader.batch(step, 0, 1)
        most = max(most, pa.total_allocated_bytes() - before)
    for _ in pair_batches(data, plan_parts(data, range(len(data)), lengths), lengths, 0, 1, 4, PAD):
        most = max(most, pa.total_allocated_bytes() - before)
    for index in range(len(data)):
        assert data.group(index).created_ms.tolist() == [-1, 1, 2]
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < MOST
    assert mapped(place) == {f"train-{shard:05d}-of-{SHARDS:05d}.arrow": 1 for shard in range(SHARDS)}
