"""Losses, as sums in nats over what they count, so that a global batch divides once by its global count.

Letters: N target tokens, V vocabulary, P pairs. Everything is computed in fp32. A mean of per-micro-batch means would
weigh packed rows by how little they hold; hence sums.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy, softplus


def token_cross_entropy(logits_NV: Tensor, target_N: Tensor) -> Tensor:
    """Negative log-likelihood of each target token: [N], nats."""
    return cross_entropy(logits_NV.float(), target_N, reduction="none")


def bradley_terry(chosen_P: Tensor, rejected_P: Tensor, target_P: Tensor, weight_P: Tensor) -> Tensor:
    """Weighted Bradley-Terry loss of each pair: [P], nats.

    target is the probability that chosen is better; 1 gives -log sigmoid(r_chosen - r_rejected), WorldPM eq. 2.
    At equal rewards the loss is weight * ln 2 whatever the target.
    """
    gap_P = chosen_P.float() - rejected_P.float()
    return weight_P * (target_P * softplus(-gap_P) + (1 - target_P) * softplus(gap_P))


def agreement(chosen_P: Tensor, rejected_P: Tensor) -> Tensor:
    """1 where chosen has the higher reward, 1/2 for equal rewards (recipes of WorldPM's tables), else 0: [P]."""
    return (chosen_P > rejected_P).float() + 0.5 * (chosen_P == rejected_P).float()
