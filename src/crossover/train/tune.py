"""The search for a model's settings: the same for every model, so that no model is the better tuned one.

Trial 0 is the preset itself. Every further trial is a point of one Sobol sequence, which depends on the seed and not
on the model, mapped onto the same box around each model's preset: rate, dropout, depth against width, batch (which
stays under a budget in steps). A model with an origin keeps the origin's depth, with its weights or with new ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crossover.errors import ConfigError, TrainingError
from crossover.inference.saved import WEIGHTS_FILE
from crossover.measure.numerics import Numerics
from crossover.models.counting import count_parameters
from crossover.models.matching import match_parameters
from crossover.models.settings import ModelSettings
from crossover.tasks.base import Task, TaskSpec
from crossover.train.budget import Budget
from crossover.train.loop import train
from crossover.train.progress import OnProgress
from crossover.train.record import is_finished, load_record
from crossover.train.settings import TrainSettings, resolve

RATE_FACTOR = 8.0
"""Rates are drawn log-uniformly from an eighth of the preset's to eight times it."""

DROPOUTS = (0.0, 0.1, 0.2, 0.3)
DEPTH_FACTORS = (0.5, 1.0, 2.0)
BATCH_FACTORS = (0.5, 1.0, 2.0)

_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One point of the search; `validation` is None, and `error` says why, where the run did not end well."""

    model: ModelSettings
    settings: TrainSettings
    validation: float | None
    loss: float | None
    seconds: float
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The trial as a study's file holds it."""
        return {
            "learning_rate": self.settings.learning_rate,
            "dropout": self.model.dropout,
            "layers": self.model.layers,
            "width": self.model.width,
            "batch": self.settings.batch,
            "validation": self.validation,
            "seconds": self.seconds,
            "error": self.error,
        }


