"""How long a mixer keeps what it saw: delayed copy by lag, associative recall, parity beyond the trained length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, unknown
from crossover.measure.statistics import Interval, score_interval
from crossover.models.counting import count_parameters
from crossover.models.matching import match_parameters
from crossover.models.settings import ModelSettings
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.experiments.arithmetic import check_lengths
from crossover.study.audit.words import Said, _, listing, number
from crossover.study.contest import prepare_model
from crossover.study.outcome import RESAMPLES
from crossover.tasks import TASKS
from crossover.tasks.base import Sums, Task
from crossover.tasks.generated.task import PARITY_FACTORS
from crossover.train.budget import Budget
from crossover.train.loop import train
from crossover.train.settings import TrainSettings

_TASKS = ("copy", "recall", "parity")
_LONGEST = 40
"""Longest trained row of parity."""


@dataclass(frozen=True, kw_only=True)
class RetentionSettings:
    """Every model on copy at each lag, on recall and on parity, `seeds` times under `budget`.

    Lags are tried in order until a model's accuracy falls short of `stop_below`; a run at a lag ends early once it
    copies every row that it is validated on, at one of `evaluations`. Models have the parameters of the first one at
    `width`. `tasks` chooses among copy, recall and parity.
    """

    models: tuple[str, ...] = ("lstm", "elman", "gru", "transformer")
    lags: tuple[int, ...] = (8, 32, 64)
    tasks: tuple[str, ...] = ("copy",)
    symbols: int = 1
    width: int = 64
    layers: int = 2
    batch: int = 32
    budget: str = "300steps"
    seeds: int = 3
    stop_below: float = 0.99
    evaluations: int = 5

    def __post_init__(self) -> None:
        check_lengths("lags", self.lags)
        Budget.parse(self.budget)
        if self.seeds < 2:
            raise ConfigError(f"seeds={self.seeds}: an interval over seeds needs 2 or more")
        for name in self.tasks:
            if name not in _TASKS:
                raise ConfigError(unknown("task of the experiment retention", name, _TASKS))


def measure_retention(settings: RetentionSettings, bench: Bench) -> Evidence:
    """Accuracy with its interval: ``copy`` against the lag, ``recall`` at its length, ``parity`` by tested length."""
    curves: list[Curve] = []
    trained = {"copy": len(settings.lags), "recall": 1, "parity": 1}
    stages = Stages(bench, "retention", len(settings.models) * sum(trained[name] for name in settings.tasks))
    if "copy" in settings.tasks:
        tasks = [_task("copy", lag=lag, symbols=settings.symbols) for lag in settings.lags]
        curves += [_copy_curve(name, tasks, settings, bench, stages) for name in settings.models]
    if "recall" in settings.tasks:
        curves += [_recall_curve(name, settings, bench, stages) for name in settings.models]
    if "parity" in settings.tasks:
        curves += [_parity_curve(name, settings, bench, stages) for name in settings.models]
    return Evidence(curves=tuple(curves), scope=_scope(settings, bench), how=_how(settings))


def _copy_curve(name: str, tasks: Sequence[Task], settings: RetentionSettings, bench: Bench, stages: Stages) -> Curve:
    lags, scores = [], []
    for lag, task in zip(settings.lags, tasks, strict=True):
        score = _score(task, _runs(task, name, settings, bench, stages, suffix=f"-{lag}", stop_at=1.0), "accuracy")
        lags.append(float(lag))
        scores.append(score)
        if score.value < settings.stop_below:
            stages.skip(len(tasks) - len(lags))
            break
    return Curve(name=name, measure="copy", x=tuple(lags), y=tuple(scores))


def _recall_curve(name: str, settings: RetentionSettings, bench: Bench, stages: Stages) -> Curve:
    task = _task("recall")
    score = _score(task, _runs(task, name, settings, bench, stages), "accuracy")
    return Curve(name=name, measure="recall", x=(float(task.spec.max_length),), y=(score,))


def _parity_curve(name: str, settings: RetentionSettings, bench: Bench, stages: Stages) -> Curve:
    task = _task("parity", longest=_LONGEST)
    items = _runs(task, name, settings, bench, stages)
    lengths = [factor * _LONGEST for factor in PARITY_FACTORS]
    scores = [_score(task, _of_length(items, length), "accuracy") for length in lengths]
    return Curve(name=name, measure="parity", x=tuple(float(t) for t in lengths), y=tuple(scores))


def _of_length(runs: Sequence[Sums], length: int) -> list[Sums]:
    """The items of rows of one length."""
    return [{key: values[run["length"] == length] for key, values in run.items()} for run in runs]


def _task(name: str, **settings: int) -> Task:
    return TASKS.get(name)(DataOptions(settings=settings))


def _score(task: Task, runs: Sequence[Sums], metric: str) -> Interval:
    """The mean over seeds with its bootstrap interval, kept within what a share can be."""
    interval = score_interval(runs, task.summarise, metric, resamples=RESAMPLES)
    return Interval(interval.value, max(float(interval.low), 0.0), min(float(interval.high), 1.0))


def _runs(
    task: Task,
    name: str,
    settings: RetentionSettings,
    bench: Bench,
    stages: Stages,
    *,
    suffix: str = "",
    stop_at: float | None = None,
) -> list[Sums]:
    """Test items of each seed; runs that the study's folder already holds are read back."""
    told = TrainSettings(
        budget=settings.budget, batch=settings.batch, evaluations=settings.evaluations, stop_at=stop_at
    )
    model = _matched(name, settings, task)
    stages.begin(f"{task.spec.name}{suffix}, {name}, {settings.seeds} seeds of {settings.budget}")
    items = []
    for seed in range(settings.seeds):
        result = train(
            task,
            model,
            replace(told, seed=seed),
            numerics=bench.numerics,
            folder=bench.store.run_folder(task.spec.name + suffix, name, seed),
            resume=True,
        )
        items.append(result.items)
    return items


