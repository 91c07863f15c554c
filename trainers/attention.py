"""Which token sees which: the one mask of packed rows, and the check that a model obeys it.

Letters: B rows, T positions of a row. A row holds several *groups* (documents in pretraining; in preference training a
prompt with its responses). Within a group, branch 0 is the trunk (the document, or the prompt) and branches 1.. are
responses, which see the trunk and themselves but not each other.

transformers builds a block-diagonal mask for packed rows by itself only when `attention_mask is None` and
`use_cache=False`, and attends across documents silently otherwise. So we always pass our own 4-D boolean mask, which
stock SDPA attention uses as it is, and `isolation_leak` runs on the real model before training.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

PADDING_GROUP = -1

Outputs = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""(tokens, positions, groups, branches: all [1, T]; places [R]) to one value computed at each place: [R]."""

_PIECE_TOKENS = 32  # of each piece of the probe


def mask(group_BT: Tensor, branch_BT: Tensor) -> Tensor:
    """Boolean [B, T, T] (or [T, T] for [T] inputs): True where query i (next to last axis) sees key j (last axis).

    i sees j if and only if j <= i, both are of the same group, and j is in the trunk or in the branch of i. Padding is
    a group of its own, so that no softmax is over nothing.
    """
    length = group_BT.shape[-1]
    place_T = torch.arange(length, device=group_BT.device)
    causal_TT = place_T[:, None] >= place_T[None, :]
    same_group = group_BT[..., :, None] == group_BT[..., None, :]
    branch_of_key = branch_BT[..., None, :]
    visible = (branch_of_key == 0) | (branch_of_key == branch_BT[..., :, None])
    return causal_TT & same_group & visible


def isolation_leak(outputs: Outputs, vocab_size: int) -> tuple[float, float]:
    """How far outputs of a model move when tokens they may not see change, and when those they see change.

    The probe is one row of two groups, each a trunk with two branches; outputs are read at the ends of the branches.
    For each of them every token it may not see is replaced (the other group, the other branch), and for comparison all
    of its own branch but the last. Returns the largest movement in both cases; the first should be zero.
    """
    pieces = [(group, branch) for group in range(2) for branch in range(3)]
    groups_T = torch.tensor([group for group, _ in pieces]).repeat_interleave(_PIECE_TOKENS)
    branches_T = torch.tensor([branch for _, branch in pieces]).repeat_interleave(_PIECE_TOKENS)
    within_T = torch.arange(_PIECE_TOKENS).repeat(len(pieces))
    positions_T = within_T + _PIECE_TOKENS * (branches_T > 0)
    tokens_T = (torch.arange(len(groups_T)) * 37 + 11) % vocab_size
    places_R = torch.tensor([i for i in range(len(groups_T)) if branches_T[i] and within_T[i] == _PIECE_TOKENS - 1])

    def run(tokens: Tensor) -> Tensor:
        return outputs(tokens[None], positions_T[None], groups_T[None], branches_T[None], places_R).detach().cpu()

    before = run(tokens_T)
    leak = response = 0.0
    for index, place in enumerate(places_R.tolist()):
        own_branch_T = (groups_T == groups_T[place]) & (branches_T == branches_T[place])
        trunk_T = (groups_T == groups_T[place]) & (branches_T == 0)
        after = run(torch.where(own_branch_T | trunk_T, tokens_T, (tokens_T + 1) % vocab_size))
        leak = max(leak, float((after - before)[index].abs()))
        seen_T = own_branch_T & (within_T < _PIECE_TOKENS - 1)
        after = run(torch.where(seen_T, (tokens_T + 1) % vocab_size, tokens_T))
        response = max(response, float((after - before)[index].abs()))
    return leak, response


def refuse_leak(leak: float, response: float, tolerance: float) -> None:
    """RuntimeError when packed documents or responses see each other, or when the check itself is blind.

    tolerance: the share of `response` that may be float noise.
    """
    if not response > 0:
        raise RuntimeError(
            "the isolation check is blind: changing the tokens before an output did not move it; are the model's "
            "weights all zero or not finite?"
        )
    if not leak <= tolerance * response:
        raise RuntimeError(
            f"packed rows leak: changing tokens of other documents moved an output by {leak:.3g}, where its own tokens "
            f"move it by {response:.3g}; this model ignores the attention mask that it is given, so it cannot be "
            "trained on packed rows"
        )
