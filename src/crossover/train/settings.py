"""What one training run is told: budget, batch, optimiser, seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from math import isfinite
from typing import Any, Literal

from crossover.errors import ConfigError, unknown
from crossover.models.presets import bracket_keys, preset_name
from crossover.models.settings import ModelSettings
from crossover.parallel.layout import Layout
from crossover.tasks.base import TaskSpec

_DEFAULT_BATCH_TOKENS = 4096

NO_RESULT = ("checkpoint_seconds", "checkpoints", "timeout_seconds")
"""Settings that change nothing that a run computes: a run may go on with others."""


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of one run; None takes the task's own value, or the model preset's for the rate.

    `budget` is a number and a unit (``60s``, ``500steps``, ``2Mtokens``, ``3epochs``, ``1e15flops``). `batch` is
    rows, or tokens with ``batch_by="tokens"`` (rows bucketed by length); `accumulate` cuts each global batch into
    that many row slices, computed one after the other, which changes memory and not the result. `warmup` is a share
    of the budget; the rate then falls as a cosine to `final_rate` times its peak. `clip` bounds the norm (0:
    never). `average` below 1 is the decay of an exponential moving average of the weights (0: none); a whole
    number from 2 takes the mean of the weights at so many of the last validations. Such an average is then what
    validation scores and the run keeps. `patience` stops after that many validations without a better score (0:
    never), `stop_at` once a validation is as good as that in the task's own metric (None: never). `evaluations` is
    the number of validations over the budget. Every `checkpoint_seconds` the state is saved, and the last
    `checkpoints` are kept. Of several ranks, one waits for another within a step for at most `timeout_seconds`.
    Raises ConfigError for a value that no run can have.
    """

    budget: str | None = None
    batch: int | None = None
    batch_by: Literal["rows", "tokens"] | None = None
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float | None = None
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    warmup: float = 0.05
    final_rate: float = 0.05
    clip: float = 1.0
    label_smoothing: float = 0.0
    average: float = 0.0
    accumulate: int = 1
    patience: int = 0
    stop_at: float | None = None
    evaluations: int = 10
    checkpoint_seconds: float = 30.0
    checkpoints: int = 2
    timeout_seconds: float = 300.0
    seed: int = 0
    compile: bool = False

    def __post_init__(self) -> None:
        if self.optimizer not in ("adamw", "sgd"):
            raise ConfigError(unknown("optimizer", self.optimizer, ("adamw", "sgd")))
        if self.batch_by not in (None, "rows", "tokens"):
            raise ConfigError(unknown("batch_by", str(self.batch_by), ("rows", "tokens")))
        for name in ("batch", "accumulate", "evaluations", "checkpoints", "patience", "seed"):
            value, low = getattr(self, name), 0 if name in ("patience", "seed") else 1
            if value is not None and value < low:
                raise ConfigError(f"{name} is {value}: it must be a whole number of at least {low}")
        for name in ("weight_decay", "clip", "checkpoint_seconds"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be 0 or more")
        if not self.timeout_seconds > 0:
            raise ConfigError(f"timeout_seconds is {self.timeout_seconds}: it must be above 0")
        for name in ("warmup", "final_rate", "label_smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it is a share, so it must lie between 0 and 1")
        if not (0 <= self.average < 1 or (self.average >= 2 and float(self.average).is_integer())):
            raise ConfigError(
                f"average is {self.average}: give a decay of at least 0 and below 1, or a whole number from 2 for "
                "the mean of the last so many validations"
            )
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas are {self.betas}: each must be at least 0 and below 1")
        if self.stop_at is not None and not isfinite(self.stop_at):
            raise ConfigError(f"stop_at is {self.stop_at}: it is a score, so it must be a finite number")
        if self.learning_rate is not None and not 0 < self.learning_rate < float("inf"):
            raise ConfigError(f"learning_rate is {self.learning_rate}: it must be above 0")

    def to_json(self) -> dict[str, Any]:
        """Every field as a plain value."""
        return {**asdict(self), "betas": list(self.betas)}


def field_name(key: str) -> str:
    """The field of TrainSettings that recipes and commands mean by `key`: ``lr`` is `learning_rate`."""
    return "learning_rate" if key == "lr" else key


def resolve(settings: TrainSettings, spec: TaskSpec, model: ModelSettings) -> TrainSettings:
    """`settings` with nothing left open: given values, then the task's recipe for this model, then defaults.

    A recipe (`TaskSpec.recipe`, by the preset's name) fills the fields that still hold their default value; its
    keys are those of TrainSettings, with ``lr`` for `learning_rate`; keys of ModelSettings are left to whoever builds
    the model. Raises ConfigError for any other key. A rate in the brackets of the model's name is a given value.
    """
    defaults = TrainSettings()
    own = bracket_keys(model.name)
    known = {field.name for field in fields(TrainSettings)}
    of_model = {field.name for field in fields(ModelSettings)} - known
    recipe: dict[str, Any] = {}
    for key, value in spec.recipe(preset_name(model)).items():
        name = field_name(key)
        if name in known:
            if getattr(settings, name) == getattr(defaults, name) and name not in own:
                recipe[name] = value
        elif name not in of_model:
            raise ConfigError(f"recipe of {spec.name} for {model.name}: {unknown('setting', key, known)}")
    filled = replace(settings, **recipe)
    batch_by = filled.batch_by or ("tokens" if spec.batch_tokens and not filled.batch else "rows")
    own_batch = (spec.batch_tokens or _DEFAULT_BATCH_TOKENS) if batch_by == "tokens" else spec.batch_rows
    return replace(
        filled,
        budget=filled.budget or spec.budget,
        batch_by=batch_by,
        batch=filled.batch or own_batch,
        learning_rate=filled.learning_rate or model.learning_rate,
    )


def under_layout(settings: TrainSettings, layout: Layout) -> TrainSettings:
    """`settings` for a run under `layout`, which may say how often gradients accumulate too.

    Raises ConfigError where both say it differently, and for an average over steps where no rank has all weights.
    """
    if layout.accumulate > 1 and settings.accumulate not in (1, layout.accumulate):
        raise ConfigError(
            f"train.accumulate={settings.accumulate} and the layout's accumulate={layout.accumulate} differ: "
            "give one of them"
        )
    apart = layout.independent or layout.shard_parameters or layout.recompute != "none"
    if (apart or layout.devices > layout.data) and 0 < settings.average < 1:
        raise ConfigError(
            f"train.average={settings.average} follows every step, and under the layout {layout} whole weights are "
            "there for validation only: give a whole number, the mean of the last so many validations"
        )
    return replace(settings, accumulate=max(settings.accumulate, layout.accumulate))
