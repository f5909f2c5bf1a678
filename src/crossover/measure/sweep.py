"""Cost curves: models measured in turn at rising values of an axis, under a limit of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import log
from statistics import median
from time import perf_counter
from typing import Any

from crossover.errors import MeasurementError, is_out_of_memory
from crossover.measure.memory import MEMORY_STEPS, Nursery, Peak, within_free_memory
from crossover.measure.solvers import solver_of, with_fastest_solvers
from crossover.measure.statistics import median_interval
from crossover.measure.stopwatch import Stopwatch
from crossover.measure.workload import Workload

MINIMUM_ROUNDS = 3
MAXIMUM_ROUNDS = 20
_PAIR_ROUNDS = 8
_STEEPEST = 2.0
"""Largest power of the axis that a step's time is predicted to grow with."""


@dataclass(frozen=True)
class Point:
    """One model at one value of the axis; `seconds` empty or `peak_bytes` None where not measured, for the reason
    in `note`."""

    x: int
    seconds: tuple[float, ...]
    peak_bytes: int | None
    flops_forward: float
    flops_backward: float
    note: str | None = None
    solver: str = "default"

    @property
    def median(self) -> float:
        """The median of the measured seconds."""
        return median(self.seconds)

    def to_json(self) -> dict[str, Any]:
        """The point of a scale document."""
        return {
            "x": self.x,
            "step_seconds": median_interval(self.seconds).to_json() if self.seconds else None,
            "peak_bytes": self.peak_bytes,
            "flops_forward": self.flops_forward,
            "flops_backward": self.flops_backward,
            "solver": self.solver,
            "samples": len(self.seconds),
            "note": self.note,
        }


