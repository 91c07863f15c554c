"""Keyed hashes: fixed for ever, and uniform."""

from __future__ import annotations

from transforms.datasets.ids import fingerprint, keyed_hash, unit_interval

GOLDEN_HASH = 12082105102066068815
GOLDEN_FINGERPRINT = "cf0c4895ed707baa"


def test_hashes_are_fixed_for_ever() -> None:
    """These numbers are in users' datasets: a change reshuffles every split."""
    assert keyed_hash("split", "stackexchange:x:1") == keyed_hash("split", "stackexchange:x:1")
    assert keyed_hash("split", "a", "b") != keyed_hash("split", "ab")
    assert (keyed_hash("golden", "a"), fingerprint({"b": 1, "a": [1.5, None]})) == (GOLDEN_HASH, GOLDEN_FINGERPRINT)


def test_unit_interval_is_uniform() -> None:
    values = [unit_interval("test", str(index)) for index in range(20_000)]
    assert min(values) >= 0
    assert max(values) < 1
    assert abs(sum(values) / len(values) - 0.5) < 0.01
