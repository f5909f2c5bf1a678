"""minLSTM (Feng et al. 2024): an LSTM whose gates see only the input, normalised to sum to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from crossover.models.mixers.affine import AffineMixer, AffineSettings
from crossover.models.mixers.base import InitRule, State
from crossover.models.mixers.recurrent import biases_per_gate
from crossover.recurrence.affine import MinLSTMCell


@dataclass(frozen=True, kw_only=True)
class MinLSTMSettings(AffineSettings):
    """See `AffineSettings`."""

    name: ClassVar[str] = "minlstm"
    gates: ClassVar[int] = 3
    kept_by_cell: ClassVar[int] = 6
    passes: ClassVar[tuple[int, int]] = (32, 64)
    formula: ClassVar[str] = "f, i = sigmoid(W x_t); v = W_v x_t; h_t = f/(f+i) h_{t-1} + i/(f+i) v"
    cost_law: ClassVar[str] = "6hi FLOPs a step and row, all steps at once by a scan, state h"
    source: ClassVar[str] = "Feng et al. 2024, Were RNNs all we needed?, arXiv 2410.01201, section 3.2"

    def build(self) -> MinLSTMMixer:
        """The module."""
        return MinLSTMMixer(self)


class MinLSTMMixer(AffineMixer):
    """x_BTD -> y_BTD; state (h [B, hidden],)."""

    settings: MinLSTMSettings

    def __init__(self, settings: MinLSTMSettings) -> None:
        super().__init__(settings, MinLSTMCell())

    def bias_rule(self) -> InitRule:
        """f starts on the side that keeps."""
        return biases_per_gate(self.settings.directions, (self.settings.forget_bias, 0.0, 0.0))

    def step(self, entering_BG: Tensor, state: State, weights: tuple[Tensor, ...]) -> State:
        """h = f' h + i' v with f' = f/(f+i), i' = i/(f+i)."""
        forget_BH, input_BH, v_BH = entering_BG.chunk(3, dim=-1)
        f_BH, i_BH = torch.sigmoid(forget_BH), torch.sigmoid(input_BH)
        total_BH = f_BH + i_BH
        h_BH = f_BH / total_BH * state[0] + i_BH / total_BH * v_BH
        return (h_BH,)
