"""How gradients are sent: the seconds that a step of two replicas takes longer than one without a word."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch.optim.optimizer import register_optimizer_step_pre_hook

from crossover.errors import ConfigError
from crossover.measure.clock import seconds_of
from crossover.measure.spread import prepare_spread
from crossover.measure.statistics import median_interval
from crossover.measure.workload import Workload
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import Mesh, largest, make_mesh
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.experiments.several_ranks import (
    RankSettings,
    check_layouts,
    each_case,
    how_done,
    scope_of,
    sized_workload,
)
from crossover.study.audit.words import _, number

PLAIN = "plain"
"""One message for each parameter, after the backward pass: what the others are compared with."""
_SILENT = Layout(data=2, synchronise="end")


@dataclass(frozen=True, kw_only=True)
class SendingSettings(RankSettings):
    """Two replicas that send gradients plainly or as each of `layouts` says, at each of `batches`.

    Compared are blocks of `block` steps, so that averaging now and then has its share, `rounds` times in turn.
    """

    layouts: tuple[str, ...] = (
        "data=2",
        "data=2,gradients=bf16",
        "data=2,gradients=powersgd",
        "data=2,synchronise=16",
    )
    batches: tuple[int, ...] = (8,)
    width: int = 128
    block: int = 16
    rounds: int = 7

    def __post_init__(self) -> None:
        check_layouts(self.layouts, self.rounds)
        for text in self.layouts:
            if Layout.parse(text).data != 2 or Layout.parse(text).devices != 2:
                raise ConfigError(f"layout {text!r} is not of two replicas: give data=2 and how they send gradients")
        if list(self.batches) != sorted(set(self.batches)) or self.batches[0] < 2:
            raise ConfigError(f"batches={list(self.batches)} must increase and start at 2 or more")


def plain(workload: Workload, mesh: Mesh) -> Callable[[], Any]:
    """A training step whose gradients are averaged one by one, once all of them are there."""
    silent = prepare_spread(workload, _SILENT, mesh)

    def average(optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                dist.all_reduce(parameter.grad, group=mesh.data.group)
                parameter.grad /= mesh.data.size

    def step() -> None:
        hook = register_optimizer_step_pre_hook(average)
        try:
            silent()
        finally:
            hook.remove()

    return step


def compare(workload: Workload, layouts: tuple[str, ...], block: int, rounds: int) -> dict[str, list[float]]:
    """On both ranks: by name, the seconds of a step beyond one without a word, in turn, round by round."""
    workload.numerics.apply()
    mesh = make_mesh(Layout(data=2))
    steps = {PLAIN: plain(workload, mesh), "": prepare_spread(workload, _SILENT, mesh)}
    steps |= {text: prepare_spread(workload, Layout.parse(text), mesh) for text in layouts}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for done in range(rounds + 1):
        for name, step in steps.items():
            largest([0.0], mesh.world)
            (slowest,) = largest([sum(seconds_of(step) for _ in range(block)) / block], mesh.world)
            if done:  # the first round warms up
                taken[name].append(slowest)
    silent = taken.pop("")
    return {name: [a - b for a, b in zip(found, silent, strict=True)] for name, found in taken.items()}


def measure_sending(settings: SendingSettings, bench: Bench) -> Evidence:
    """For each model and way to send: the seconds it adds to a step, over the batch."""
    stages = Stages(bench, "sending", len(settings.models) * len(settings.batches))
    curves = []
    with closing(each_case(bench, settings.models, ("data=2",))) as cases:
        for _layout, name, team, numerics in cases:
            found: list[dict[str, list[float]]] = []
            for batch in settings.batches:
                stages.begin(f"{name}, batch {batch}")
                workload = sized_workload(name, settings, batch, numerics)
                found.append(team.run(compare, workload, settings.layouts, settings.block, settings.rounds))
            curves += [
                Curve(
                    name=name,
                    measure="sending seconds",
                    x=settings.batches,
                    y=tuple(median_interval(of_batch[way]) for of_batch in found),
                    labels={"layout": way},
                )
                for way in (PLAIN, *settings.layouts)
            ]
    return Evidence(
        curves=tuple(curves),
        scope=scope_of(settings, bench),
        how=(
            *how_done((PLAIN, *settings.layouts)),
            _("Plainly, a message is sent for each parameter after the backward pass."),
            _(
                "Blocks of {block} steps are timed in turn; what a step without any message takes is subtracted.",
                block=number(settings.block),
            ),
        ),
        missing=(_("NCCL against the rate of its links, which takes several GPUs"),),
    )


SENDING = Experiment(
    settings=SendingSettings,
    run=measure_sending,
    measures={"sending seconds": Axes(x=_("batch"), y=_("seconds that sending adds to a step"), log_y=False)},
    full={"width": 256, "layers": 4, "length": 128, "batches": (8, 32), "rounds": 11},
)
