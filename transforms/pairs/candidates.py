"""The fate of every candidate of a thread: a preference pair, or dropped for a reason.

Every unordered pair of answers of a thread is a candidate with exactly one fate. The reasons are tried in the order
over-answer-cap, no-prompt, missing-score, what a layer has against an answer (`Keep.unpaired`), duplicate-answer, tie,
over-cap. Looking at candidates one by one takes the square of the number of answers, so of a thread with more than
max_answers_per_thread those with the smallest keyed hashes are looked at, and the candidates of the others are counted
as over-answer-cap.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from transforms.datasets.fates import Reason
from transforms.datasets.ids import keyed_hash
from transforms.pairs.rule import Answer, PairRule


@dataclass(frozen=True)
class PreferencePair:
    """A candidate that is kept: `chosen` has the higher score."""

    chosen: Answer
    rejected: Answer
    chosen_score: int
    rejected_score: int

    @property
    def ids(self) -> tuple[str, str]:
        """Of the chosen and the rejected answer."""
        return self.chosen.doc_id, self.rejected.doc_id


@dataclass(frozen=True)
class CandidateDrop:
    """A candidate that gives no pair, and why."""

    first_id: str
    second_id: str
    reason: Reason


def within_answer_cap(thread_id: str, answers: Sequence[Answer], rule: PairRule) -> list[Answer]:
    """The answers of a thread that are paired, in their order."""
    if len(answers) <= rule.max_answers_per_thread:
        return list(answers)
    ranks = ((keyed_hash("pairs-answers", thread_id, answer.doc_id), answer.doc_id) for answer in answers)
    chosen = {doc_id for _, doc_id in heapq.nsmallest(rule.max_answers_per_thread, ranks)}
    return [answer for answer in answers if answer.doc_id in chosen]


def num_candidates(num_answers: int) -> int:
    """Unordered pairs of so many answers."""
    return num_answers * (num_answers - 1) // 2


def pairs_from_thread(
    thread_id: str, has_prompt: bool, answers: Sequence[Answer], rule: PairRule
) -> Iterator[PreferencePair | CandidateDrop]:
    """The fate of each of the n(n-1)/2 candidates of n answers within the answer cap, in the order of the answers.

    Memory is bounded by the cap on pairs; time is that of the candidates.
    """
    ranks = (
        (keyed_hash("pairs", thread_id, *fate.ids), fate.ids)
        for fate in _candidates(has_prompt, answers, rule)
        if isinstance(fate, PreferencePair)
    )
    within_cap = {ids for _, ids in heapq.nsmallest(rule.max_pairs_per_thread, ranks)}
    for fate in _candidates(has_prompt, answers, rule):
        if isinstance(fate, PreferencePair) and fate.ids not in within_cap:
            yield CandidateDrop(fate.chosen.doc_id, fate.rejected.doc_id, Reason.OVER_CAP)
        else:
            yield fate


def _candidates(
    has_prompt: bool, answers: Sequence[Answer], rule: PairRule
) -> Iterator[PreferencePair | CandidateDrop]:
    scores = {answer.doc_id: rule.score_of(answer) for answer in answers}
    for first, second in combinations(answers, 2):
        first_score, second_score = scores[first.doc_id], scores[second.doc_id]
        if not has_prompt:
            yield CandidateDrop(first.doc_id, second.doc_id, Reason.NO_PROMPT)
        elif first_score is None or second_score is None:
            yield CandidateDrop(first.doc_id, second.doc_id, Reason.MISSING_SCORE)
        elif unpaired := first.unpaired or second.unpaired:
            yield CandidateDrop(first.doc_id, second.doc_id, unpaired)
        elif first.text == second.text:
            yield CandidateDrop(first.doc_id, second.doc_id, Reason.DUPLICATE_ANSWER)
        elif first_score == second_score:
            yield CandidateDrop(first.doc_id, second.doc_id, Reason.TIE)
        elif first_score > second_score:
            yield PreferencePair(first, second, first_score, second_score)
        else:
            yield PreferencePair(second, first, second_score, first_score)
