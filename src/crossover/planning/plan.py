"""A plan: the layouts of a job on so many devices, ranked, and how they fare as devices are added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from math import exp, log
from pathlib import Path
from typing import Any

from crossover.config import override
from crossover.errors import ConfigError, LayoutError, unknown
from crossover.models.counting import count_parameters
from crossover.models.foreign import foreign_settings, foreign_vocabulary, read_json
from crossover.models.matching import match_parameters
from crossover.models.ports import PerStep, SourceTarget, Tokens
from crossover.models.presets import parse_model, with_setting
from crossover.models.settings import ModelSettings
from crossover.parallel.layout import Layout
from crossover.planning.explore import Grid, explore
from crossover.planning.job import Job
from crossover.planning.machine import Machine
from crossover.planning.predict import Planner, Prediction
from crossover.planning.search import Search, search
from crossover.planning.step_traffic import step_traffic

_VOCABULARY = 32_000
"""Of a model whose name or file says nothing of it."""
CONFIG_SUFFIX = ".json"
"""What a model's name ends with that is a file."""


@dataclass(frozen=True)
class Point:
    """The best layout of a model on so many devices; None where none can be used, or none fits."""

    model: str
    devices: int
    best: Prediction | None


@dataclass(frozen=True)
class Plan:
    """What `make_plan` found.

    `points` are those of a sweep over devices, of this job and of those in `versus`, `crossings` where another model
    becomes the faster one, `grid` what was asked for around it.
    """

    planner: Planner
    devices: int
    found: Search
    points: tuple[Point, ...] = ()
    crossings: tuple[dict[str, Any], ...] = ()
    versus: tuple[Job, ...] = ()
    grid: Grid | None = None

    @property
    def job(self) -> Job:
        """What was planned."""
        return self.planner.job

    def to_json(self, top: int) -> dict[str, Any]:
        """The document of ``crossover plan --json``."""
        ranked = [self._line(found) for found in self.found.ranked[:top]]
        too_large = [_rejected(found.layout, (missing(found),)) for found in self.found.too_large[:top]]
        rejected = [_rejected(layout, why) for layout, why in self.found.rejected]
        return {
            "model": self.job.model.name,
            "parameters": self.job.parameters,
            "hardware": self.planner.machine.name,
            "title": self.planner.machine.title,
            "memory_bytes": self.planner.memory_bytes,
            "devices": self.devices,
            "batch": self.job.rows,
            "length": self.job.time,
            "precision": self.job.precision,
            "layouts": ranked,
            "rejected": [*too_large, *rejected],
            "sweep": [self._swept(point) for point in self.points] or None,
            "crossings": list(self.crossings),
            "grid": self.grid.to_json() if self.grid is not None else None,
        }

    def _line(self, found: Prediction) -> dict[str, Any]:
        traffic = [] if self.job.kind != "train" else step_traffic(self.planner, found.layout)
        return {**found.to_json(), "traffic": [sent.to_json() for sent in traffic]}

    @staticmethod
    def _swept(point: Point) -> dict[str, Any]:
        found = point.best.to_json() if point.best is not None else {}
        return {"devices": point.devices, "model": point.model, **found}


def _rejected(layout: Layout, reasons: Sequence[str]) -> dict[str, Any]:
    return {"layout": layout.to_json(), "name": str(layout), "reasons": list(reasons)}


def missing(found: Prediction) -> str:
    """What a layout lacks to fit."""
    needed, there = found.memory.total / 1e9, found.limit_bytes / 1e9
    return f"needs {needed:.1f} GB of a device, {needed - there:.1f} GB more than the {there:.1f} GB that it has"


def make_plan(
    job: Job,
    machine: Machine,
    devices: int,
    *,
    fixed: Layout | None = None,
    memory_bytes: float | None = None,
    sweep: Sequence[int] = (),
    versus: Sequence[Job] = (),
    around: bool = False,
) -> Plan:
    """Rank the layouts; with `sweep` for each of so many devices too, and for every job in `versus`.

    `around` asks for the grid of other lengths, batches and networks.

    Raises LayoutError where no layout of `devices` devices is legal, ConfigError for sizes that nothing can have.
    """
    if devices < 1:
        raise ConfigError(f"devices={devices} must be 1 or more")
    planner = Planner(job, machine, memory_bytes=memory_bytes)
    found = search(planner, devices, fixed=fixed)
    planners = [planner, *(Planner(other, machine, memory_bytes=memory_bytes) for other in versus)]
    points = tuple(_point(each, count, fixed) for each in planners for count in sweep)
    grid = explore([job, *versus], machine, devices, memory_bytes=memory_bytes) if around else None
    return Plan(planner, devices, found, points, tuple(_crossings(points)), tuple(versus), grid)


