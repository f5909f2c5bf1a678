"""How far a gradient reaches: the norm of d loss_T / d x_{T-k} for a plain stack of one recurrent layer.

Bengio, Simard and Frasconi 1994, "Learning long-term dependencies with gradient descent is difficult". Computed in
float64, whose smallest number is 5e-324: a norm below it counts as that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, unknown
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import Interval
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel, build_model
from crossover.models.presets import parse_model
from crossover.models.settings import ModelSettings
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.words import Said, _, listing, number
from crossover.tasks import TASKS
from crossover.tasks.base import Task
from crossover.tasks.generated.task import draw_copy
from crossover.train.loop import train
from crossover.train.settings import TrainSettings

_SMALLEST = 5e-324
_ALPHABET = 8
_SWEPT = {"elman": "gain", "lstm": "forget_bias", "gru": "forget_bias"}


@dataclass(frozen=True, kw_only=True)
class GradientSettings:
    """One layer of each model, `seeds` times, before and after `steps` steps of delayed copy at `lag`.

    `gains` scale Elman's recurrent weights at the start, `forget_biases` are those of lstm and gru. `distances` are
    the k at which the gradient is read, `rows` the number of sequences that it is averaged over. Inputs of unit scale
    saturate the units; the untrained layer is therefore also read with inputs `small` times as large.
    """

    models: tuple[str, ...] = ("elman", "lstm", "gru")
    gains: tuple[float, ...] = (0.5, 0.8, 1.0, 1.2, 1.5)
    forget_biases: tuple[float, ...] = (0.0, 1.0, 3.0, 5.0)
    distances: tuple[int, ...] = (1, 3, 10, 30, 100, 300, 1000)
    width: int = 64
    rows: int = 4
    small: float = 0.1
    seeds: int = 3
    steps: int = 40
    lag: int = 128

    def __post_init__(self) -> None:
        for name in self.models:
            if name not in _SWEPT:
                raise ConfigError(unknown("model of the experiment gradients", name, _SWEPT))
        if self.seeds < 2:
            raise ConfigError(f"seeds={self.seeds}: an interval over seeds needs 2 or more")
        if self.distances[0] != 1 or list(self.distances) != sorted(set(self.distances)):
            raise ConfigError(f"distances={list(self.distances)} must increase and start at 1")

    def conditions(self) -> Iterator[tuple[str, str, float]]:
        """Every (model, swept setting, value)."""
        for name in self.models:
            for value in self.gains if _SWEPT[name] == "gain" else self.forget_biases:
                yield name, _SWEPT[name], value


def measure_gradients(settings: GradientSettings, bench: Bench) -> Evidence:
    """A curve per model, value of its swept setting and phase; samples are the decimal logarithms of the norms."""
    options = {"lag": settings.lag, "symbols": 1, "alphabet": _ALPHABET}
    task = TASKS.get("copy")(DataOptions(settings=options))
    curves = []
    stages = Stages(bench, "gradients", sum(1 for _condition in settings.conditions()))
    for name, setting, value in settings.conditions():
        stages.begin(f"{name}, {setting} {value:g}")
        model = replace(
            parse_model(f"{name}[{setting}={value}]"), style="classic", layers=1, width=settings.width, dropout=0.0
        )
        by_phase: dict[str, list[list[float]]] = {"untrained": [], "small inputs": [], "trained": []}
        for seed in range(settings.seeds):
            fresh = build_model(model, task.spec.inputs, task.spec.outputs, causal=True, seed=seed)
            by_phase["untrained"].append(log_norms(fresh, settings, seed))
            by_phase["small inputs"].append(log_norms(fresh, settings, seed, scale=settings.small))
            by_phase["trained"].append(log_norms(_trained(task, model, settings, seed), settings, seed))
        for phase, taken in by_phase.items():
            curves.append(_curve(name, settings.distances, np.array(taken).T, {setting: value, "phase": phase}))
    return Evidence(curves=tuple(curves), scope=_scope(settings), how=_how(settings))


def log_norms(model: SequenceModel, settings: GradientSettings, seed: int, *, scale: float = 1.0) -> list[float]:
    """Decimal logarithm of the norm of d loss_T / d x_{T-k} at each distance, averaged over rows; x is `scale` times
    the embedding.

    The loss is the cross-entropy of the copied symbol at the last step of a row of delayed copy, in which the steps
    between hold random symbols: a constant input would drive the state to a fixed point.
    """
    model = model.to("cpu", torch.float64).eval()
    tokens_BT, target_B = _rows(settings, seed)
    x_BTD = (scale * model.embedding(tokens_BT, None, 0)).detach().requires_grad_()
    y_BTD, _state = model.backbone(x_BTD, None, Span(carry=False))
    last_BV = model.head(y_BTD, None)[:, -1]
    (grad_BTD,) = torch.autograd.grad(F.cross_entropy(last_BV, target_B, reduction="sum"), x_BTD)
    norms_BT = grad_BTD.norm(dim=-1).clamp(min=_SMALLEST).log10()
    return [float(norms_BT[:, -1 - k].mean()) for k in settings.distances]


def _rows(settings: GradientSettings, seed: int) -> tuple[Tensor, Tensor]:
    """Rows of delayed copy that reach as far as the largest distance, the filler replaced by random symbols."""
    rng = np.random.default_rng([settings.lag, seed])
    drawn = [draw_copy(rng, lag=settings.distances[-1], symbols=1, alphabet=_ALPHABET) for _ in range(settings.rows)]
    tokens_BT = np.stack([tokens for tokens, _targets in drawn])
    tokens_BT[:, 1:-1] = rng.integers(1, _ALPHABET + 1, size=tokens_BT[:, 1:-1].shape)
    return torch.from_numpy(tokens_BT), torch.tensor([targets[-1] for _tokens, targets in drawn])


def _trained(task: Task, model: ModelSettings, settings: GradientSettings, seed: int) -> SequenceModel:
    result = train(
        task,
        model,
        TrainSettings(budget=f"{settings.steps}steps", batch=32, seed=seed, evaluations=1),
        numerics=Numerics.default(),
        test=False,
    )
    return result.model  # type: ignore[return-value]


def _curve(name: str, distances: tuple[int, ...], logs_KS: np.ndarray, labels: dict[str, float | str]) -> Curve:
    """Decimal logarithms of the norm [distance, seed] with their intervals: they span hundreds of decades."""
    rows: list[list[float]] = logs_KS.tolist()
    return Curve(
        name=name,
        measure="gradient",
        x=distances,
        y=tuple(mean_interval(row) for row in rows),
        labels=labels,
        samples=tuple(tuple(row) for row in rows),
    )


def mean_interval(values: list[float]) -> Interval:
    """The mean with its 95 % t interval over seeds (two or more)."""
    from scipy.special import stdtrit

    mean = float(np.mean(values))
    half = float(stdtrit(len(values) - 1, 0.975)) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Interval(mean, mean - half, mean + half)


def _scope(settings: GradientSettings) -> Said:
    return _(
        "one layer of {models} without residuals, width {width}, {seeds} seeds, untrained and after {steps} steps of "
        "delayed copy at lag {lag}, float64",
        models=listing(settings.models),
        width=number(settings.width),
        seeds=number(settings.seeds),
        steps=number(settings.steps),
        lag=number(settings.lag),
    )


def _how(settings: GradientSettings) -> tuple[Said, ...]:
    return (
        _(
            "The norm of the gradient of the last step's loss at the input k steps before, averaged as a logarithm "
            "over {rows} rows.",
            rows=number(settings.rows),
        ),
        _(
            "A row copies its first symbol at its last step, with random symbols between; small inputs are the "
            "embedding times {factor}.",
            factor=number(settings.small),
        ),
        _(
            "Recurrent weights start as orthogonal matrices times the gain; "
            "the forget bias of a GRU is its update gate's."
        ),
    )


GRADIENTS = Experiment(
    settings=GradientSettings,
    run=measure_gradients,
    measures={"gradient": Axes(x=_("steps back"), y=_("log10 of the gradient's norm"), log_y=False)},
    full={
        "gains": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5),
        "forget_biases": (0.0, 1.0, 2.0, 3.0, 4.0, 5.0),
        "rows": 16,
        "seeds": 5,
        "steps": 1000,
    },
)
