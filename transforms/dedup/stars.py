"""Stars: which text of a component of candidates is removed for which, and what proves it.

A component holds texts that MinHash joined by way of others; nothing is removed for that. Members are taken in survivor
order, and each is compared with the survivors before it that share a digest with it: it goes for the most similar one
that `compare` accepts, or else it survives. So what a text is removed for always stays, and is itself similar to it:
never a chain. Texts with equal digests of the whole text are compared once.

A member whose fate was decided before, in a finished build, is compared with none: it stays, or it is gone.

The result is a function of the members and their order alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.dedup.links import agree
from transforms.dedup.similarity import EXACT, UNLIKE, Bounds, Similarity, Text, compare

# A member is compared with at most so many survivors, those that share the most digests with it, and a digest leads to
# the first so many that have it and whose marks agree, among the first so many that have it. It bounds the cost of a
# component of any size; a removal is verified all the same.
_MOST_COMPARED, _MOST_LOOKED_AT = 16, 64
_MOST_TOKENS = 200_000  # of survivors whose sets of shingles are kept in memory: about 300 bytes each


_GONE = -1  # the place of what a member went for that was removed before


class Member(NamedTuple):
    """A text of a component."""

    digest: int  # of the whole normalised text; 0 where there is none: it is nobody's duplicate
    bands: npt.NDArray[np.uint64]  # (B,) digests that it shares with candidates
    marks: Mapping[int, int]  # that say whether those who share one are compared: `links.marks_by_kind`
    tokens: npt.NDArray[np.uint64]  # (T,) hashes of its tokens, in order
    stays: bool | None = None  # what was decided of it before; None: nothing


class Star(NamedTuple):
    """What becomes of a member."""

    kept: int  # the member that stays for it, by its place; its own place when it survives; _GONE
    similarity: Similarity  # to that member; UNLIKE when it survives
    capped: bool  # more survivors share a digest with it than it was compared with


def stars(members: Sequence[Member], bounds: Bounds, most: Sequence[int]) -> list[Star]:
    """What becomes of each member of one component. members: in survivor order, the first is the one to keep. most: of
    different values in marks, by kind (`links.most_by_kind`).

    Memory: beside the members, sets of digests, and shingles of survivors of 200,000 tokens. Time: linear in members.
    """
    digests = {(member.digest, member.stays) for member in members}
    if len(digests) == 1 and members[0].digest and members[0].stays is None:  # copies of one text
        return [Star(0, UNLIKE if place == 0 else EXACT, False) for place in range(len(members))]
    survivors = _Survivors(members, bounds, most)
    first: dict[int, int] = {}  # by digest: the place of the first member that has it
    fates: list[Star] = []
    for place, member in enumerate(members):
        like = first.setdefault(member.digest, place) if member.digest else place
        if member.stays is not None:
            fates.append(survivors.keep(place) if member.stays else Star(_GONE, UNLIKE, False))
        elif like == place:
            fates.append(survivors.admit(place))
        elif fates[like].kept == like:
            fates.append(Star(like, EXACT, False))
        elif np.array_equal(member.tokens, members[like].tokens):
            fates.append(fates[like])  # as similar to the survivor as the text that it equals
        else:
            fates.append(survivors.admit(place))
    return fates


class _Survivors:
    """The members that stay, and how a further one finds those that it may be removed for."""

    def __init__(self, members: Sequence[Member], bounds: Bounds, most: Sequence[int]) -> None:
        self._members, self._bounds, self._most = members, bounds, most
        self._with: dict[int, list[int]] = {}  # the first survivors that have a digest
        self._bands: dict[int, set[int]] = {}  # the digests of each survivor
        self._texts: dict[int, Text] = {}
        self._num_tokens = 0  # in those

    def admit(self, place: int) -> Star:
        """What becomes of a member. One that survives is compared with those that come after it."""
        member = self._members[place]
        candidates, capped = self._candidates(member, set(member.bands.tolist()))
        text = Text(member.tokens)
        best, most = Star(place, UNLIKE, capped), -1.0
        for candidate in candidates:
            similarity = compare(text, self._text(candidate), self._bounds)
            if similarity.rule and (similarity.jaccard or 0.0) > most:
                best, most = Star(candidate, similarity, capped), similarity.jaccard or 0.0
        if best.kept == place:
            self._remember(place, text)
            return self.keep(place, capped)
        return best

    def keep(self, place: int, capped: bool = False) -> Star:
        """Of a member that survives: those that come after it are compared with it."""
        bands = self._bands[place] = set(self._members[place].bands.tolist())
        for digest in bands:
            known = self._with.setdefault(digest, [])
            if len(known) <= _MOST_LOOKED_AT:  # one more than is looked at, to tell that there are more
                known.append(place)
        return Star(place, UNLIKE, capped)

    def _candidates(self, member: Member, bands: set[int]) -> tuple[list[int], bool]:
        """The survivors to compare with, in their order, and whether there are others. bands: the member's."""
        found: set[int] = set()
        capped = False
        for digest in bands:
            known = self._with.get(digest, [])
            agreeing = [
                place
                for place in known[:_MOST_LOOKED_AT]
                if agree(digest, member.marks, self._members[place].marks, self._most)
            ]
            capped |= len(known) > _MOST_LOOKED_AT or len(agreeing) > _MOST_COMPARED
            found.update(agreeing[:_MOST_COMPARED])
        if len(found) <= _MOST_COMPARED:
            return sorted(found), capped
        shared = {place: len(bands & self._bands[place]) for place in found}
        return sorted(sorted(found, key=lambda place: (-shared[place], place))[:_MOST_COMPARED]), True

    def _text(self, place: int) -> Text:
        return self._texts.get(place) or self._remember(place, Text(self._members[place].tokens))

    def _remember(self, place: int, text: Text) -> Text:
        if self._num_tokens > _MOST_TOKENS:
            self._texts.clear()
            self._num_tokens = 0
        self._texts[place] = text
        self._num_tokens += len(text.tokens)
        return text
