"""Validation loss of language models by their size and by their depth, after equally many tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import mean

from crossover.errors import ConfigError
from crossover.measure.statistics import Interval
from crossover.models.matching import match_parameters
from crossover.models.presets import parse_model
from crossover.models.settings import ModelSettings
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.experiments.arithmetic import check_lengths
from crossover.study.audit.experiments.device_seconds import lowest_loss
from crossover.study.audit.experiments.language_runs import Runs, TextSettings, read_text_task
from crossover.study.audit.words import Said, _, listing, number
from crossover.tasks.language.modeling import LanguageModeling
from crossover.train.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class SizeSettings(TextSettings):
    """Models of each of `parameters` (without ends) at `layers`, and of each of `depths` at the middle one.

    Each is validated `evaluations` times.
    """

    models: tuple[str, ...] = ("lstm", "transformer")
    task: str | None = "language-modeling/python-docs"
    parameters: tuple[int, ...] = (20_000, 60_000, 180_000)
    depths: tuple[int, ...] = (1, 2, 4)
    layers: int = 2
    budget: str = "60000tokens"
    evaluations: int = 5
    seeds: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lengths("parameters", self.parameters)
        check_lengths("depths", self.depths)
        if len(self.parameters) < 3:
            raise ConfigError(f"parameters={list(self.parameters)}: a slope needs three sizes or more")


def train_sizes(settings: SizeSettings, bench: Bench) -> Evidence:
    """The lowest validation loss of each model by size and by depth; a figure for every seed."""
    task, runs = read_text_task(settings), Runs(bench, "sizes", settings)
    middle = settings.parameters[len(settings.parameters) // 2]
    axes = {
        "loss by size": [(size, size, settings.layers) for size in settings.parameters],
        "loss by depth": [(depth, middle, depth) for depth in settings.depths],
    }
    stages = Stages(bench, "sizes", settings.seeds * len(settings.models) * sum(map(len, axes.values())))
    curves = []
    for name in settings.models:
        for measure, points in axes.items():
            samples = []
            for _x, size, layers in points:
                model = sized(name, size, layers, task)
                losses = []
                for seed in range(settings.seeds):
                    stages.begin(f"{name}, {size:,} parameters, layers {layers}, seed {seed}")
                    asked = TrainSettings(
                        budget=settings.budget, batch=settings.batch, evaluations=settings.evaluations, seed=seed
                    )
                    found = runs.train(f"{name}-{size}-{layers}", task, model, asked)
                    losses.append(lowest_loss(found.record.curve))
                samples.append(tuple(losses))
            curves.append(
                Curve(
                    name=name,
                    measure=measure,
                    x=tuple(x for x, *_sizes in points),
                    y=tuple(Interval(mean(seeds), min(seeds), max(seeds)) for seeds in samples),
                    samples=tuple(samples),
                )
            )
    return Evidence(
        curves=tuple(curves),
        scope=_(
            "{task}, {models}: {parameters} parameters at {layers} layers, {depths} layers at {middle} parameters, "
            "{budget} a run, {seeds} seeds, {device}",
            task=str(settings.task),
            models=listing(settings.models),
            parameters=listing(map(number, settings.parameters)),
            layers=number(settings.layers),
            depths=listing(map(number, settings.depths)),
            middle=number(middle),
            budget=settings.budget,
            seeds=number(settings.seeds),
            device=bench.device,
        ),
        how=_how(),
    )


def sized(name: str, parameters: int, layers: int, task: LanguageModeling) -> ModelSettings:
    """A model with so many layers, as wide as its parameters allow."""
    spec = task.spec
    settings = replace(parse_model(name), layers=layers, dropout=0.0)
    return match_parameters(settings, spec.inputs, spec.outputs, causal=spec.causal, target=parameters)


def _how() -> tuple[Said, ...]:
    return (
        _("Parameters are those without embedding and head; every run reads equally many tokens."),
        _("The learning rate is the task's own for each model, the same at every size."),
        _("Bands are from the lowest to the highest of the seeds."),
    )


SIZES = Experiment(
    settings=SizeSettings,
    run=train_sizes,
    measures={
        "loss by size": Axes(x=_("parameters without embedding and head"), y=_("validation loss, nats")),
        "loss by depth": Axes(x=_("layers"), y=_("validation loss, nats")),
    },
    full={
        "parameters": (100_000, 300_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000),
        "depths": (1, 2, 4, 8, 16),
        "budget": "1000000tokens",
        "seeds": 3,
    },
)
