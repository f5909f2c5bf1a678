"""Gated recurrent unit (Cho et al. 2014), with the reset gate after the product, as cuDNN and PyTorch compute it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from crossover.costs import Shape
from crossover.models.mixers.base import State
from crossover.models.mixers.dense import DenseMixer, DenseSettings, gate_bias
from crossover.recurrence.gated import GRUCell


@dataclass(frozen=True, kw_only=True)
class GRUSettings(DenseSettings):
    """`forget_bias` is the update gate's bias at the start: above 0 the state is kept, as by an LSTM's open cell."""

    name: ClassVar[str] = "gru"
    gates: ClassVar[int] = 3
    cell = GRUCell
    formula: ClassVar[str] = (
        "r, z = sigmoid(W x_t + U h_{t-1} + b); n = tanh(W_n x_t + r (U_n h_{t-1} + b_n)); h_t = (1-z) n + z h_{t-1}"
    )
    cost_law: ClassVar[str] = "6h(i+h) FLOPs a step and row, T steps in sequence, state h"
    source: ClassVar[str] = "Cho et al. 2014, arXiv 1406.1078"

    forget_bias: float = 0.0

    def build(self) -> GRUMixer:
        """The module."""
        return GRUMixer(self)

    def kept_per_unit(self, shape: Shape, *, fused: bool) -> float:
        """By steps: r, z, n, h before the step, h - n, three recurrent products; fused, one less."""
        return (7 if fused else 8) * shape.batch * shape.time


class GRUMixer(DenseMixer):
    """x_BTD -> y_BTD; state (h [B, hidden],)."""

    settings: GRUSettings
    module = nn.GRU

    def __init__(self, settings: GRUSettings) -> None:
        super().__init__(settings)
        self.add_rules({"bias_ih_l0": gate_bias(3, 1, settings.forget_bias)})

    @staticmethod
    def step(entering_BG: Tensor, recurrent_BG: Tensor, state: State) -> State:
        """Gates in PyTorch's order r, z, n."""
        r_BH, z_BH, n_BH = entering_BG.chunk(3, dim=-1)
        from_r_BH, from_z_BH, from_n_BH = recurrent_BG.chunk(3, dim=-1)
        r_BH, z_BH = torch.sigmoid(r_BH + from_r_BH), torch.sigmoid(z_BH + from_z_BH)
        n_BH = torch.tanh(n_BH + r_BH * from_n_BH)
        return (n_BH + z_BH * (state[0] - n_BH),)
