"""The losses: values that are known by hand, and their symmetries."""

from __future__ import annotations

import math

import pytest
import torch

from trainers.losses import agreement, bradley_terry, token_cross_entropy


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def test_equal_rewards_cost_ln_2_whatever_the_target() -> None:
    same = tensor(0.3, 0.3, 0.3)
    loss = bradley_terry(same, same, tensor(1.0, 0.5, 0.2), tensor(1.0, 1.0, 1.0))
    torch.testing.assert_close(loss, torch.full((3,), math.log(2)))


@pytest.mark.parametrize("gap", [-30.0, -1.5, 0.0, 0.7, 30.0])
def test_it_is_minus_log_sigmoid_of_the_gap_and_its_gradient_is_minus_sigmoid_of_minus_the_gap(gap: float) -> None:
    chosen = tensor(gap).requires_grad_()
    loss = bradley_terry(chosen, tensor(0.0), tensor(1.0), tensor(1.0))
    loss.sum().backward()
    torch.testing.assert_close(loss.detach(), -torch.nn.functional.logsigmoid(tensor(gap)))
    torch.testing.assert_close(chosen.grad, -torch.sigmoid(tensor(-gap)))


def test_swapping_sides_and_label_leaves_the_loss() -> None:
    a, b, weight = tensor(0.2, -1.0), tensor(1.1, 0.4), tensor(1.0, 2.5)
    target = tensor(0.9, 0.3)
    torch.testing.assert_close(bradley_terry(a, b, target, weight), bradley_terry(b, a, 1 - target, weight))


def test_weight_scales_a_pair() -> None:
    a, b, target = tensor(0.2, 0.2), tensor(1.1, 1.1), tensor(1.0, 1.0)
    loss = bradley_terry(a, b, target, tensor(1.0, 3.0))
    torch.testing.assert_close(loss[1], 3 * loss[0])


def test_half_precision_rewards_are_compared_in_fp32() -> None:
    chosen, rejected = tensor(1000.0).bfloat16(), tensor(999.0).bfloat16()
    loss = bradley_terry(chosen, rejected, tensor(1.0), tensor(1.0))
    assert loss.dtype == torch.float32


def test_ties_agree_by_half() -> None:
    assert agreement(tensor(1.0, 0.0, 2.0), tensor(0.0, 0.0, 3.0)).tolist() == [1.0, 0.5, 0.0]


def test_cross_entropy_of_equal_logits_is_the_log_of_the_vocabulary() -> None:
    loss = token_cross_entropy(torch.zeros(3, 50), torch.tensor([0, 7, 49]))
    torch.testing.assert_close(loss, torch.full((3,), math.log(50)))


def test_half_precision_is_left_before_anything_is_computed() -> None:
    """256 - 0.5 is no number of bfloat16, nor is a log-likelihood of its logits."""
    gap = bradley_terry(tensor(256.0).bfloat16(), tensor(0.5).bfloat16(), tensor(0.0), tensor(1.0))
    assert gap.tolist() == [255.5]
    logits = torch.tensor([[1.0, 3.0, 0.5]]).bfloat16()
    loss = token_cross_entropy(logits, torch.tensor([0]))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, token_cross_entropy(logits.double(), torch.tensor([0])), rtol=1e-6, atol=0)