class Sweep:
    """Cost curves under way: `points` of each model in the order of the axis.

    `models` maps a name to its workload at a value of the axis; `nursery` None leaves memory out. All that `measure`
    does ends within `time_limit` seconds of the start, as far as can be foreseen: before a value is begun, a model's
    time there is predicted from the slope of its last two points and from its FLOPs, the larger of the two. A model
    that would take too long, does not fit into memory or fails is not measured there, nor at larger values, and its
    points say why.
    """

    def __init__(
        self,
        models: Mapping[str, Callable[[int], Workload]],
        *,
        nursery: Nursery | None,
        time_limit: float,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self.models, self.nursery, self.stopwatch = models, nursery, stopwatch or Stopwatch()
        self.points: dict[str, list[Point]] = {name: [] for name in models}
        self.pair_difference: float | None = None
        self._stopped: dict[str, str] = {}
        self._predicted: dict[str, float] = {}  # seconds of a step at the value at hand
        self._memory_seconds = 0.0  # what a measurement of memory takes beside its steps, as last seen
        self._time_limit = time_limit
        self._ends = perf_counter() + time_limit

    def measure(self, value: int, later: Sequence[int] = ()) -> None:
        """Measure every model at `value`, larger than those before it and smaller than the `later` ones.

        The time left is shared with the later values, by their FLOPs. Peak memory comes first, since what does not
        fit is found out in a process of its own; then steps are timed in turn. A result that is not finite is a
        MeasurementError.
        """
        workloads = {name: make(value) for name, make in self.models.items()}
        self._foresee(value, workloads)
        workloads |= {name: with_fastest_solvers(workload) for name, workload in self._alive(workloads)}
        for_memory = max(self._left, 0.0) / (1 + len(later)) / 3
        peaks = {name: self._peak(name, workload, for_memory) for name, workload in self._alive(workloads)}
        begun = [name for name, workload in self._alive(workloads) if self._begin(name, workload)]
        timings = self._time(begun, workloads, self._share(workloads, later))
        self.stopwatch.forget()
        for name, workload in workloads.items():
            peak = peaks.get(name, Peak(None))
            self.points[name].append(
                _point(value, workload, timings.get(name, ()), peak.bytes, self._stopped.get(name, peak.reason))
            )

    @property
    def _left(self) -> float:
        return self._ends - perf_counter()

    def _share(self, workloads: Mapping[str, Workload], later: Sequence[int]) -> float:
        """Seconds for the steps at this value: a part of half the time left, since later values start up too."""
        now = sum(workload.cost().flops_forward for workload in workloads.values())
        rest = sum(make(value).cost().flops_forward for value in later for make in self.models.values())
        return max(self._left, 0.0) / 2 * now / (now + rest)

    def _alive(self, workloads: Mapping[str, Workload]) -> list[tuple[str, Workload]]:
        return [(name, workload) for name, workload in workloads.items() if name not in self._stopped]

    def _foresee(self, value: int, workloads: Mapping[str, Workload]) -> None:
        """Stop the models for which there is no time left, the most expensive ones first."""
        alive = self._alive(workloads)
        self._predicted = {name: predict(self.points[name], value, workload) for name, workload in alive}
        needed = 0.0
        for name, seconds in sorted(self._predicted.items(), key=lambda item: item[1]):
            needed += (MINIMUM_ROUNDS + 1) * seconds
            if self.nursery is not None:
                needed += self._memory_seconds + MEMORY_STEPS * seconds
            if needed > self._left:
                self._stop(name, f"a step would take about {seconds:.2g} s")

    def _stop(self, name: str, reason: str) -> None:
        self._stopped[name] = f"{reason}, more than the time limit of {self._time_limit:g} s leaves"

    def _peak(self, name: str, workload: Workload, seconds: float) -> Peak:
        """Peak memory: the median of three where `seconds` are enough for that for every model, else one."""
        if self.nursery is None:
            return Peak(None)
        began = perf_counter()
        peaks = [self.nursery.peak(workload, repeats=1, time_limit=max(self._left, 1.0))]
        once = perf_counter() - began
        self._memory_seconds = max(once - MEMORY_STEPS * self._predicted[name], 0.0)
        if peaks[0].bytes is None:
            if workload.numerics.device == "cpu":
                self._stopped[name] = peaks[0].reason or "it did not run"
            return peaks[0]
        if 3 * once * len(self.models) <= seconds:
            peaks += [self.nursery.peak(workload, repeats=1) for _ in range(2)]
        return Peak(int(median(peak.bytes for peak in peaks if peak.bytes is not None)))

    def _begin(self, name: str, workload: Workload) -> bool:
        """Whether the workload fits, and once through it shows that there is time for more."""
        try:
            # A GPU's memory says by itself when it is full.
            with within_free_memory() if workload.numerics.device == "cpu" else nullcontext():
                finite, seconds = self.stopwatch.begin(name, workload)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._stopped[name] = f"out of memory: {error}".splitlines()[0]
            return False
        if not finite:
            raise MeasurementError(
                f"{name} gives values that are not finite at {workload.kind}: its time means nothing"
            )
        if not self.points[name] or seconds * MINIMUM_ROUNDS <= self._left:
            return True
        self._stop(name, f"a step took {seconds:.2g} s")
        return False

    def _time(
        self, begun: Sequence[str], workloads: Mapping[str, Workload], seconds: float
    ) -> dict[str, tuple[float, ...]]:
        if not begun:
            return {}
        device = workloads[begun[0]].numerics.device
        if self.pair_difference is None:
            self.pair_difference = self.stopwatch.pair_difference(begun[0], rounds=_PAIR_ROUNDS, device=device)
        return self.stopwatch.time(
            begun, rounds=MAXIMUM_ROUNDS, minimum=MINIMUM_ROUNDS, device=device, time_limit=seconds
        )


def predict(points: Sequence[Point], value: int, workload: Workload) -> float:
    """Seconds of a step of `workload` at `value`, after the measured `points` of the model; 0 after none."""
    measured = [point for point in points if point.seconds]
    if not measured:
        return 0.0
    last = measured[-1]
    growth = workload.cost().flops_forward / last.flops_forward
    if len(measured) > 1:
        before = measured[-2]
        slope = log(last.median / before.median) / log(last.x / before.x)
        growth = max(growth, (value / last.x) ** min(slope, _STEEPEST))
    return last.median * growth


def _point(
    value: int, workload: Workload, seconds: tuple[float, ...], peak_bytes: int | None, note: str | None
) -> Point:
    cost = workload.cost()
    return Point(
        value,
        seconds,
        peak_bytes,
        cost.flops_forward,
        cost.flops_backward if workload.kind == "train" else 0.0,
        note,
        solver_of(workload),
    )