@dataclass(frozen=True, kw_only=True)
class ExpectedBest:
    """The best validation score that `trials` trials can be expected to give, with its 95 % interval."""

    trials: int
    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return {"trials": self.trials, "value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, kw_only=True)
class Search:
    """All trials of one model on one task, and the best of them by validation."""

    task: str
    model: str
    trials: tuple[Trial, ...]
    best: Trial
    expected: tuple[ExpectedBest, ...]

    @property
    def seconds(self) -> float:
        """Training and validation seconds of all trials."""
        return sum(trial.seconds for trial in self.trials)

    def to_json(self) -> dict[str, Any]:
        """The search as a study's file holds it."""
        return {
            "task": self.task,
            "model": self.model,
            "trials": [trial.to_json() for trial in self.trials],
            "expected_best": [expected.to_json() for expected in self.expected],
        }


def search(
    task: Task,
    model_settings: ModelSettings,
    settings: TrainSettings,
    *,
    trials: int,
    seed: int,
    numerics: Numerics,
    folder: Path | None = None,
    on_progress: OnProgress | None = None,
    on_trial: Callable[[int], None] | None = None,
) -> Search:
    """Train `trials` settings around the preset under the same budget; the test split is never read.

    With a `folder` each trial has one of its own there: what is finished is read back, what was stopped goes on,
    and more trials are added to those there are. A trial whose loss is no longer finite counts as the worst. Raises
    ConfigError for less than one trial and TrainingError when every trial diverged. `on_trial` gets the index of each
    trial before it starts.
    """
    spec = task.spec
    done: list[Trial] = []
    for index, (model, trial_settings) in enumerate(proposals(spec, model_settings, settings, trials, seed)):
        if on_trial is not None:
            on_trial(index)
        own_folder = folder / f"trial{index}" if folder is not None else None
        done.append(_try(task, model, trial_settings, numerics, own_folder, on_progress))
    succeeded = [trial for trial in done if trial.validation is not None]
    if not succeeded:
        raise TrainingError(
            f"all {trials} trials of {model_settings.name} on {spec.name} failed, the first so: {done[0].error}"
        )
    return Search(
        task=spec.name,
        model=model_settings.name,
        trials=tuple(done),
        best=max(succeeded, key=lambda trial: _quality(trial, spec)),
        expected=tuple(
            expected_best([t.validation for t in done], higher_is_better=spec.higher_is_better, seed=seed)
        ),
    )


def proposals(
    spec: TaskSpec, model: ModelSettings, settings: TrainSettings, trials: int, seed: int
) -> list[tuple[ModelSettings, TrainSettings]]:
    """The settings of every trial: the preset, then points of a scrambled Sobol sequence (Owen 1998) by `seed`."""
    if trials < 1:
        raise ConfigError(f"trials is {trials}: a search needs at least 1, which is the preset itself")
    preset = resolve(settings, spec, model)
    points = (
        torch.quasirandom.SobolEngine(4, scramble=True, seed=seed).draw(trials - 1).tolist() if trials > 1 else []
    )
    return [(model, preset), *(_proposal(spec, model, preset, point) for point in points)]


def expected_best(
    scores: Sequence[float | None], *, higher_is_better: bool, seed: int = 0, level: float = 0.95
) -> list[ExpectedBest]:
    """The expected best score of 1, 2, … n trials drawn from these (Dodge et al. 2019, "Show Your Work", eq. 1).

    Exact for draws with replacement from the scores seen: the maximum of k draws is at most the i-th smallest with
    probability (i/n)^k. The interval is a percentile bootstrap over the trials. A trial without a score takes the
    worst one seen. Raises ConfigError when there is no score at all.
    """
    seen = [score for score in scores if score is not None and math.isfinite(score)]
    if not seen:
        raise ConfigError("no trial has a validation score: nothing can be expected of more of them")
    sign = 1.0 if higher_is_better else -1.0
    worst = min(sign * score for score in seen)
    values_N = np.array(
        [sign * score if score is not None and math.isfinite(score) else worst for score in scores], dtype=np.float64
    )
    n = len(values_N)
    rng = np.random.default_rng(seed)
    resampled_RN = values_N[rng.integers(n, size=(_RESAMPLES, n))]
    found = []
    for k in range(1, n + 1):
        share_N = (np.arange(n + 1) / n) ** k
        weights_N = np.diff(share_N)
        value = sign * float(np.sort(values_N) @ weights_N)
        draws_R = sign * (np.sort(resampled_RN, axis=1) @ weights_N)
        low, high = np.quantile(draws_R, [(1 - level) / 2, (1 + level) / 2])
        found.append(ExpectedBest(trials=k, value=value, low=float(low), high=float(high)))
    return found


def _proposal(
    spec: TaskSpec, model: ModelSettings, preset: TrainSettings, point: list[float]
) -> tuple[ModelSettings, TrainSettings]:
    """The point of the unit cube as settings around `preset`."""
    rate = (preset.learning_rate or model.learning_rate) * RATE_FACTOR ** (2 * point[0] - 1)
    depth = 1.0 if model.origin is not None else _pick(DEPTH_FACTORS, point[2])
    layers = max(len(model.mixers), round(model.layers * depth))
    # Under a budget in steps a larger batch would be a larger budget.
    in_steps = Budget.parse(preset.budget or spec.budget).kind == "steps"
    batch = round((preset.batch or spec.batch_rows) * (1.0 if in_steps else _pick(BATCH_FACTORS, point[3])))
    reshaped = _with_layers(spec, model, layers) if layers != model.layers else model
    return (
        replace(reshaped, dropout=_pick(DROPOUTS, point[1])),
        replace(preset, learning_rate=rate, batch=max(1, batch)),
    )


def _with_layers(spec: TaskSpec, model: ModelSettings, layers: int) -> ModelSettings:
    """`model` with another depth and the width that keeps its parameters without embedding and head."""
    target = count_parameters(model, spec.inputs, spec.outputs, causal=spec.causal).without_embedding
    deeper = replace(model, layers=layers)
    return match_parameters(deeper, spec.inputs, spec.outputs, causal=spec.causal, target=target)


def _pick(options: Sequence[float], share: float) -> float:
    return options[min(int(share * len(options)), len(options) - 1)]


def _try(
    task: Task,
    model: ModelSettings,
    settings: TrainSettings,
    numerics: Numerics,
    folder: Path | None,
    on_progress: OnProgress | None,
) -> Trial:
    try:
        if folder is not None and is_finished(folder):
            record = load_record(folder)
        else:
            resume = folder is not None
            result = train(
                task,
                model,
                settings,
                numerics=numerics,
                folder=folder,
                resume=resume,
                test=False,
                on_progress=on_progress,
            )
            record = result.record
    except TrainingError as error:
        return Trial(model=model, settings=settings, validation=None, loss=None, seconds=0.0, error=str(error))
    if folder is not None:
        # A trial's weights are of no use once it is finished.
        (folder / WEIGHTS_FILE).unlink(missing_ok=True)
    return Trial(
        model=model,
        settings=settings,
        validation=record.validation,
        loss=record.validation_summary["loss"],
        seconds=record.train_seconds + record.validation_seconds,
    )


def _quality(trial: Trial, spec: TaskSpec) -> tuple[float, float]:
    """What the best trial has most of: the metric, then a low validation loss."""
    score, loss = trial.validation or 0.0, trial.loss or 0.0
    return (score if spec.higher_is_better else -score, -loss)
