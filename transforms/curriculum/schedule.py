"""The order of a stage's sequences: every prefix of it keeps to the plan.

Tijdeman's chairman assignment ("The chairman assignment problem", Discrete Mathematics 32, 1980, pages 323-330): a
union of k states elects a chairman each year so that at any time every state has had its share of years up to less
than one. States are languages, years are positions. After any t positions, a language with c of the stage's N
sequences has had c*t/N of them up to 1 - 1/(2k-2), less than one sequence, whatever the shares. All arithmetic is in
integers, so the order is the same on every machine.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def schedule(counts: Sequence[int]) -> npt.NDArray[np.int32]:
    """Which language stands at each position.

    counts: sequences of each language, none negative. Returns [sum(counts)] indices into counts; index i occurs
    counts[i] times. O(N log k) time, 4 bytes a sequence. Raises ValueError for a negative count.
    """
    if any(count < 0 for count in counts):
        raise ValueError(f"sequences of a language cannot be negative; got {list(counts)}")
    total = sum(counts)
    order = np.empty(total, dtype=np.int32)
    present = [index for index, count in enumerate(counts) if count]
    if len(present) <= 1:
        order.fill(present[0] if present else 0)
        return order

    # With m = 2k - 2, a language that had x sequences may be elected once c*t/N - x >= 1/m (it then runs ahead by at
    # most 1 - 1/m), and must be before c*t/N - x exceeds 1 - 1/m. Among those that may, the most urgent is elected.
    m = 2 * len(present) - 2

    def first_position(index: int, had: int, numerator: int) -> int:
        """The smallest t with counts[index] * t / total - had >= numerator / m."""
        return -(-total * (m * had + numerator) // (m * counts[index]))

    had = [0] * len(counts)
    waiting = [(first_position(index, 0, 1), index) for index in present]  # by the position from which they may come
    heapq.heapify(waiting)
    ready: list[tuple[int, int]] = []  # by deadline
    for position in range(1, total + 1):
        while waiting and waiting[0][0] <= position:
            index = heapq.heappop(waiting)[1]
            heapq.heappush(ready, (first_position(index, had[index], m - 1), index))
        index = heapq.heappop(ready)[1]
        order[position - 1] = index
        had[index] += 1
        if had[index] < counts[index]:
            heapq.heappush(waiting, (first_position(index, had[index], 1), index))
    return order


def shard_bounds(num_sequences: int, num_shards: int) -> list[int]:
    """[num_shards + 1] positions: shard s of a stage holds the sequences from bounds[s] up to bounds[s + 1]."""
    return [shard * num_sequences // num_shards for shard in range(num_shards + 1)]
