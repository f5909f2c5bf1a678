"""Newton's method for whole trajectories: every state at once, each iteration one scan.

Lim et al. 2024, "Parallelizing non-linear sequential models over the sequence length" (DEER), arXiv 2309.12252;
Danieli et al. 2025 (ParaRNN), arXiv 2510.21450. With all states guessed, f and its Jacobian J are taken at every step
side by side; the correction d solves d_t = J_t d_{t-1} + r_t, where r_t = f(s_{t-1}) - s_t, by a scan. Where f
contracts, errors shrink quadratically. Where it does not, they may grow without bound: so every iteration is looked
at, row by row, and rows that do not settle are given back to be solved step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from crossover.recurrence.cells import Cell, State, Weights
from crossover.recurrence.fused import is_fused, iterate
from crossover.recurrence.marks import Marks
from crossover.recurrence.scan import Exchange, plain, solve_into, summary

_ROUNDING = 8
"""Multiples of a dtype's spacing that a residual may have from rounding alone."""


class Agreement(Exchange, Protocol):
    """An exchange whose ranks also solve by Newton: they look at all stretches before they stop."""

    @property
    def size(self) -> int:
        """How many ranks there are."""
        ...

    @property
    def rank(self) -> int:
        """Which of them this is, in the order of time."""
        ...

    def largest(self, values: Tensor) -> Tensor:
        """The largest of every rank's value, entry by entry."""
        ...

    def shifted(self, last: Tensor, initial: Tensor) -> Tensor:
        """What the rank before has as its `last`, or `initial` where the row begins."""
        ...


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When to stop: at most so many `iterations`, each correction times `damping`.

    A row has settled where its last correction, over 1 + its largest state, is within `tolerance`; None: 1e-11 in
    float64, 1e-5 in float32. A correction ten times as large will do where the residual is down to rounding.
    """

    iterations: int = 20
    damping: float = 1.0
    tolerance: float | None = None

    def admissible(self, dtype: torch.dtype) -> float:
        """The tolerance for numbers of this type."""
        if self.tolerance is not None:
            return self.tolerance
        return 1e-11 if dtype == torch.float64 else 1e-5


@dataclass
class Tally:
    """What Newton did: solves and their iterations, the worst residual, rows, and those of them given back."""

    solves: int = 0
    iterations: int = 0
    residual: float = 0.0
    rows: int = 0
    fallbacks: int = 0

    def add(self, other: Tally) -> None:
        """Count another's too."""
        self.solves += other.solves
        self.iterations += other.iterations
        self.residual = max(self.residual, other.residual)
        self.rows += other.rows
        self.fallbacks += other.fallbacks


@dataclass
class _Rows:
    """The rows that have not settled: their numbers, and what they are solved from."""

    numbers_R: Tensor
    x_GkRTN: Tensor
    states_KRTN: Tensor
    boundary_KRN: Tensor
    marks: Marks

    def only(self, kept_R: Tensor) -> _Rows:
        """Some of them."""
        if bool(kept_R.all()):
            return self
        index = kept_R.nonzero().flatten()
        return _Rows(
            self.numbers_R[index],
            self.x_GkRTN.index_select(2, index),
            self.states_KRTN.index_select(1, index),
            self.boundary_KRN.index_select(1, index),
            self.marks.rows(index),
        )


BySteps = Callable[[Tensor], State]
"""The states of some rows, given by number, found one step after the other."""


def newton(
    cell: Cell,
    x_GkBTN: Tensor,
    initial: State,
    weights: Weights,
    *,
    marks: Marks,
    limits: Limits,
    by_steps: BySteps,
    exchange: Agreement | None = None,
    tally: Tally | None = None,
) -> State:
    """The states after every step, each part [k, B, T, N], from `initial`, [k, B, N]; no gradients are kept.

    `by_steps` solves the rows that have not settled. With an `exchange` the steps are this rank's stretch of longer
    rows, whose first state is `initial` on every rank; all ranks decide alike.
    """
    found_KBTN, boundary_KBN = _guessed(cell, x_GkBTN, torch.cat(initial), weights, exchange)
    numbers_B = torch.arange(found_KBTN.shape[1], device=found_KBTN.device)
    rows = _Rows(numbers_B, x_GkBTN, found_KBTN, boundary_KBN, marks)
    done, settled_B = Tally(solves=1, rows=len(numbers_B)), torch.zeros_like(numbers_B, dtype=torch.bool)
    for _ in range(limits.iterations):
        if not len(rows.numbers_R):
            break
        done.iterations += 1
        settled_R, failed_R, residual_R = _improve(cell, rows, weights, limits, exchange)
        settled_R &= ~settled_B[rows.numbers_R]
        found_KBTN[:, rows.numbers_R[settled_R]] = rows.states_KRTN[:, settled_R]
        settled_B[rows.numbers_R[settled_R]] = True
        if bool(settled_R.any()):
            done.residual = max(done.residual, float(residual_R[settled_R].max()))
        left_R = ~(settled_B[rows.numbers_R] | failed_R)
        # Ranks agree on what they send, whatever becomes of single rows.
        rows = rows.only(left_R if exchange is None else left_R.any().expand_as(left_R))
    left_R = (~settled_B).nonzero().flatten()
    found = tuple(part.contiguous() for part in found_KBTN.split(cell.units))
    if len(left_R):
        done.fallbacks = len(left_R)
        for part, stepped in zip(found, by_steps(left_R), strict=True):
            part[:, left_R] = stepped
    if tally is not None:
        tally.add(done)
    return found


