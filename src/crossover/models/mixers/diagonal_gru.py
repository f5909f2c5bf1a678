"""A GRU whose gates see the state of their own unit alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossover.models.mixers.diagonal import DiagonalSettings
from crossover.models.mixers.gru import GRUMixer
from crossover.recurrence.gated import GRUCell


@dataclass(frozen=True, kw_only=True)
class DiagonalGRUSettings(DiagonalSettings):
    """See `DiagonalSettings`; `forget_bias` is the update gate's bias at the start, as in a `gru`."""

    name: ClassVar[str] = "diagonal-gru"
    gates: ClassVar[int] = 3
    kept_by_step: ClassVar[int] = 8
    passes: ClassVar[tuple[int, int]] = (25, 94)
    kernels_of_step: ClassVar[int] = 6
    passes_of_iteration: ClassVar[int] = 92
    kernels_of_iteration: ClassVar[int] = 67
    cell = GRUCell
    dense = GRUMixer
    formula: ClassVar[str] = (
        "r, z = sigmoid(W x_t + u * h_{t-1} + b); n = tanh(W_n x_t + b_n + r u_n * h_{t-1}); "
        "h_t = (1-z) n + z h_{t-1}"
    )
    cost_law: ClassVar[str] = "6hi FLOPs a step and row, T steps in sequence or a few scans, state h"
    source: ClassVar[str] = "Danieli et al. 2025, ParaRNN, arXiv 2510.21450"

    forget_bias: float = 0.0

    @property
    def biases(self) -> tuple[float, ...]:
        """Zeros, but for the update gate's."""
        return (0.0, self.forget_bias, 0.0)
