"""A grid of best layouts around a plan: two families over devices, at other lengths, batches and networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from crossover.errors import LayoutError
from crossover.planning.job import Job
from crossover.planning.machine import Machine
from crossover.planning.predict import Planner
from crossover.planning.search import search

_FACTORS = (0.25, 1.0, 4.0)
"""What length, batch and the farthest link's bandwidth are multiplied by; the middle one is the plan itself."""


@dataclass(frozen=True)
class Grid:
    """`seconds` a token of the best layout that fits, by (length, batch, bandwidth), model and number of devices.

    None where no layout can be used or none fits.
    """

    lengths: tuple[int, ...]
    batches: tuple[int, ...]
    bandwidths: tuple[float, ...]
    devices: tuple[int, ...]
    models: tuple[str, ...]
    seconds: dict[tuple[int, int, float], dict[str, list[float | None]]]

    def settings(self) -> Iterator[tuple[int, int, float]]:
        """Every setting, the last one moving fastest."""
        return product(self.lengths, self.batches, self.bandwidths)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        settings = [
            {
                "length": length,
                "batch": batch,
                "bandwidth": bandwidth,
                "seconds_per_token": self.seconds[length, batch, bandwidth],
            }
            for length, batch, bandwidth in self.settings()
        ]
        return {"devices": list(self.devices), "models": list(self.models), "settings": settings}


def explore(jobs: Sequence[Job], machine: Machine, devices: int, *, memory_bytes: float | None = None) -> Grid:
    """The grid of these models; numbers of devices are the powers of two up to `devices`."""
    first = jobs[0]
    lengths = _around(first.time)
    batches = _around(first.rows)
    farthest = machine.links[-1].bandwidth if machine.links else 0.0
    bandwidths = tuple(farthest * factor for factor in _FACTORS) if farthest else (0.0,)
    counts = tuple(1 << power for power in range(devices.bit_length()))
    seconds: dict[tuple[int, int, float], dict[str, list[float | None]]] = {}
    for length, batch, bandwidth in product(lengths, batches, bandwidths):
        linked = machine
        if bandwidth:
            linked = replace(machine, links=(*machine.links[:-1], replace(machine.links[-1], bandwidth=bandwidth)))
        found = {}
        for job in jobs:
            longest = max(job.model.max_length, length + 1)
            own = replace(job, rows=batch, time=length, model=replace(job.model, max_length=longest))
            planner = Planner(own, linked, memory_bytes=memory_bytes)
            found[job.model.name] = [_best(planner, count) for count in counts]
        seconds[length, batch, bandwidth] = found
    return Grid(lengths, batches, bandwidths, counts, tuple(job.model.name for job in jobs), seconds)


def _around(value: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys(max(1, round(value * factor)) for factor in _FACTORS))


def _best(planner: Planner, devices: int) -> float | None:
    try:
        best = search(planner, devices).best
    except LayoutError:
        return None
    return None if best is None else 1 / best.tokens_per_second
