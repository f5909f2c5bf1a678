"""An Elman network whose units do not see one another: h_t = tanh(W x_t + u h_{t-1} + b)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossover.models.mixers.diagonal import DiagonalSettings
from crossover.models.mixers.elman import ElmanMixer
from crossover.recurrence.gated import ElmanCell


@dataclass(frozen=True, kw_only=True)
class DiagonalElmanSettings(DiagonalSettings):
    """See `DiagonalSettings`."""

    name: ClassVar[str] = "diagonal-elman"
    gates: ClassVar[int] = 1
    kept_by_step: ClassVar[int] = 1
    passes: ClassVar[tuple[int, int]] = (9, 30)
    kernels_of_step: ClassVar[int] = 2
    passes_of_iteration: ClassVar[int] = 46
    kernels_of_iteration: ClassVar[int] = 55
    cell = ElmanCell
    dense = ElmanMixer
    formula: ClassVar[str] = "h_t = tanh(W x_t + u * h_{t-1} + b), u a number or a small block for each unit"
    cost_law: ClassVar[str] = "2hi FLOPs a step and row, T steps in sequence or a few scans, state h"
    source: ClassVar[str] = "Elman 1990; Lim et al. 2024, arXiv 2309.12252"

    def kept_by_definition(self, batch: int, time: int) -> int:
        """Every h, the initial one too: tanh's derivative needs nothing else."""
        return batch * (time + 1)

    @property
    def biases(self) -> tuple[float, ...]:
        """Zeros."""
        return (0.0,)
