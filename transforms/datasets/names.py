"""The names of files and folders: the only place that spells them."""

from __future__ import annotations

from transforms.datasets import places

MANIFEST = "manifest.json"
RUN = "run.json"
DATA, REJECTS = "data", "rejects"
# What only a build writes, below the folder it works in.
BUILDING = "building"  # who builds
PARTS = "parts"  # a record of each file that is finished
SCRATCH = "scratch"
NEXT = "next"  # where a dataset is built while another one stands at the place
REPLACED = "replaced.json"  # the files of the dataset that is being replaced
OURS = tuple(f"{folder}/" for folder in (DATA, REJECTS, BUILDING, PARTS, SCRATCH, NEXT))
# What no file of a dataset may be called.
TAKEN_FOLDERS = tuple(f"{folder}/" for folder in (BUILDING, PARTS, SCRATCH, NEXT))
TAKEN = frozenset({MANIFEST, RUN, REPLACED, *(folder.rstrip("/") for folder in OURS)})


def shard_name(index: int, num_shards: int, split: str | None = None) -> str:
    """The path of a shard below its dataset: data/00003-of-00008.arrow or data/train-00003-of-00008.arrow."""
    prefix = f"{split}-" if split else ""
    return f"{DATA}/{prefix}{index:05d}-of-{num_shards:05d}.arrow"


def reject_name(index: int, num_shards: int) -> str:
    """The path of a reject shard, below its dataset."""
    return f"{REJECTS}/{index:05d}-of-{num_shards:05d}.arrow"


def shard_index(path: str) -> tuple[int, int]:
    """(index, num_shards) of a shard's path. Raises ValueError for a path without them."""
    index, _, num_shards = places.name(path).removesuffix(".arrow").rpartition("-of-")
    try:
        return int(index.rpartition("-")[2]), int(num_shards)
    except ValueError:
        raise ValueError(f"{path!r} is no path of a shard; wanted one such as {shard_name(0, 1)}") from None


def split_of(path: str) -> str | None:
    """The split in a shard's name, or None when the dataset is not split."""
    prefix, _, _ = places.name(path).rpartition("-of-")
    split, _, _ = prefix.rpartition("-")
    return split or None


def in_split(path: str, split: str) -> str:
    """The shard of one split beside a shard that has none: data/train-00003-of-00008.arrow."""
    index, num_shards = shard_index(path)
    return shard_name(index, num_shards, split)


def part_name(path: str) -> str:
    """The record of a finished file, below the folder of its build."""
    return f"{PARTS}/{path.replace('/', '__')}.json"


def is_ours(path: str) -> bool:
    """Whether a path below a dataset can only be a build's: its folders, its temporary files."""
    folder, _, name = path.rpartition("/")
    return path.startswith(OURS) or (not folder and name.startswith(places.TEMPORARY))
