"""A GRU whose gates see the state of their own unit alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from crossover.models.mixers.base import InitRule, State
from crossover.models.mixers.diagonal import DiagonalMixer, DiagonalSettings
from crossover.models.mixers.gru import gru_step
from crossover.models.mixers.recurrent import biases_per_gate
from crossover.recurrence.gated import GRUCell


@dataclass(frozen=True, kw_only=True)
class DiagonalGRUSettings(DiagonalSettings):
    """See `DiagonalSettings`; `forget_bias` is the update gate's bias at the start, as in a `gru`."""

    name: ClassVar[str] = "diagonal-gru"
    gates: ClassVar[int] = 3
    kept_by_step: ClassVar[int] = 8
    passes: ClassVar[tuple[int, int]] = (25, 109)
    kernels_of_step: ClassVar[int] = 6
    cell = GRUCell
    formula: ClassVar[str] = (
        "r, z = sigmoid(W x_t + u * h_{t-1} + b); n = tanh(W_n x_t + b_n + r u_n * h_{t-1}); "
        "h_t = (1-z) n + z h_{t-1}"
    )
    cost_law: ClassVar[str] = "6hi FLOPs a step and row, T steps in sequence or a few scans, state h"
    source: ClassVar[str] = "Danieli et al. 2025, ParaRNN, arXiv 2510.21450"

    forget_bias: float = 0.0

    def build(self) -> DiagonalGRUMixer:
        """The module."""
        return DiagonalGRUMixer(self)


class DiagonalGRUMixer(DiagonalMixer):
    """x_BTD -> y_BTD; state (h [B, hidden],)."""

    settings: DiagonalGRUSettings

    def bias_rule(self) -> InitRule:
        """Zeros, but for the update gate's."""
        return biases_per_gate(self.settings.directions, (0.0, self.settings.forget_bias, 0.0))

    def dense_step(self, entering_BG: Tensor, recurrent_BG: Tensor, state: State) -> State:
        """See `gru_step`."""
        return gru_step(entering_BG, recurrent_BG, state)
