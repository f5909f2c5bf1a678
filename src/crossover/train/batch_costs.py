"""What the batches of a run cost, by their shapes."""

from __future__ import annotations

from collections import Counter

from crossover.costs import Cost, Execution, Shape
from crossover.models.counting import model_cost
from crossover.models.settings import ModelSettings
from crossover.tasks.base import Batch, TaskSpec

BatchShape = tuple[int, int, int, int | None]
"""Rows, steps and source steps of one slice of a batch, and the steps that outputs are computed at."""


class BatchCosts:
    """Costs of a model on batches, each shape counted once; `shapes` says how often each was seen."""

    def __init__(self, spec: TaskSpec, model: ModelSettings, *, element_bytes: int) -> None:
        self.spec, self.model = spec, model
        self.execution = Execution(element_bytes=element_bytes)
        self.shapes: Counter[BatchShape] = Counter()
        self._known: dict[BatchShape, Cost] = {}

    def of(self, batch: Batch) -> Cost:
        """What a pass over `batch` costs, which is seen once more."""
        scored = int(batch.scored_BT.sum()) if batch.scored_BT is not None else None
        shape = (batch.size, batch.inputs.shape[1], batch.source_steps, scored)
        self.shapes[shape] += 1
        if shape not in self._known:
            self._known[shape] = model_cost(
                self.model,
                self.spec.inputs,
                self.spec.outputs,
                Shape(batch=shape[0], time=shape[1], source=shape[2], scored=shape[3]),
                causal=self.spec.causal,
                execution=self.execution,
            )
        return self._known[shape]
