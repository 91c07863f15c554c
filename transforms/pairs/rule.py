"""What a pair rule is, and what it looks at in an answer.

The rule of WorldPM (arXiv 2505.10527, section 3.1.1 and appendix A.2): two answers to one question with different net
votes (up minus down; for Stack Exchange acceptance by the asker counts as one more vote) are a pair; no margin is used.
The paper does not say how many pairs it takes from a thread; we take all of them up to a cap, chosen by a keyed hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from transforms.datasets.fates import Reason


@dataclass(frozen=True)
class PairRule:
    """How candidates are scored and how many pairs a thread gives.

    score: "score" is up minus down; "score_plus_accepted" adds one for the accepted answer. max_answers_per_thread: of
    a thread with more answers so many, chosen by a keyed hash, are paired.
    """

    name: str
    version: int
    score: Literal["score", "score_plus_accepted"]
    max_pairs_per_thread: int = 10
    max_answers_per_thread: int = 1000

    def __post_init__(self) -> None:
        if self.max_pairs_per_thread < 1:
            raise ValueError(f"max_pairs_per_thread must be >= 1; got {self.max_pairs_per_thread}")
        if self.max_answers_per_thread < 2:
            raise ValueError(f"max_answers_per_thread must be >= 2; got {self.max_answers_per_thread}")

    def score_of(self, answer: Answer) -> int | None:
        """The answer's score as this rule counts it; None when nothing is known of its votes."""
        if answer.votes is None:
            return None
        return answer.votes + (1 if self.score == "score_plus_accepted" and answer.accepted else 0)


@dataclass(frozen=True)
class Answer:
    """What the rule looks at in an answer."""

    doc_id: str
    row: int  # in its shard: answers of a thread stand in the order of time
    votes: int | None  # up minus down
    accepted: bool
    unpaired: Reason | None  # what a layer has against pairing it
    text: str
