"""What training on several ranks costs: the seconds of all devices together until a validation loss is reached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from crossover.data.options import DataOptions
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import median_interval
from crossover.models.settings import ModelSettings
from crossover.parallel.launch import Team
from crossover.parallel.layout import Layout
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.experiments.predicted import Foreseen, device_seconds, foretell
from crossover.study.audit.experiments.several_ranks import check_layouts, each_case, here_and_not, how_done
from crossover.study.audit.words import _, listing, number
from crossover.study.contest import enter
from crossover.tasks import TASKS
from crossover.train.loop import train
from crossover.train.ranks import Order, train_together
from crossover.train.record import RunRecord
from crossover.train.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class DeviceSecondsSettings:
    """`seeds` runs of each model on `task` for `budget`, on one rank and under each of `layouts`.

    Models have the parameters of the first. Validation is looked at `evaluations` times.
    """

    models: tuple[str, ...] = ("lstm", "transformer")
    layouts: tuple[str, ...] = ("data=2",)
    task: str = "sentiment/headlines"
    budget: str = "200steps"
    evaluations: int = 20
    seeds: int = 3
    foreseen: Foreseen = field(default_factory=Foreseen)

    def __post_init__(self) -> None:
        check_layouts(self.layouts, self.seeds)


def measure_device_seconds(settings: DeviceSecondsSettings, bench: Bench) -> Evidence:
    """For each model and layout: device-seconds to a validation loss, over those that one rank takes.

    The loss is, seed by seed, the higher one of the two runs' lowest, so that both reach it.
    """
    layouts, missing = here_and_not(settings.layouts)
    task = TASKS.get(settings.task)(DataOptions())
    contest = enter(task, settings.models, "params", lambda _model: 0.0)
    entered = dict(zip(settings.models, contest.models, strict=True))
    stages, curves = Stages(bench, "device-seconds", len(settings.models) * len(layouts) * settings.seeds), []
    with closing(each_case(bench, settings.models, layouts)) as cases:
        for text, name, team, numerics in cases:
            layout, ratios = Layout.parse(text), list[float]()
            for seed in range(settings.seeds):
                stages.begin(f"{name}, {text}, seed {seed}")
                runs = _Runs(settings, entered[name], seed, bench, numerics)
                one, all_of_them = runs.alone(), runs.together(team, layout)
                loss = max(lowest_loss(one.curve), lowest_loss(all_of_them.curve))
                taken = layout.devices * seconds_to(loss, all_of_them.curve)
                ratios.append(taken / seconds_to(loss, one.curve))
            found = (median_interval(ratios),)
            curves.append(
                Curve(name=name, measure="device-seconds", x=(layout.devices,), y=found, labels={"layout": text})
            )
    return Evidence(
        curves=tuple(curves),
        scope=_(
            "{models} on {task}, {budget} a run, {seeds} seeds; ranks of one machine, {precision}",
            models=listing(settings.models),
            task=settings.task,
            budget=settings.budget,
            seeds=number(settings.seeds),
            precision=bench.numerics.precision,
        ),
        how=(
            *how_done(layouts),
            _("Each rank has as many threads as the one that trains alone, and the global batch is the same."),
            _("The seconds of training of all ranks are added, up to the loss that both runs reach."),
        ),
        missing=tuple(missing),
        foretold=foretell(settings.foreseen, device_seconds, _("device-seconds over those of one device")),
    )


def lowest_loss(curve: Sequence[Mapping[str, Any]]) -> float:
    """The lowest validation loss of a run's curve."""
    return min(float(point["loss"]) for point in curve)


def seconds_to(loss: float, curve: Sequence[Mapping[str, Any]]) -> float:
    """Seconds of training until the validation loss was `loss`, between two validations in a straight line.

    ValueError where the curve never comes so low.
    """
    if curve and curve[0]["loss"] <= loss:
        return float(curve[0]["seconds"])
    for before, after in pairwise(curve):
        if after["loss"] <= loss:
            share = (before["loss"] - loss) / (before["loss"] - after["loss"])
            return float(before["seconds"] + share * (after["seconds"] - before["seconds"]))
    raise ValueError(f"the validation loss never came down to {loss}")


@dataclass(frozen=True)
class _Runs:
    """The runs of one model and seed, kept in the study's folder: what is finished there is read back."""

    settings: DeviceSecondsSettings
    model: ModelSettings
    seed: int
    bench: Bench
    numerics: Numerics

    def alone(self) -> RunRecord:
        """On one rank."""
        order = self._order(Layout())
        try:
            return train(
                TASKS.get(order.task)(order.data),
                order.model,
                order.settings,
                numerics=self.numerics.apply(),
                folder=order.folder,
                resume=True,
                test=False,
            ).record
        finally:
            self.bench.numerics.apply()

    def together(self, team: Team, layout: Layout) -> RunRecord:
        """On all ranks of a team, each with the same number of threads."""
        order = self._order(layout)
        shared = replace(order.numerics, threads=order.numerics.threads * team.here)
        return train_together(team, replace(order, numerics=shared)).record

    def _order(self, layout: Layout) -> Order:
        settings = TrainSettings(
            budget=self.settings.budget,
            evaluations=self.settings.evaluations,
            seed=self.seed,
            checkpoint_seconds=3600,
        )
        told = {
            "settings": settings.to_json(),
            "task": self.settings.task,
            "model": asdict(self.model),
            "layout": str(layout),
            "numerics": self.numerics.to_json(),
        }
        return Order(
            task=self.settings.task,
            data=DataOptions(),
            model=self.model,
            settings=settings,
            numerics=self.numerics,
            folder=self._folder(told),
            resume=True,
            layout=layout,
            test=False,
        )

    def _folder(self, told: Mapping[str, Any]) -> Path:
        name = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
        return self.bench.store.folder / "runs" / name


DEVICE_SECONDS = Experiment(
    settings=DeviceSecondsSettings,
    run=measure_device_seconds,
    measures={
        "device-seconds": Axes(
            x=_("devices"), y=_("device-seconds over those of one device"), log_x=False, log_y=False
        )
    },
    full={"budget": "1000steps", "seeds": 5, "layouts": ("data=2", "data=4", "data=8")},
)
