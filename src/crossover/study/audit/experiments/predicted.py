"""What the planner says of ranks that are not here: told beside what was measured, and deciding nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crossover.errors import ConfigError
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import Interval
from crossover.parallel.layout import Layout
from crossover.planning.machine import load_machine
from crossover.planning.predict import SPREAD, Planner, Prediction
from crossover.study.audit.experiments.several_ranks import RankSettings, sized_workload
from crossover.study.audit.rules.directed import figure
from crossover.study.audit.words import Said, _, listing, number


@dataclass(frozen=True, kw_only=True)
class Foreseen(RankSettings):
    """Layouts of devices that are not here, a machine that is known by its file, and models of such a machine's size.

    `rows` are those of a whole batch, or with `each` those of every device.
    """

    models: tuple[str, ...] = ("lstm", "transformer[heads=16]")
    layouts: tuple[str, ...] = ()
    length: int = 512
    width: int = 1024
    layers: int = 16
    rows: int = 256
    each: bool = False
    hardware: str = "a100-80"

    def __post_init__(self) -> None:
        for text in self.layouts:
            for name in self.models:
                layout, model = Layout.parse(text), sized_workload(name, self, 1, Numerics()).model
                if reasons := layout.reasons(layout.devices, model):
                    raise ConfigError(f"{name} under the foreseen layout {text}: {'; '.join(reasons)}")
        load_machine(self.hardware)


Of = Callable[[Prediction, Prediction], Interval]
"""A figure of one device's prediction and of all devices'."""


def foretell(settings: Foreseen, of: Of, what: Said) -> tuple[Said, ...]:
    """One sentence for each model: the figure under every layout; nothing, where there is no layout."""
    if not settings.layouts:
        return ()
    told = []
    for name in settings.models:
        figures = []
        for text in settings.layouts:
            layout = Layout.parse(text)
            rows = settings.rows * (layout.devices if settings.each else 1)
            one, together = (_prediction(name, settings, rows, given) for given in (Layout(), layout))
            figures.append(_("{layout} {figure}", layout=text, figure=figure(of(one, together))))
        told.append(
            _(
                "Predicted, not measured, on {hardware}, {model}, {layers} blocks, width {width}, {rows}, {what}: "
                "{figures}.",
                hardware=load_machine(settings.hardware).title,
                model=name,
                layers=number(settings.layers),
                width=number(settings.width),
                rows=_rows(settings),
                what=what,
                figures=listing(figures),
            )
        )
    return tuple(told)


def _rows(settings: Foreseen) -> Said:
    values = {"rows": number(settings.rows), "length": number(settings.length)}
    return (
        _("{rows} rows of {length} a device", **values) if settings.each else _("{rows} rows of {length}", **values)
    )


def speed_up(one: Prediction, together: Prediction) -> Interval:
    """How many times as fast all are as one."""
    return ratio(one, together)


def device_seconds(one: Prediction, together: Prediction) -> Interval:
    """The seconds of all devices together over those of one."""
    inverse = ratio(together, one)
    devices = together.layout.devices
    return Interval(devices * inverse.value, devices * inverse.low, devices * inverse.high)


def exposed_share(one: Prediction, together: Prediction) -> Interval:
    """The share of a step in which messages are waited for, as wide as those of a step's parts are."""
    share = together.communication_seconds / together.step_seconds
    below, above = SPREAD["communication"]
    return Interval(share, share * (1 - below), min(1.0, share * (1 + above)))


def ratio(over: Prediction, under: Prediction) -> Interval:
    """Of the seconds of two steps, as far apart as their 80 % intervals allow."""
    (low, high), (low_under, high_under) = over.interval, under.interval
    return Interval(over.step_seconds / under.step_seconds, low / high_under, high / low_under)


def _prediction(name: str, settings: Foreseen, rows: int, layout: Layout) -> Prediction:
    workload = sized_workload(name, settings, rows, Numerics())
    return Planner(workload.job("bf16"), load_machine(settings.hardware)).predict(layout)
