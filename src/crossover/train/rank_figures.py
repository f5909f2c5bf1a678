"""What one rank has to tell of its own work: its seconds, its memory, and what it sends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from crossover.measure.numerics import Numerics
from crossover.parallel.mesh import Mesh
from crossover.parallel.traffic import Traffic

_WATCHED = 2
"""The step, counted from 0, whose traffic is noted: the first two have more to say than those that follow."""


class RankFigures:
    """Sums over the steps that this process has taken."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.steps, self.loading, self.computing = 0, 0.0, 0.0
        self.traffic: list[dict[str, Any]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around a step: notes what this rank sends in one of them."""
        if self.mesh.world.size == 1 or self.steps != _WATCHED:
            yield
            return
        with Traffic(*self.mesh.axes) as traffic:
            yield
        self.traffic = [sent.to_json() for sent in traffic.sent()]

    def add(self, *, loading: float, computing: float) -> None:
        """One more step, with this rank's own seconds."""
        self.steps += 1
        self.loading += loading
        self.computing += computing

    def line(self, numerics: Numerics) -> dict[str, Any]:
        """This rank's entry in the record."""
        steps = max(self.steps, 1)
        return {
            "rank": self.mesh.world.rank,
            "step_seconds": (self.loading + self.computing) / steps,
            "data_seconds": self.loading / steps,
            "peak_bytes": peak_bytes(numerics),
            "traffic": self.traffic,
        }


def peak_bytes(numerics: Numerics) -> int | None:
    """The most that was allocated on the run's accelerator; None on a CPU, where only a fresh process can tell."""
    cuda = torch.device(numerics.device).type == "cuda"
    return torch.cuda.max_memory_allocated(numerics.device) if cuda else None
