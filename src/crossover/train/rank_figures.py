"""What one rank has to tell of its own work: its seconds and where they go, its memory, and what it sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from crossover.measure.numerics import Numerics
from crossover.measure.resident import count_anew, is_told, peak_resident_bytes
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import Mesh, everyones, largest
from crossover.parallel.timeline import Event, TimeSplit, split_time, watching
from crossover.parallel.traffic import Traffic

_WATCHED = range(2, 5)
"""The steps, counted from 0, that are looked at: the first two have more to do than those that follow."""
_FINEST = 400
"""In a picture of a step, events closer to one another than this part of it are one."""


class RankFigures:
    """Sums over the steps that this process has taken."""

    def __init__(self, mesh: Mesh, layout: Layout, numerics: Numerics) -> None:
        self.mesh, self.numerics = mesh, numerics
        # An accelerator works on while its messages are under way, and FSDP2 waits in places of its own.
        self.splits = torch.device(numerics.device).type == "cpu" and not layout.shard_parameters
        self.steps, self.loading, self.computing = 0, 0.0, 0.0
        self.traffic: list[dict[str, Any]] = []
        self.watched: list[tuple[list[Event], float]] = []
        if mesh.world.size > 1:
            count_anew()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around a step: of some steps it notes what this rank sends, and when it does what."""
        if self.mesh.world.size == 1 or self.steps not in _WATCHED:
            yield
            return
        largest([0.0], self.mesh.in_step)  # after this all clocks stand at zero
        with Traffic(*self.mesh.axes) as traffic, watching() as timeline:
            yield
        self.traffic = [sent.to_json() for sent in traffic.sent()]
        self.watched.append((timeline.events, timeline.now()))

    def add(self, *, loading: float, computing: float) -> None:
        """One more step, with this rank's own seconds."""
        self.steps += 1
        self.loading += loading
        self.computing += computing

    def _peak_bytes(self) -> int | None:
        """What was allocated on the accelerator; of a CPU's ranks what the whole process held, libraries included."""
        on_cpu = torch.device(self.numerics.device).type == "cpu"
        if self.mesh.world.size > 1 and on_cpu and is_told():
            return peak_resident_bytes()
        return peak_bytes(self.numerics)

    def together(self) -> list[dict[str, Any]]:
        """The ranks' entries in the record; every rank takes part."""
        steps = max(self.steps, 1)
        line = {
            "rank": self.mesh.world.rank,
            "step_seconds": (self.loading + self.computing) / steps,
            "data_seconds": self.loading / steps,
            "peak_bytes": self._peak_bytes(),
            "traffic": self.traffic,
        }
        if self.mesh.world.size == 1:
            alone = TimeSplit(self.computing / steps, 0.0, 0.0, 0.0)
            return [{**line, **alone.to_json(), "timeline": []}]
        told = everyones((line, self.watched), self.mesh.world)
        splits = _splits([watched for _, watched in told]) if self.splits else None
        return [
            {**line, **_seconds(splits[rank] if splits else [], line), "timeline": _picture(watched)}
            for rank, (line, watched) in enumerate(told)
        ]


def _splits(watched: Sequence[Sequence[tuple[list[Event], float]]]) -> list[list[TimeSplit]]:
    """By rank, the split of every watched step."""
    by_step = [
        split_time([events for events, _ in step], [seconds for _, seconds in step])
        for step in zip(*watched, strict=True)
    ]
    return [list(of_rank) for of_rank in zip(*by_step, strict=True)]


def _seconds(splits: Sequence[TimeSplit], line: Mapping[str, Any]) -> dict[str, float | None]:
    """A mean step, its loading left out, in the shares of the watched ones; None where there are none."""
    if not splits:
        return dict.fromkeys(TimeSplit(0.0, 0.0, 0.0, 0.0).to_json())
    sums = {name: sum(split.to_json()[name] for split in splits) for name in splits[0].to_json()}
    scale = (line["step_seconds"] - line["data_seconds"]) / sum(sums.values())
    return {name: seconds * scale for name, seconds in sums.items()}


def _picture(watched: Sequence[tuple[list[Event], float]]) -> list[list[Any]]:
    """[kind, start, end] of the last watched step, of messages and passes as fine as can be seen."""
    if not watched:
        return []
    events, seconds = watched[-1]
    found: list[list[Any]] = []
    last: dict[str, list[Any]] = {}
    for event in sorted(events, key=lambda event: event.start):
        before = last.get(event.kind)
        if before is not None and event.start - before[2] < seconds / _FINEST:
            before[2] = max(before[2], event.end)
        else:
            last[event.kind] = [event.kind, event.start, event.end]
            found.append(last[event.kind])
    return found


def peak_bytes(numerics: Numerics) -> int | None:
    """The most that was allocated on the run's accelerator; None on a CPU, where only a fresh process can tell."""
    cuda = torch.device(numerics.device).type == "cuda"
    return torch.cuda.max_memory_allocated(numerics.device) if cuda else None