def _point(planner: Planner, devices: int, fixed: Layout | None) -> Point:
    try:
        best = search(planner, devices, fixed=fixed).best
    except LayoutError:
        best = None
    return Point(planner.job.model.name, devices, best)


def _crossings(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Where the first model's seconds per token cross another's, on the line through the logarithms of both."""
    names = list(dict.fromkeys(point.model for point in points))
    seconds = {
        name: {p.devices: 1 / p.best.tokens_per_second for p in points if p.model == name and p.best is not None}
        for name in names
    }
    found = []
    for other in names[1:]:
        first = seconds[names[0]]
        shared = sorted(first.keys() & seconds[other].keys())
        gaps = [log(first[count] / seconds[other][count]) for count in shared]
        for (low, before), (high, after) in pairwise(zip(shared, gaps, strict=True)):
            if before * after < 0:
                at = exp(log(low) + before / (before - after) * (log(high) - log(low)))
                found.append({"a": names[0], "b": other, "measure": "seconds per token", "devices": at})
    return found


def planned_model(name: str, sizes: Mapping[str, int], vocabulary: int | None) -> tuple[ModelSettings, int]:
    """The settings that a name or a ``config.json`` stands for, and the size of its vocabulary.

    `sizes` are fields of the settings, or ``heads`` of its attention, as brackets give them, and they stand in the
    brackets of a preset's name. Raises ConfigError for a trained model's name, and for a size that a model has not.
    """
    if name.endswith(CONFIG_SUFFIX):
        config = read_json(Path(name))
        settings, own = foreign_settings(name, config), foreign_vocabulary(name, config)
        kind = config["model_type"]
        tied = settings.tie_embeddings or kind == "gpt2"
        settings = replace(settings, causal=kind != "bert", tie_embeddings=tied)
        changes = {"mixer.attention.heads" if key == "heads" else key: value for key, value in sizes.items()}
        return override(settings, changes, path=name), vocabulary or own
    settings = parse_model(name)
    if settings.origin is not None:
        raise ConfigError(
            f"model {name!r} has a trained model's sizes, and a plan needs its own: give them, or a preset"
        )
    for key, value in sizes.items():
        name = with_setting(name, key, str(value))
    return parse_model(name), vocabulary or _VOCABULARY


def text_job(
    settings: ModelSettings, vocabulary: int, *, rows: int, time: int, source: int | None = None, **rest: Any
) -> Job:
    """A model of text: it predicts the next token at every step, of a target where it reads a `source`."""
    tokens = Tokens(vocabulary=vocabulary)
    inputs = tokens if source is None else SourceTarget(source=tokens, target=tokens)
    longest = max(settings.max_length, time + 1, source or 0)
    settings = replace(settings, max_length=longest)
    job = partial(Job, model=settings, inputs=inputs, outputs=PerStep(size=vocabulary))
    return job(rows=rows, time=time, source=source or 0, **rest)


def equal_job(job: Job, name: str) -> Job:
    """The same with another model of as many parameters, without embedding and output layer."""
    target = count_parameters(job.model, job.inputs, job.outputs, causal=job.causal).without_embedding
    settings = replace(parse_model(name), layers=job.model.layers, max_length=job.model.max_length)
    matched = match_parameters(settings, job.inputs, job.outputs, causal=job.causal, target=target)
    return replace(job, model=matched)


def on_network(machine: Machine, *, of_a_host: int | None, bandwidths: Mapping[str, float]) -> Machine:
    """`machine` with so many devices a host, and with other bandwidths in bytes a second.

    ``intra`` is the nearest tier and ``inter`` the farthest; others go by their names.
    """
    links = list(machine.links)
    if of_a_host is not None and links:
        links[0] = replace(links[0], devices=of_a_host)
        links[1:] = [link for link in links[1:] if not link.devices or link.devices > of_a_host]
    places = {"intra": 0, "inter": len(links) - 1, **{link.name: place for place, link in enumerate(links)}}
    for name, bandwidth in bandwidths.items():
        if name not in places or not links:
            raise ConfigError(unknown(f"link of {machine.name}", name, places if links else ()))
        links[places[name]] = replace(links[places[name]], bandwidth=bandwidth)
    return replace(machine, links=tuple(links))
