"""Crossover: where recurrent networks and Transformers cross, by measurement.

The public names are imported when they are first used, so that ``import crossover`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "compare": "crossover.api",
    "scale": "crossover.api",
    "train": "crossover.api",
    "plan": "crossover.api",
    "audit": "crossover.api",
    "Study": "crossover.api",
    "load": "crossover.inference.predictor",
    "Listener": "crossover.inference.stream",
    "CrossoverError": "crossover.errors",
    "ConfigError": "crossover.errors",
    "DataError": "crossover.errors",
    "MIXERS": "crossover.models.mixers",
    "TASKS": "crossover.tasks",
    "DataOptions": "crossover.data.options",
    "TrainSettings": "crossover.train.settings",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'crossover' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
