"""A mixer's rows as a trajectory: its states by system, its ragged ends and resets as marks."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from crossover.models.mixers.base import Span, State
from crossover.models.mixers.spans import real_resets
from crossover.recurrence.cells import Cell
from crossover.recurrence.marks import Marks
from crossover.recurrence.trajectory import Manner, trajectory


def solve_trajectory(
    cell: Cell, entering_BTG: Tensor, state: State, weights: Sequence[Tensor], span: Span, manner: Manner
) -> tuple[Tensor, State | None]:
    """h of every step, [B, T, H], and the state after it, in the units' own order; without `span.carry` None.

    Steps after a row's end hold its state.
    """
    initial = by_system(state, cell.units)
    states = trajectory(cell, entering_BTG, initial, weights, marks=marks_of(span, entering_BTG), manner=manner)
    h_BTH, *others = (_by_unit(part) for part in states)
    return h_BTH, tuple(part_BTH[:, -1] for part_BTH in (h_BTH, *others)) if span.carry else None


def by_system(state: State, units: int) -> State:
    """Each part [B, H] as [k, B, N]: unit n k + i is the i-th of system n."""
    return tuple(part.unflatten(-1, (-1, units)).movedim(-1, 0) for part in state)


def marks_of(span: Span, entering_BTG: Tensor) -> Marks:
    """What `span` says of the steps."""
    time = entering_BTG.shape[1]
    mask_BT = span.mask_BT(time)
    return Marks(real_resets(span, time), None if mask_BT is None else ~mask_BT)


def _by_unit(part_kBTN: Tensor) -> Tensor:
    return part_kBTN[0] if len(part_kBTN) == 1 else part_kBTN.movedim(0, -1).flatten(2)
