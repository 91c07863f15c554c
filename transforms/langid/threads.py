"""The posts of threads, one after the other, to verdicts: short and unsure ones are seen with those around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from transforms.langid.detect import Seen
from transforms.langid.labels import SHORT_CHARS, VERY_SHORT_CHARS, Guess
from transforms.langid.prior import by_thread
from transforms.langid.verdict import Detected, believe, choose, is_sure, least_of

# The least confidence of a post that was seen with others: what keeps 95% of those that are kept right
# (benchmarks/thread_languages.py).
_LEAST_VERY_SHORT, _LEAST = 0.7, 0.6


class Threads:
    """Posts to verdicts, in their order. Those of a thread follow each other, and may come in several batches.

    Memory: the guesses of one batch and of the thread that goes on, up to 2 kB a post.
    """

    def __init__(self, thresholds: Mapping[str, float]) -> None:
        self._thresholds = thresholds
        self._pending: list[_Post] = []

    def add(self, threads: Sequence[str], seen: Seen, stated: Sequence[str | None]) -> list[Detected]:
        """Takes posts, and gives the verdicts on those whose threads are whole. stated: languages that are known."""
        posts = [*self._pending, *zip(threads, seen.guesses, seen.chars, stated, strict=True)]
        end = len(posts)
        while end and posts[end - 1][0] == posts[-1][0]:
            end -= 1
        self._pending = posts[end:]
        return self._verdicts(posts[:end])

    def end(self) -> list[Detected]:
        """The verdicts on the last thread's posts."""
        posts, self._pending = self._pending, []
        return self._verdicts(posts)

    def _verdicts(self, posts: Sequence[_Post]) -> list[Detected]:
        verdicts = [
            choose(guess, self._thresholds, least_of(chars)) if stated is None else believe(stated, guess)
            for _, guess, chars, stated in posts
        ]
        if len({thread for thread, *_ in posts}) == len(posts):
            return verdicts
        rows: list[int] = []  # of threads in which a post takes what the others say
        numbers: list[int] = []
        takes: list[bool] = []
        start = 0
        for number, (_, group) in enumerate(groupby(posts, key=itemgetter(0))):
            thread = list(group)
            are_open = [self._is_open(post) for post in thread]
            if len(thread) > 1 and any(are_open):
                rows += range(start, start + len(thread))
                numbers += [number] * len(thread)
                takes += are_open
            start += len(thread)
        if rows:
            said = [_said(posts[row]) for row in rows]
            for row, guess, before in zip(rows, by_thread(said, numbers, takes), said, strict=True):
                if guess is not before:
                    least = _LEAST_VERY_SHORT if posts[row][2] <= VERY_SHORT_CHARS else _LEAST
                    verdicts[row] = choose(guess, self._thresholds, least)
        return verdicts

    def _is_open(self, post: _Post) -> bool:
        _, guess, chars, stated = post
        return stated is None and bool(guess) and (chars <= SHORT_CHARS or not is_sure(guess, self._thresholds, 0.0))


_Post = tuple[str, Guess, int, str | None]  # thread, what it says, characters that were read, stated language


def _said(post: _Post) -> Guess:
    """What a post gives to its thread: a stated language is sure."""
    return post[1] if post[3] is None else ((post[3], 1.0),)
