"""An Elman network whose units do not see one another: h_t = tanh(W x_t + u h_{t-1} + b)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from crossover.models.mixers.base import InitRule, State
from crossover.models.mixers.diagonal import DiagonalMixer, DiagonalSettings
from crossover.models.mixers.elman import elman_step
from crossover.models.mixers.recurrent import biases_per_gate
from crossover.recurrence.gated import ElmanCell


@dataclass(frozen=True, kw_only=True)
class DiagonalElmanSettings(DiagonalSettings):
    """See `DiagonalSettings`."""

    name: ClassVar[str] = "diagonal-elman"
    gates: ClassVar[int] = 1
    kept_by_step: ClassVar[int] = 1
    passes: ClassVar[tuple[int, int]] = (9, 35)
    kernels_of_step: ClassVar[int] = 2
    cell = ElmanCell
    formula: ClassVar[str] = "h_t = tanh(W x_t + u * h_{t-1} + b), u a number or a small block for each unit"
    cost_law: ClassVar[str] = "2hi FLOPs a step and row, T steps in sequence or a few scans, state h"
    source: ClassVar[str] = "Elman 1990; Lim et al. 2024, arXiv 2309.12252"

    def kept_by_definition(self, batch: int, time: int) -> int:
        """Every h, the initial one too: tanh's derivative needs nothing else."""
        return batch * (time + 1)

    def build(self) -> DiagonalElmanMixer:
        """The module."""
        return DiagonalElmanMixer(self)


class DiagonalElmanMixer(DiagonalMixer):
    """x_BTD -> y_BTD; state (h [B, hidden],)."""

    settings: DiagonalElmanSettings

    def bias_rule(self) -> InitRule:
        """Zeros."""
        return biases_per_gate(self.settings.directions, (0.0,))

    def dense_step(self, entering_BG: Tensor, recurrent_BG: Tensor, state: State) -> State:
        """See `elman_step`."""
        return elman_step(entering_BG, recurrent_BG, state)
