"""Stars: which text of a component of candidates is removed for which, and what proves it.

A component holds texts that MinHash joined by way of others; nothing is removed for that. Members are taken in survivor
order, and each is compared with the survivors before it that share a digest with it: it goes for the most similar one
that `compare` accepts, or else it survives. So what a text is removed for always stays, and is itself similar to it:
never a chain. Texts with equal digests of the whole text are compared once.

The result is a function of the members and their order alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.dedup.similarity import EXACT, Bounds, Similarity, Text, compare

# A member is compared with at most so many survivors, those that share the most digests with it, and a digest leads to
# the first so many that have it. It bounds the cost of a component of any size; a removal is verified all the same.
_MOST_COMPARED = 16
_MOST_TEXTS = 2_048  # survivors whose sets of shingles are kept, about 10 kB each for 50 tokens


class Member(NamedTuple):
    """A text of a component."""

    tokens: npt.NDArray[np.uint64]  # (T,) hashes of its tokens, in order
    digest: int  # of the whole normalised text; 0 where there is none: it is nobody's duplicate
    bands: Sequence[int]  # digests that it shares with candidates; where all are equal to others', each counts


class Star(NamedTuple):
    """What becomes of a member."""

    kept: int  # the member that stays for it, by its place; its own place when it survives
    similarity: Similarity | None  # to that member; None when it survives
    size: int  # members of its star: the survivor and all that are removed for it
    capped: bool  # more survivors share a digest with it than it was compared with


def stars(members: Sequence[Member], bounds: Bounds) -> list[Star]:
    """What becomes of each member of one component. members: in survivor order, the first is the one to keep.

    Memory: the tokens of one member and the shingles of 2,048 survivors, beside the members. Time: linear in members.
    """
    survivors = _Survivors(members, bounds)
    first: dict[int, int] = {}  # by digest: the place of the first member that has it
    fates: list[tuple[int, Similarity | None, bool]] = []
    for place, member in enumerate(members):
        like = first.setdefault(member.digest, place) if member.digest else place
        if like == place:
            fates.append(survivors.admit(place))
        elif fates[like][1] is None:
            fates.append((like, EXACT, False))
        elif np.array_equal(member.tokens, members[like].tokens):
            fates.append(fates[like])  # as similar to the survivor as the text that it equals
        else:
            fates.append(survivors.admit(place))
    sizes = Counter(kept for kept, _, _ in fates)
    return [Star(kept, similarity, sizes[kept], capped) for kept, similarity, capped in fates]


class _Survivors:
    """The members that stay, and how a further one finds those that it may be removed for."""

    def __init__(self, members: Sequence[Member], bounds: Bounds) -> None:
        self._members, self._bounds = members, bounds
        self._with: dict[int, list[int]] = {}  # survivors by digest
        self._texts: dict[int, Text] = {}

    def admit(self, place: int) -> tuple[int, Similarity | None, bool]:
        """The survivor that a member goes for, how similar it is, and whether there were too many to look at all."""
        member = self._members[place]
        bands = set(member.bands)
        lists = [known for digest in bands if (known := self._with.get(digest))]
        if not lists:
            return self._stays(place, False)
        candidates, capped = self._candidates(bands, lists)
        text = Text(member.tokens)
        best: tuple[int, Similarity] | None = None
        for candidate in candidates:
            similarity = compare(text, self._text(candidate), self._bounds)
            if similarity.rule and (best is None or similarity.jaccard > best[1].jaccard):
                best = candidate, similarity
        return (*best, capped) if best else self._stays(place, capped)

    def _stays(self, place: int, capped: bool) -> tuple[int, None, bool]:
        for digest in set(self._members[place].bands):
            known = self._with.setdefault(digest, [])
            if len(known) <= _MOST_COMPARED:  # one more than is looked at, to tell that there are more
                known.append(place)
        return place, None, capped

    def _candidates(self, bands: set[int], lists: Sequence[Sequence[int]]) -> tuple[list[int], bool]:
        """The survivors to compare with, in their order, and whether there are others. lists: those of each digest."""
        found = {place for known in lists for place in known[:_MOST_COMPARED]}
        capped = any(len(known) > _MOST_COMPARED for known in lists)
        if len(found) <= _MOST_COMPARED:
            return sorted(found), capped
        shared = {place: len(bands.intersection(self._members[place].bands)) for place in found}
        return sorted(sorted(found, key=lambda place: (-shared[place], place))[:_MOST_COMPARED]), True

    def _text(self, place: int) -> Text:
        text = self._texts.get(place)
        if text is None:
            if len(self._texts) == _MOST_TEXTS:
                self._texts.clear()
            text = self._texts[place] = Text(self._members[place].tokens)
        return text
