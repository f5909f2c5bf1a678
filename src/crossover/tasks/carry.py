"""Whether a model's state is carried from batch to batch of a task that is read as streams."""

from __future__ import annotations

from crossover.errors import ConfigError, listing
from crossover.models.mixers import MIXERS
from crossover.models.settings import ModelSettings
from crossover.tasks.base import TaskSpec


def carries(spec: TaskSpec, model: ModelSettings) -> bool:
    """Whether `model` carries its state through the batches of the task with this `spec`.

    Raises ConfigError where the task wants it of every model and this one cannot: its state grows with every step,
    or its positions end.
    """
    if spec.carry == "none":
        return False
    reason = _refusal(model)
    if reason is None or spec.carry == "able":
        return reason is None
    raise ConfigError(
        f"{model.name} cannot carry its state through {spec.name}: {reason}; take a model of "
        f"{listing(_fixed(MIXERS.names()))} without learned positions, or give --set task.carry=able, which carries "
        "the state of those models that can"
    )


def _refusal(model: ModelSettings) -> str | None:
    """Why the state of `model` cannot be carried through a text without end; None where it can."""
    growing = [name for name in dict.fromkeys(model.mixers) if MIXERS.get(name).state_grows]
    if growing:
        return f"the state of {listing(growing)} grows with every step"
    if model.positions == "learned":
        return f"its learned positions end at max_length={model.max_length}"
    return None


def _fixed(names: list[str]) -> list[str]:
    return [name for name in names if not MIXERS.get(name).state_grows]
