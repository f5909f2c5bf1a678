"""What the planner says of a run's steps, to stand beside what they then took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch

from crossover.measure.numerics import Numerics, processor
from crossover.models.settings import ModelSettings
from crossover.parallel.layout import Layout
from crossover.planning.here import known_device, this_machine
from crossover.planning.job import Job
from crossover.planning.machine import Machine
from crossover.planning.predict import Planner, Prediction
from crossover.tasks.base import TaskSpec
from crossover.train.batch_costs import BatchShape
from crossover.train.settings import TrainSettings

_MOST_SHAPES = 32


def foresee(
    spec: TaskSpec,
    model: ModelSettings,
    settings: TrainSettings,
    numerics: Numerics,
    layout: Layout,
    shapes: Mapping[BatchShape, int],
    *,
    machine: Machine | None = None,
) -> dict[str, Any] | None:
    """Predicted seconds of a mean step over batches of these shapes, with their parts, and the memory of the largest.

    `shapes` are those of one replica, and `machine` what it runs on (None: this one). None on a machine that nobody
    has measured (`crossover calibrate` does), and for a run of no step.
    """
    machine = machine or _machine(numerics, layout)
    if machine is None or not shapes or numerics.precision not in machine.rates:
        return None
    common = Counter(shapes).most_common(_MOST_SHAPES)
    found = [(_predict(spec, model, settings, numerics, layout, machine, shape), count) for shape, count in common]
    steps = sum(count for _, count in found)

    def mean(name: str) -> float:
        return sum(getattr(one, name) * count for one, count in found) / steps

    low, high = (sum(one.interval[end] * count for one, count in found) / steps for end in (0, 1))
    memory = _predict(spec, model, settings, numerics, layout, machine, max(shapes, key=_extent)).memory
    return {
        "machine": machine.name,
        "step_seconds": {"value": mean("step_seconds"), "low": low, "high": high},
        **{name: mean(name) for name in _PARTS},
        "peak_bytes": memory.total,
        "parts": memory.to_json(),
    }


def _extent(shape: BatchShape) -> int:
    """Steps of all rows, read and written: what memory grows with."""
    rows, time, source, _ = shape
    return rows * (time + source)


_PARTS = ("compute_seconds", "communication_seconds", "bubble_seconds", "update_seconds")


def _machine(numerics: Numerics, layout: Layout) -> Machine | None:
    if torch.device(numerics.device).type == "cuda":
        return known_device(torch.cuda.get_device_name(numerics.device))
    return this_machine(processor(), numerics.threads, layout.devices)


def _predict(
    spec: TaskSpec,
    model: ModelSettings,
    settings: TrainSettings,
    numerics: Numerics,
    layout: Layout,
    machine: Machine,
    shape: BatchShape,
) -> Prediction:
    rows, time, source, scored = shape
    job = Job(
        model=model,
        inputs=spec.inputs,
        outputs=spec.outputs,
        rows=rows * layout.data * layout.accumulate,
        time=max(time, 1),
        source=source,
        scored=None if scored is None else scored / (rows * max(time, 1)),
        causal=spec.causal,
        precision=numerics.precision,
        optimizer=settings.optimizer,
        name=spec.name,
    )
    return Planner(job, machine).predict(layout)
