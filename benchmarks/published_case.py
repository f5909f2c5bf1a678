"""A published training step in the planner's words."""

from __future__ import annotations

from dataclasses import dataclass, field

from crossover.parallel.layout import ORDER, Layout
from crossover.planning.job import Job
from crossover.planning.machine import load_machine
from crossover.planning.practice import Practice
from crossover.planning.predict import Planner, Prediction


@dataclass(frozen=True)
class Case:
    """One measured step: its seconds, or the bytes of what MEMORY has a metric for."""

    source: str
    label: str
    job: Job
    layout: Layout
    machine: str
    measured: float
    metric: str
    order: tuple[str, ...] = ORDER
    practice: Practice = field(default_factory=Practice)

    def predicted(self) -> Prediction:
        """The same step by the planner."""
        planner = Planner(self.job, load_machine(self.machine), order=self.order, practice=self.practice)
        return planner.predict(self.layout)
