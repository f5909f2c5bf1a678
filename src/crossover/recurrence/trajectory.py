"""All states of a recurrence, by whichever solver, and their gradients by one scan the other way.

With J_t the Jacobian of the step to s_t, a gradient g_t of every state becomes mu_t = g_t + J_{t+1}' mu_{t+1}: linear
in mu, whatever solved the states. Then what mu_t is to a step's own input and weights is found for all steps side by
side. Nothing but inputs and states is kept: a step's gates are computed again, on a CPU for as many steps at a time
as stay in its cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crossover.errors import ConfigError
from crossover.recurrence.affine import AffineCell
from crossover.recurrence.cells import Cell, Linearised, State, Weights, own_graph
from crossover.recurrence.marks import Marks
from crossover.recurrence.newton import Agreement, Limits, Tally, newton
from crossover.recurrence.scan import apply, compose, plain, solve_into, summary, transposed

Solver = Literal["sequential", "scan", "newton"]
SOLVERS: tuple[Solver, ...] = ("sequential", "scan", "newton")

_STRUCTURE_TOLERANCE = 1e-6
_CACHED_NUMBERS = 524_288
"""Of one tensor in a piece of time on a CPU: few enough for the ten or so of a piece to stay in its caches."""


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

    `inputs_BTX` holds what enters the gates: X = G N k, gate by gate, system by system. With an
    exchange the steps are this rank's stretch of longer rows; only the rank
    where they begin finds a gradient of `initial`, and of the weights each finds its own steps' part.

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


def check_solver(cell: Cell, solver: str) -> None:
    """Raise ConfigError where `solver` does not fit the cell, or there is no such solver."""
    if solver not in SOLVERS:
        raise ConfigError(f"there is no solver {solver!r}: use one of {', '.join(SOLVERS)}")
    if solver == "scan" and not isinstance(cell, AffineCell):
        raise ConfigError(
            f"{type(cell).__name__} is not affine in its state, which a scan needs: use sequential or newton"
        )


_STRUCTURES: set[tuple[type[Cell], int]] = set()
"""Cells whose Jacobian has been looked at."""


def check_structure(cell: Cell, inputs_BTX: Tensor, weights: Sequence[Tensor]) -> None:
    """Raise ConfigError unless a cell's `linearise` has all of its Jacobian: looked at once, at a random state."""
    if (type(cell), cell.units) in _STRUCTURES or not len(inputs_BTX):
        return
    with own_graph():  # in which copies of tensors of inference mode take gradients
        x_GkBTN = _by_gate(inputs_BTX[:1, :1].detach().clone().double(), cell)
        own = cell.spread([weight.detach().clone().double() for weight in weights], 2)
        shape = (2, cell.size, *x_GkBTN.shape[2:])
        drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=x_GkBTN.dtype)
        state_KBTN, gradient_KBTN = drawn.to(x_GkBTN.device)
        found = cell.linearise(x_GkBTN, state_KBTN.split(cell.units), own)
        leaf_KBTN = state_KBTN.clone().requires_grad_()
        value_KBTN = torch.cat(cell.step(x_GkBTN, leaf_KBTN.split(cell.units), own))
        (whole_KBTN,) = torch.autograd.grad(value_KBTN, leaf_KBTN, gradient_KBTN)
        stated_KBTN = apply(transposed(found.jacobian_KKSN, gradient_KBTN), gradient_KBTN)
    if float((whole_KBTN - stated_KBTN).norm()) > _STRUCTURE_TOLERANCE * float(whole_KBTN.norm()):
        raise ConfigError(
            f"{type(cell).__name__} moves its state in another way than its Jacobian says, which has blocks of "
            f"{cell.size} x {cell.size}: let each of its systems see itself alone, or declare more units"
        )
    _STRUCTURES.add((type(cell), cell.units))


def _by_gate(inputs_BTX: Tensor, cell: Cell) -> Tensor:
    """[B, T, G N k] seen as [G, k, B, T, N]."""
    return inputs_BTX.unflatten(-1, (cell.gates, -1, cell.units)).permute(2, 4, 0, 1, 3)


class _Trajectory(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cell: Cell, marks: Marks, manner: Manner, inputs_BTX: Tensor, *tensors: Tensor) -> State:
        initial, weights = tensors[: cell.parts], tensors[cell.parts :]
        x_GkBTN = _by_gate(inputs_BTX, cell)
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
        steps = _Steps(cell, _by_gate(inputs_BTX, cell), states, boundary_KBN, weights, ctx.marks, of_states)
        return None, None, None, *_pulled_back(steps, inputs_BTX, ctx.exchange)


