from __future__ import annotations

import torch

from crossover.testing.live import LiveBytes


def test_tensors_count_while_they_are_there_and_views_do_not() -> None:
    with LiveBytes() as live:
        kept = torch.zeros(1000)
        kept.view(10, 100)
        for _ in range(3):
            torch.zeros(500)
    assert live.most == 4 * 1500


def test_what_was_there_before_counts_once_it_is_used() -> None:
    before = torch.zeros(1000)
    with LiveBytes() as live:
        before + 1
    assert live.most == 2 * 4000


def test_what_a_backward_pass_keeps_and_makes_counts() -> None:
    weight = torch.zeros(100, requires_grad=True)
    with LiveBytes() as live:
        (weight.exp().exp()).sum().backward()
    assert live.most >= 4 * 300
