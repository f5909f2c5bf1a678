"""Who times the steps of a sweep: this process alone, or (`crossover.measure.together`) all ranks of a layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import torch

from crossover.measure.clock import pair_difference, timings_in_turn
from crossover.measure.workload import Workload


class Stopwatch:
    """Times the steps of workloads, which it prepares: in this process."""

    def __init__(self) -> None:
        self._steps: dict[str, Callable[[], Any]] = {}

    def begin(self, name: str, workload: Workload) -> tuple[bool, float]:
        """Prepare a step and take it once: whether all it gave was finite, and its seconds."""
        step = workload.prepare()
        began = perf_counter()
        finite = bool(torch.isfinite(step()).all())
        self._steps[name] = step
        return finite, perf_counter() - began

    def pair_difference(self, name: str, *, rounds: int, device: str) -> float:
        """How far apart the same step is from itself, see `crossover.measure.clock.pair_difference`."""
        return pair_difference(self._steps[name], rounds=rounds, device=device)

    def time(
        self, names: Sequence[str], *, rounds: int, minimum: int, device: str, time_limit: float
    ) -> dict[str, tuple[float, ...]]:
        """Seconds of steps that were begun, taken in turn; see `crossover.measure.clock.timings_in_turn`."""
        steps = {name: self._steps[name] for name in names}
        timings = timings_in_turn(
            steps, rounds=rounds, minimum=minimum, warmup=1, device=device, time_limit=time_limit
        )
        return {name: timing.seconds for name, timing in timings.items()}

    def forget(self) -> None:
        """Let all steps go."""
        self._steps.clear()
