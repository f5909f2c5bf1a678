"""Layouts that were planned, run for a moment on this machine: what was predicted beside what a step takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from crossover.errors import ConfigError, MeasurementError
from crossover.measure.numerics import Numerics, choose
from crossover.measure.stopwatch import Stopwatch
from crossover.measure.together import TeamStopwatch
from crossover.measure.workload import Workload
from crossover.parallel.launch import Team, devices_for
from crossover.parallel.layout import Layout
from crossover.planning.job import Job
from crossover.planning.predict import Prediction

_ROUNDS, _FEWEST, _SECONDS = 10, 3, 10.0
"""The most and the fewest steps that are timed, and about how long that takes at the most."""


@dataclass(frozen=True)
class Checked:
    """A layout with its prediction and the median of its measured seconds."""

    found: Prediction
    seconds: float

    @property
    def error(self) -> float:
        """Signed, as a share of what was measured."""
        return self.found.step_seconds / self.seconds - 1


def check_plan(job: Job, predictions: Sequence[Prediction], *, device: str = "auto") -> Iterator[Checked]:
    """Time a few steps of each layout, on random rows of the job's sizes.

    Raises ConfigError where this machine has too few devices for one of them, MeasurementError where a result is not
    finite.
    """
    numerics = choose(device=device, precision="bf16" if job.element_bytes == 2 else "fp32")
    workload = Workload.of(job, numerics)
    for found in predictions:
        yield Checked(found, _seconds(workload, found.layout, numerics))


def _seconds(workload: Workload, layout: Layout, numerics: Numerics) -> float:
    if layout.devices == 1 and str(layout) == str(Layout()):
        return _time(Stopwatch(), workload, numerics)
    if devices_for(layout, numerics.device) < layout.devices:
        raise ConfigError(
            f"--check runs {layout} on this machine, which has fewer than {layout.devices} devices: plan for those "
            "that are here"
        )
    with Team(layout.devices) as team:
        return _time(TeamStopwatch(team, layout), workload, numerics)


def _time(watch: Stopwatch, workload: Workload, numerics: Numerics) -> float:
    finite, _ = watch.begin("step", workload)
    if not finite:
        raise MeasurementError(f"{workload.model.name} gives values that are not finite: its time means nothing")
    taken = watch.time(["step"], rounds=_ROUNDS, minimum=_FEWEST, device=numerics.device, time_limit=_SECONDS)["step"]
    watch.forget()
    return median(taken)
