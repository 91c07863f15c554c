"""The names of files and folders: the only place that spells them."""

from __future__ import annotations

from transforms.datasets import places


def shard_name(index: int, num_shards: int, split: str | None = None) -> str:
    """The path of a shard below its dataset: data/00003-of-00008.arrow or data/train-00003-of-00008.arrow."""
    prefix = f"{split}-" if split else ""
    return f"data/{prefix}{index:05d}-of-{num_shards:05d}.arrow"


def reject_name(index: int, num_shards: int) -> str:
    return f"rejects/{index:05d}-of-{num_shards:05d}.arrow"


def shard_index(path: str) -> tuple[int, int]:
    """(index, num_shards) of a shard's path."""
    index, _, num_shards = places.name(path).removesuffix(".arrow").rpartition("-of-")
    return int(index.rpartition("-")[2]), int(num_shards)


def split_of(path: str) -> str | None:
    """The split in a shard's name, or None when the dataset is not split."""
    prefix, _, _ = places.name(path).rpartition("-of-")
    split, _, _ = prefix.rpartition("-")
    return split or None


def scratch_place(output: str) -> str:
    """Scratch space of a build: below its output, so that what a killed run left is swept with the next one."""
    return places.join(output, "scratch")
