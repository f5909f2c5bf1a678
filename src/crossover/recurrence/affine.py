"""Cells that are affine in their state: each unit keeps a share of it and takes up what it is offered.

h_t = (1 - z) h_{t-1} + z v with z and v from the input alone. 0 < z < 1 makes every step a convex combination, which
neither overflows nor divides, so the candidate v needs no positive activation (the log-space form of Feng et al.
2024, arXiv 2410.01201, does).
"""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from crossover.recurrence.cells import Cell, Linearised, State, Weights, sigmoid_backward


class AffineCell(Cell):
    """z and v of each unit; `gate` gives them, `into_gates` what a gradient of z is to the inputs that make it."""

    @abstractmethod
    def gate(self, x_GkSN: Tensor) -> tuple[Tensor, Tensor]:
        """z and v, [k, S, N]."""

    @abstractmethod
    def into_gates(self, of_z_kSN: Tensor, x_GkSN: Tensor, z_kSN: Tensor, into_GkSN: Tensor) -> None:
        """Write down the gradients of all inputs but v's."""

    def recurrence(self, x_GkSN: Tensor) -> tuple[Tensor, Tensor]:
        """a and b of h_t = a h_{t-1} + b, [k, S, N]."""
        z_kSN, v_kSN = self.gate(x_GkSN)
        return 1 - z_kSN, z_kSN * v_kSN

    def step(self, x_GkSN: Tensor, state: State, weights: Weights) -> State:
        """See `Cell.step`."""
        z_kSN, v_kSN = self.gate(x_GkSN)
        return (torch.lerp(state[0], v_kSN, z_kSN),)

    def linearise(self, x_GkSN: Tensor, state: State, weights: Weights, after: State | None = None) -> Linearised:
        """See `Cell.linearise`."""
        z_kSN, v_kSN = self.gate(x_GkSN)
        value = after or (torch.lerp(state[0], v_kSN, z_kSN),)
        return Linearised(value, (1 - z_kSN)[None], (x_GkSN, z_kSN, v_kSN))

    def pullback(
        self, found: Linearised, state: State, mu_KSN: Tensor, weights: Weights, into_GkSN: Tensor
    ) -> list[Tensor]:
        """See `Cell.pullback`."""
        x_GkSN, z_kSN, v_kSN = found.kept
        self.into_gates((v_kSN - state[0]).mul_(mu_KSN), x_GkSN, z_kSN, into_GkSN[:-1])
        torch.mul(z_kSN, mu_KSN, out=into_GkSN[-1])
        return []


class MinGRUCell(AffineCell):
    """z = sigmoid(x_z), v = x_v."""

    gates = 2

    def gate(self, x_GkSN: Tensor) -> tuple[Tensor, Tensor]:
        """See `AffineCell.gate`."""
        return torch.sigmoid(x_GkSN[0]), x_GkSN[1]

    def into_gates(self, of_z_kSN: Tensor, x_GkSN: Tensor, z_kSN: Tensor, into_GkSN: Tensor) -> None:
        """See `AffineCell.into_gates`."""
        sigmoid_backward.grad_input(of_z_kSN, z_kSN, grad_input=into_GkSN[0])


class MinLSTMCell(AffineCell):
    """z = i/(f+i) of f, i = sigmoid(x): sigmoid(log i - log f), which is right where both vanish too."""

    gates = 3

    def gate(self, x_GkSN: Tensor) -> tuple[Tensor, Tensor]:
        """See `AffineCell.gate`."""
        forget_kSN, input_kSN, v_kSN = x_GkSN
        log_ratio_kSN = (input_kSN - forget_kSN) + (F.softplus(forget_kSN) - F.softplus(input_kSN))
        return torch.sigmoid(log_ratio_kSN), v_kSN

    def into_gates(self, of_z_kSN: Tensor, x_GkSN: Tensor, z_kSN: Tensor, into_GkSN: Tensor) -> None:
        """See `AffineCell.into_gates`; the ratio's logarithm moves with -sigmoid(-x_f) and sigmoid(-x_i)."""
        of_ratio_kSN = sigmoid_backward(of_z_kSN, z_kSN)
        off_2kSN = torch.sigmoid(-x_GkSN[:2]).mul_(of_ratio_kSN)
        torch.neg(off_2kSN[0], out=into_GkSN[0])
        into_GkSN[1].copy_(off_2kSN[1])
