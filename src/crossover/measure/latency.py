"""Latency at batch 1: whole sequences, and step by step with the carried state; and the size of that state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossover.measure.clock import seconds_of
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import percentiles
from crossover.measure.workload import filled_state, random_inputs, random_source
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel


@dataclass(frozen=True)
class Latency:
    """Seconds of one call: the median and the 99th percentile, over `samples` calls."""

    p50: float
    p99: float
    samples: int

    def to_json(self) -> dict[str, float]:
        """``{"p50", "p99", "samples"}``."""
        return {"p50": self.p50, "p99": self.p99, "samples": self.samples}


def _latency(call: Callable[[], Any], device: str, samples: int, warmup: int) -> Latency:
    for _ in range(warmup):
        call()
    p50, p99 = percentiles([seconds_of(call, device) for _ in range(samples)], [50, 99])
    return Latency(p50, p99, samples)


def sequence_latency(
    model: SequenceModel, time: int, numerics: Numerics, *, source: int = 0, samples: int = 100, warmup: int = 5
) -> Latency:
    """Seconds from `time` input steps of one row to the outputs.

    An encoder-decoder writes them: it reads `source` steps (0: as many) and takes one step after the other.
    """
    inputs, features = random_inputs(model.inputs, 1, time, 0, numerics.device)
    read = random_source(model.inputs, 1, source or time, 0, numerics.device)

    def whole() -> Tensor:
        with torch.inference_mode(), numerics.autocast():
            return model(inputs, features, span=Span(carry=False))[0]

    def written() -> None:
        with torch.inference_mode(), numerics.autocast():
            state = model.initial_state(1, source=read, capacity=time, device=numerics.device)
            for step in range(time):
                state = model(inputs[:, step : step + 1], features, state)[1]

    with _evaluating(model):
        return _latency(whole if read is None else written, numerics.device, samples, warmup)


def step_latency(
    model: SequenceModel, time: int, numerics: Numerics, *, source: int = 0, samples: int = 100, warmup: int = 5
) -> Latency | None:
    """Seconds of the last of `time` steps of one row, from the carried state; None for an encoder.

    It is taken again and again from the same state, so that no position beyond `time` is asked of the model.
    """
    if not model.causal:
        return None
    with _evaluating(model):
        state = filled_state(model, 1, time - 1, numerics, source=source or time)
        inputs, features = random_inputs(model.inputs, 1, 1, 0, numerics.device)

        def step() -> None:
            with torch.inference_mode(), numerics.autocast():
                model(inputs, features, state)

        return _latency(step, numerics.device, samples, warmup)


def state_bytes(
    model: SequenceModel, time: int, numerics: Numerics, *, batch: int = 1, source: int = 0
) -> int | None:
    """Bytes of the state that a causal model carries after `time` steps, from its tensors; None for an encoder.

    Without spare room: what the cache of keys and values must hold, not what was allocated ahead for it. What an
    encoder-decoder remembers of a source of `source` steps is part of it.
    """
    if not model.causal:
        return None
    inputs, features = random_inputs(model.inputs, batch, time, 0, numerics.device)
    read = random_source(model.inputs, batch, source or time, 0, numerics.device)
    with _evaluating(model), torch.inference_mode(), numerics.autocast():
        _, state = model(inputs, features, source=read)
    return tensor_bytes((state.mixers, state.memory)) if state is not None else None


def tensor_bytes(value: Any) -> int:
    """Bytes of all tensors in nested tuples, lists and None."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    return sum(tensor_bytes(item) for item in value) if isinstance(value, tuple | list) else 0


def measure_latency(
    model: SequenceModel, time: int, numerics: Numerics, *, source: int = 0, samples: int = 100
) -> dict[str, Any]:
    """The ``"latency"`` object of a study's table: ``{"sequence": {…}, "step": {…} or null}``."""
    step = step_latency(model, time, numerics, source=source, samples=samples)
    return {
        "sequence": sequence_latency(model, time, numerics, source=source, samples=samples).to_json(),
        "step": step.to_json() if step is not None else None,
    }


@contextmanager
def _evaluating(model: SequenceModel) -> Iterator[None]:
    """A model in evaluation mode, and back in the mode that it was in."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
