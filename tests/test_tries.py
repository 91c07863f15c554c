"""A share of what `python -m benchmarks.tries` runs: nothing wrong passes in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import tries, try_damage
from benchmarks.try_forum import Forum, Outcome
from transforms.layers.kinds import LAYERS

SHARES = {"damage-rerun": 0.5, "damage-read": 0.06, "kills": 0.02, "races": 0.1, "hostile": 0.5, "limits": 0.02}


@pytest.fixture(scope="module")
def forum(tmp_path_factory: pytest.TempPathFactory, lid_model: Path) -> Forum:
    return Forum.build(tmp_path_factory.mktemp("tries") / "forum")


@pytest.mark.parametrize("table", tries.TABLES)
def test_nothing_wrong_passes_in_silence(table: str, forum: Forum) -> None:
    outcomes, lines = tries.run(table, forum, SHARES[table], seed=1)
    assert sum(outcomes.values()) > 0
    assert not lines, "\n".join(lines)
    if table.startswith("damage"):
        assert outcomes[Outcome.TOLD] > 0.9 * sum(outcomes.values())


def test_every_dataset_has_readers_and_every_layer_is_read() -> None:
    assert {f"layers/{name}" for name in LAYERS} < set(try_damage.READERS)
