"""Fits the linear model of a group: multinomial logistic regression over hashed n-grams, by L-BFGS."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, diags

from transforms.langid.grams import gram_ids

_BATCH = 2_000  # lines whose n-grams are counted at a time


def fit(
    lines: Sequence[str],
    classes: Sequence[int],
    importance: Sequence[float],
    *,
    bits: int,
    looseness: float,
    iterations: int,
) -> NDArray[np.float64]:
    """Weights, [2**bits, classes]. importance: of each line, whatever their sum. looseness: the more, the larger the
    weights may be."""
    features = _features(lines, bits)
    used = np.flatnonzero(np.diff(features.tocsc().indptr))  # n-grams that occur
    features = features[:, used]
    transposed = features.T.tocsr()
    right = np.asarray(classes)
    number, rows = int(right.max()) + 1, np.arange(len(right))
    share = np.asarray(importance) / np.sum(importance)
    penalty = 1.0 / (looseness * len(right))

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(-1, number)
        logits = (features @ weights.astype(np.float32)).astype(np.float64)  # as the features are, lest they be copied
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        error = np.exp(logits)
        error[rows, right] -= 1.0
        gradient = transposed @ (error * share[:, None]).astype(np.float32) + penalty * weights
        return float(-(share * logits[rows, right]).sum() + penalty / 2 * (weights**2).sum()), gradient.ravel()

    start = np.zeros(len(used) * number)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations})
    weights = np.zeros((2**bits, number))
    weights[used] = found.x.reshape(-1, number)
    return weights


def _features(lines: Sequence[str], bits: int) -> csr_matrix:
    """How often each n-gram is in each line, over the root of the number of all of the line."""
    rows, columns = [], []
    for first in range(0, len(lines), _BATCH):
        batch = lines[first : first + _BATCH]
        for ids, starts in gram_ids(batch, bits):
            line = np.repeat(np.arange(first, first + len(batch)), np.diff(starts, append=len(ids)))
            rows.append(line[ids < 2**bits].astype(np.int32))
            columns.append(ids[ids < 2**bits].astype(np.int32))
    row, column = np.concatenate(rows), np.concatenate(columns)
    counts = csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=(len(lines), 2**bits))
    counts.sum_duplicates()
    total = np.maximum(np.bincount(row, minlength=len(lines)), 1)
    return diags(1 / np.sqrt(total)).astype(np.float32) @ counts
