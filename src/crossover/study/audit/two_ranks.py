"""What experiments on two ranks of this machine have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import cast

from crossover.errors import ConfigError
from crossover.measure.numerics import Numerics
from crossover.measure.workload import Pass, Workload
from crossover.models.counting import count_parameters, match_parameters
from crossover.models.ports import PerStep, Tokens
from crossover.models.presets import parse_model
from crossover.models.settings import ModelSettings
from crossover.parallel.launch import Team
from crossover.parallel.layout import Layout
from crossover.study.audit.evidence import Bench
from crossover.study.audit.words import Said, _, listing, number

RANKS = 2
LAYOUTS = ("data=2", "tensor=2", "pipeline=2,microbatches=4", "sequence=2")
_PORTS = Tokens(vocabulary=256), PerStep(size=256)


@dataclass(frozen=True, kw_only=True)
class RankSettings:
    """`layers` blocks on rows of `length` tokens under each of `layouts`.

    Models have the parameters of the first, which is `width` wide.
    """

    models: tuple[str, ...] = ("lstm", "transformer")
    layouts: tuple[str, ...] = LAYOUTS
    length: int = 64
    width: int = 64
    layers: int = 2


def check_layouts(layouts: Sequence[str], steps: int) -> None:
    """ConfigError for a layout of another number of ranks, or too few steps to say anything."""
    if steps < 3:
        raise ConfigError(f"{steps} steps are too few: an interval over steps needs 3 or more")
    for text in layouts:
        if (devices := Layout.parse(text).devices) != RANKS:
            raise ConfigError(f"layout {text!r} takes {devices} ranks: the experiment has {RANKS}")


@contextmanager
def two_ranks(bench: Bench) -> Iterator[tuple[Team, Numerics]]:
    """Two ranks, and the numerics that each of them has."""
    with Team(RANKS) as team:
        threads = max(1, bench.numerics.threads // team.here)
        try:
            yield team, replace(bench.numerics, device="cpu", threads=threads)
        finally:
            bench.numerics.apply()


def sized_workload(
    name: str, settings: RankSettings, batch: int, numerics: Numerics, *, kind: str = "train"
) -> Workload:
    """A pass of a model that has the parameters of the first."""
    first, model = _sized(settings.models[0], settings), _sized(name, settings)
    inputs, outputs = _PORTS
    if name != settings.models[0]:
        target = count_parameters(first, inputs, outputs, causal=True).without_embedding
        model = match_parameters(model, inputs, outputs, causal=True, target=target)
    return Workload(
        model=model,
        inputs=inputs,
        outputs=outputs,
        batch=batch,
        time=settings.length,
        kind=cast(Pass, kind),
        numerics=numerics,
    )


def _sized(name: str, settings: RankSettings) -> ModelSettings:
    return replace(parse_model(name), width=settings.width, layers=settings.layers, dropout=0.0)


def scope_of(settings: RankSettings, bench: Bench) -> Said:
    """The scope of such an experiment."""
    return _(
        "{models}: {layers} blocks, width {width}, rows of {length} tokens; 2 ranks of one machine, {precision}",
        models=listing(settings.models),
        layers=number(settings.layers),
        width=number(settings.width),
        length=number(settings.length),
        precision=bench.numerics.precision,
    )


def how_done(settings: RankSettings) -> tuple[Said, ...]:
    """How it was done."""
    layouts = listing(settings.layouts)
    return (_("Two processes work together under {layouts}, each step begun by both at once.", layouts=layouts),)
