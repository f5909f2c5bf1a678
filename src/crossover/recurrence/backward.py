"""The gradients of a trajectory by one scan the other way, whatever solved it.

With J_t the Jacobian of the step to s_t, a gradient g_t of every state becomes mu_t = g_t + J_{t+1}' mu_{t+1}, which
is linear in mu. Then what mu_t is to a step's own input and weights is found for all steps side by side. Nothing but
inputs and states is kept from the forward pass: a step's gates are computed again, on a CPU for as many steps at a
time as stay in its caches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crossover.recurrence.cells import Cell, Linearised, State, Weights, by_gate
from crossover.recurrence.marks import Marks
from crossover.recurrence.newton import Agreement
from crossover.recurrence.scan import apply, joined_summary, pieces_of, plain, solve_into, transposed


@dataclass(frozen=True)
class Steps:
    """A solved trajectory that gradients come back to."""

    cell: Cell
    inputs_BTX: Tensor
    states: State
    boundary_KBN: Tensor
    weights: Weights
    marks: Marks
    gradients: tuple[Tensor | None, ...]

    @property
    def x_GkBTN(self) -> Tensor:
        """What enters each gate."""
        return by_gate(self.inputs_BTX, self.cell)

    def near(self, piece: slice) -> tuple[Linearised, State]:
        """The cell at the states before these steps, and those states."""
        marks = self.marks.steps(piece)
        state = self._before(piece)
        if marks.starts_BT is not None:
            state = tuple(part.masked_fill(marks.starts_BT[..., None], 0) for part in state)
        after = tuple(part[..., piece, :] for part in self.states)
        weights = self.cell.spread(self.weights, 2)
        found = self.cell.linearise(self.x_GkBTN[..., piece, :], state, weights, after)
        return marks.linearised(found, state), state

    def _before(self, piece: slice) -> State:
        if piece.start:
            return tuple(part[..., piece.start - 1 : piece.stop - 1, :] for part in self.states)
        first = self.boundary_KBN[..., None, :].split(self.cell.units)
        later = (part[..., : piece.stop - 1, :] for part in self.states)
        return tuple(torch.cat(parts, dim=-2) for parts in zip(first, later, strict=True))

    def gradient(self, piece: slice) -> Tensor:
        """What is given for the states after these steps, [K, B, S, N]."""
        like_kBSN = self.states[0][..., piece, :]
        zeros = like_kBSN.new_zeros(()).expand_as(like_kBSN)
        given = [zeros if part is None else part[..., piece, :] for part in self.gradients]
        return torch.cat(given) if len(given) > 1 else given[0]


def _back(found: Linearised, gradient_KBSN: Tensor) -> Tensor:
    """J' of every step, as it is scanned."""
    return plain(transposed(found.jacobian_KKSN, gradient_KBSN), 2)


def pulled_back(steps: Steps, exchange: Agreement | None) -> tuple[Tensor, ...]:
    """The gradients of the inputs, the initial state and the weights."""
    cell, weights, inputs_BTX = steps.cell, steps.cell.spread(steps.weights, 2), steps.inputs_BTX
    pieces = pieces_of(steps.x_GkBTN, cell.size)[::-1]
    of_inputs_BTX = torch.empty(inputs_BTX.shape, dtype=inputs_BTX.dtype, device=inputs_BTX.device)
    of_x_GkBTN = by_gate(of_inputs_BTX, cell)
    of_weights = [torch.zeros_like(weight) for weight in steps.weights]
    from_later_KBN = torch.zeros_like(steps.boundary_KBN)
    if exchange is not None:
        passed = joined_summary((_passing(steps, piece) for piece in pieces), reverse=True)
        from_later_KBN = exchange.before(*passed, plain(from_later_KBN), reverse=True).view_as(from_later_KBN)
    for piece in pieces:
        found, state = steps.near(piece)
        gradient_KBSN = steps.gradient(piece)
        back, given = _back(found, gradient_KBSN), plain(gradient_KBSN)
        mu_KBSN = torch.empty(gradient_KBSN.shape, dtype=gradient_KBSN.dtype, device=gradient_KBSN.device)
        mu = plain(mu_KBSN)
        torch.add(given[..., -1, :], plain(from_later_KBN), out=mu[..., -1, :])
        solve_into(mu[..., :-1, :], back[..., 1:, :], given[..., :-1, :], mu[..., -1, :], reverse=True)
        from_later_KBN = apply(back[..., 0, :], mu[..., 0, :]).view_as(from_later_KBN)
        felt_KBSN = steps.marks.steps(piece).felt(mu_KBSN)
        into_weights = cell.pullback(found, state, felt_KBSN, weights, of_x_GkBTN[..., piece, :])
        for total, into in zip(of_weights, into_weights, strict=True):
            total += into
    if exchange is not None and not exchange.begins(reverse=False):
        from_later_KBN = torch.zeros_like(from_later_KBN)
    return of_inputs_BTX, *from_later_KBN.split(cell.units), *of_weights


def _passing(steps: Steps, piece: slice) -> tuple[Tensor, Tensor]:
    """nu_t = J_t' (g_t + nu_{t+1}): what passes from a piece to the steps before it."""
    found, _ = steps.near(piece)
    gradient_KBSN = steps.gradient(piece)
    back = _back(found, gradient_KBSN)
    return back, apply(back, plain(gradient_KBSN))
