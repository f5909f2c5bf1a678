"""What `test_kernels` runs with TRITON_INTERPRET=1."""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch

from crossover.recurrence import Manner, Marks, Tally, fused, trajectory
from crossover.recurrence import newton as newton_module
from crossover.recurrence.gated import GRUCell, LSTMCell
from crossover.recurrence.scan import _steps
from crossover.recurrence.triton import newton as newton_kernels
from crossover.recurrence.triton import scan as kernels

BATCH, WIDTH = 2, 10
LENGTHS = (1, 7, 16, 17, 40)
for module in (kernels, newton_kernels):
    # The interpreter takes some 1e-4 s for an operation: chunks and blocks as small as show what is between them.
    module._STEPS, module._WIDE = 16, 8


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def scan(view: Callable[[torch.Tensor], torch.Tensor] = lambda x: x) -> None:
    for time in LENGTHS:
        for reverse in (False, True):
            a, b = view(normal(BATCH, time, WIDTH).sigmoid()), view(normal(BATCH, time, WIDTH, seed=1))
            initial, found, expected = normal(BATCH, WIDTH), torch.full_like(b, torch.nan), torch.empty_like(b)
            assert kernels.fits(found, a, b)
            kernels.solve_into(found, a, b, initial, reverse=reverse)
            _steps(expected, a, b, initial, -2, reverse)
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def scan_of_views() -> None:
    scan(lambda x: torch.stack([x, x], 1).flatten(1, 2)[:, ::2] if x.shape[1] > 1 else x)


def marks_for(time: int) -> Marks:
    starts, holds = (torch.zeros(BATCH, time, dtype=torch.bool) for _ in range(2))
    starts[0, time // 2] = starts[1, 0] = True
    holds[1, time - time // 3 :] = True
    return Marks(starts, holds)


def iteration(cell: GRUCell | LSTMCell) -> None:
    for time in (1, 16, 37):
        for marks in (Marks(), marks_for(time)):
            x = normal(BATCH, time, cell.gates * WIDTH)
            x_GkBTN = x.unflatten(-1, (cell.gates, -1, 1)).permute(2, 4, 0, 1, 3)
            weights = cell.spread([0.5 * normal(cell.gates, 1, 1, WIDTH)], 2)
            states, boundary = normal(cell.size, BATCH, time, WIDTH).tanh(), normal(cell.size, BATCH, WIDTH).tanh()
            rows = newton_module._Rows(torch.arange(BATCH), x_GkBTN, states, boundary, marks)
            change, ahead, residual = newton_module._correction(cell, rows, weights, None)
            new, found_ahead, measures = fused.iterate(x_GkBTN, weights, states, boundary, marks, damping=0.8)
            torch.testing.assert_close(new, states + 0.8 * change, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(found_ahead, ahead)
            expected = torch.stack([part.abs().amax((0, 2, 3)) for part in (change, residual, new)])
            torch.testing.assert_close(measures, expected, rtol=1e-10, atol=1e-10)


def whole_newton() -> None:
    """The solver with its kernels taken, as on a GPU, against the definition."""
    newton_module.is_fused = lambda cell, x, weights: True
    for cell in (GRUCell(), LSTMCell()):
        inputs, weights = normal(BATCH, 40, cell.gates * WIDTH), [0.5 * normal(cell.gates, 1, 1, WIDTH)]
        initial, tally = tuple(normal(1, BATCH, WIDTH, seed=part).tanh() for part in range(cell.parts)), Tally()
        marks, manner = marks_for(40), Manner(solver="newton", tally=tally)
        found = trajectory(cell, inputs, initial, weights, marks=marks, manner=manner)
        expected = trajectory(cell, inputs, initial, weights, marks=marks)
        assert tally.fallbacks == 0 and tally.iterations > 1
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


if __name__ == "__main__":
    {
        "scan": scan,
        "scan_of_views": scan_of_views,
        "iteration_of_a_gru": lambda: iteration(GRUCell()),
        "iteration_of_an_lstm": lambda: iteration(LSTMCell()),
        "whole_newton": whole_newton,
    }[sys.argv[1]]()
