"""Cells: one step s_t = f(s_{t-1}, x_t) of N independent systems, and its derivatives at given states.

A system has `units` hidden numbers h and, where `parts` is 2, as many more behind them (an LSTM's c): a state is one
tensor [k, ..., N] for each part. All dims between are those of rows and steps, so that the same lines take one step
of all rows or all steps of all rows. Shape suffixes: G gates, k units of a system, K = parts k numbers of its state,
N systems, S rows, or rows and steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from crossover.recurrence.marks import Marks

State = tuple[Tensor, ...]
"""Each part of all systems, [k, S, N]."""
Weights = tuple[Tensor, ...]
sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward
"""A gradient of what these functions gave, and what they gave, to the gradient of what they were given."""


class Linearised(NamedTuple):
    """A cell near given states: f(s) is `value`, f(s + d) is `value` + `jacobian` d to first order.

    `kept` is what the cell's own `pullback` needs besides.
    """

    value: State
    jacobian_KKSN: Tensor
    kept: tuple[Tensor, ...]


@contextmanager
def own_graph() -> Iterator[None]:
    """Within, gradients are taken whatever stands around: no gradients at all, inference mode, or a block that is
    computed again later and counts what is kept for it."""
    kept_as_it_is = torch.autograd.graph.saved_tensors_hooks(_same, _same)
    with torch.inference_mode(False), torch.enable_grad(), kept_as_it_is:
        yield


def _same(kept: Tensor) -> Tensor:
    return kept


def by_gate(inputs_BTX: Tensor, cell: Cell) -> Tensor:
    """[B, T, G N k] seen as [G, k, B, T, N]."""
    return inputs_BTX.unflatten(-1, (cell.gates, -1, cell.units)).permute(2, 4, 0, 1, 3)


class Cell(ABC):
    """One step, and how it is differentiated; subclasses may give `linearise` and `pullback` in closed form.

    `x_GkSN` is what enters each gate. `weights` are tensors [..., N], the cell's own, spread over the dims S.
    """

    gates: ClassVar[int]
    parts: ClassVar[int] = 1

    def __init__(self, units: int = 1) -> None:
        self.units = units

    @property
    def size(self) -> int:
        """K, numbers of a system's state."""
        return self.parts * self.units

    @abstractmethod
    def step(self, x_GkSN: Tensor, state: State, weights: Weights) -> State:
        """The states after one step."""

    def linearise(self, x_GkSN: Tensor, state: State, weights: Weights, after: State | None = None) -> Linearised:
        """By automatic differentiation, one pass for each number of a system's state.

        `after` holds the states after the step where they are known: closed forms do not compute them again.
        """
        with own_graph():
            leaves, (entering, *own) = (
                [given.detach().clone().requires_grad_() for given in tensors]
                for tensors in (state, (x_GkSN, *weights))
            )
            value = self.step(entering, tuple(leaves), tuple(own))
            sums = [number.sum() for part in value for number in part.unbind(0)]
        rows = []
        for total in sums:
            found = torch.autograd.grad(total, leaves, retain_graph=True, allow_unused=True)
            filled = [torch.zeros_like(s) if g is None else g for s, g in zip(leaves, found, strict=True)]
            rows.append(torch.cat(filled))
        return Linearised(value, torch.stack(rows), (entering, *own))

    def pullback(
        self, found: Linearised, state: State, mu_KSN: Tensor, weights: Weights, into_GkSN: Tensor
    ) -> list[Tensor]:
        """What `mu_KSN`, a gradient of the states after the step, is to each weight; to x it is written down."""
        mu = mu_KSN.split(self.units)
        of_kept = torch.autograd.grad(found.value, found.kept, mu, allow_unused=True)
        filled = [torch.zeros_like(s) if g is None else g for s, g in zip(found.kept, of_kept, strict=True)]
        into_GkSN.copy_(filled[0])
        return [gradient.squeeze((-3, -2)) for gradient in filled[1:]]

    def march(self, x_GkBTN: Tensor, state: State, weights: Weights, marks: Marks) -> State:
        """The states after every step, [k, B, T, N], one step after the other; `weights` spread over rows."""
        found = []
        for number, x_GkBN in enumerate(x_GkBTN.unbind(3)):
            before = marks.entering(number, state)
            state = marks.after(number, before, self.step(x_GkBN, before, weights))
            found.append(state)
        return tuple(torch.stack(steps, dim=2) for steps in zip(*found, strict=True))

    def spread(self, weights: Sequence[Tensor], dims: int) -> Weights:
        """Weights [..., N] with `dims` dims for S before the last."""
        return tuple(weight.reshape(*weight.shape[:-1], *(1,) * dims, weight.shape[-1]) for weight in weights)
