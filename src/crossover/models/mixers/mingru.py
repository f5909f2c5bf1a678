"""minGRU (Feng et al. 2024): a GRU whose gate and candidate see only the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from crossover.models.mixers.affine import AffineMixer, AffineSettings
from crossover.models.mixers.base import InitRule, State
from crossover.models.mixers.recurrent import biases_per_gate
from crossover.recurrence.affine import MinGRUCell


@dataclass(frozen=True, kw_only=True)
class MinGRUSettings(AffineSettings):
    """See `AffineSettings`."""

    name: ClassVar[str] = "mingru"
    gates: ClassVar[int] = 2
    kept_by_cell: ClassVar[int] = 3
    passes: ClassVar[tuple[int, int]] = (19, 33)
    formula: ClassVar[str] = "z = sigmoid(W_z x_t); v = W_v x_t; h_t = (1-z) h_{t-1} + z v"
    cost_law: ClassVar[str] = "4hi FLOPs a step and row, all steps at once by a scan, state h"
    source: ClassVar[str] = "Feng et al. 2024, Were RNNs all we needed?, arXiv 2410.01201, section 3.1"

    def build(self) -> MinGRUMixer:
        """The module."""
        return MinGRUMixer(self)


class MinGRUMixer(AffineMixer):
    """x_BTD -> y_BTD; state (h [B, hidden],)."""

    settings: MinGRUSettings

    def __init__(self, settings: MinGRUSettings) -> None:
        super().__init__(settings, MinGRUCell())

    def bias_rule(self) -> InitRule:
        """z starts on the side that keeps."""
        return biases_per_gate(self.settings.directions, (-self.settings.forget_bias, 0.0))

    def step(self, entering_BG: Tensor, state: State, weights: tuple[Tensor, ...]) -> State:
        """h = (1 - z) h + z v."""
        logit_BH, v_BH = entering_BG.chunk(2, dim=-1)
        z_BH = torch.sigmoid(logit_BH)
        h_BH = (1 - z_BH) * state[0] + z_BH * v_BH
        return (h_BH,)
