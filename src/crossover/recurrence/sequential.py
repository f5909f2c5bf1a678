"""The definition of a recurrence: one step after the other. Every faster solver is tested against this one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

State = tuple[Tensor, ...]

Cell = Callable[[Tensor, State], tuple[Tensor, State]]
"""One step: the step's input [B, X] and the state before it, to the step's output [B, H] and the state after it."""


def solve(
    cell: Cell,
    inputs_BTX: Tensor,
    state: State,
    *,
    lengths_B: Tensor | None = None,
    resets_BT: Tensor | None = None,
) -> tuple[Tensor, State]:
    """Apply `cell` to the T >= 1 steps of `inputs_BTX`, from `state`; returns outputs [B, T, H] and the last state.

    Before a step marked in `resets_BT` the state starts anew from zero. From `lengths_B` on a row's state stays
    what it was at the row's end, whatever the remaining steps hold; what `outputs` holds there is unspecified.
    """
    outputs = []
    for time, step_BX in enumerate(inputs_BTX.unbind(1)):
        before = state
        if resets_BT is not None:
            state = tuple(part.masked_fill(resets_BT[:, time, None], 0) for part in state)
        output_BH, state = cell(step_BX, state)
        outputs.append(output_BH)
        if lengths_B is not None:
            real_B1 = (time < lengths_B)[:, None]
            state = tuple(torch.where(real_B1, new, old) for new, old in zip(state, before, strict=True))
    return torch.stack(outputs, dim=1), state