def _march(cell: Cell, x_GkBTN: Tensor, state: State, weights: Sequence[Tensor], marks: Marks) -> State:
    """One step after the other."""
    own, found = cell.spread(weights, 1), []
    if marks == Marks():
        return cell.march(x_GkBTN, state, own)
    starts_BT = marks.starts_BT
    anew = [False] * x_GkBTN.shape[3] if starts_BT is None else starts_BT.any(0).tolist()
    for number, x_GkBN in enumerate(x_GkBTN.unbind(3)):
        if starts_BT is not None and anew[number]:
            state = tuple(part.masked_fill(starts_BT[:, number, None], 0) for part in state)
        state = marks.after(number, state, cell.step(x_GkBN, state, own))
        found.append(state)
    return tuple(torch.stack(steps, dim=2) for steps in zip(*found, strict=True))


def _over_ranks(
    cell: Cell,
    x_GkBTN: Tensor,
    initial: State,
    weights: Sequence[Tensor],
    marks: Marks,
    exchange: Agreement | None,
) -> tuple[State, Tensor]:
    """One step after the other, one rank after the other; with the state before this rank's first step."""
    start_KBN = torch.cat(initial)
    if exchange is None:
        return _march(cell, x_GkBTN, initial, weights, marks), start_KBN
    last_KBN, states = torch.zeros_like(start_KBN), initial
    for turn in range(exchange.size):
        if turn == exchange.rank:
            states = _march(cell, x_GkBTN, start_KBN.split(cell.units), weights, marks)
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

    pieces = _pieces(x_GkBTN, cell)
    if exchange is not None:
        whole = _joined_summary((recurrence(piece) for piece in pieces), reverse=False)
        carry_KBN = exchange.before(*whole, plain(carry_KBN), reverse=False).view_as(carry_KBN)
    boundary_KBN = carry_KBN
    for piece in pieces:
        solve_into(plain(found_KBTN[..., piece, :]), *recurrence(piece), plain(carry_KBN), reverse=False)
        carry_KBN = found_KBTN[..., piece.stop - 1, :]
    return (found_KBTN,), boundary_KBN


def _pieces(x_GkBTN: Tensor, cell: Cell) -> list[slice]:
    """Time in pieces: on a CPU as many steps as stay in its cache, elsewhere all of them."""
    _, _, batch, time, systems = x_GkBTN.shape
    length = time if x_GkBTN.device.type != "cpu" else max(1, _CACHED_NUMBERS // max(batch * systems * cell.size, 1))
    return [slice(start, min(start + length, time)) for start in range(0, time, length)]


def _joined_summary(recurrences: Iterable[tuple[Tensor, Tensor]], *, reverse: bool) -> tuple[Tensor, Tensor]:
    """The summary of pieces of time, given in the order in which they are gone through."""
    (product, last), *others = (summary(a, b, reverse=reverse) for a, b in recurrences)
    for own, own_last in others:
        product, last = compose(own, product, last), apply(own, last, own_last)
    return product, last


@dataclass(frozen=True)
class _Steps:
    """A solved trajectory that gradients come back to."""

    cell: Cell
    x_GkBTN: Tensor
    states: State
    boundary_KBN: Tensor
    weights: Weights
    marks: Marks
    gradients: tuple[Tensor | None, ...]

    def near(self, piece: slice) -> tuple[Linearised, State]:
        """The cell at the states before these steps, and those states."""
        marks = self.marks.steps(piece)
        state = self._before(piece)
        if marks.starts_BT is not None:
            state = tuple(part.masked_fill(marks.starts_BT[..., None], 0) for part in state)
        found = self.cell.linearise(self.x_GkBTN[..., piece, :], state, self.cell.spread(self.weights, 2))
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


def _pulled_back(steps: _Steps, inputs_BTX: Tensor, exchange: Agreement | None) -> tuple[Tensor, ...]:
    """The gradients of the inputs, the initial state and the weights."""
    cell, weights = steps.cell, steps.cell.spread(steps.weights, 2)
    pieces = _pieces(steps.x_GkBTN, cell)[::-1]
    of_inputs_BTX = torch.empty(inputs_BTX.shape, dtype=inputs_BTX.dtype, device=inputs_BTX.device)
    of_x_GkBTN = _by_gate(of_inputs_BTX, cell)
    of_weights = [torch.zeros_like(weight) for weight in steps.weights]
    from_later_KBN = torch.zeros_like(steps.boundary_KBN)
    if exchange is not None:
        passed = _joined_summary((_passing(steps, piece) for piece in pieces), reverse=True)
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


def _passing(steps: _Steps, piece: slice) -> tuple[Tensor, Tensor]:
    """nu_t = J_t' (g_t + nu_{t+1}): what passes from a piece to the steps before it."""
    found, _ = steps.near(piece)
    gradient_KBSN = steps.gradient(piece)
    back = _back(found, gradient_KBSN)
    return back, apply(back, plain(gradient_KBSN))
