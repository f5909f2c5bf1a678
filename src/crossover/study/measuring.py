"""The figures of a trained contest: step time in turn, latency, memory, state, FLOPs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossover.files import write_json
from crossover.measure.clock import time_in_turn
from crossover.measure.latency import measure_latency, state_bytes
from crossover.measure.memory import Nursery
from crossover.measure.numerics import Numerics
from crossover.measure.peak import product_rate
from crossover.measure.workload import Pass, Workload
from crossover.models.model import build_model
from crossover.models.presets import describe_model
from crossover.models.settings import ModelSettings
from crossover.study.contest import Contest
from crossover.tasks.base import Task
from crossover.train.record import finite
from crossover.train.settings import TrainSettings, resolve

_ROUNDS = 12
_TURN_SECONDS = 6.0
_LATENCY_SAMPLES = 60


_FILE = "measured.json"


@dataclass(frozen=True)
class Measured:
    """A contest's figures by model, and how far the A-A pair was apart (above 10 % the machine is unsteady).

    `memory` says whether memory was measured with the rest.
    """

    models: dict[str, dict[str, Any]]
    pair_difference: float
    memory: bool = False

    def save(self, folder: Path) -> None:
        """Keep the figures, so that a study that is gone on with does not measure again."""
        write_json(folder / _FILE, finite(asdict(self)))

    @classmethod
    def load(cls, folder: Path, models: Mapping[str, ModelSettings], *, memory: bool) -> Measured | None:
        """What was kept for exactly these models, with memory if it is asked for; None where there is nothing."""
        path = folder / _FILE
        if not path.is_file():
            return None
        kept = cls(**json.loads(path.read_text(encoding="utf-8")))
        described = {name: figures["description"] for name, figures in kept.models.items()}
        same = described == {name: describe_model(model) for name, model in models.items()}
        return kept if same and (kept.memory or not memory) else None


@dataclass(frozen=True)
class TypicalShape:
    """The batch a task trains on: rows, padded steps, real steps in all, and padded steps of its source."""

    rows: int
    time: int
    tokens: int
    source: int = 0


def typical_shape(task: Task, model: ModelSettings, settings: TrainSettings) -> TypicalShape:
    """The shape of the first training batch."""
    resolved = resolve(settings, task.spec, model)
    batch = next(
        iter(
            task.batches(
                "train", seed=0, epoch=0, batch=resolved.batch or task.spec.batch_rows, by=resolved.batch_by or "rows"
            )
        )
    )
    return TypicalShape(batch.size, batch.inputs.shape[1], batch.tokens, batch.source_steps)


def workload(
    contest: Contest, model: ModelSettings, shape: TypicalShape, numerics: Numerics, kind: Pass = "train"
) -> Workload:
    """One pass of `model` at the task's own shape; inference is of one row."""
    spec = contest.spec
    return Workload(
        model=model,
        inputs=spec.inputs,
        outputs=spec.outputs,
        causal=spec.causal if model.causal is None else model.causal,
        batch=shape.rows if kind == "train" else 1,
        time=shape.time,
        source=shape.source,
        kind=kind,
        numerics=numerics,
    )


def measure_contest(
    contest: Contest,
    models: Mapping[str, ModelSettings],
    settings: TrainSettings,
    numerics: Numerics,
    nursery: Nursery | None,
) -> Measured:
    """Measure the models of a contest against each other.

    Training steps are timed in turn, model by model, on random inputs of the task's own batch shape; latency and
    inference memory are those of one row. `nursery` None leaves memory unmeasured.
    """
    shapes = {name: typical_shape(contest.task, model, settings) for name, model in models.items()}
    steps = {name: workload(contest, model, shapes[name], numerics) for name, model in models.items()}
    turns = time_in_turn(
        {name: step.prepare() for name, step in steps.items()},
        rounds=_ROUNDS,
        device=numerics.device,
        time_limit=_TURN_SECONDS,
    )
    rate = product_rate(numerics)
    figures = {}
    for name, model in models.items():
        seconds, cost = turns.timings[name].interval(), steps[name].cost()
        tokens = shapes[name].tokens
        figures[name] = {
            "description": describe_model(model),
            "step_seconds": seconds.to_json(),
            "tokens_per_second": {
                "value": tokens / seconds.value,
                "low": tokens / seconds.high,
                "high": tokens / seconds.low,
            },
            "flops_forward": cost.flops_forward,
            "flops_backward": cost.flops_backward,
            "utilisation": (cost.flops_forward + cost.flops_backward) / seconds.value / rate,
            "peak_bytes": nursery.peak(steps[name]).bytes if nursery else None,
            "inference_bytes": _inference_bytes(contest, model, shapes[name], numerics, nursery),
            **_inference(contest, model, shapes[name], numerics),
        }
    return Measured(figures, turns.pair_difference, memory=nursery is not None)


def _inference(contest: Contest, model: ModelSettings, shape: TypicalShape, numerics: Numerics) -> dict[str, Any]:
    spec = contest.spec
    built = build_model(model, spec.inputs, spec.outputs, causal=spec.causal, seed=0).to(numerics.device)
    return {
        "latency": measure_latency(built, shape.time, numerics, source=shape.source, samples=_LATENCY_SAMPLES),
        "state_bytes": state_bytes(built, shape.time, numerics, source=shape.source),
    }


def _inference_bytes(
    contest: Contest, model: ModelSettings, shape: TypicalShape, numerics: Numerics, nursery: Nursery | None
) -> int | None:
    return nursery.peak(workload(contest, model, shape, numerics, "encode")).bytes if nursery else None
