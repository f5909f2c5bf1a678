"""A run that several ranks train together: what they are told, and what each of them does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from crossover.data.options import DataOptions
from crossover.errors import TrainingError
from crossover.measure.numerics import Numerics
from crossover.models.settings import ModelSettings
from crossover.parallel.launch import Team
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import everyones, whole_world
from crossover.plugins import LOADED, load_plugins
from crossover.tasks import TASKS
from crossover.tasks.base import Task
from crossover.train.loop import train
from crossover.train.progress import OnProgress
from crossover.train.results import RunResult
from crossover.train.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Order:
    """A run, as values that another process can read: the arguments of `crossover.train.loop.train`."""

    task: str
    data: DataOptions
    model: ModelSettings
    settings: TrainSettings
    numerics: Numerics
    folder: Path | None
    resume: bool
    layout: Layout
    test: bool = True
    plugins: tuple[Path, ...] = ()


_READ: list[tuple[str, DataOptions, Task]] = []
"""The task that this rank has read last: the runs of a study mostly have the same."""


def train_together(
    team: Team, order: Order, *, task: Task | None = None, on_progress: OnProgress | None = None
) -> RunResult:
    """Train on every rank of `team`; the result of the first, which shares this machine's threads with the others.

    `task` is that of the order where this process has read it already.
    """
    threads = max(1, order.numerics.threads // team.here)
    shared = replace(order, numerics=replace(order.numerics, threads=threads), plugins=tuple(LOADED))
    try:
        result: RunResult = team.run(carry_out, shared, alone={"task": task, "on_progress": on_progress})
    finally:
        order.numerics.apply()
    return result


def carry_out(order: Order, *, task: Task | None = None, on_progress: OnProgress | None = None) -> RunResult:
    """This rank's part of a run; TrainingError where another rank cannot begin, which names it."""
    return train(
        _read_together(order, task),
        order.model,
        order.settings,
        numerics=order.numerics.apply(),
        folder=order.folder,
        resume=order.resume,
        test=order.test,
        on_progress=on_progress,
        layout=order.layout,
    )


def _read_together(order: Order, task: Task | None) -> Task:
    """The task, once all ranks have it: they would wait for ever for one that has not found its data."""
    own: Task | Exception
    try:
        own = task if task is not None else _read(order)
    except Exception as error:  # told to the others first, then raised
        own = error
    said = everyones(str(own) if isinstance(own, Exception) else None, whole_world())
    if isinstance(own, Exception):
        raise own
    for rank, reason in enumerate(said):
        if reason is not None:
            raise TrainingError(f"rank {rank} cannot begin: {reason}")
    return own


def _read(order: Order) -> Task:
    load_plugins(tuple(file for file in order.plugins if file not in LOADED))
    for name, data, task in _READ:
        if (name, data) == (order.task, order.data):
            return task
    task = TASKS.get(order.task)(order.data)
    _READ[:] = [(order.task, order.data, task)]
    return task
