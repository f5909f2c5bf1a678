"""Seconds of whole models over the length of their rows: training steps, rows read at once, single steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import cast

from crossover.errors import ConfigError, unknown
from crossover.measure.clock import UNSTEADY
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import median_interval
from crossover.measure.sweep import Point, Sweep
from crossover.measure.workload import PASSES, Pass
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Label, Stages
from crossover.study.audit.experiments.arithmetic import check_lengths
from crossover.study.audit.experiments.growth import PASS_NAMES
from crossover.study.audit.words import Said, _, listing, number
from crossover.study.scale import ScaleRequest


@dataclass(frozen=True, kw_only=True)
class PassSettings:
    """Each of `passes` over `lengths`, for each of `batches` rows and of so many `threads` (0: as the study has).

    The first model is `width` wide and `layers` deep, the others have its parameters. Models are timed in turn; each
    pass, batch and number of threads takes at most about `seconds`.
    """

    models: tuple[str, ...] = ("lstm", "transformer")
    passes: tuple[str, ...] = ("train",)
    lengths: tuple[int, ...] = (16, 64, 256, 1024)
    batches: tuple[int, ...] = (8,)
    threads: tuple[int, ...] = (0,)
    width: int = 128
    layers: int = 2
    seconds: float = 20.0

    def __post_init__(self) -> None:
        check_lengths("lengths", self.lengths)
        for kind in self.passes:
            if kind not in PASSES:
                raise ConfigError(unknown("pass", kind, PASSES))
        for name in ("batches", "passes", "threads"):
            if not getattr(self, name):
                raise ConfigError(f"{name} is empty: give one or more")
        if min(self.batches) < 1 or min(self.threads) < 0:
            raise ConfigError(
                f"batches={list(self.batches)} must be 1 or more, threads={list(self.threads)} 0 or more"
            )


def time_passes(settings: PassSettings, bench: Bench) -> Evidence:
    """Seconds of each model by length, under every condition."""
    conditions = list(product(settings.threads, settings.passes, settings.batches))
    stages = Stages(bench, "passes", len(conditions))
    curves, missing, apart = list[Curve](), list[Said](), list[float]()
    try:
        for threads, kind, batch in conditions:
            stages.begin(f"{kind}, batch {batch}" + (f", threads {threads}" if threads else ""))
            numerics = replace(bench.numerics, threads=threads or bench.numerics.threads).apply()
            sweep = _swept(settings, kind, batch, numerics)
            labels: dict[str, Label] = {"pass": kind, "batch": batch}
            if len(settings.threads) > 1:
                labels["threads"] = numerics.threads
            for name, points in sweep.points.items():
                curves += _curve(name, points, labels)
                missing += _missing(name, points, kind)
            if sweep.pair_difference is not None:
                apart.append(sweep.pair_difference)
    finally:
        bench.numerics.apply()
    return Evidence(
        curves=tuple(curves),
        scope=_(
            "{models} of equal parameters, {layers} layers, width {width}, batch {batches}, length {from} to {to}, "
            "{device}",
            models=listing(settings.models),
            layers=number(settings.layers),
            width=number(settings.width),
            batches=listing(map(number, settings.batches)),
            device=bench.device,
            **{"from": number(settings.lengths[0]), "to": number(settings.lengths[-1])},
        ),
        how=(
            _("Models are timed in turn at each length, after a warm-up and a pair of equal measurements."),
            _("A training step is forward, loss, backward and a step of AdamW."),
        ),
        steady=max(apart) <= UNSTEADY if apart else None,
        missing=tuple(missing),
    )


def _swept(settings: PassSettings, kind: str, batch: int, numerics: Numerics) -> Sweep:
    request = ScaleRequest(
        models=settings.models,
        axis="length",
        values=settings.lengths,
        passes=(cast(Pass, kind),),
        width=settings.width,
        batch=batch,
        layers=settings.layers,
    )
    makers = {name: partial(request.workload, name, cast(Pass, kind), numerics) for name in settings.models}
    sweep = Sweep(makers, nursery=None, time_limit=settings.seconds)
    for index, length in enumerate(settings.lengths):
        sweep.measure(length, settings.lengths[index + 1 :])
    return sweep


def _curve(name: str, points: Sequence[Point], labels: dict[str, Label]) -> list[Curve]:
    """The lengths that were measured, as one curve; none, if there are none."""
    measured = [point for point in points if point.seconds]
    if not measured:
        return []
    return [
        Curve(
            name=name,
            measure="seconds",
            x=tuple(point.x for point in measured),
            y=tuple(median_interval(point.seconds) for point in measured),
            labels=labels,
            samples=tuple(point.seconds for point in measured),
        )
    ]


def _missing(name: str, points: Sequence[Point], kind: str) -> list[Said]:
    """From which length on there was no time or memory, and why."""
    left = [point for point in points if not point.seconds]
    if not left:
        return []
    values = {"model": name, "length": number(left[0].x), "reason": left[0].note or ""}
    return [_("{model}, {pass}, from length {length} on: {reason}", **values, **{"pass": PASS_NAMES[kind]})]


PASS_SECONDS = Experiment(
    settings=PassSettings,
    run=time_passes,
    measures={"seconds": Axes(x=_("length"), y=_("seconds"))},
    full={"lengths": (16, 64, 256, 1024, 4096, 16384), "seconds": 300.0},
)
