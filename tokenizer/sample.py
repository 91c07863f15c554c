"""Which text a tokenizer is trained on: how many bytes of each language, and which documents. Pure, bounded memory.

A language with n bytes gets a share in proportion to n^alpha (XLM-R, arXiv 1911.02116, section 3.1, where alpha is
0.3), so that small languages are heard. Within a language, documents come in the order of a keyed hash.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping


def sample_sizes(available_bytes: Mapping[str, int], sample_bytes: int, alpha: float) -> dict[str, int]:
    """Bytes to take of each language: at most what it has, together at most `sample_bytes`.

    What a language cannot fill goes to the others, again in proportion to n^alpha. Raises ValueError when nothing is
    available.
    """
    left = {code: size for code, size in sorted(available_bytes.items()) if size > 0}
    if not left:
        raise ValueError("there is no text to train a tokenizer on: no kept document is in the train split")
    quota: dict[str, int] = {}
    budget = sample_bytes
    while left:
        total_weight = sum(size**alpha for size in left.values())
        share = {code: int(budget * (size**alpha / total_weight)) for code, size in left.items()}
        filled = [code for code, size in left.items() if size <= share[code]]
        if not filled:
            return quota | share
        for code in filled:
            quota[code] = left.pop(code)
            budget -= quota[code]
    return quota


class Reservoir:
    """The texts with the smallest keys, just enough of them to hold `quota_bytes`; the order of adding does not matter.

    Memory: `quota_bytes` and one text.
    """

    def __init__(self, quota_bytes: int) -> None:
        self._quota = quota_bytes
        self._largest_first: list[tuple[int, str, str, int]] = []  # -key, id, text, bytes
        self._bytes = 0

    @property
    def num_bytes(self) -> int:
        """UTF-8 bytes of the texts that it holds."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._largest_first)

    def wants(self, key: int) -> bool:
        """False when a text with this key would not stay."""
        return self._bytes < self._quota or (self._quota > 0 and key <= -self._largest_first[0][0])

    def add(self, key: int, text_id: str, text: str) -> None:
        """key: uniform, from a keyed hash of the id; ids are unique."""
        if not self.wants(key):
            return
        size = len(text.encode())
        heapq.heappush(self._largest_first, (-key, text_id, text, size))
        self._bytes += size
        while self._bytes - self._largest_first[0][3] >= self._quota:
            self._bytes -= heapq.heappop(self._largest_first)[3]

    def texts(self) -> list[str]:
        """The texts by ascending key."""
        return [text for _, _, text, _ in sorted(self._largest_first, key=lambda item: (-item[0], item[1]))]


def clip(text: str, max_bytes: int) -> str:
    """The beginning of a text, at most `max_bytes` long in UTF-8, cut between characters."""
    data = text.encode()
    return text if len(data) <= max_bytes else data[:max_bytes].decode(errors="ignore")
