"""What becomes of a record: kept, or dropped for one reason out of this list. Nothing is lost quietly.

A record that cannot be parsed is dropped where it is parsed and leaves a row in a reject shard. Every later decision is
a keep/reason column of an attribute layer, or a count by reason (candidate pairs). The counts are made in the graph,
from part-records, never from Beam counters, and every step checks that what came in equals kept plus dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a record, a document or a candidate pair was not kept."""

    # a whole file
    EMPTY_FILE = "empty-file"  # no bytes, or no rows where rows were promised
    TRUNCATED_FILE = "truncated-file"  # ends before its format's end; complete records in it are kept
    WRONG_FORMAT = "wrong-format"  # not the format it was given as
    BOMB = "decompression-bomb"  # unpacks to more than the limits allow; complete records before that are kept
    DOCTYPE = "doctype"  # declares a document type; its rows are read, its entities are never expanded
    ENCRYPTED = "encrypted"  # needs a password
    UNSAFE_NAME = "unsafe-name"  # a member of an archive that is a link or whose name leads out of the archive
    DAMAGED_FILE = "damaged-file"  # a part of it cannot be read; the rest of it is kept
    # a record, where it is parsed
    BAD_ENCODING = "bad-encoding"  # bytes that are not UTF-8
    MALFORMED = "malformed"  # not well-formed XML or JSON, undefined entity, illegal character
    OVERSIZED = "oversized"  # longer than the record limit
    TRUNCATED = "truncated"  # the file ended inside this record
    MISSING_FIELD = "missing-field"  # a field that the source's schema requires is absent or not readable
    NOT_A_POST = "not-a-post"  # tag wikis, nominations, placeholders: rows of the dump that nobody asked or answered
    DUPLICATE_ID = "duplicate-id"  # another record with this id was kept
    ORPHAN = "orphan"  # an answer whose question, or a comment or vote whose post, is not in the dump
    EMPTY = "empty"  # no text left after cleaning
    DELETED = "deleted"  # its author took it back before the dump was made
    REMOVED = "removed"  # a moderator or the site took it down before the dump was made
    QUESTION_REMOVED = "question-removed"  # stands under a question that was deleted or removed
    CYCLE = "cycle"  # its parents lead back to itself
    REMOVED_ON_REQUEST = "removed-on-request"  # the user's remove list names it, its URL or its author
    OVER_THREAD_CAP = "over-thread-cap"  # beyond the number of posts that a thread may have
    # a row that says something of a post; counted by file, not written out
    OTHER_VOTE = "other-vote"  # a vote that does not judge a post: favourite, close, deletion, spam …
    OTHER_LINK = "other-link"  # a link that declares no question a duplicate
    # a document, in a layer
    LANGUAGE_UNSURE = "language-unsure"  # confidence below the language's threshold
    LANGUAGE_UNLISTED = "language-unlisted"  # a language outside the table of 119
    QUALITY_LENGTH = "quality-length"  # too short or too long
    QUALITY_SCRIPT = "quality-script"  # written in another script than its language is
    QUALITY_SYMBOLS = "quality-symbols"  # symbols, digits or URLs more than words
    QUALITY_ENCODED = "quality-encoded"  # base64, hexadecimal numbers, keys
    QUALITY_REPETITION = "quality-repetition"  # the same lines or words again and again
    QUALITY_BOILERPLATE = "quality-boilerplate"  # menus, footers, banners, placeholder text
    QUALITY_WORDS = "quality-words"  # words that are no running text: lists of keywords
    QUALITY_LINES = "quality-lines"  # lines that do not end as sentences do
    QUALITY_SCORE = "quality-score"  # a score below the least that is kept
    CONTAMINATED = "contaminated"  # holds an item of a benchmark; of a pair, its question or one of its answers does
    DUPLICATE = "duplicate"  # same text, after normalisation, as its cluster's representative
    NEAR_DUPLICATE = "near-duplicate"  # in a near-duplicate cluster, and not its representative
    REPEATED_LINES = "repeated-lines"  # little is left of it without lines of others; of a pair, of one of its answers
    # a candidate pair
    TIE = "tie"  # equal scores
    OVER_ANSWER_CAP = "over-answer-cap"  # of a thread with more answers than the rule looks at
    OVER_CAP = "over-cap"  # beyond the rule's number of pairs per thread
    DUPLICATE_ANSWER = "duplicate-answer"  # one of the answers is a duplicate
    LOW_QUALITY = "low-quality"  # one of the answers is not kept by the quality layer
    MISSING_SCORE = "missing-score"  # one of the answers has no score
    NO_PROMPT = "no-prompt"  # the question is not among the documents
    # a document, when a curriculum is made
    HELD_OUT = "held-out"  # in the validation or holdout split
    NOT_IN_RECIPE = "not-in-recipe"  # kept, but no stage of the recipe takes its language
    OVER_BUDGET = "over-budget"  # kept, but the stages' budgets were met without it


# Posts that somebody wanted gone. They are dropped as asked and say nothing against the input, and what stands under
# such a question is told from what stands under one that is merely not in the input.
WITHDRAWN = frozenset({Reason.DELETED, Reason.REMOVED, Reason.REMOVED_ON_REQUEST})


@dataclass(frozen=True)
class Drop:
    """A record dropped where it was parsed: a row of a reject shard."""

    file: str  # name below the input the user gave
    offset: int  # byte offset of the record in the file
    record_id: str | None
    reason: Reason
    detail: str  # what exactly was wrong; never the record's own text
    entry: int | None = None  # of the remove list, where that is the reason; counted, not written
    parent_id: str | None = None  # what its row replies to, where it says so: what replies to it finds its thread by it


class Tally:
    """Counts by group and name, such as {"drop": {"tie": 3}}. Adding is all it does, so any order gives the same."""

    def __init__(self, counts: Mapping[str, Mapping[str, int]] | None = None) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        if counts:
            self.merge(counts)

    def add(self, group: str, name: str, number: int = 1) -> None:
        """Counts `number` more under a group's name."""
        names = self._counts.setdefault(group, {})
        names[name] = names.get(name, 0) + number

    def merge(self, other: Tally | Mapping[str, Mapping[str, int]]) -> None:
        """Adds all counts of another."""
        counts = other._counts if isinstance(other, Tally) else other
        for group, names in counts.items():
            for name, number in names.items():
                self.add(group, name, number)

    def group(self, group: str) -> Mapping[str, int]:
        """The counts of a group by name; empty when there are none."""
        return self._counts.get(group, {})

    def total(self, group: str) -> int:
        """The sum of a group's counts."""
        return sum(self._counts.get(group, {}).values())

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Sorted plain dictionaries."""
        return {group: dict(sorted(names.items())) for group, names in sorted(self._counts.items())}


def check_conserved(what: str, came_in: int, kept: int, dropped: int) -> None:
    """Raises ValueError unless came_in == kept + dropped: law 1."""
    if came_in != kept + dropped:
        raise ValueError(
            f"{what} were lost: {came_in} came in, but {kept} were kept and {dropped} dropped "
            f"({came_in - kept - dropped:+d} unaccounted for); this is a defect of Agora, please report it"
        )