def _matched(name: str, settings: RetentionSettings, task: Task) -> ModelSettings:
    """`name` with the parameters, without embedding and head, of the first model at `width`."""
    sizes = {"width": settings.width, "layers": settings.layers, "dropout": 0.0}
    ends = {"inputs": task.spec.inputs, "outputs": task.spec.outputs, "causal": True}
    first = prepare_model(settings.models[0], task.spec, sizes)
    model = prepare_model(name, task.spec, sizes)
    if name == settings.models[0]:
        return model
    return match_parameters(model, **ends, target=count_parameters(first, **ends).without_embedding)  # type: ignore[arg-type]


def longest_solved(curve: Curve, threshold: float) -> float:
    """The largest x up to which the lower end stays at `threshold` or above; 0 where the first falls short."""
    solved = 0.0
    for x, score in zip(curve.x, curve.y, strict=True):
        if score.low < threshold:
            break
        solved = x
    return solved


def first_lost(curve: Curve, threshold: float) -> float:
    """The smallest x at which the upper end lies below `threshold`; infinite where none does."""
    return next((x for x, score in zip(curve.x, curve.y, strict=True) if score.high < threshold), inf)


def _scope(settings: RetentionSettings, bench: Bench) -> Said:
    return _(
        "{models} of equal parameters, {layers} layers, {seeds} seeds of {budget} at batch {batch}; copy of "
        "{symbols} symbols at lags up to {lag}; {device}",
        models=listing(settings.models),
        layers=number(settings.layers),
        seeds=number(settings.seeds),
        budget=settings.budget,
        batch=number(settings.batch),
        symbols=number(settings.symbols),
        lag=number(settings.lags[-1]),
        device=bench.device,
    )


def _how(settings: RetentionSettings) -> tuple[Said, ...]:
    return (
        _(
            "Each model is trained and tested at one lag at a time, from the shortest on, until its accuracy falls "
            "below {threshold}; training ends early where every validation row is copied.",
            threshold=number(settings.stop_below),
        ),
        _("Intervals come from a bootstrap over test rows and seeds."),
    )


RETENTION = Experiment(
    settings=RetentionSettings,
    run=measure_retention,
    measures={
        "copy": Axes(x=_("lag"), y=_("accuracy"), log_y=False),
        "recall": Axes(x=_("length"), y=_("accuracy"), log_y=False),
        "parity": Axes(x=_("length"), y=_("accuracy"), log_y=False),
    },
    full={
        "tasks": ("copy", "recall", "parity"),
        "models": (
            "lstm",
            "elman",
            "gru",
            "mingru",
            "minlstm",
            "linear-attention",
            "transformer",
            "window-transformer",
            "convolution",
        ),
        "lags": (8, 16, 32, 64, 128, 256, 512, 1024, 2048),
        "budget": "4000steps",
        "evaluations": 20,
    },
)
