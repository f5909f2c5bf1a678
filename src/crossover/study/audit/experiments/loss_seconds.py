"""How long models take to come down to the same validation loss, by the length of the rows that they train on."""

from __future__ import annotations

from dataclasses import dataclass

from crossover.measure.statistics import median_interval
from crossover.study.audit.evidence import UNTRAINED, Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.experiments.device_seconds import lowest_loss, seconds_to
from crossover.study.audit.experiments.language_runs import (
    Runs,
    TextSettings,
    equal_models,
    read_text_task,
    trained_scope,
)
from crossover.study.audit.words import Said, _, listing, number
from crossover.train.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class LossSettings(TextSettings):
    """The models trained on rows of each of `blocks` steps, validated `evaluations` times."""

    models: tuple[str, ...] = ("lstm", "transformer")
    task: str | None = "language-modeling/python-docs"
    blocks: tuple[int, ...] = (128,)
    budget: str = "6s"
    layers: int = 2
    evaluations: int = 12


def time_losses(settings: LossSettings, bench: Bench) -> Evidence:
    """For each model and block: seconds of training until the loss that the worst of them reaches, seed by seed."""
    if settings.task is None:
        return Evidence.unmeasured(UNTRAINED)
    stages = Stages(bench, "loss-seconds", len(settings.blocks) * settings.seeds * len(settings.models))
    taken: dict[str, list[tuple[float, ...]]] = {name: [] for name in settings.models}
    for block in settings.blocks:
        runs = Runs(bench, f"loss-seconds-{block}", settings)
        task = read_text_task(settings, block=block)
        models = equal_models(task, settings.models, settings.sizes)
        by_model: dict[str, list[float]] = {name: [] for name in settings.models}
        for seed in range(settings.seeds):
            curves = {}
            for name, model in models.items():
                stages.begin(f"{name}, rows of {block}, seed {seed}")
                asked = TrainSettings(
                    budget=settings.budget, batch=settings.batch, evaluations=settings.evaluations, seed=seed
                )
                curves[name] = runs.train(name, task, model, asked).record.curve
            loss = max(map(lowest_loss, curves.values()))
            for name, curve in curves.items():
                by_model[name].append(seconds_to(loss, curve))
        for name, seconds in by_model.items():
            taken[name].append(tuple(seconds))
    return Evidence(
        curves=tuple(
            Curve(
                name=name,
                measure="seconds to a loss",
                x=settings.blocks,
                y=tuple(median_interval(seconds) for seconds in samples),
                samples=tuple(samples),
            )
            for name, samples in taken.items()
        ),
        scope=_(
            "{trained}, rows of {blocks}, {device}",
            trained=trained_scope(settings),
            blocks=listing(map(number, settings.blocks)),
            device=bench.device,
        ),
        how=_how(),
    )


def _how() -> tuple[Said, ...]:
    return (
        _(
            "Models of equal parameters train for the same time; compared are the seconds in which each comes down "
            "to the validation loss that both reach."
        ),
    )


LOSS_SECONDS = Experiment(
    settings=LossSettings,
    run=time_losses,
    measures={"seconds to a loss": Axes(x=_("steps of a row"), y=_("seconds to the validation loss of both"))},
    full={"blocks": (64, 256, 1024), "budget": "120s", "width": 192, "evaluations": 30},
)
