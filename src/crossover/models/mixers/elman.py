"""The plain recurrent network of Elman (1990)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from crossover.costs import Shape
from crossover.models.mixers.base import State
from crossover.models.mixers.dense import DenseMixer, DenseSettings, orthogonal_per_gate
from crossover.recurrence.gated import ElmanCell


@dataclass(frozen=True, kw_only=True)
class ElmanSettings(DenseSettings):
    """`gain` scales the orthogonal recurrent weights at the start: below 1 the state fades, above 1 it saturates."""

    name: ClassVar[str] = "elman"
    gates: ClassVar[int] = 1
    cell = ElmanCell
    formula: ClassVar[str] = "h_t = tanh(W x_t + U h_{t-1} + b)"
    cost_law: ClassVar[str] = "2h(i+h) FLOPs a step and row, T steps in sequence, state h"
    source: ClassVar[str] = "Elman 1990, Finding structure in time"

    gain: float = 1.0

    def build(self) -> ElmanMixer:
        """The module."""
        return ElmanMixer(self)

    def kept_per_unit(self, shape: Shape, *, fused: bool) -> float:
        """Every h, the initial one too: tanh's derivative needs nothing else."""
        return shape.batch * (shape.time + 1)


class ElmanMixer(DenseMixer):
    """x_BTD -> y_BTD; state (h [B, hidden],)."""

    settings: ElmanSettings
    module = nn.RNN

    def __init__(self, settings: ElmanSettings) -> None:
        super().__init__(settings)
        self.add_rules({"weight_hh_l0": orthogonal_per_gate(1, settings.gain)})

    @staticmethod
    def step(entering_BG: Tensor, recurrent_BG: Tensor, state: State) -> State:
        """h = tanh(W x + U h + b)."""
        return (torch.tanh(entering_BG + recurrent_BG),)
