"""An LSTM whose gates see the state of their own unit alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from crossover.models.mixers.base import InitRule, State
from crossover.models.mixers.diagonal import DiagonalMixer, DiagonalSettings
from crossover.models.mixers.lstm import lstm_step
from crossover.models.mixers.recurrent import biases_per_gate
from crossover.recurrence.gated import LSTMCell


@dataclass(frozen=True, kw_only=True)
class DiagonalLSTMSettings(DiagonalSettings):
    """See `DiagonalSettings`; `forget_bias` is the forget gate's bias at the start, as in an `lstm`."""

    name: ClassVar[str] = "diagonal-lstm"
    gates: ClassVar[int] = 4
    kept_by_step: ClassVar[int] = 7
    passes: ClassVar[tuple[int, int]] = (37, 183)
    kernels_of_step: ClassVar[int] = 8
    state_parts: ClassVar[int] = 2
    cell = LSTMCell
    formula: ClassVar[str] = (
        "i, f, o = sigmoid(W x_t + u * h_{t-1} + b); g = tanh(…); c_t = f c_{t-1} + i g; h_t = o tanh(c_t)"
    )
    cost_law: ClassVar[str] = "8hi FLOPs a step and row, T steps in sequence or a few scans, state 2h"
    source: ClassVar[str] = "Danieli et al. 2025, ParaRNN, arXiv 2510.21450"

    forget_bias: float = 1.0

    def build(self) -> DiagonalLSTMMixer:
        """The module."""
        return DiagonalLSTMMixer(self)


class DiagonalLSTMMixer(DiagonalMixer):
    """x_BTD -> y_BTD; state (h [B, hidden], c [B, hidden])."""

    settings: DiagonalLSTMSettings

    def bias_rule(self) -> InitRule:
        """Zeros, but for the forget gate's."""
        return biases_per_gate(self.settings.directions, (0.0, self.settings.forget_bias, 0.0, 0.0))

    def dense_step(self, entering_BG: Tensor, recurrent_BG: Tensor, state: State) -> State:
        """See `lstm_step`."""
        return lstm_step(entering_BG, recurrent_BG, state)
