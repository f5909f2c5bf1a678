from __future__ import annotations

import torch

from crossover.recurrence import solve


def running_sum(step_BX, state):
    total = state[0] + step_BX
    return total, (total,)


def test_steps_are_taken_in_order_from_the_given_state():
    outputs, (last,) = solve(running_sum, torch.tensor([[[1.0], [2.0], [3.0]]]), (torch.tensor([[10.0]]),))
    assert outputs.flatten().tolist() == [11, 13, 16]
    assert last.item() == 16


def test_a_rows_state_stays_what_it_was_at_its_end():
    inputs = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, torch.nan], [torch.nan] * 3])[..., None]
    _, (last,) = solve(running_sum, inputs, (torch.full((3, 1), 5.0),), lengths_B=torch.tensor([3, 2, 0]))
    assert last.flatten().tolist() == [11, 8, 5]


def test_a_reset_starts_anew_before_its_step_and_only_within_the_row():
    resets = torch.tensor([[False, True, False], [True, False, True]])
    outputs, (last,) = solve(
        running_sum, torch.ones(2, 3, 1), (torch.full((2, 1), 7.0),), lengths_B=torch.tensor([3, 2]), resets_BT=resets
    )
    assert outputs[0].flatten().tolist() == [8, 1, 2]
    assert outputs[1, :2].flatten().tolist() == [1, 2]
    assert last.flatten().tolist() == [2, 2]
