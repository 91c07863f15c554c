"""JSON that carries a digest of itself: a file that was edited, or damaged anywhere, is noticed by whoever reads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

SEAL = "sha256_with_zeros_here"  # the SHA-256 of the whole file with 64 zeros in place of this value
_ZEROS = "0" * 64


def seal(values: Mapping[str, object]) -> bytes:
    """The file: sorted keys, one value a line, and the seal."""
    data = (json.dumps({**values, SEAL: _ZEROS}, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
    return _with(data, _ZEROS, hashlib.sha256(data).hexdigest())


def is_intact(data: bytes, values: Mapping[str, object]) -> bool:
    """Whether a file is as `seal` wrote it. values: what it holds, the seal among them."""
    found = values.get(SEAL)
    return found == hashlib.sha256(_with(data, found, _ZEROS)).hexdigest()


def _with(data: bytes, before: object, after: str) -> bytes:
    there, here = (f'"{SEAL}": "{value}"'.encode(errors="replace") for value in (before, after))
    return data.replace(there, here)