def _guessed(
    cell: Cell,
    x_GkBTN: Tensor,
    initial_KBN: Tensor,
    weights: Weights,
    exchange: Agreement | None,
) -> tuple[Tensor, Tensor]:
    """f(0, x) of every step, the first guess, and the state before the first step of these."""
    *rows, time, systems = x_GkBTN.shape[2:]
    zeros = x_GkBTN.new_zeros(()).expand(cell.units, *rows, time, systems)
    guess_KBTN = torch.cat(cell.step(x_GkBTN, (zeros,) * cell.parts, weights))
    if exchange is None:
        return guess_KBTN, initial_KBN
    return guess_KBTN, exchange.shifted(guess_KBTN[..., -1, :], initial_KBN)


def _improve(
    cell: Cell, rows: _Rows, weights: Weights, limits: Limits, exchange: Agreement | None
) -> tuple[Tensor, Tensor, Tensor]:
    """One iteration, in place: which rows have settled, which have failed, and their residuals, [R] each."""
    states_KRTN, boundary_KRN, damping = rows.states_KRTN, rows.boundary_KRN, limits.damping
    if is_fused(cell, rows.x_GkRTN, weights):
        rows.states_KRTN, ahead_KRN, measures_3R = iterate(
            rows.x_GkRTN, weights, states_KRTN, boundary_KRN, rows.marks, damping=damping, exchange=exchange
        )
    else:
        change_KRTN, ahead_KRN, residual_KRTN = _correction(cell, rows, weights, exchange)
        rows.states_KRTN = torch.add(states_KRTN, change_KRTN, alpha=damping)
        measures_3R = torch.stack([_largest(part) for part in (change_KRTN, residual_KRTN, rows.states_KRTN)])
    rows.boundary_KRN = torch.add(boundary_KRN, ahead_KRN, alpha=damping)
    if exchange is not None:
        measures_3R = exchange.largest(measures_3R)
    changed_R, off_R, size_R = measures_3R
    admissible, spacing = limits.admissible(states_KRTN.dtype), torch.finfo(states_KRTN.dtype).eps
    rounded_R = off_R <= _ROUNDING * spacing * (1 + size_R)
    settled_R = (changed_R <= admissible * (1 + size_R)) | rounded_R & (changed_R <= 10 * admissible * (1 + size_R))
    return settled_R, ~measures_3R.isfinite().all(0), off_R


def _correction(
    cell: Cell, rows: _Rows, weights: Weights, exchange: Exchange | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The correction of every state, that of the state before the first, and the residuals."""
    state = rows.marks.before(rows.states_KRTN, rows.boundary_KRN).split(cell.units)
    near = rows.marks.linearised(cell.linearise(rows.x_GkRTN, state, weights), state)
    residual_KRTN = torch.cat(near.value) - rows.states_KRTN
    jacobian, residual = plain(near.jacobian_KKSN, 2), plain(residual_KRTN)
    ahead_KRN, change_KRTN = torch.zeros_like(rows.boundary_KRN), torch.empty_like(residual_KRTN)
    if exchange is not None:
        whole = summary(jacobian, residual, reverse=False)
        ahead_KRN = exchange.before(*whole, plain(ahead_KRN), reverse=False).view_as(ahead_KRN)
    solve_into(plain(change_KRTN), jacobian, residual, plain(ahead_KRN), reverse=False)
    return change_KRTN, ahead_KRN, residual_KRTN


def _largest(values_KRTN: Tensor) -> Tensor:
    """The largest magnitude of each row; NaN stays NaN."""
    return values_KRTN.abs().amax((0, 2, 3))
