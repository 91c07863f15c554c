"""How well scores tell positive from negative examples."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from transforms.quality.classifier import Scores

_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_DIGITS = 4  # later ones depend on the processor


class At(TypedDict):
    """If texts from this score on are taken: the share of those taken that are positive (None when none is), and the
    share of the positive ones that are taken."""

    score: float
    precision: float | None
    recall: float


class Judged(TypedDict):
    """accuracy: at a score of one half. auc: how often a positive text has a higher score than a negative one."""

    accuracy: float
    auc: float
    at: list[At]


def judge(positive: Scores, negative: Scores) -> Judged:
    """Scores of [P] positive and [N] negative texts, P and N at least 1."""
    right = int((positive >= 0.5).sum() + (negative < 0.5).sum())
    ordered = np.sort(negative)
    below = (np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")) / 2  # ties: half
    return {
        "accuracy": round(right / (len(positive) + len(negative)), _DIGITS),
        "auc": round(float(below.mean()) / len(negative), _DIGITS),
        "at": [_at(score, positive, negative) for score in _THRESHOLDS],
    }


def _at(score: float, positive: Scores, negative: Scores) -> At:
    found, wrong = int((positive >= score).sum()), int((negative >= score).sum())
    precision = round(found / (found + wrong), _DIGITS) if found + wrong else None
    return {"score": score, "precision": precision, "recall": round(found / len(positive), _DIGITS)}
