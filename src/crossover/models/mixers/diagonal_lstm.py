"""An LSTM whose gates see the state of their own unit alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossover.models.mixers.diagonal import DiagonalSettings
from crossover.models.mixers.lstm import LSTMMixer
from crossover.recurrence.gated import LSTMCell


@dataclass(frozen=True, kw_only=True)
class DiagonalLSTMSettings(DiagonalSettings):
    """See `DiagonalSettings`; `forget_bias` is the forget gate's bias at the start, as in an `lstm`."""

    name: ClassVar[str] = "diagonal-lstm"
    gates: ClassVar[int] = 4
    kept_by_step: ClassVar[int] = 7
    passes: ClassVar[tuple[int, int]] = (37, 153)
    kernels_of_step: ClassVar[int] = 8
    passes_of_iteration: ClassVar[int] = 152
    kernels_of_iteration: ClassVar[int] = 66
    state_parts: ClassVar[int] = 2
    cell = LSTMCell
    dense = LSTMMixer
    formula: ClassVar[str] = (
        "i, f, o = sigmoid(W x_t + u * h_{t-1} + b); g = tanh(…); c_t = f c_{t-1} + i g; h_t = o tanh(c_t)"
    )
    cost_law: ClassVar[str] = "8hi FLOPs a step and row, T steps in sequence or a few scans, state 2h"
    source: ClassVar[str] = "Danieli et al. 2025, ParaRNN, arXiv 2510.21450"

    forget_bias: float = 1.0

    @property
    def biases(self) -> tuple[float, ...]:
        """Zeros, but for the forget gate's."""
        return (0.0, self.forget_bias, 0.0, 0.0)
