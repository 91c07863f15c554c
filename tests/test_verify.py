"""Damage to a dataset's files is found and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import laws
from tests.small_dataset import PATHS, SPEC, build
from transforms.datasets.opening import begin
from transforms.datasets.standing import Existing
from transforms.datasets.verify import find_problems


@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "stray"])
def test_verify_finds_damage(tmp_path: Path, damage: str) -> None:
    build(tmp_path)
    shard = tmp_path / PATHS[1]
    data = bytearray(shard.read_bytes())
    if damage == "cut":
        shard.write_bytes(data[:-9])
    elif damage == "flip":
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
    elif damage == "remove":
        shard.unlink()
    else:
        (tmp_path / "data" / "extra.arrow").write_bytes(b"x")
    assert len(find_problems(str(tmp_path))) == 1
    if damage != "stray":
        with pytest.raises(ValueError, match="damaged"):
            begin(str(tmp_path), SPEC)
        build(tmp_path, existing=Existing.REPLACE)
        laws.assert_sound(tmp_path)
