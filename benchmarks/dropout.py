"""Dropout of ours against PyTorch's on a CPU, forward and backward, in turn.

    python benchmarks/dropout.py

Both are first held to the share of zeros that they are told, and to a gradient that passes where the value did.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from table import keep
from torch import Tensor

from crossover.measure import allocator
from crossover.measure.clock import time_in_turn
from crossover.models.dropout import Dropout

SHAPES = ((64, 19, 64), (32, 60, 128), (12, 64, 128), (32, 128, 256), (8, 1024, 256))
P = 0.1


def step(drop: Callable[[Tensor], Tensor], x_BTD: Tensor, upstream_BTD: Tensor) -> Callable[[], Tensor]:
    """One forward and backward; returns the gradient."""
    return lambda: torch.autograd.grad(drop(x_BTD), x_BTD, upstream_BTD)[0]


def verify(drop: Callable[[Tensor], Tensor]) -> None:
    """Refuses a dropout that drops another share than `P`, or whose gradient differs from its mask."""
    x = torch.ones(1000, 1000, requires_grad=True)
    y = drop(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    share = float((y == 0).float().mean())
    if abs(share - P) > 0.002 or not torch.equal(gradient, y.detach()):
        raise SystemExit(f"{share:.3f} dropped instead of {P}, or another gradient: no time is taken")


def main() -> None:
    """Verify, measure, print and keep the table."""
    allocator.apply("retain")
    torch.manual_seed(0)
    dropout = Dropout(P)
    for drop in (dropout, dropout.definition):
        verify(drop)
    lines = ["| shape | ours ms | PyTorch ms | PyTorch / ours (95 %) | A-A |", "|---|---|---|---|---|"]
    for shape in SHAPES:
        x_BTD, upstream_BTD = torch.randn(shape, requires_grad=True), torch.randn(shape)
        calls = {
            "ours": step(dropout, x_BTD, upstream_BTD),
            "torch": step(dropout.definition, x_BTD, upstream_BTD),
        }
        turns = time_in_turn(calls, rounds=41, warmup=5, time_limit=20.0)
        ratio = turns.ratio("torch", "ours")
        medians = [turns.timings[name].median * 1e3 for name in calls]
        lines.append(
            f"| {' x '.join(map(str, shape))} | {medians[0]:.2f} | {medians[1]:.2f} | {ratio.value:.1f} "
            f"({ratio.low:.1f} to {ratio.high:.1f}) | {turns.pair_difference:.0%} |"
        )
    keep("dropout", f"Dropout with p = {P}, forward and backward", lines)


if __name__ == "__main__":
    main()
