"""What experiments on several ranks of this machine have in common."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import cast

from crossover.data.options import DataOptions
from crossover.errors import ConfigError
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import Interval, median_interval
from crossover.measure.workload import Pass, Workload
from crossover.models.counting import count_parameters
from crossover.models.matching import match_parameters
from crossover.models.ports import Inputs, Outputs, PerStep, Tokens
from crossover.models.presets import parse_model
from crossover.models.settings import ModelSettings
from crossover.parallel.launch import Team
from crossover.parallel.layout import Layout
from crossover.study.audit.evidence import Bench
from crossover.study.audit.words import Said, _, listing, number
from crossover.tasks import TASKS

LAYOUTS = ("data=2", "tensor=2", "pipeline=2,microbatches=4", "sequence=2")


@dataclass(frozen=True, kw_only=True)
class RankSettings:
    """`layers` blocks on rows of `length` steps under each of `layouts`.

    Models have the parameters of the first, which is `width` wide. They read and say what those of `task` do; without
    one they are language models of 256 tokens.
    """

    models: tuple[str, ...] = ("lstm", "transformer")
    layouts: tuple[str, ...] = LAYOUTS
    task: str = ""
    length: int = 64
    width: int = 64
    layers: int = 2

    def ends(self) -> tuple[Inputs, Outputs, bool]:
        """What goes in, what comes out, and whether models are causal."""
        return _ends_of(self.task) if self.task else (Tokens(vocabulary=256), PerStep(size=256), True)


@cache
def _ends_of(task: str) -> tuple[Inputs, Outputs, bool]:
    spec = TASKS.get(task)(DataOptions()).spec
    return spec.inputs, spec.outputs, spec.causal


def check_layouts(layouts: Sequence[str], steps: int) -> None:
    """ConfigError for a layout of one rank, or too few steps to say anything."""
    if steps < 3:
        raise ConfigError(f"{steps} steps are too few: an interval over steps needs 3 or more")
    for text in layouts:
        if _devices(text) < 2:
            raise ConfigError(f"layout {text!r} takes one rank: the experiment compares several with one")


def here_and_not(layouts: Sequence[str]) -> tuple[list[str], list[Said]]:
    """The layouts that have a core for each rank on this machine, and why the others are not measured."""
    cores = os.cpu_count() or 1
    here = [text for text in layouts if _devices(text) <= cores]
    others = listing(text for text in layouts if text not in here)
    missing = _("{layouts}: a rank wants a core, and this machine has {cores}", layouts=others, cores=number(cores))
    return here, [missing] if others else []


def each_case(
    bench: Bench, models: Sequence[str], layouts: Sequence[str]
) -> Generator[tuple[str, str, Team, Numerics]]:
    """Each (layout, model) with the layout's ranks, and the numerics that each of them has.

    Layouts of as many ranks share them. To be closed by whoever may leave before its end: then the ranks end.
    """
    for ranks in sorted({_devices(text) for text in layouts}):
        with Team(ranks) as team:
            threads = max(1, bench.numerics.threads // team.here)
            numerics = replace(bench.numerics, device="cpu", threads=threads)
            try:
                for layout, name in product(layouts, models):
                    if _devices(layout) == ranks:
                        yield layout, name, team, numerics
            finally:
                bench.numerics.apply()


def _devices(layout: str) -> int:
    return Layout.parse(layout).devices


def sized_workload(
    name: str, settings: RankSettings, batch: int, numerics: Numerics, *, kind: str = "train"
) -> Workload:
    """A pass of a model that has the parameters of the first."""
    first, model = _sized(settings.models[0], settings), _sized(name, settings)
    inputs, outputs, causal = settings.ends()
    if name != settings.models[0]:
        target = count_parameters(first, inputs, outputs, causal=causal).without_embedding
        model = match_parameters(model, inputs, outputs, causal=causal, target=target)
    return Workload(
        model=model,
        inputs=inputs,
        outputs=outputs,
        causal=causal,
        batch=batch,
        time=settings.length,
        kind=cast(Pass, kind),
        numerics=numerics,
    )


def _sized(name: str, settings: RankSettings) -> ModelSettings:
    return replace(parse_model(name), width=settings.width, layers=settings.layers, dropout=0.0)


def ratio_beside(one: Sequence[float], other: Sequence[float], again: Sequence[float]) -> tuple[Interval, float]:
    """The ratio of `one` to `other`, round by round, and how far `one` is from itself, measured `again` in turn.

    The interval is as much wider as equal measurements were apart, so that one noisy point decides nothing by itself.
    """
    apart = abs(median_interval(one).value / median_interval(again).value - 1)
    ratio = median_interval([a / b for a, b in zip(one, other, strict=True)])
    return Interval(ratio.value, ratio.low / (1 + apart), ratio.high * (1 + apart)), apart


def scope_of(settings: RankSettings, bench: Bench) -> Said:
    """The scope of such an experiment."""
    return _(
        "{models}: {layers} blocks, width {width}, rows of {length} tokens; ranks of one machine, {precision}",
        models=listing(settings.models),
        layers=number(settings.layers),
        width=number(settings.width),
        length=number(settings.length),
        precision=bench.numerics.precision,
    )


def how_done(layouts: Sequence[str]) -> tuple[Said, ...]:
    """How it was done."""
    told = listing(layouts)
    return (_("Processes work together under {layouts}, each step begun by all at once.", layouts=told),)
