"""All states of a recurrence, by whichever solver, and their gradients (`backward`) whatever that was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crossover.errors import ConfigError
from crossover.recurrence.affine import AffineCell
from crossover.recurrence.backward import Steps, pulled_back
from crossover.recurrence.cells import Cell, State, by_gate
from crossover.recurrence.checks import Solver, check_solver, check_structure
from crossover.recurrence.marks import Marks
from crossover.recurrence.newton import Agreement, Limits, Tally, newton
from crossover.recurrence.scan import joined_summary, pieces_of, plain, solve_into


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How states are found: by which solver, within which limits, over which ranks, counted where."""

    solver: Solver = "sequential"
    limits: Limits = field(default_factory=Limits)
    exchange: Agreement | None = None
    tally: Tally | None = None


def trajectory(
    cell: Cell,
    inputs_BTX: Tensor,
    initial: State,
    weights: Sequence[Tensor] = (),
    *,
    marks: Marks | None = None,
    manner: Manner | None = None,
) -> State:
    """The states after each of T >= 1 steps, every part [k, B, T, N], from `initial`, each part [k, B, N].

    `inputs_BTX` holds what enters the gates: X = G N k, gate by gate, system by system. With an exchange the
    steps are this rank's stretch of longer rows; only the rank where they begin finds a gradient of `initial`, and of
    the weights each finds its own steps' part.

    Raises ConfigError for T = 0, for a solver that the cell does not admit, and for a cell whose systems are not
    independent of one another.
    """
    manner = manner or Manner()
    if inputs_BTX.shape[1] == 0:
        raise ConfigError("a trajectory of T = 0 steps has no states: give at least one step")
    check_solver(cell, manner.solver)
    check_structure(cell, inputs_BTX, weights)
    given = (cell, marks or Marks(), manner, inputs_BTX, *initial, *weights)
    states: State = _Trajectory.apply(*given)
    return states


class _Trajectory(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cell: Cell, marks: Marks, manner: Manner, inputs_BTX: Tensor, *tensors: Tensor) -> State:
        initial, weights = tensors[: cell.parts], tensors[cell.parts :]
        x_GkBTN = by_gate(inputs_BTX, cell)
        if isinstance(cell, AffineCell) and manner.solver == "scan":
            states, boundary_KBN = _scanned(cell, x_GkBTN, initial, marks, manner.exchange)
        elif manner.solver == "newton":
            states, boundary_KBN = _by_newton(cell, x_GkBTN, initial, weights, marks, manner)
        else:
            states, boundary_KBN = _over_ranks(cell, x_GkBTN, initial, weights, marks, manner.exchange)
        ctx.cell, ctx.exchange, ctx.marks = cell, manner.exchange, marks
        ctx.save_for_backward(inputs_BTX, boundary_KBN, *weights, *states)
        ctx.set_materialize_grads(False)
        return states

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *of_states: Tensor) -> tuple[Any, ...]:
        cell = ctx.cell
        inputs_BTX, boundary_KBN, *tensors = ctx.saved_tensors
        weights, states = tuple(tensors[: -cell.parts]), tuple(tensors[-cell.parts :])
        steps = Steps(cell, inputs_BTX, states, boundary_KBN, weights, ctx.marks, of_states)
        return None, None, None, *pulled_back(steps, ctx.exchange)


def _over_ranks(
    cell: Cell,
    x_GkBTN: Tensor,
    initial: State,
    weights: Sequence[Tensor],
    marks: Marks,
    exchange: Agreement | None,
) -> tuple[State, Tensor]:
    """One step after the other, one rank after the other; with the state before this rank's first step."""
    start_KBN, own = torch.cat(initial), cell.spread(weights, 1)
    if exchange is None:
        return cell.march(x_GkBTN, initial, own, marks), start_KBN
    last_KBN, states = torch.zeros_like(start_KBN), initial
    for turn in range(exchange.size):
        if turn == exchange.rank:
            states = cell.march(x_GkBTN, start_KBN.split(cell.units), own, marks)
            last_KBN = torch.cat([part[..., -1, :] for part in states])
        start_KBN = exchange.shifted(last_KBN, start_KBN)
    return states, start_KBN


def _by_newton(
    cell: Cell,
    x_GkBTN: Tensor,
    initial: State,
    weights: Sequence[Tensor],
    marks: Marks,
    manner: Manner,
) -> tuple[State, Tensor]:
    def by_steps(rows_R: Tensor) -> State:
        some = tuple(part[:, rows_R] for part in initial)
        return _over_ranks(cell, x_GkBTN[:, :, rows_R], some, weights, marks.rows(rows_R), manner.exchange)[0]

    states = newton(
        cell,
        x_GkBTN,
        initial,
        cell.spread(weights, 2),
        marks=marks,
        limits=manner.limits,
        by_steps=by_steps,
        exchange=manner.exchange,
        tally=manner.tally,
    )
    boundary_KBN = torch.cat(initial)
    if manner.exchange is not None:
        boundary_KBN = manner.exchange.shifted(torch.cat([part[..., -1, :] for part in states]), boundary_KBN)
    return states, boundary_KBN


def _scanned(
    cell: AffineCell, x_GkBTN: Tensor, initial: State, marks: Marks, exchange: Agreement | None
) -> tuple[State, Tensor]:
    """An affine cell, whose recurrence no state moves."""
    _, _, batch, time, systems = x_GkBTN.shape
    found_KBTN = x_GkBTN.new_empty(cell.size, batch, time, systems)
    (carry_KBN,) = initial

    def recurrence(piece: slice) -> tuple[Tensor, Tensor]:
        a_KBSN, b_KBSN = marks.steps(piece).recurrence(*cell.recurrence(x_GkBTN[..., piece, :]))
        return plain(a_KBSN), plain(b_KBSN)

    pieces = pieces_of(x_GkBTN, cell.size)
    if exchange is not None:
        whole = joined_summary((recurrence(piece) for piece in pieces), reverse=False)
        carry_KBN = exchange.before(*whole, plain(carry_KBN), reverse=False).view_as(carry_KBN)
    boundary_KBN = carry_KBN
    for piece in pieces:
        solve_into(plain(found_KBTN[..., piece, :]), *recurrence(piece), plain(carry_KBN), reverse=False)
        carry_KBN = found_KBTN[..., piece.stop - 1, :]
    return (found_KBTN,), boundary_KBN
