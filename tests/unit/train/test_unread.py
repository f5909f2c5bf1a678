from __future__ import annotations

import pytest
import torch

from crossover.train.unread import UnreadLosses


def with_losses(device: str, count: int) -> UnreadLosses:
    unread = UnreadLosses(torch.device(device))
    for step in range(1, count + 1):
        unread.add(step, step / 10, torch.tensor(float(step)))
    return unread


def test_on_a_cpu_every_loss_is_due_and_on_an_accelerator_ten_at_a_time():
    assert with_losses("cpu", 1).due() == [1.0]
    assert with_losses("cuda", 9).due() == []
    assert with_losses("cuda", 10).due() == [float(step) for step in range(1, 11)]
    assert with_losses("cuda", 3).all() == [1.0, 2.0, 3.0]


def test_what_is_settled_has_its_step_and_rate_and_is_unread_no_more():
    unread = with_losses("cpu", 2)
    assert unread.settle([7.0, 8.0]) == [(1, 0.1, 7.0), (2, 0.2, 8.0)]
    assert unread.all() == [] and unread.settle([]) == []


def test_losses_of_other_steps_are_not_taken_for_these():
    with pytest.raises(ValueError, match="zip"):
        with_losses("cpu", 2).settle([7.0])
