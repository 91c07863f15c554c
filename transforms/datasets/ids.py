"""Stable hashes of ids: the only source of chance in Agora.

Everything that would be random elsewhere (which split a thread falls into, which pairs survive a cap, the order of
documents in a stage) is a keyed hash of stable ids and a purpose string. So it is the same on every machine, for any
number of workers, and a decision made for one purpose never moves another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from enum import Enum
from typing import overload

_SEPARATOR = "\x1f"  # cannot occur in ids that come from URLs, numbers or our own code


def keyed_hash(purpose: str, *ids: str) -> int:
    """A 64-bit hash of `ids` under `purpose`: uniform in [0, 2**64), independent between purposes."""
    digest = hashlib.blake2b(_SEPARATOR.join((purpose, *ids)).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def unit_interval(purpose: str, *ids: str) -> float:
    """The keyed hash as a number in [0, 1). Uses its upper 53 bits, so that 1.0 is never reached by rounding."""
    return (keyed_hash(purpose, *ids) >> 11) / 2.0**53


def bucket_of(purpose: str, key: str, num_buckets: int) -> int:
    """Which of `num_buckets` a key falls into: a shard, a spill bucket."""
    return keyed_hash(purpose, key) % num_buckets


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(value: object) -> str:
    """16 hexadecimal digits that name a value: dataclasses, enums, mappings, sequences, scalars."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


@overload
def plain(value: Mapping[str, object]) -> dict[str, object]: ...
@overload
def plain(value: object) -> object: ...
def plain(value: object) -> object:
    """The value in JSON's own types. Raises TypeError for what has no stable JSON form, such as an object or a set."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"a setting must be a JSON value to have a fingerprint; got {type(value).__name__}: {value!r}")
