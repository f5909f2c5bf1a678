"""Who competes: models made equal on a task, and the rows of the work ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from crossover.config import override
from crossover.data.options import DataOptions
from crossover.errors import ConfigError
from crossover.inference.origins import (
    borrowed_vocabulary,
    check_start,
    find_origin,
    sized_like,
    start_note,
    untied,
)
from crossover.models.counting import count_parameters, flops_per_token
from crossover.models.matching import match_flops, match_parameters, match_width
from crossover.models.model import check_model
from crossover.models.presets import adapt, bracket_keys, parse_model, preset_name
from crossover.models.settings import ModelSettings
from crossover.study.request import CompareRequest, Match
from crossover.tasks import TASKS
from crossover.tasks.base import Task, TaskSpec
from crossover.tasks.carry import carries

StepSeconds = Callable[[ModelSettings], float]
"""Measures the training step of a model on a task; only ``match="step"`` asks."""


@dataclass(frozen=True)
class Contest:
    """One task with the models that compete on it, made equal as the request says."""

    task: Task
    models: tuple[ModelSettings, ...]

    @property
    def spec(self) -> TaskSpec:
        """The task's spec."""
        return self.task.spec

    def notes(self) -> tuple[str, ...]:
        """What is to be known of the data, and of where the models' weights come from."""
        spec = self.spec
        return (*spec.notes, *(note for model in self.models if (note := origin_note(model, spec)) is not None))


def build_task(name: str, request: CompareRequest, split: int = 0) -> Task:
    """The task called `name` on this split of the request."""
    return TASKS.get(name)(data_of(request, split))


def data_of(request: CompareRequest, split: int = 0) -> DataOptions:
    """The data of this split of the request: `resplit` moves the seed, a backtest the fold."""
    data = request.data
    if request.resplit:
        data = replace(data, split_seed=data.split_seed + split)
    if data.backtest is not None:
        data = replace(data, settings={**data.settings, "fold": split})
    return task_data(data, request.models)


def read_task(name: str, data: DataOptions, models: Iterable[str]) -> Task:
    """The task called `name` for these models; see `task_data`."""
    return TASKS.get(name)(task_data(data, models))


def task_data(data: DataOptions, models: Iterable[str]) -> DataOptions:
    """`data` with the vocabulary of the trained models that `models` start from: texts are read by that."""
    return replace(data, borrowed=borrowed_vocabulary(models))


def origin_note(model: ModelSettings, spec: TaskSpec) -> str | None:
    """One sentence on where a model's weights come from; None for one that starts anew."""
    return start_note(model, check_model(model, spec.inputs, spec.outputs, causal=spec.causal))


def enter(
    task: Task,
    names: tuple[str, ...],
    match: Match,
    step_seconds: StepSeconds,
    changes: Mapping[str, Any] | None = None,
) -> Contest:
    """The contest of the named models on `task`; the first sets the size that the others are matched to."""
    models = [prepare_model(name, task.spec, changes) for name in names]
    first, *others = models
    return Contest(task, (first, *(_equalise(first, other, task, match, step_seconds) for other in others)))


def prepare_model(name: str, spec: TaskSpec, changes: Mapping[str, Any] | None = None) -> ModelSettings:
    """The model called `name` as it enters a task.

    What the user wrote (brackets, `changes`) goes before the task's recipe for this preset, that before the preset's
    own settings, and the task's defaults fill what is left. Raises ConfigError for a model that the
    task does not admit, or whose learned positions are too few for its rows. A model with an origin has the origin's
    sizes; what trains it comes from where it does for any model.
    """
    settings = override(parse_model(name), changes or {}, path="model")
    own = {*bracket_keys(name), *(changes or {})}
    recipe = {
        key: value
        for key, value in spec.recipe(preset_name(settings)).items()
        if _is_model_setting(key) and key not in own
    }
    settings = override(settings, recipe, path=f"recipe of {spec.name}")
    settings = adapt(settings, spec.defaults, keep={*own, *recipe})
    origin = find_origin(settings.origin) if settings.origin is not None else None
    if origin is not None:
        settings = untied(sized_like(settings, origin, own), spec.outputs)
        if spec.causal and not settings.causal and "causal" not in own:
            raise ConfigError(
                f"{name} cannot start from {origin.name}: it sees the steps after each one, which {spec.name} hides: "
                "start from a model that was trained on language-modeling"
            )
    if settings.positions == "learned" and spec.max_length > settings.max_length:
        raise ConfigError(
            f"rows of {spec.name} have up to {spec.max_length} steps, more than the {settings.max_length} positions "
            f"that {name} learns: "
            + (f"put max_length={spec.max_length} in its brackets" if origin is None else _SHORTER)
        )
    carries(spec, settings)
    model = check_model(settings, spec.inputs, spec.outputs, causal=spec.causal)
    if origin is not None:
        check_start(model, origin)
    return settings


_SHORTER = "shorten them by --set task.max_length=N (of language-modeling task.block=N)"


def _is_model_setting(key: str) -> bool:
    return "." in key or (key in ModelSettings.__dataclass_fields__ and key != "learning_rate")


def _training_steps(task: Task) -> int:
    """Steps of the first training batch: attention's cost of a token depends on them, and tests may be longer."""
    first = next(iter(task.batches("train", seed=0, epoch=0, batch=task.spec.batch_rows)))
    return int(first.inputs.shape[1])


def _equalise(
    first: ModelSettings, other: ModelSettings, task: Task, match: Match, step_seconds: StepSeconds
) -> ModelSettings:
    spec = task.spec
    ends: dict[str, Any] = {"inputs": spec.inputs, "outputs": spec.outputs, "causal": spec.causal}
    if match == "none" or other.origin is not None:
        return other
    if match == "params":
        target = count_parameters(first, **ends).without_embedding
        return match_parameters(other, **ends, target=target)
    if match == "flops":
        time = _training_steps(task)
        return match_flops(other, **ends, target=flops_per_token(first, **ends, time=time), time=time)
    return match_width(other, step_seconds, step_seconds(first), inputs=spec.inputs, tolerance=0.1)
