"""Whether a recurrence is faster when all its steps are found at once, or when ranks divide its time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import Tensor

from crossover.errors import ConfigError, MeasurementError
from crossover.measure.clock import UNSTEADY, timings_in_turn
from crossover.measure.numerics import Numerics
from crossover.models.initialise import initialise
from crossover.models.mixers.base import MixerSettings, Span
from crossover.models.mixers.dense import DenseSettings
from crossover.models.mixers.solved import SolvedSettings
from crossover.parallel.layout import Layout
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.experiments.arithmetic import check_lengths, layer
from crossover.study.audit.experiments.ranks_speed import compare
from crossover.study.audit.experiments.several_ranks import (
    RankSettings,
    check_layouts,
    each_case,
    here_and_not,
    ratio_beside,
    sized_workload,
)
from crossover.study.audit.words import Said, _, listing, number

_TOLERANCE = 1e-4
"""How far apart two solvers' outputs may be, relative to their norm, in float32."""


@dataclass(frozen=True, kw_only=True)
class SolvingSettings:
    """Forward and backward of one layer on `batch` rows over `lengths`, solved step by step and all steps at once.

    Dense cells are `dense_width` wide, since a Jacobian of theirs is a whole matrix; others `width`. The two are
    timed in turn, `rounds` times unless `seconds` are spent first. Under each of `layouts` training steps of two
    blocks of `shared`, at `width`, are timed against one rank, over the same lengths.
    """

    models: tuple[str, ...] = ("elman", "gru", "lstm", "diagonal-elman", "diagonal-gru", "diagonal-lstm")
    lengths: tuple[int, ...] = (128, 512, 1024)
    width: int = 128
    dense_width: int = 16
    batch: int = 4
    rounds: int = 9
    seconds: float = 3.0
    shared: tuple[str, ...] = ("gru", "diagonal-gru")
    layouts: tuple[str, ...] = ("sequence=2",)

    def __post_init__(self) -> None:
        check_lengths("lengths", self.lengths)
        check_layouts(self.layouts, self.rounds)
        for name in self.models:
            ways(layer(name, self.dense_width))


def ways(settings: MixerSettings) -> tuple[MixerSettings, MixerSettings]:
    """A layer solved step by step, and all steps at once; ConfigError for a mixer that knows one way only."""
    if isinstance(settings, DenseSettings):
        return replace(settings, solver="sequential"), replace(settings, solver="newton")
    if isinstance(settings, SolvedSettings):
        return replace(settings, solver="sequential"), replace(settings, solver=settings.at_once)
    raise ConfigError(f"mixer {settings.name!r} is solved in one way only: name a recurrence that has several")


def compare_solvers(settings: SolvingSettings, bench: Bench) -> Evidence:
    """For each model, how many times as fast all steps at once are as one after the other, by length."""
    stages, curves, apart = Stages(bench, "solving", len(settings.models)), [], list[float]()
    for name in settings.models:
        stages.begin(name)
        dense = isinstance(layer(name, settings.dense_width), DenseSettings)
        width = settings.dense_width if dense else settings.width
        ratios = []
        for time in settings.lengths:
            by_steps, at_once = (_pass(way, time, settings.batch, bench.numerics) for way in ways(layer(name, width)))
            _verify(name, by_steps(), at_once())
            timings = timings_in_turn(
                {"steps": by_steps, "once": at_once, "again": by_steps},
                rounds=settings.rounds,
                warmup=1,
                device=bench.numerics.device,
                time_limit=settings.seconds,
            )
            ratio, difference = ratio_beside(*(timings[way].seconds for way in ("steps", "once", "again")))
            ratios.append(ratio)
            apart.append(difference)
        curves.append(Curve(name=name, measure="speed-up", x=settings.lengths, y=tuple(ratios)))
    over_ranks, missing, apart_too = _over_ranks(settings, bench)
    return Evidence(
        curves=(*curves, *over_ranks),
        scope=_(
            "one layer of {models}, forward and backward, batch {batch}, length {from} to {to}, width {width}, or "
            "{dense} where cells are dense, {device}",
            models=listing(settings.models),
            batch=number(settings.batch),
            width=number(settings.width),
            dense=number(settings.dense_width),
            device=bench.device,
            **{"from": number(settings.lengths[0]), "to": number(settings.lengths[-1])},
        ),
        how=(
            _(
                "Step by step and all steps at once are timed in turn after their outputs were found equal, dense "
                "cells step by step in the fastest kernel of the device; the ratio is taken round by round."
            ),
            _(
                "Ranks that divide time are timed against one rank in training steps of two blocks of {models}, "
                "width {width}, under {layouts}.",
                models=listing(settings.shared),
                width=number(settings.width),
                layouts=listing(settings.layouts),
            ),
        ),
        steady=median(apart + apart_too) <= UNSTEADY,
        missing=tuple(missing),
    )


def _over_ranks(settings: SolvingSettings, bench: Bench) -> tuple[list[Curve], list[Said], list[float]]:
    """How many times as fast ranks that divide time are as one, what could not be measured, and equal pairs apart."""
    layouts, missing = here_and_not(settings.layouts)
    stages = Stages(bench, "solving over ranks", len(settings.shared) * len(layouts))
    curves, apart = list[Curve](), list[float]()
    with closing(each_case(bench, settings.shared, layouts)) as cases:
        for layout, name, team, numerics in cases:
            stages.begin(f"{name}, {layout}")
            ratios = []
            for length in settings.lengths:
                sizes = RankSettings(models=settings.shared, length=length, width=settings.width)
                workload = sized_workload(name, sizes, settings.batch, numerics)
                one, together, again = team.run(compare, workload, Layout.parse(layout), settings.rounds)
                ratio, difference = ratio_beside(one, together, again)
                ratios.append(ratio)
                apart.append(difference)
            labels = {"layout": layout}
            curves.append(Curve(name=name, measure="speed-up", x=settings.lengths, y=tuple(ratios), labels=labels))
    return curves, missing, apart


def _pass(settings: MixerSettings, time: int, batch: int, numerics: Numerics) -> Callable[[], Tensor]:
    """A call that runs one layer forward and backward, and returns its outputs; weights as they start."""
    mixer = settings.build()
    initialise(mixer, 0)
    mixer.to(numerics.device)
    generator = torch.Generator().manual_seed(0)
    x_BTD = torch.randn(batch, time, settings.width, generator=generator).to(numerics.device).requires_grad_()
    sources: list[Any] = [x_BTD, *mixer.parameters()]

    def run() -> Tensor:
        y_BTD, _state = mixer(x_BTD, None, Span(carry=False))
        torch.autograd.grad(y_BTD.sum(), sources)
        return y_BTD.detach()

    return run


def _verify(name: str, by_steps: Tensor, at_once: Tensor) -> None:
    difference = float((by_steps - at_once).norm() / by_steps.norm())
    if not difference <= _TOLERANCE:
        raise MeasurementError(
            f"{name}: all steps at once give outputs {difference:.1e} away from those step by step, where "
            f"{_TOLERANCE:.0e} is admissible: no time is taken"
        )


SOLVING = Experiment(
    settings=SolvingSettings,
    run=compare_solvers,
    measures={
        "speed-up": Axes(x=_("length"), y=_("times as fast as one step after the other on one rank"), log_y=True)
    },
    full={
        "lengths": (64, 256, 1024, 4096, 16384),
        "width": 256,
        "batch": 8,
        "rounds": 15,
        "seconds": 60.0,
        "shared": ("gru", "lstm", "diagonal-gru", "diagonal-lstm"),
        "layouts": ("sequence=2", "sequence=4"),
    },
)
