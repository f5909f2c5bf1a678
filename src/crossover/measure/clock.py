"""Clocks: synchronised, warm-up excluded, things compared measured in turn.

An A-A pair, the same call timed twice, tells a quiet machine from a busy one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import torch

from crossover.errors import MeasurementError
from crossover.measure.statistics import Interval, median_interval, percentiles

UNSTEADY = 0.10
"""Relative difference of an A-A pair above which a machine is called unsteady."""


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated calls, in the order they were made."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """The 10th and 90th percentile."""
        low, high = percentiles(self.seconds, [10, 90])
        return low, high

    def interval(self) -> Interval:
        """The median with its 95 % interval."""
        return median_interval(self.seconds)

    def to_json(self) -> dict[str, float]:
        """Median, p10, p90 and the number of calls."""
        low, high = self.spread
        return {"median": self.median, "p10": low, "p90": high, "n": len(self.seconds)}


@dataclass(frozen=True)
class Turns:
    """Timings of several calls taken in turn, and how far apart the A-A pair was."""

    timings: Mapping[str, Timing]
    pair_difference: float

    @property
    def steady(self) -> bool:
        """Whether a verdict on time may be given."""
        return self.pair_difference <= UNSTEADY

    def ratio(self, a: str, b: str) -> Interval:
        """Time of a over time of b, taken round by round: the median and its 95 % interval."""
        pairs = zip(self.timings[a].seconds, self.timings[b].seconds, strict=True)
        return median_interval([first / second for first, second in pairs])


def synchronise(device: str) -> None:
    """Wait until `device` has finished; a CPU always has."""
    kind = torch.device(device).type
    if kind != "cpu":
        getattr(torch, kind).synchronize()


def seconds_of(call: Callable[[], Any], device: str = "cpu") -> float:
    """Wall-clock seconds of one call, until `device` has finished."""
    synchronise(device)
    start = perf_counter()
    call()
    synchronise(device)
    return perf_counter() - start


def pair_difference(call: Callable[[], Any], *, rounds: int = 4, device: str = "cpu") -> float:
    """The A-A pair: the same call timed as A and as A' in turn; the relative difference of the two medians."""
    pair: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for taken in pair:
            taken.append(seconds_of(call, device))
    return abs(median(pair[0]) / median(pair[1]) - 1)


def timings_in_turn(
    calls: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 10,
    minimum: int = 3,
    warmup: int = 2,
    device: str = "cpu",
    time_limit: float | None = None,
) -> dict[str, Timing]:
    """Time `calls` in turn (A B A B …) after `warmup` calls of each that do not count.

    With a `time_limit` in seconds the rounds end when it is spent, after `minimum` at the least.
    """
    started = perf_counter()
    for call in calls.values():
        for _ in range(warmup):
            call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for done in range(rounds):
        if time_limit is not None and done >= minimum and perf_counter() - started > time_limit:
            break
        for name, call in calls.items():
            taken[name].append(seconds_of(call, device))
    return {name: Timing(tuple(seconds)) for name, seconds in taken.items()}


def time_in_turn(
    calls: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 10,
    warmup: int = 2,
    device: str = "cpu",
    time_limit: float | None = None,
) -> Turns:
    """`timings_in_turn` with an A-A pair of the first call before it; no call at all is a MeasurementError."""
    first = next(iter(calls.values()), None)
    if first is None:
        raise MeasurementError("nothing to time: give one call or more")
    for _ in range(warmup):
        first()
    difference = pair_difference(first, device=device)
    timings = timings_in_turn(calls, rounds=rounds, warmup=warmup, device=device, time_limit=time_limit)
    return Turns(timings, difference)
