"""What is refused before anything is solved: solvers that a cell does not admit, and a Jacobian that is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from crossover.errors import ConfigError
from crossover.recurrence.affine import AffineCell
from crossover.recurrence.cells import Cell, by_gate, own_graph
from crossover.recurrence.scan import apply, transposed

Solver = Literal["sequential", "scan", "newton"]
SOLVERS: tuple[Solver, ...] = ("sequential", "scan", "newton")

_STRUCTURE_TOLERANCE = 1e-6


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
        x_GkBTN = by_gate(inputs_BTX[:1, :1].detach().clone().double(), cell)
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
