"""Steps that all ranks of a layout take together, timed by the slowest of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import Any

import torch

from crossover.measure.clock import seconds_of
from crossover.measure.numerics import Numerics
from crossover.measure.spread import prepare_spread
from crossover.measure.stopwatch import Stopwatch
from crossover.measure.workload import Workload
from crossover.parallel.launch import Team
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import largest, make_mesh, whole_world

_STEPS: dict[str, Callable[[], Any]] = {}
"""What a rank keeps between two calls of the first one: the steps that were begun, by name."""


class TeamStopwatch(Stopwatch):
    """Every rank of `team` works on its part of a step under `layout`."""

    def __init__(self, team: Team, layout: Layout) -> None:
        super().__init__()
        self.team, self.layout = team, layout
        self._own, self._shared = Numerics.default(), Numerics.default()
        # What an earlier team has left in this process belongs to ranks that are gone.
        team.run(_forget)

    def begin(self, name: str, workload: Workload) -> tuple[bool, float]:
        """See `Stopwatch`."""
        threads = max(1, workload.numerics.threads // self.team.here)
        self._own, self._shared = workload.numerics, replace(workload.numerics, threads=threads)
        with self._sharing():
            finite, seconds = self.team.run(_begin, name, replace(workload, numerics=self._shared), self.layout)
        return finite, seconds

    def pair_difference(self, name: str, *, rounds: int, device: str) -> float:
        """See `Stopwatch`."""
        with self._sharing():
            taken = self.team.run(_time, (name, name), rounds, rounds, None, device, self._shared)
        return abs(median(taken[0]) / median(taken[1]) - 1)

    def time(
        self, names: Sequence[str], *, rounds: int, minimum: int, device: str, time_limit: float
    ) -> dict[str, tuple[float, ...]]:
        """See `Stopwatch`."""
        with self._sharing():
            taken = self.team.run(_time, tuple(names), rounds, minimum, time_limit, device, self._shared)
        return dict(zip(names, taken, strict=True))

    def forget(self) -> None:
        """See `Stopwatch`."""
        self.team.run(_forget)

    @contextmanager
    def _sharing(self) -> Iterator[None]:
        """Within, this process computes with the threads of one rank; after it, with its own again."""
        try:
            yield
        finally:
            self._own.apply()


def _begin(name: str, workload: Workload, layout: Layout) -> tuple[bool, float]:
    workload.numerics.apply()
    mesh = make_mesh(layout)
    step = prepare_spread(workload, layout, mesh)
    _STEPS[name] = step
    began = perf_counter()
    finite = bool(torch.isfinite(step()).all())
    broken, seconds = largest([float(not finite), perf_counter() - began], mesh.world)
    return not broken, seconds


def _time(
    names: Sequence[str], rounds: int, minimum: int, time_limit: float | None, device: str, numerics: Numerics
) -> list[tuple[float, ...]]:
    """Seconds of the slowest rank, in turn; all ranks see the same clock, so that they stop at the same round."""
    numerics.apply()
    world, started, elapsed = whole_world(), perf_counter(), 0.0
    taken: list[list[float]] = [[] for _ in names]
    for done in range(rounds):
        if time_limit is not None and done >= minimum and elapsed > time_limit:
            break
        for place, name in enumerate(names):
            largest([0.0], world)  # all begin together
            own = seconds_of(_STEPS[name], device)
            slowest, elapsed = largest([own, perf_counter() - started], world)
            taken[place].append(slowest)
    return [tuple(seconds) for seconds in taken]


def _forget() -> None:
    _STEPS.clear()
