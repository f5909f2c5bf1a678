"""The registered tasks. A family is a file; a data set is a row in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crossover.registry import Registry
from crossover.tasks.base import Baseline, Batch, Reference, Split, Sums, Task, TaskSpec

TaskFactory = Callable[..., Task]
"""Builds the task; takes `DataOptions` (where user files lie, how they are split) as its only argument."""

TASKS: Registry[TaskFactory] = Registry("task", group="crossover.tasks")

__all__ = ["TASKS", "Baseline", "Batch", "Reference", "Split", "Sums", "Task", "TaskFactory", "TaskSpec"]

_: Any = None
