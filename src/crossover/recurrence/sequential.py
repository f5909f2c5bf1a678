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
    if torch.compiler.is_exporting() and resets_BT is None:
        return _solve_in_program(cell, inputs_BTX, state, lengths_B)
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


def _solve_in_program(cell: Cell, inputs_BTX: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
    """The same as one loop of an exported program, which T steps written out would bind to their number."""
    from torch._higher_order_ops.scan import scan  # its only place so far

    real_BT = torch.ones_like(inputs_BTX[..., 0], dtype=torch.bool)
    if lengths_B is not None:
        real_BT = torch.arange(inputs_BTX.shape[1], device=inputs_BTX.device) < lengths_B[:, None]

    def step(before: State, given: tuple[Tensor, Tensor]) -> tuple[State, Tensor]:
        step_BX, real_B = given
        output_BH, after = cell(step_BX, before)
        kept = (torch.where(real_B[:, None], new, old) for new, old in zip(after, before, strict=True))
        # What is carried and what is put out must be two tensors.
        return tuple(kept), output_BH.clone()

    last, outputs_TBH = scan(step, state, (inputs_BTX.transpose(0, 1), real_BT.transpose(0, 1)), dim=0)
    return outputs_TBH.transpose(0, 1), last
