"""The split of a thread: shares, stability, exact bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forum import post, write_documents
from transforms.datasets.dataset import Dataset
from transforms.datasets.shards import iter_batches
from transforms.layers import split
from transforms.layers.split import SplitSettings, split_of

THREADS = [f"site:{number}" for number in range(20_000)]


def test_shares_are_what_was_asked_for() -> None:
    splits = [split_of(thread, SplitSettings(holdout=0.1, validation=0.05)) for thread in THREADS]
    assert abs(splits.count("holdout") - 2_000) < 5 * (2_000 * 0.9) ** 0.5
    assert abs(splits.count("validation") - 1_000) < 5 * (1_000 * 0.95) ** 0.5


def test_a_larger_holdout_contains_the_smaller_one() -> None:
    small, large = SplitSettings(holdout=0.05), SplitSettings(holdout=0.2)
    held = [thread for thread in THREADS if split_of(thread, small) == "holdout"]
    assert held
    assert {split_of(thread, large) for thread in held} == {"holdout"}


def test_known_threads_never_move() -> None:
    """Pinned: a change here moves every user's holdout."""
    pinned = {
        "beer:0": "train",
        "beer:1": "train",
        "beer:10": "holdout",
        "beer:13": "holdout",
        "beer:14": "validation",
        "beer:2": "validation",
        "beer:3": "holdout",
        "beer:4": "train",
        "beer:8": "validation",
    }
    assert {thread: split_of(thread, SplitSettings()) for thread in pinned} == pinned


def test_the_bounds_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.1 and 0.2 of all hashes, in whole numbers: the doubles 0.1 + 0.2 would put the second bound past 0.3."""
    settings = SplitSettings(holdout=0.1, validation=0.2)
    first, second = -(-(1 << 64) // 10), -(-3 * (1 << 64) // 10)
    for drawn, wanted in [
        (0, "holdout"),
        (first - 1, "holdout"),
        (first, "validation"),
        (second - 1, "validation"),
        (second, "train"),
        ((1 << 64) - 1, "train"),
    ]:
        monkeypatch.setattr(split, "keyed_hash", lambda *_, drawn=drawn: drawn)
        assert split_of("any", settings) == wanted


def test_no_holdout_and_no_validation_is_all_train() -> None:
    assert {split_of(thread, SplitSettings(holdout=0, validation=0)) for thread in THREADS[:500]} == {"train"}


@pytest.mark.parametrize(("holdout", "validation"), [(-0.1, 0.1), (1.0, 0.0), (0.7, 0.3), (True, 0.1), ("a", 0.1)])
def test_wrong_shares_are_refused(holdout: object, validation: object) -> None:
    with pytest.raises(ValueError, match="holdout"):
        SplitSettings(holdout=holdout, validation=validation)  # type: ignore[arg-type]


def test_all_posts_of_a_thread_are_written_into_its_split(tmp_path: Path) -> None:
    rows = [post(3 * thread + place, "answer", thread, "text") for thread in range(200) for place in range(3)]
    (file,) = write_documents(tmp_path / "documents", [rows]).data_files
    batches = iter_batches(Dataset.open(str(tmp_path / "documents")), file.path, split.LAYER.columns)
    layer, counts = split.rows(batches, SplitSettings())
    written = layer.to_pylist()
    assert sum(counts.group("split").values()) == len(rows)
    assert [row["doc_id"] for row in written] == [row["doc_id"] for row in rows]
    assert [row["split"] for row in written] == [split_of(row["thread_id"], SplitSettings()) for row in rows]
